"""`spiceloop device`: list, run and netlist from the command line, and what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compact_models.library import all_models
from cosim.devices.form import can_compile
from cosim.ngspice import Deck, find_ngspice, run_deck
from tests.workflows.command import names_all, refused, spiceloop
from workflows.device.stimulus import MOST_V

STIMULUS = "t_s,v_v\n0,0\n1e-9,0.2\n5e-8,0.25\n1e-7,-0.1\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "devices").mkdir()
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "devices"))


class Terminal:
    """An output that says it is one."""

    def isatty(self) -> bool:
        return True


def stimulus(folder: Path, text: str = STIMULUS) -> Path:
    path = folder / "in.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def trace(path: Path) -> dict[str, np.ndarray]:
    table = np.genfromtxt(path, delimiter=",", names=True)
    return {name: np.asarray(table[name]) for name in table.dtype.names}


def test_the_list_names_every_model_with_its_sets_and_sources() -> None:
    ran = spiceloop("device", "list", "--json")
    assert ran.code == 0
    models = {one["name"]: one for one in json.loads(ran.out)["models"]}
    assert set(models) == set(all_models())
    assert models["vteam"]["states"] == ["w"]
    assert models["vteam"]["kind"] == "dynamic"
    sets = {one["name"]: one["source"] for one in models["vteam"]["parameter_sets"]}
    assert set(sets) == {"sine", "pt_hf_ti", "symmetric"}
    assert sets["pt_hf_ti"].endswith("(unconfirmed)")
    assert all(one["source"] for model in models.values() for one in model["parameter_sets"])
    text = spiceloop("device", "list").out
    names_all(text, *models, "unconfirmed", "states w")
    assert max(map(len, text.splitlines())) <= 100  # no terminal


def test_the_list_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.device.table.sys", SimpleNamespace(stdout=Terminal()))
    monkeypatch.setenv("COLUMNS", "64")
    narrow = spiceloop("device", "list").out.splitlines()
    assert max(map(len, narrow)) <= 64
    monkeypatch.setenv("COLUMNS", "1000")
    wide = spiceloop("device", "list").out.splitlines()
    assert max(map(len, wide)) > 100
    # The same words, and no DOI in pieces.
    assert " ".join(narrow).split() == " ".join(wide).split()


def test_a_broken_file_is_named_beside_the_list(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    (folder / "wrong.py").write_text("x = (")
    (folder / "yakopcic.foo.toml").write_text("[")
    ran = spiceloop("device", "list", "--json")
    assert ran.code == 2
    found = json.loads(ran.out)
    assert {one["name"] for one in found["models"]} >= {"vteam", "yakopcic"}
    assert ran.err.splitlines() == [f"spiceloop: {one}" for one in found["problems"]]
    for said, name in zip(found["problems"], ("wrong.py", "yakopcic.foo.toml"), strict=True):
        assert name in said
    assert "vteam: " in spiceloop("device", "list").out
    out = tmp_path / "out.csv"
    ran = spiceloop(
        "device", "run", "vteam", "--params", "sine", "--stimulus", stimulus(tmp_path), "-o", out
    )
    assert ran.code == 0, ran.err


def test_a_set_is_shown_with_bounds_and_meanings() -> None:
    ran = spiceloop("device", "show", "vteam", "--params", "pt_hf_ti", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["model"], found["parameter_set"]) == ("vteam", "pt_hf_ti")
    assert (found["amplitude_v"], found["period_s"], found["confirmed"]) == (1.0, 1e-6, False)
    assert found["states"] == [
        {"name": "w", "initial": 6e-10, "unit": "m", "lower": 0.0, "upper": 3e-9, "about": "state"}
    ]
    r_on = {one["name"]: one for one in found["parameters"]}["r_on"]
    assert (r_on["value"], r_on["unit"], r_on["allowed"]) == (100.0, "ohm", "> 0 ohm")
    assert r_on["about"] == "resistance at w_on"
    assert found["other_sets"] == ["sine", "symmetric"]
    text = spiceloop("device", "show", "vteam").out
    names_all(text, "sine: the paper's", "0 to 3e-09", "resistance at w_on", "other sets: pt_hf_ti")
    assert "any" in spiceloop("device", "show", "pcm").out  # the age of a cell has no bounds


@pytest.mark.ngspice
@pytest.mark.parametrize("form", ["b", "osdi"])
def test_both_engines_give_the_same_table(tmp_path: Path, form: str) -> None:
    if form == "osdi" and not can_compile(find_ngspice()):
        pytest.skip("no OSDI here")
    given = stimulus(tmp_path)
    files = {engine: tmp_path / f"{engine}.csv" for engine in ("torch", "ngspice")}
    for engine, out in files.items():
        ran = spiceloop(
            "device", "run", "vteam", "--params", "sine", "--stimulus", given,
            "--engine", engine, *(("--form", form) if engine == "ngspice" else ()), "-o", out,
            "--json",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["outcome"] == "ok"
    ours, theirs = trace(files["torch"]), trace(files["ngspice"])
    assert list(ours) == list(theirs) == ["t_s", "v_v", "i_a", "w"]
    assert ours["t_s"].tolist() == [0, 1e-9, 5e-8, 1e-7]
    assert ours["v_v"].tolist() == [0, 0.2, 0.25, -0.1]
    # 50 to 1,000 ohm over 3 nm, written out here
    known = ours["v_v"] / (50 + 950 * ours["w"] / 3e-9)
    assert ours["i_a"] == pytest.approx(known, rel=1e-9, abs=1e-15)
    assert np.ptp(ours["w"]) > 3e-10
    assert theirs["w"] == pytest.approx(ours["w"], rel=1e-4)
    assert theirs["i_a"] == pytest.approx(ours["i_a"], rel=1e-4, abs=1e-12)


def test_what_a_spreadsheet_writes_is_read(tmp_path: Path) -> None:
    text = "\ufeff t_s , note, v_v \r\n0,start,0\r\n\r\n 1e-8 ,, 0.2\r\n"
    out = tmp_path / "out.csv"
    ran = spiceloop("device", "run", "vteam", "--stimulus", stimulus(tmp_path, text), "-o", out)
    assert ran.code == 0, ran.err
    assert trace(out)["t_s"].tolist() == [0, 1e-8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["in.csv", "empty"]),
        ("t_s,v\n0,0\n1,0\n", ["in.csv:1: the column 'v_v' is missing", "t_s, v"]),
        (
            "t_s,v_v,v_v\n0,0,0\n1,0,0\n",
            ["in.csv:1: the column 'v_v' stands there twice", "each once", "remove all but one"],
        ),
        ("t_s,v_v\n0,0\n", ["in.csv", "two points"]),
        ("t_s,v_v\n0,0\n1e-9,x\n", ["in.csv:3", "v_v", "'x'"]),
        ("t_s,v_v\n0,0\n1e-9,nan\n", ["in.csv:3", "v_v", "nan"]),
        ("t_s,v_v\n0,0\n1e-9,0,5\n", ["in.csv:3", "more fields", "1e-9,0,5", "decimal point"]),
        ("t_s,v_v\n0,0\n1e-9\n", ["in.csv:3", "v_v is blank", "'1e-9'"]),
        ("t_s,v_v\n0,0\n2e-9,0.1\n\n1e-9,0.1\n", ["in.csv:5", "does not rise", "2e-09"]),
        ("t_s,v_v\n0,0\n0,0.1\n", ["in.csv:3", "does not rise"]),
        ("t_s|v_v\n0|0\n", ["in.csv:1: the column 't_s' is missing", "t_s|v_v", "--columns t="]),
        ("t_s,v_v\n0,0\n1_0e-7,0.1\n", ["in.csv:3", "t_s is not a finite number", "1_0e-7"]),
        ("t_s,v_v\n0,0\n1,\u0661\n", ["in.csv:3", "v_v is not a finite number"]),
        ("t_s,v_v\n0,0\n\n1e-9,-1000.5\n", ["in.csv:4: v_v", "-1000.5", "-1000 to 1000 V"]),
    ],
)
def test_a_bad_stimulus_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    given = stimulus(tmp_path, text)
    out = tmp_path / "out.csv"
    said = refused(tmp_path, "device", "run", "vteam", "--stimulus", given, "-o", out)
    names_all(said, *words)
    assert "did you mean 'v_v'" not in said


def test_both_engines_refuse_the_same_voltage(tmp_path: Path) -> None:
    given = stimulus(tmp_path, "t_s,v_v\n0,0\n1e-9,1e10\n2e-9,0\n")
    said = {
        refused(
            tmp_path, "device", "run", "vteam", "--stimulus", given, "--engine", engine,
            "-o", tmp_path / "out.csv",
        )
        for engine in ("torch", "ngspice")
    }  # fmt: skip
    assert said == {
        f"{given}:3: v_v is a voltage that no such device stands; got 10000000000.0;"
        " allowed: -1000 to 1000 V; write it in V, or say its unit, as in --unit v=mV"
    }


def test_three_times_every_amplitude_is_allowed() -> None:
    for model in all_models().values():
        for one in model.parameter_sets:
            assert 3 * one.amplitude_v <= MOST_V, (model.name, one.name)


@pytest.mark.ngspice
def test_the_run_begins_at_the_first_time(tmp_path: Path) -> None:
    rows = {first: f"{first},0.2\n{first + 1},0.2\n{first + 2},-0.2\n" for first in (-1, 0)}
    out = tmp_path / "out.csv"
    for engine in ("torch", "ngspice"):
        found = []
        for text in rows.values():
            given = stimulus(tmp_path, f"t_s,v_v\n{text}")
            ran = spiceloop(
                "device", "run", "vteam", "--stimulus", given, "--engine", engine, "-o", out
            )
            assert ran.code == 0, ran.err
            found.append(trace(out))
        assert (found[0]["t_s"] - found[1]["t_s"]).tolist() == [-1, -1, -1]
        for name in ("v_v", "i_a", "w"):
            assert found[0][name].tolist() == found[1][name].tolist(), engine
        assert found[0]["w"][0] == pytest.approx(1.5e-9, rel=1e-12)  # of the set, at -1 s


def test_the_help_says_what_there_is() -> None:
    first = " ".join(spiceloop("device", "--help").out.split())
    names_all(first, "list, show, run, plot, characterise, fit, netlist.")
    options = " ".join(spiceloop("device", "run", "--help").out.replace("\u2502", "").split())
    names_all(
        options, "auto (osdi if it can be), b (sources), osdi [default: auto]",
        "[default: the set's]", "[default: by size]",
    )  # fmt: skip


@pytest.mark.parametrize("number", ["1e-9", "+1.E-9", ".1e-8", "0.000000001", "1E-09"])
def test_ordinary_numbers_are_read(tmp_path: Path, number: str) -> None:
    out = tmp_path / "out.csv"
    given = stimulus(tmp_path, f"t_s,v_v\n0,-0\n{number},0.1\n")
    assert spiceloop("device", "run", "vteam", "--stimulus", given, "-o", out).code == 0
    assert trace(out)["t_s"].tolist() == pytest.approx([0, 1e-9], rel=1e-12)


def test_an_earlier_result_is_not_left_under_the_name_of_a_failed_run(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    good = stimulus(tmp_path)
    bad = tmp_path / "bad.csv"
    bad.write_text("t_s,v_v\n0,0\n1e-9,1000\n2e-9,0\n", encoding="utf-8")  # sinh overflows
    call = ("device", "run", "yakopcic", "-o", out, "--stimulus")
    ran = spiceloop(*call, bad)
    assert ran.code == 1, ran.err
    names_all(
        ran.out, "torch: no_convergence (the device could not be solved at 1e-09 s), 3 points"
    )
    names_all(ran.out, f"no result was written to {out}")
    assert "from an earlier run" not in ran.out  # there was none
    kept = []
    for name in ("out.csv.old", "out.csv.old2"):
        done = json.loads(spiceloop(*call, good, "--json").out)
        assert (done["trace"], done["set_aside"]) == (str(out), None)
        kept.append(out.read_bytes())
        ran = spiceloop(*call, bad)
        assert ran.code == 1, ran.err
        assert not out.exists()
        names_all(ran.out, f"{out} was from an earlier run", str(tmp_path / name))
        assert (tmp_path / name).read_bytes() == kept[-1]
    assert (tmp_path / "out.csv.old").read_bytes() == kept[0]
    failed = json.loads(spiceloop(*call, bad, "--json").out)
    assert (failed["trace"], failed["set_aside"]) == (None, None)
    names_all(" ".join(spiceloop("device", "run", "--help").out.split()), "FILE.old", "exit code 1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vteem",), ["vteem", "did you mean 'vteam'"]),
        (("vteam", "--params", "sin"), ["sin", "pt_hf_ti", "did you mean 'sine'"]),
        (("vteam", "--engine", "spectre"), ["--engine", "spectre", "torch, ngspice"]),
        (("vteam", "--form", "c"), ["--form", "auto, b, osdi"]),
        (("vteam", "--form", "osdi"), ["--form", "'osdi'", "torch", "add --engine ngspice"]),
        (("vteam", "--engine", "torch", "--form", "auto"), ["--form", "'auto'", "leave --form"]),
        (("vteam", "--engine", ""), ["--engine: the value is missing; allowed: torch, ngspice"]),
        (("vteam", "--form", ""), ["--form: the value is missing; allowed: auto, b, osdi"]),
        (("",), ["device: the name of a model is missing", "vteam"]),
        (("gone.py",), ["gone.py", "no such file"]),
        (("vteam", "--params", "gone.toml"), ["gone.toml", "no such file"]),
    ],
)
def test_bad_names_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    given = stimulus(tmp_path)
    out = tmp_path / "out.csv"
    said = refused(tmp_path, "device", "run", *arguments, "--stimulus", given, "-o", out)
    names_all(said, *words)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    given = stimulus(tmp_path)
    out = tmp_path / "no" / "out.csv"
    said = refused(tmp_path, "device", "run", "vteam", "--stimulus", given, "-o", out)
    names_all(said, "--out", "folder does not exist")


def test_a_place_that_takes_no_file_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.device.run._in_torch", None)  # would fail, if it were called
    given = stimulus(tmp_path)
    call = ("device", "run", "vteam", "--stimulus", given, "-o")
    said = refused(tmp_path, *call, "/proc/o.csv")
    names_all(said, "/proc/o.csv", "no file can be made in this folder", "--out")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    names_all(refused(tmp_path, *call, pipe), "--out", "pipe", "no regular file")
    names_all(refused(tmp_path, *call, tmp_path), "--out", "this is a folder")
    said = refused(tmp_path, "device", "netlist", "vteam", "-o", "/proc/o.cir")
    names_all(said, "no file can be made in this folder")


@pytest.mark.ngspice
def test_the_netlist_runs_in_plain_ngspice(tmp_path: Path) -> None:
    out = tmp_path / "cell.cir"
    ran = spiceloop("device", "netlist", "vteam", "--params", "sine", "-o", out)
    assert ran.code == 0, ran.err
    text = out.read_text(encoding="utf-8")
    names_all(text, "10.1109/TCSII.2015.2433536", ".subckt vteam_sine p n", ".ends")
    deck = Deck(
        text=f"a cell that stands at 1,000 ohm\n{text}v1 p 0 0.01\nx1 p 0 vteam_sine w_0=3e-9\n"
        ".tran 1n 10n 0 1n uic\n.end\n",
        expected_signals=("i(v1)",),
    )
    result = run_deck(deck, find_ngspice(), timeout_s=30)
    assert result.ok, result.reason
    assert -result.plot.signal("i(v1)")[-1] == pytest.approx(1e-5, rel=1e-6)


def test_the_verilog_a_text_has_its_sources(tmp_path: Path) -> None:
    out = tmp_path / "cell.va"
    ran = spiceloop("device", "netlist", "vteam", "--form", "verilog-a", "-o", out, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["block"] == "vteam_sine"
    names_all(out.read_text("utf-8"), "module vteam_sine(p, n);", "10.1109/TCSII.2015.2433536")
    said = refused(tmp_path, "device", "netlist", "vteam", "--form", "spectre", "-o", out)
    names_all(said, "--form", "b, verilog-a")


def test_the_result_does_not_replace_its_own_stimulus(tmp_path: Path) -> None:
    given = stimulus(tmp_path)
    said = refused(tmp_path, "device", "run", "vteam", "--stimulus", given, "-o", given)
    names_all(said, "--out", "replace the stimulus")


@pytest.mark.parametrize(
    ("form", "name", "words"),
    [
        ("verilog-a", "a.cir", ["--out", "a.cir", "'b', not 'verilog-a'", "name it a.va"]),
        ("verilog-a", "A.SP", ["--out", "A.SP", "name it A.va", "--form b"]),
        ("b", "a.va", ["--out", "a.va", "'verilog-a', not 'b'", "a.cir", "--form verilog-a"]),
        ("b", "a.vams", ["--out", "a.vams"]),
    ],
)
def test_a_name_of_the_other_form_is_refused(
    tmp_path: Path, form: str, name: str, words: list[str]
) -> None:
    call = ("device", "netlist", "vteam", "--form", form, "-o")
    names_all(refused(tmp_path, *call, tmp_path / name), *words)
    for free in ("a.txt", "a", "a.b.c"):
        ran = spiceloop(*call, tmp_path / free)
        assert ran.code == 0, ran.err
