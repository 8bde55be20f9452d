"""Training in situ from the command line: trained, stopped and resumed, verified in ngspice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workflows.command import names_all, refused, spiceloop
from workflows.checkpoint import Checkpoint

pytestmark = pytest.mark.ngspice

STUDY = """\
[data]
name = "iris"
[network]
hidden = [8]
activation = "tanh"
[device]
name = "constant_step"
parameters = "gokmen_vlasov"
[device.d2d]
dw_min = 0.2
[wires]
r_wordline_ohm = 20e3
r_bitline_ohm = 20e3
[train]
algorithm = "pulsed_sgd"
epochs = 15
learning_rate = 0.2
spice_check_share = 0.02
[train.pulses]
max_pulses = 30
[calibration]
arrays = 1
held_out_arrays = 1
[verify]
images = 20
"""
SAME = (
    "chip.npz",
    "model.pt",
    "model_float.pt",
    "training.json",
    "calibration.npz",
    "plans.json",
    "cells.npz",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and beside it a copy from after its second epoch."""
    folder = tmp_path_factory.mktemp("in cells")
    (folder / "study.toml").write_text(STUDY)
    written = Checkpoint.write_state

    def copied(self: Checkpoint, state: Any, seconds: Any) -> None:
        written(self, state, seconds)
        if state["epoch"] == 2:
            shutil.copytree(folder / "run", folder / "stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "write_state", copied)
        ran = spiceloop("train", folder / "study.toml", "-o", folder / "run", "--json")
    assert ran.code == 0, ran.err
    (folder / "answer.json").write_text(ran.out)
    (folder / "errors.txt").write_text(ran.err)
    return folder / "run"


def test_it_learns_and_says_how(run: Path) -> None:
    answer = json.loads((run.parent / "answer.json").read_text())
    assert answer["accuracy_surrogate"] > 0.8
    assert (answer["algorithm"], answer["device"]) == ("pulsed_sgd", "constant_step")
    assert len(answer["surrogate_error"]) == 15
    assert all(0 < error <= 0.002 for error in answer["surrogate_error"])
    assert answer["anchors"] > 0
    # Three of 112 inputs after each epoch in ngspice, which does not share our equations.
    assert len(answer["spice_error"]) == 15
    assert all(0 < error <= 0.002 for error in answer["spice_error"])
    assert answer["pulses"] > 1000
    assert answer["coincidences"] > 100
    assert len(answer["clipped"]) == 15
    assert ("clipped" in answer["clipped_pulses"]) == any(answer["clipped"])
    # 15 epochs of 112 samples; the arrays have counted by cell what updates counted in all.
    cells = answer["cells"]
    assert [one["cells"] for one in cells] == [5 * 8, 9 * 3]
    in_all = sum(one["mean_coincidences"] * one["cells"] * 15 * 112 for one in cells)
    assert in_all == pytest.approx(answer["coincidences"], rel=1e-9)
    for one in cells:
        assert one["steps_max"] > one["steps_median"] > 0
        assert 0 <= one["never"] < 1
        assert (one["dw_min"], one["max_pulses"], one["learning_rate"]) == (0.001, 30, 0.2)
    # A pulse is twice half of 1 V for 1 ns in each of 5 to 16 cells of a line, of 10 to 80 nS; a
    # step, of which it makes 8 at most, is as much again.
    half_j = 2 * 0.25 * 1e-9
    assert 5 * half_j * 1e-8 < answer["energy_j"] / answer["pulses"] < 24 * half_j * 8e-8
    assert "Warning" not in (run.parent / "errors.txt").read_text()
    history = json.loads((run / "training.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"]
    assert {(line["spice_inputs"], line["spice_outcome"]) for line in history} == {(3, "ok")}
    said = (run.parent / "errors.txt").read_text()
    assert "45 inputs of 15 epochs were read in ngspice as well: currents within" in said


def test_the_chip_is_what_ngspice_says_of_it(run: Path) -> None:
    ran = spiceloop("verify", run, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["failed"] == 0
    assert found["agreement"] == 1.0
    assert found["logit_rmse_lsb"] <= 0.5
    with np.load(run / "chip.npz") as chip:
        cells = np.concatenate([chip[name].ravel() for name in chip if "conductance" in name])
    # The minus cells of pairs stand at the conductance of a weight of 0; the plus cells moved.
    at_reference = np.isclose(cells, 4.5e-8, rtol=1e-12)
    assert 0.4 < at_reference.mean() < 0.6
    assert spiceloop("report", run).code == 0


def test_as_a_pyspice_script_it_prints_the_codes_of_its_deck(run: Path, tmp_path: Path) -> None:
    assert spiceloop("netlist", run, "--pyspice", tmp_path / "chip.py").code == 0
    command = [sys.executable, tmp_path / "chip.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = np.array([line.split(",")[1:] for line in done.stdout.split("\n")[1:5]], dtype=float)
    expected = np.loadtxt(run / "netlist" / "expected.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(told, expected[:, 2:])
    assert len(np.unique(told)) > 4


def test_stopped_after_an_epoch_it_ends_in_the_same_bytes(run: Path, tmp_path: Path) -> None:
    stopped = shutil.copytree(run.parent / "stopped", tmp_path / "run")
    ran = spiceloop("train", "--resume", stopped)
    assert ran.code == 0, ran.err
    for name in SAME:
        assert (stopped / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'name = "constant_step"\nparameters = "gokmen_vlasov"',
            "",
            ["ohmic cells", "soft_bounds"],
        ),
        ('"pulsed_sgd"', '"pulsed_sgd"\nupdate = "ode"', ["[train] update", "ode"]),
        ("dw_min = 0.2", "w_mim = 0.2", ["differ in this parameter", "w_min"]),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    old: str, new: str, words: list[str], tmp_path: Path
) -> None:
    text = STUDY.replace(old, new)
    if "device" not in new and "gokmen" in old:
        text = text.replace("[device]\n", "").replace("[device.d2d]\ndw_min = 0.2\n", "")
    (tmp_path / "study.toml").write_text(text)
    said = refused(tmp_path, "train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(said, *words)
