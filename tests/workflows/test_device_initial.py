"""`--initial STATE=VALUE` of `device run` and `device fit`, and initial states among `--free`."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from compact_models.library import find_model
from tests.devices.agreement import reference_run, triangle
from tests.workflows.command import names_all, refused, spiceloop

STIMULUS = "t_s,v_v\n0,0\n1e-9,0.02\n2e-9,0.02\n"

RESISTOR = """\
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, V

g = Parameter("g", "S", "conductance", above=0)
one = ParameterSet("one", "a test", {"g": 1e-3}, {}, 1.0, 1.0)
MODEL = CompactModel("resistor", "ohmic", "dynamic", "a test", g * V, {}, (one,))
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "devices"
    folder.mkdir()
    monkeypatch.setenv("SPICELOOP_DEVICES", str(folder))
    return folder


def run_call(folder: Path, *more: str, model: str = "vteam") -> tuple[str | Path, ...]:
    """A run of VTEAM below its thresholds, where the state stays."""
    (folder / "in.csv").write_text(STIMULUS)
    out = folder / "out.csv"
    return "device", "run", model, "--stimulus", folder / "in.csv", "-o", out, *more


def sweep_file(folder: Path, w_m: float) -> Path:
    """One period of VTEAM's set `sine` from another state, with noise of 1 %."""
    model = find_model("vteam")
    one = model.parameter_set("sine")
    time_s, voltage_v = (x[:53] for x in triangle(one, 13))
    moved = dataclasses.replace(one, initial={"w": w_m})
    current_a = reference_run(model, moved, time_s, voltage_v).current_a
    current_a = current_a * (1 + 0.01 * np.random.default_rng(1).standard_normal(53))
    path = folder / "cell.csv"
    np.savetxt(
        path, np.c_[time_s, voltage_v, current_a], delimiter=",", header="t_s,v_v,i_a", comments=""
    )
    return path


def fit_call(data: Path, *more: str) -> tuple[str | Path, ...]:
    return "device", "fit", data, "--model", "vteam", "--params", "sine", "--starts", "2", *more


@pytest.mark.parametrize(
    "engine",
    [
        ("torch",),
        pytest.param(("ngspice", "--form", "b"), marks=pytest.mark.ngspice),
        pytest.param(("ngspice",), marks=pytest.mark.ngspice),
    ],
)
def test_a_run_starts_from_the_state_that_was_given(
    tmp_path: Path, engine: tuple[str, ...]
) -> None:
    ran = spiceloop(*run_call(tmp_path, "--engine", *engine, "--initial", "w=2.25e-9"), "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["initial"] == {"w": 2.25e-9}
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True)
    assert table["w"] == pytest.approx([2.25e-9] * 3, rel=1e-6)
    # 50 to 1,000 ohm over 3 nm
    assert table["i_a"][1:] == pytest.approx([0.02 / (50 + 950 * 0.75)] * 2, rel=1e-5)


def test_the_summary_tells_the_state_of_the_set_too(tmp_path: Path) -> None:
    ran = spiceloop(*run_call(tmp_path, "--json"))
    assert json.loads(ran.out)["initial"] == {"w": 1.5e-9}
    assert "starts from w = 1.5e-09 m" in spiceloop(*run_call(tmp_path)).out
    again = spiceloop(*run_call(tmp_path, "--initial", "w = 3e-9"))  # the bound itself
    assert again.code == 0, again.err
    assert "starts from w = 3e-09 m" in again.out


def test_a_state_without_bounds_and_several_states_can_be_given(tmp_path: Path) -> None:
    given = ("--initial", "temperature=320", "--initial", "gap=1.2e-9")
    ran = spiceloop(*run_call(tmp_path, *given, "--json", model="stanford"))
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["initial"] == {"gap": 1.2e-9, "temperature": 320}
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True)
    assert (table["gap"][0], table["temperature"][0]) == pytest.approx((1.2e-9, 320), rel=1e-9)


