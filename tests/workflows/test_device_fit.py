"""`spiceloop device fit`: from measured data to a set with a name, and what is refused."""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from compact_models.library import all_sets, find_model, find_set
from cosim.fitting import fit as fitting
from cosim.fitting.data import PulseTrain
from cosim.fitting.result import Fit
from cosim.fitting.search import OutOfTimeError
from tests.devices.agreement import reference_run, triangle
from tests.workflows.command import names_all, refused, spiceloop
from workflows.console import Reporter
from workflows.device.fit import FitRequest, fit_file
from workflows.device.fit_plot import _pulses, _residual

SWEEP = "t_s,v_v,i_a\n" + "".join(f"{k}e-9,0.{k},{k}e-4\n" for k in range(1, 10))
PULSES = "pulse,g_s\n" + "".join(f"{1 if k < 5 else -1},{k}e-6\n" for k in range(1, 10))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "devices"
    monkeypatch.setenv("SPICELOOP_DEVICES", str(folder))
    return folder


def pulse_file(folder: Path, name: str = "My Cell-7.csv") -> Path:
    """Soft bounds, 40 up and 40 down, in columns of another order, with a column of notes."""
    w, rows = -0.3, ["g_s,note,pulse"]
    for k in range(80):
        up = k < 40
        w += 0.08 * (1 - w) if up else -0.08 * (1 + w)
        rows.append(f"{5e-6 + (w + 1) / 2 * 6e-5:.6g},fine,{1.2 if up else -1.2}")
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_sweep_becomes_a_set_that_runs_by_its_name(tmp_path: Path, own_folder: Path) -> None:
    model = find_model("vteam")
    one = model.parameter_set("sine")
    time_s, voltage_v = (x[:105] for x in triangle(one, 13))
    truth = reference_run(model, one, time_s, voltage_v).current_a
    noisy = truth * (1 + 0.02 * np.random.default_rng(1).standard_normal(len(truth)))
    data, picture = tmp_path / "cell 3.csv", tmp_path / "fit.png"
    np.savetxt(
        data, np.c_[noisy, time_s, voltage_v], delimiter=",", header="i_a,t_s,v_v", comments=""
    )
    ran = spiceloop(
        "device", "fit", data, "--model", "vteam", "--params", "sine", "--free", "r_on,r_off,k_on",
        "--fix-initial", "--starts", "1", "--plot", picture, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["outcome"] == "ok"
    assert (found["model"], found["saved_set"]) == ("vteam", "cell_3")
    assert Path(found["saved_path"]) == own_folder / "vteam.cell_3.toml"
    assert found["n_points"] == found["n_points_used"] == 105
    assert found["rms_decades"] == pytest.approx(0.0087, rel=0.25)
    assert found["initial"] == {}
    assert set(found["parameters"]) == {"r_on", "r_off", "k_on"}
    r_off = found["parameters"]["r_off"]
    assert r_off["value"] == pytest.approx(1000, rel=0.05)
    assert r_off["low"] < r_off["value"] < r_off["high"]
    assert (r_off["unit"], r_off["at_bound"], r_off["start"]) == ("ohm", False, 1000)
    assert picture.read_bytes().startswith(b"\x89PNG")
    saved = find_set(model, "cell_3")
    assert saved.period_s == pytest.approx(one.period_s, rel=1e-6)  # of two in the file
    assert saved.amplitude_v == one.amplitude_v
    assert saved.confirmed  # against its source, the data
    listed = json.loads(spiceloop("device", "list", "--json").out)["models"]
    sets = {m["name"]: {s["name"]: s for s in m["parameter_sets"]} for m in listed}["vteam"]
    names_all(sets["cell_3"]["source"], "fitted to cell 3.csv", "rms")
    out = tmp_path / "out.csv"
    again = spiceloop("device", "run", "vteam", "--params", "cell_3", "--stimulus", data, "-o", out)
    assert again.code == 0, again.err
    current = np.genfromtxt(out, delimiter=",", names=True)["i_a"]
    assert np.sqrt(np.mean((current - noisy) ** 2)) == pytest.approx(found["rms_a"], rel=1e-3)


def test_pulses_become_a_set_and_none_is_written_over(tmp_path: Path, own_folder: Path) -> None:
    data, picture = pulse_file(tmp_path), tmp_path / "fit.svg"
    known = ("--params", "reram_array_hfo2")
    call = ("device", "fit", data, "--model", "soft_bounds", *known, "--plot", picture)
    ran = spiceloop(*call)
    assert ran.code == 0, ran.err
    names_all(ran.out, "dw_min", "std. error", "saved as my_cell_7", "left as in", "threshold_v")
    heading = ran.out.splitlines()[1].split()
    assert heading == ["start", "fitted", "std.", "error", "unit", "searched"]
    assert re.search(r"candidates in \d+ runs$", ran.out, re.MULTILINE)
    assert re.fullmatch(r" *fitting soft_bounds to My Cell-7.csv +[0-9.]+ s\n", ran.err)
    place = own_folder / "soft_bounds.my_cell_7.toml"
    kept = tomllib.loads(place.read_text(encoding="utf-8"))
    assert kept["values"]["dw_min"] == pytest.approx(0.08, rel=0.01)
    assert kept["values"]["g_max"] == pytest.approx(6.5e-5, rel=0.01)
    assert "<svg" in picture.read_text(encoding="utf-8")
    said = refused(tmp_path, *call)
    names_all(said, "my_cell_7", "exists already", "--force", "--save-as")
    ran = spiceloop(*call, "--save-as", "cell-7")  # as a set in a file may be called
    assert ran.code == 0, ran.err
    assert (own_folder / "soft_bounds.cell-7.toml").exists()
    assert spiceloop("device", "show", "soft_bounds", "--params", "cell-7").code == 0
    assert spiceloop(*call, "--force").code == 0
    names_all(refused(tmp_path, *call, "--save-as", "reram_sb"), "reram_sb", "--save-as")


def test_a_fit_that_does_not_end_saves_nothing(tmp_path: Path, own_folder: Path) -> None:
    data = pulse_file(tmp_path)
    ran = spiceloop("device", "fit", data, "--model", "soft_bounds", "--timeout", "1e-9", "--json")
    assert ran.code == 1, ran.err
    found = json.loads(ran.out)
    assert (found["outcome"], found["saved_set"]) == ("not_converged", None)
    assert not own_folder.exists()
    text = spiceloop("device", "fit", data, "--model", "soft_bounds", "--timeout", "1e-9").out
    names_all(
        text,
        "not_converged (no solution within 1e-09 s of wall time)",
        "nothing was saved",
        "next: ",
        "--free",
        "--timeout",
    )


def test_the_best_point_of_a_fit_that_was_stopped_is_kept_to_go_on_from(
    tmp_path: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No set, no standard errors; what is kept is nearer to the data than the start."""
    model = find_model("soft_bounds")
    whole = fitting._solve

    def stopped(*args: Any, **options: Any) -> None:
        whole(*args, **options)
        raise OutOfTimeError

    monkeypatch.setattr(fitting, "_solve", stopped)
    request = FitRequest(pulse_file(tmp_path), "soft_bounds", save_as="mine")
    result, lines, code = fit_file(request, Reporter())
    assert (result["outcome"], result["saved_set"], code) == ("not_converged", None, 1)
    assert all(one["stderr"] is None for one in result["parameters"].values())
    assert result["correlated"] == []
    names_all("\n".join(lines), "no standard error: the fit was stopped", "go on from", "--params")
    kept = Path(result["unfinished_path"])
    assert kept == own_folder / "not_converged" / "soft_bounds.mine.toml"
    assert "NOT CONVERGED" in kept.read_text()
    assert "mine" not in all_sets(model)
    best = find_set(model, str(kept))
    start = model.parameter_sets[0]
    assert best.values != start.values
    fitted = {name: one["value"] for name, one in result["parameters"].items()}
    assert {name: best.values[name] for name in fitted} == pytest.approx(fitted, rel=1e-9)


def test_a_fit_that_says_nothing_about_the_data_is_not_saved(
    tmp_path: Path, own_folder: Path
) -> None:
    # The same current at every voltage: no resistance does that.
    volts = np.interp(np.linspace(0, 4, 31), [0, 1, 3, 4], [0.1, 0.3, 0.2, 0.1])
    rows = [f"{k * 1e-8!r},{v!r},1e-6" for k, v in enumerate(volts.tolist())]
    data = tmp_path / "flat.csv"
    data.write_text("\n".join(["t_s,v_v,i_a", *rows]) + "\n", encoding="utf-8")
    free = ("--free", "r_on,r_off", "--fix-initial")
    ran = spiceloop("device", "fit", data, "--model", "vteam", "--starts", "1", *free)
    assert ran.code == 1, ran.err
    names_all(ran.out, "no_fit", "no better than a constant", "nothing was saved", "--plot")
    assert not own_folder.exists()


def test_one_voltage_is_not_enough(tmp_path: Path, own_folder: Path) -> None:
    # A SET at 0.5 V; the source scatters by a millivolt.
    rows = [f"{k}e-8,{0.5 + 5e-4 * (-1) ** k!r},{1e-4 + 5e-6 * k!r}" for k in range(20)]
    data = tmp_path / "hold.csv"
    data.write_text("\n".join(["t_s,v_v,i_a", *rows]) + "\n", encoding="utf-8")
    call = ("device", "fit", data, "--model", "vteam")
    said = refused(tmp_path, *call)
    names_all(said, "hold.csv: v_v", "never changes", "0.4995 to 0.5005 V", "a sweep", "--free")
    assert not own_folder.exists()
    ran = spiceloop(*call, "--free", "k_off", "--timeout", "1e-9")  # asked for, it is tried
    assert ran.code == 1, ran.err
    assert "not_converged" in ran.out


def test_the_period_is_saved_with_twelve_digits(tmp_path: Path, own_folder: Path) -> None:
    period_s = 1.23456789012345e-6
    times = np.linspace(0, 2 * period_s, 41)
    volts = 0.3 * np.sin(2 * np.pi * times / period_s)
    rows = [f"{t!r},{v!r},{v / 500!r}" for t, v in zip(times.tolist(), volts.tolist(), strict=True)]
    data = tmp_path / "cell.csv"
    data.write_text("\n".join(["t_s,v_v,i_a", *rows]) + "\n", encoding="utf-8")
    ran = spiceloop(
        "device", "fit", data, "--model", "vteam", "--free", "r_on,r_off", "--fix-initial",
        "--starts", "1", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    saved = tomllib.loads((own_folder / "vteam.cell.toml").read_text(encoding="utf-8"))
    assert saved["period_s"] == float(f"{period_s:.12g}")  # what follows is rounding
    text = spiceloop("device", "show", "vteam", "--params", "cell").out
    shown = re.search(r"period_s (\S+) s", text)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(period_s, rel=1e-11)


def test_a_long_record_is_compared_at_fewer_points_and_integrated_whole(tmp_path: Path) -> None:
    volts = np.tile([0.0, 0.5, 0.5, 0.0], 60)
    rows = [f"{k * 1e-9!r},{v!r},{v / 500!r}" for k, v in enumerate(volts.tolist())]
    data = tmp_path / "pulses.csv"
    data.write_text("\n".join(["t_s,v_v,i_a", *rows]) + "\n", encoding="utf-8")
    picture = tmp_path / "fit.svg"
    call = ("device", "fit", data, "--model", "vteam", "--timeout", "1e-9", "--points", "50")
    found = json.loads(spiceloop(*call, "--plot", picture, "--json").out)
    assert found["n_points"] == 240
    assert found["n_points_used"] == 50
    assert 230 <= found["n_points_integrated"] <= 240
    assert (found["plot"], picture.exists()) == (str(picture), True)
    text = spiceloop(*call).out
    assert f"50 of 240 points compared, {found['n_points_integrated']} integrated" in text


def test_values_that_contradict_their_names_are_not_saved(tmp_path: Path, own_folder: Path) -> None:
    # A pulse up lowers the conductance, as where the terminals are the other way round.
    data = pulse_file(tmp_path)
    data.write_text(re.sub(r"(?<=fine,)(-?)", _turned, data.read_text("utf-8")), "utf-8")
    ran = spiceloop("device", "fit", data, "--model", "soft_bounds")
    assert ran.code == 1, ran.err
    names_all(ran.out, "out_of_order (g_min = 6", "S is above g_max = ", "against their names")
    names_all(ran.out, "conductance at w_min; conductance at w_max", "nothing was saved")
    names_all(ran.out, "next: ", "the other way round", "--unit v=-V --unit i=-A", "--free")
    assert not own_folder.exists()


def _turned(sign: re.Match[str]) -> str:
    return "" if sign[1] else "-"


def test_a_value_that_rests_on_a_bound_is_said_to(tmp_path: Path) -> None:
    # Pulses up, of which all but five find the weight at its end: g_max is where it stops.
    w, rows = 0.0, ["pulse,g_s"]
    rng = np.random.default_rng(1)
    for _ in range(60):
        w = min(w + 0.17, 1.0)
        g_s = (5e-6 + (w + 1) / 2 * 6e-5) * (1 + 0.01 * rng.standard_normal())
        rows.append(f"1,{g_s!r}")
    data = tmp_path / "stops.csv"
    data.write_text("\n".join(rows) + "\n", encoding="utf-8")
    call = ("device", "fit", data, "--model", "constant_step", "--free", "g_max,dw_min")
    found = json.loads(spiceloop(*call, "--json").out)
    told = found["parameters"]["g_max"]["by_bound"]
    assert re.fullmatch(r"w at its upper bound at 5\d of 60 points", told), found
    ran = spiceloop(*call, "--force")
    assert ran.code == 0, ran.err
    assert re.search(r"^g_max .* by a state's bound$", ran.out, re.MULTILINE), ran.out
    assert re.search(rf"^known only by {told}: .*g_max", ran.out, re.MULTILINE), ran.out


def test_a_folder_that_takes_no_set_is_refused_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", "/proc/none")
    said = refused(tmp_path, "device", "fit", pulse_file(tmp_path), "--model", "soft_bounds")
    names_all(said, "/proc", "no file can be made", "SPICELOOP_DEVICES")


def test_a_broken_set_does_not_stand_in_the_way_of_a_fit(tmp_path: Path, own_folder: Path) -> None:
    own_folder.mkdir()
    (own_folder / "soft_bounds.bad.toml").write_text("[")
    ran = spiceloop(
        "device", "fit", pulse_file(tmp_path), "--model", "soft_bounds", "--timeout", "1e-9"
    )
    assert ran.code == 1, ran.err


def test_the_residual_is_drawn_in_decades() -> None:
    ax = Figure().add_subplot()
    data = PulseTrain(np.ones(3), np.array([1e-5, 2e-5, 3e-5]))
    fit = SimpleNamespace(answer=data.values * [10, 1, 0.01], floor=1e-12)
    _residual(ax, np.arange(3.0), data, cast("Fit", fit))
    assert np.asarray(ax.lines[1].get_ydata()) == pytest.approx([1, 0, -2], abs=1e-9)
    assert ax.get_title() == "Residual"
    assert ax.get_ylabel() == "fitted over measured,\ndecades"


def test_the_pulses_of_a_fit_are_counted_and_not_its_rows() -> None:
    figure = Figure()
    data = PulseTrain(np.array([0.0, 1, 1, 0, -1]), np.array([1.0, 2, 3, 3, 2]) * 1e-5)
    fit = SimpleNamespace(answer=data.values, floor=1e-12)
    _pulses(figure, data, cast("Fit", fit))
    for ax, line in zip(figure.axes, (0, 1), strict=True):
        assert np.asarray(ax.lines[line].get_xdata()).tolist() == [0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["in.csv", "empty"]),
        ("time,volts\n1,2\n", ["in.csv", "time, volts", "t_s, v_v, i_a", "pulse, g_s"]),
        ("t_s,v_v,i_a\n1,0.1,1e-3\n2,0.2,2e-3\n", ["in.csv", "too few rows", "2", ">= 8"]),
        (SWEEP.replace("3e-9", "1.5e-9"), ["in.csv:4", "does not rise"]),
        ("# wafer 3\n" + SWEEP.replace("4e-4", "nan"), ["in.csv:6", "i_a", "nan"]),
        (SWEEP.replace("4e-4", "nan"), ["in.csv:5", "i_a", "nan"]),
        (SWEEP.replace("4e-4", "n/a"), ["in.csv:5", "i_a", "n/a"]),
        (SWEEP.replace(",0.5,", ",,"), ["in.csv:6", "v_v is blank"]),
        (SWEEP.replace(",0.5,", ",5e3,"), ["in.csv:6: v_v", "5000", "-1000 to 1000 V"]),
        (SWEEP.replace("e-4\n", "e-400\n"), ["in.csv:2", "i_a", "zero"]),
        (PULSES, ["pulse data needs a pulse device", "vteam"]),
        (PULSES.replace("3e-6", "-3e-6"), ["in.csv:4", "negative"]),
        (PULSES.replace("3e-6", "inf"), ["in.csv:4", "g_s", "inf"]),
    ],
)
def test_bad_data_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text, encoding="utf-8")
    names_all(refused(tmp_path, "device", "fit", path, "--model", "vteam"), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "vteem"), ["vteem", "did you mean 'vteam'"]),
        (("--model", "vteam", "--params", "sin"), ["sin", "pt_hf_ti"]),
        (("--model", "vteam", "--free", "r_onn"), ["--free", "r_onn", "did you mean 'r_on'"]),
        (("--model", "vteam", "--free", ""), ["--free", "a name is missing", ", w;", "out"]),
        (("--model", "vteam", "--free", "r_on,,w"), ["--free", "a name is missing", "r_on,,w"]),
        (("--model", "vteam", "--free", " , "), ["--free", "a name is missing"]),
        (("--model", "vteam", "--save-as", ""), ["--save-as: the name is missing", "lower-case"]),
        (("--model", ""), ["the name of a model is missing", "vteam"]),
        (("--model", "vteam", "--params", ""), ["the name of a parameter set is missing", "sine"]),
        (
            ("--model", "vteam", "--save-as", "Mine!"),
            ["--save-as", "Mine!", "lower-case letters, digits, _ and -, a letter first"],
        ),
        (("--model", "vteam", "--save-as", "7-a"), ["--save-as", "'7-a'", "a letter first"]),
        (("--model", "vteam", "--save-as", "sine"), ["--save-as", "sine"]),
        (("--model", "vteam", "--plot", "fit.bmp"), ["--plot", "fit.bmp", ".png"]),
        (("--model", "vteam", "--plot", "gone/fit.png"), ["--plot", "folder does not exist"]),
        (("--model", "vteam", "--timeout", "-1"), ["--timeout", "> 0"]),
        (("--model", "vteam", "--noise-floor", "0"), ["--noise-floor", "> 0"]),
        (("--model", "pcm"), ["pcm", "only read", "kind dynamic or pulse", "device list"]),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(SWEEP, encoding="utf-8")
    said = refused(tmp_path, "device", "fit", path, *arguments)
    names_all(said, *words)
    assert "got ''" not in said


def test_a_current_against_its_voltage_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{k * 1e-3},{math.sin(k)},{-1e-4 * math.sin(k)}\n" for k in range(60))
    data = tmp_path / "turned.csv"
    data.write_text("t_s,v_v,i_a\n" + rows, encoding="utf-8")
    error = refused(tmp_path, "device", "fit", data, "--model", "vteam")
    names_all(error, "turned.csv:3: i_a", "opposite signs", "change the sign of one column")
