"""A network that learns in compact models, from the command line: trained, resumed, verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.stopped_run import SAME, trained_and_stopped

pytestmark = pytest.mark.ngspice

STUDY = """\
[data]
name = "iris"
[network]
hidden = [4]
activation = "tanh"
[tile]
max_rows = 4
max_cols = 6
[device]
name = "vteam"
parameters = "symmetric"
[train]
algorithm = "pulsed_sgd"
update = "table"
epochs = 3
batch_size = 16
learning_rate = 0.5
[calibration]
arrays = 1
held_out_arrays = 1
[verify]
images = 10
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and beside it a copy from after its first epoch."""
    return trained_and_stopped(tmp_path_factory.mktemp("in vteam"), STUDY, epoch=1)


def test_it_learns_and_says_what_a_pulse_is_worth(run: Path) -> None:
    answer = json.loads((run.parent / "answer.json").read_text())
    history = json.loads((run / "training.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"] - 0.05
    assert (answer["device"], answer["algorithm"]) == ("vteam", "pulsed_sgd")
    assert all(0 < error <= 0.002 for error in answer["surrogate_error"])
    for one in answer["cells"]:
        # By hand: 50 ns at 1.6 V of a threshold of 1 V, and edges of 1 ns of which 0.6 / 1.6 count
        # by half; a resistance from 20 to 80 kohm over 3 nm, at 32 kohm; twice for -1 to 1.
        nm = 2e-4 * 0.6 * (5e-8 + 2 * 1e-9 * 0.5 * 0.6 / 1.6) / 3e-9
        g = 0.5 * (1 / 2e4 + 1 / 8e4)
        step = 2 * g**2 * 6e4 * nm / (1 / 2e4 - 1 / 8e4)
        assert one["dw_min"] == pytest.approx(step, rel=0.02)
    assert answer["energy_j"] > 0
    assert answer["coincidences"] > 100


def test_ngspice_has_the_device_in_every_cell(run: Path) -> None:
    ran = spiceloop("verify", run, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["failed"] == 0
    assert found["agreement"] == 1.0
    assert found["logit_rmse_lsb"] <= 0.5
    with np.load(run / "chip.npz") as chip:
        state = np.concatenate([chip[one].ravel() for one in chip if "state.w" in one])
        g = np.concatenate([chip[one].ravel() for one in chip if "conductance" in one])
    np.testing.assert_allclose(1 / g, 2e4 + 6e4 * state / 3e-9, rtol=1e-9)
    assert 0.4 < np.isclose(g, 3.125e-5, rtol=1e-9).mean() < 0.6  # minus cells
    assert spiceloop("report", run).code == 0


def test_its_update_phase_is_a_netlist(run: Path, tmp_path: Path) -> None:
    ran = spiceloop("netlist", run, "-o", tmp_path / "decks", "--phase", "update")
    assert ran.code == 0, ran.err
    assert (tmp_path / "decks" / "layer_0_tile_0.cir").exists()


@pytest.mark.slow
def test_what_was_learnt_is_written_into_a_fresh_chip(run: Path, tmp_path: Path) -> None:
    """By the device's own polarity; the targets are what the cells had come to."""
    other = Path(shutil.copytree(run, tmp_path / "run"))
    ran = spiceloop("write-network", other, "--json")
    assert ran.code in (0, 1), ran.err
    found = json.loads(ran.out)
    assert found["device"] == "vteam symmetric"
    assert found["write"]["amplitude_v"] == -1.6
    assert found["pulses"] > 0
    assert found["failed_target"] == found["failed_written"] == 0
    assert (other / "chip.npz").read_bytes() == (run / "chip.npz").read_bytes()
    with np.load(other / "write.npz") as cells, np.load(run / "chip.npz") as chip:
        held = np.concatenate([chip[one].ravel() for one in chip if "conductance" in one])
        np.testing.assert_allclose(cells["target_s"], held, rtol=1e-6)
        moved = np.abs(cells["achieved_s"] - cells["achieved_s"].min()) > 1e-9
        assert moved.any()
    for command in ("verify", "report"):
        ran = spiceloop(command, other)
        assert ran.code == 0, ran.err


def test_stopped_after_an_epoch_it_ends_in_the_same_bytes(run: Path, tmp_path: Path) -> None:
    stopped = shutil.copytree(run.parent / "stopped", tmp_path / "run")
    ran = spiceloop("train", "--resume", stopped)
    assert ran.code == 0, ran.err
    for name in SAME:
        assert (stopped / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('update = "table"\n', "", ["pulsed_sgd, step, vteam", "table, ode or spice"]),
        ("[data]", "[pulse]\namplitude_v = 0.9\n[data]", ["do not step", "amplitude_v = 1.94"]),
        ('"symmetric"', '"pt_hf_ti"', ["through much of its range", "[pulse] amplitude_v"]),
        ("[train]", "[device.d2d]\nr_on = 0.1\n[train]", ["reads take r_on", "[device.d2d]"]),
        ("[train]", "[device.d2d]\nk_on = 0.1\n[train]", ["table of a pulse", '"ode" or "spice"']),
        ("[data]", "[cell]\ng_off_s = 2e-6\n[data]", ["1.25e-05 to 5e-05 S", "leave [cell] out"]),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    old: str, new: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.replace(old, new))
    said = refused(tmp_path, "train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(said, *words)