BAD = [
    (("ww=1e-9",), ["--initial", "no such state", "'ww'", "allowed: w", "did you mean 'w'"]),
    (("r_on=3",), ["--initial", "no such state", "'r_on'", "allowed: w"]),
    (("w=4e-9",), ["--initial", "'w'", "out of bounds", "4e-09", "0.0 to 3e-09 m"]),
    (("w=-1e-30",), ["--initial", "'w'", "out of bounds", "-1e-30"]),
    (("w=nan",), ["--initial", "'w'", "not a finite number", "'nan'", "in m"]),
    (("w=inf",), ["--initial", "'w'", "not a finite number", "'inf'"]),
    (("w=2n",), ["--initial", "'w'", "not a finite number", "'2n'"]),
    (("w=1_0e-10",), ["--initial", "'w'", "not a finite number"]),
    (("w=",), ["--initial", "the value of state 'w' is missing", "in m"]),
    (("w",), ["--initial", "'w'", "STATE=VALUE"]),
    (("=1",), ["--initial", "the name of the state is missing", "allowed: w"]),
    (("",), ["--initial", "STATE=VALUE", "is missing"]),
    (("w=1e-9", "w=2e-9"), ["--initial", "state 'w' is given twice"]),
]


@pytest.mark.parametrize(("given", "words"), BAD)
def test_a_bad_initial_state_is_refused(
    tmp_path: Path, given: tuple[str, ...], words: list[str]
) -> None:
    options = [word for one in given for word in ("--initial", one)]
    data = tmp_path / "cell.csv"
    data.write_text("t_s,v_v,i_a\n" + "".join(f"{k}e-9,0.{k},{k}e-4\n" for k in range(1, 10)))
    for call in (run_call(tmp_path, *options), fit_call(data, *options)):
        said = refused(tmp_path, *call)
        names_all(said, *words)
        assert "got ''" not in said
        assert "got None" not in said


def test_an_initial_state_can_be_all_that_is_fitted(tmp_path: Path, own_folder: Path) -> None:
    ran = spiceloop(*fit_call(sweep_file(tmp_path, 2e-9), "--free", "w", "--json"))
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["parameters"] == {}
    assert found["initial"]["w"]["value"] == pytest.approx(2e-9, rel=0.02)
    assert found["initial"]["w"]["start"] == found["start_initial"]["w"] == 1.5e-9
    assert found["fixed"]["r_on"] == "not among --free"
    saved = tomllib.loads((own_folder / "vteam.cell.toml").read_text())
    assert saved["initial"]["w"] == pytest.approx(found["initial"]["w"]["value"], rel=1e-12)


def test_a_fit_keeps_the_initial_state_that_was_given(tmp_path: Path, own_folder: Path) -> None:
    data = sweep_file(tmp_path, 2e-9)
    call = fit_call(data, "--free", "r_off", "--fix-initial", "--initial", "w=2e-9")
    ran = spiceloop(*call, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["initial"] == {}
    assert (found["start"], found["start_initial"]) == ("sine", {"w": 2e-9})
    assert found["parameters"]["r_off"]["value"] == pytest.approx(1000, rel=0.03)
    saved = tomllib.loads((own_folder / "vteam.cell.toml").read_text())
    assert saved["initial"]["w"] == pytest.approx(2e-9, rel=1e-12)
    assert "from sine with --initial w=2e-9" in saved["source"]
    again = spiceloop(*call, "--force", "--timeout", "1e-9")
    assert "left as in sine with --initial w=2e-9: " in again.out


def test_a_state_cannot_be_fixed_and_free(tmp_path: Path) -> None:
    data = sweep_file(tmp_path, 2e-9)
    said = refused(tmp_path, *fit_call(data, "--free", "r_on,w", "--fix-initial"))
    names_all(said, "--free", "'w'", "--fix-initial", "leave")


def test_a_model_without_states_takes_none(tmp_path: Path) -> None:
    (tmp_path / "resistor.py").write_text(RESISTOR)
    path = str(tmp_path / "resistor.py")
    said = refused(tmp_path, *run_call(tmp_path, "--initial", "w=1", model=path))
    names_all(said, "--initial", "the model has no states", "leave")
