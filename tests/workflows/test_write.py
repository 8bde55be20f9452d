"""`spiceloop write`: arrays written, what comes out, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.write.verify import Written
from tests.devices.no_linker import LABEL, hide_linker
from tests.workflows.command import names_all, refused, spiceloop
from workflows import write

RNG = np.random.default_rng(5)
# VTEAM's Pt-Hf-Ti cell has thresholds of half a volt: half-selected cells stay where they are.
BEGUN = RNG.uniform(4.5e-4, 1.9e-3, (4, 3))
TARGET = RNG.uniform(4.5e-4, 1.9e-3, (4, 3))
ARRAY = {
    "conductance_s": BEGUN,
    "device": "vteam",
    "parameters": "pt_hf_ti",
    "r_wordline_ohm": 0.2,
    "r_bitline_ohm": 0.3,
}
# A pulse that is given spares the search for one.
PULSE = ("--amplitude-v=-0.6", "--amplitude-down-v", "1.0", "--width-s", "1e-2")
SOFT = ("--amplitude-v", "1.5", "--amplitude-down-v=-1.5", "--width-s", "3e-7")
SPAN_S = float(np.ptp(TARGET))
LEVELS = ("--levels", "30")


def files(folder: Path, target: object = TARGET, **changed: object) -> tuple[Path, Path]:
    kept = {k: x for k, x in {**ARRAY, **changed}.items() if x is not None}
    np.savez(folder / "array.npz", **kept)  # type: ignore[arg-type]  # numpy's stub wants arrays
    np.savez(folder / "target.npz", conductance_s=target)
    return folder / "array.npz", folder / "target.npz"


def call(folder: Path, *more: str, **changed: object) -> tuple[str | Path, ...]:
    return "write", *files(folder, **changed), "-o", folder / "out.npz", *more


@pytest.mark.parametrize(
    "engine", ["torch", "surrogate", pytest.param("ngspice", marks=pytest.mark.ngspice)]
)
def test_a_loop_meets_every_target(tmp_path: Path, engine: str) -> None:
    target = TARGET.copy()
    target[2, 1] = np.nan
    ran = spiceloop(*call(tmp_path, "--engine", engine, "--json", *LEVELS, *PULSE, target=target))
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["outcome"] == "ok"
    assert summary["met"] == summary["cells"] == 11
    name, _, form = summary["engine"].partition(", ")
    assert name.startswith(engine)
    assert form.startswith(("compiled (OSDI)", "B sources") if engine == "ngspice" else "")
    out = np.load(tmp_path / "out.npz")
    for name in ("conductance_s", "state", "energy_j", "pulses", "disturb"):
        assert out[name].shape == (4, 3), name
    off = np.abs(out["conductance_s"] - target)
    assert np.nanmax(off) <= np.ptp(target[~np.isnan(target)]) / 29 / 2 == summary["tolerance_s"]
    assert summary["worst_error_s"] == pytest.approx(np.nanmax(off), rel=1e-6)
    # The cell that has no target got no pulse of its own, and is where it was but for the others'.
    assert out["pulses"][2, 1] == 0
    assert out["conductance_s"][2, 1] == pytest.approx(BEGUN[2, 1], rel=1e-3)
    assert out["pulses"].sum() == summary["pulses"] > 11
    assert out["energy_j"].sum() == pytest.approx(summary["energy_j"])
    assert summary["energy_given_j"] > summary["energy_j"] > summary["energy_read_j"] > 0
    assert np.abs(out["disturb"]).max() == pytest.approx(abs(summary["worst_disturb"]))


@pytest.mark.slow  # the label of what is written compiled is held above
@pytest.mark.ngspice
def test_without_a_linker_it_is_written_as_b_sources_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_linker(tmp_path, monkeypatch)
    small = {
        "device": "soft_bounds", "parameters": "reram_array_om", "target": [[np.nan], [3e-5]],
        "conductance_s": [[1e-5], [2.5e-5]],
    }  # fmt: skip
    arguments = call(tmp_path, "--engine", "ngspice", "--levels", "20", *SOFT, **small)
    ran = spiceloop(*arguments, "--json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["engine"].startswith("ngspice-")
    assert summary["engine"].endswith(f", {LABEL}")
    assert summary["pulses"] > 0
    assert LABEL in spiceloop(*arguments).out.splitlines()[0]


def test_one_pulse_a_cell_gets_near_and_the_loop_nearer(tmp_path: Path) -> None:
    how = ("--engine", "surrogate", "--json", *LEVELS, *PULSE)
    once = spiceloop(*call(tmp_path, "--scheme", "v3", *how))
    assert once.code == 0, once.err
    summary = json.loads(once.out)
    assert summary["most_pulses"] == 1
    assert summary["worst_error_s"] > summary["tolerance_s"]
    # Whoever reads the outcome alone is not told that the targets are there.
    assert summary["outcome"] == "one_pulse"
    assert "cells are off by more than" in summary["reason"]
    assert "--scheme verify --bias v3" in summary["next"]
    assert summary["unmet"] == {"one_pulse": 12 - summary["met"]}
    before = np.abs(BEGUN - TARGET).mean()
    out = np.load(tmp_path / "out.npz")
    assert np.abs(out["conductance_s"] - TARGET).mean() < 0.8 * before
    again = spiceloop(*call(tmp_path, "--bias", "v3", *how))
    assert json.loads(again.out)["worst_error_s"] < summary["worst_error_s"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [("--bias", "v3"), ("--scheme", "v3")])
def test_where_v3_disturbs_the_bias_that_does_not_is_named(
    tmp_path: Path, how: tuple[str, str]
) -> None:
    """Thresholds of 0.02 V: a third of a pulse on all other cells moves them, V/2 spares most."""
    target = np.random.default_rng(0).uniform(1.2e-3, 1.5e-2, (4, 3))
    begun = {"conductance_s": np.full((4, 3), 1.2e-3), "parameters": None, "target": target}
    ran = spiceloop(*call(tmp_path, *how, "--engine", "surrogate", "--json", **begun))
    summary = json.loads(ran.out)
    assert summary["met"] < 12
    names_all(summary["next"], "--bias v2: ", "meets 12 of 12 cells, v3 ")
    assert "--bias v3" not in summary["next"]
    again = spiceloop(*call(tmp_path, "--engine", "surrogate", "--json", **begun))
    assert json.loads(again.out)["met"] == 12


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("1t1r", {"transistor_i_spec_a": 1e-3, "transistor_threshold_v": 0.4}),
        ("1s1r", {"selector_i_0_a": 1e-8, "selector_v_0_v": 0.05}),
    ],
)
def test_cells_with_access_devices(tmp_path: Path, name: str, numbers: dict[str, float]) -> None:
    spice = ("--engine", "ngspice", "--json", *LEVELS, *PULSE)
    arguments = call(tmp_path, "--bias", name, *spice, **numbers)
    ran = spiceloop(*arguments)
    assert ran.code == 0, (ran.out, ran.err)
    summary = json.loads(ran.out)
    assert summary["met"] == 12
    # Closed gates keep other rows as they are; selectors nearly.
    assert abs(summary["worst_disturb"]) < (1e-6 if name == "1t1r" else 0.05)


def test_it_says_when_a_target_is_not_met(tmp_path: Path) -> None:
    ran = spiceloop(*call(tmp_path, "--max-pulses", "1", "--levels", "1000000", "--json", *PULSE))
    assert ran.code == 1
    summary = json.loads(ran.out)
    assert summary["outcome"] == "not_reached"
    names_all(summary["reason"], f"{12 - summary['met']} of 12 cells are off by more than")
    names_all(summary["reason"], "used up on its way")
    names_all(summary["next"], "--max-pulses above 1", "--width-s, now 0.01")
    unmet = np.load(tmp_path / "out.npz")["unmet"]
    off = np.abs(np.load(tmp_path / "out.npz")["conductance_s"] - TARGET) > summary["tolerance_s"]
    assert ((unmet != "") == off).all()
    assert sum(summary["unmet"].values()) == off.sum() > 0


def test_targets_in_a_corner_of_the_devices_range_are_written(tmp_path: Path) -> None:
    """A share of what the device can be, 10 mS, would have called every cell right as it was."""
    begun = np.full((4, 3), 4.2e-4)
    target = np.random.default_rng(2).uniform(4.5e-4, 5.5e-4, (4, 3))
    ran = spiceloop(
        *call(tmp_path, "--engine", "surrogate", "--json", *PULSE, target=target,
              conductance_s=begun)
    )  # fmt: skip
    assert ran.code == 0, (ran.out, ran.err)
    summary = json.loads(ran.out)
    assert summary["pulses"] >= 12
    assert summary["tolerance_s"] == pytest.approx(np.ptp(target) / 31 / 2)
    off = np.abs(np.load(tmp_path / "out.npz")["conductance_s"] - target)
    assert off.max() <= summary["tolerance_s"] < 2e-6
    assert "from the cache, calibrated at 20" in summary["surrogate_note"]


def test_one_target_for_all_has_levels_of_its_own_size(tmp_path: Path) -> None:
    target = np.full((4, 3), 1e-3)
    ran = spiceloop(*call(tmp_path, "--engine", "surrogate", "--json", *PULSE, target=target))
    summary = json.loads(ran.out)
    assert summary["tolerance_s"] == pytest.approx(1e-3 / 62)
    assert summary["outcome"] == "ok"


def test_it_says_when_steps_are_too_coarse(tmp_path: Path) -> None:
    """This device steps by a thirtieth to a tenth of its range, at any amplitude above 0.8 V."""
    begun, target = np.random.default_rng(1).uniform(6e-6, 4.9e-5, (2, 6, 7))
    target[0, 0] = np.nan

    def written(levels: int) -> tuple[int, list[str]]:
        ran = spiceloop(
            *call(
                tmp_path, "--engine", "surrogate", "--levels", str(levels), conductance_s=begun,
                target=target, device="soft_bounds", parameters="reram_array_om",
            )
        )  # fmt: skip
        return ran.code, re.findall(r"up to (\d+) levels can be promised", ran.out)

    code, promised = written(200)
    assert code == 1
    assert 5 <= int(promised[0]) < 60
    assert written(int(promised[0])) == (0, [])


@pytest.mark.parametrize(
    ("more", "changed", "words"),
    [
        ((), {"target": np.full((4, 3), np.nan)}, ("never selects a cell", "NaN")),
        ((), {"target": TARGET * 9}, ("cannot be reached", "conductance_s[", "S, the range")),
        ((), {"target": TARGET.T}, ("wrong shape", "(4, 3)", "target.npz")),
        ((), {"conductance_s": BEGUN * 9}, ("cannot have this conductance", "array.npz")),
        ((), {"conductance_s": None}, ("conductance_s or their state", "one of the two")),
        ((), {"state": BEGUN}, ("conductance_s or their state", "one of the two")),
        ((), {"conductance_s": None, "state": BEGUN}, ("'w'", "out of bounds", "state[0, 0]")),
        ((), {"device": "vteem"}, ("vteem", "vteam")),
        ((), {"device": 3.0}, ("device", "not one text")),
        ((), {"device": None}, ("'device'", "is missing")),
        ((), {"parameters": "pt_hf"}, ("pt_hf", "pt_hf_ti")),
        ((), {"r_driver_ohm": -1.0}, ("r_driver_ohm", "-1.0")),
        ((), {"r_bitline_ohm": None}, ("'r_bitline_ohm'", "is missing")),
        ((), {"r_worldline_ohm": 1.0}, ("r_worldline_ohm", "unknown key", "r_wordline_ohm")),
        ((), {"selector_v_0_v": 0.1}, ("selector", "scheme needs nothing", "1s1r")),
        (("--bias", "1s1r"), {"selector_v_0_v": -0.1}, ("selector_v_0_v", "-0.1")),
        (("--scheme", "v4"), {}, ("--scheme", "v4", "v2")),
        (("--bias", "verify"), {}, ("--bias", "verify", "v2")),
        (("--engine", "spice"), {}, ("--engine", "spice", "torch")),
        (("--engine", "surrogate", "--bias", "1t1r"), {}, ("--engine", "bare cells", "transistor")),
        (("--order", "diagonal"), {}, ("order", "diagonal", "row, column, cell")),
        (("--bias", "1t1r", "--order", "column"), {}, ("order", "along rows")),
        (("--levels", "1"), {}, ("--levels", ">= 2")),
        (("--tolerance-s", "0"), {}, ("--tolerance-s", "> 0 S")),
        (
            ("--tolerance-s", "8e-4"),
            {},
            (
                "--tolerance-s",
                "0.0008",
                "not told apart",
                f"up to {SPAN_S / 2:.3g} S",
                f"--levels 32 asks for {SPAN_S / 62:.3g} S",
            ),
        ),
        (("--max-pulses", "0"), {}, ("--max-pulses", ">= 1")),
        (("--read-v", "0"), {}, ("--read-v", "not 0 V")),
        (("--width-s", "-1e-9"), {}, ("width_s", "-1e-09", "> 0")),
        (("--amplitude-v", "40"), {}, ("amplitude_v", "40", "beyond what the model is good for")),
        (("--amplitude-v", "-0.6", "--amplitude-down-v", "-0.6"), {}, ("amplitude",)),
        (
            ("--amplitude-v", "0.6", "--amplitude-down-v=-1.0", "--width-s", "1e-2"),
            {},
            ("--amplitude-v", "0.6", "opposite", "below 0 V"),
        ),
        (("--gate-v", "nan", "--bias", "1t1r"), {}, ("--gate-v", "nan")),
    ],
)
def test_what_is_refused(
    tmp_path: Path, more: tuple[str, ...], changed: dict[str, object], words: tuple[str, ...]
) -> None:
    arguments = call(tmp_path, *more, **changed)
    names_all(refused(tmp_path, *arguments), *words)


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    array, target = files(tmp_path)
    before = array.read_bytes(), target.read_bytes()
    for out in (array, target):
        names_all(refused(tmp_path, "write", array, target, "-o", out), "-o", str(out))
    assert (array.read_bytes(), target.read_bytes()) == before


def test_one_pulse_has_the_bias_of_its_scheme(tmp_path: Path) -> None:
    array, target = files(tmp_path)
    call = ("write", array, target, "-o", tmp_path / "o.npz", "--scheme", "v3", "--bias", "1t1r")
    names_all(refused(tmp_path, *call), "--bias", "1t1r", "v3", "verify")


def test_a_run_that_fails_sets_the_result_of_an_earlier_one_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write.write_verify

    def failing(*given: Any, **named: Any) -> Written:
        return dataclasses.replace(made(*given, **named), failed="timeout: it took too long")

    out = tmp_path / "out.npz"
    arguments = call(tmp_path, "--engine", "surrogate", "--scheme", "v2", *PULSE)
    assert spiceloop(*arguments).code == 0
    kept = out.read_bytes()
    monkeypatch.setattr(write, "write_verify", failing)
    ran = spiceloop(*arguments)
    assert ran.code == 1, ran.err
    names_all(ran.out, "timeout: it took too long", f"no result was written to {out}")
    names_all(ran.out, f"{out} was from an earlier run: it is now {out}.old")
    assert not out.exists()
    assert (tmp_path / "out.npz.old").read_bytes() == kept
    assert json.loads(spiceloop(*arguments, "--json").out)["set_aside"] is None
