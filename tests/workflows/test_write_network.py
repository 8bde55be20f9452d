"""`spiceloop write-network`: a trained network in dynamic cells."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.calibration.update_cache import CalibratedUpdate
from cosim.calibration.update_source import in_torch
from cosim.fidelities.spice import ChipRead, read_chip
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_rows import Row, compared, from_rows
from cosim.write.array_surrogate import Spread, surrogate_engine
from cosim.write.engines import Pulsed, WriteEngine
from cosim.write.pulsed_array import PulsedArray
from netlists.chip import Chip
from netlists.pulse import Pulse
from tests.devices.no_linker import LABEL, hide_linker
from tests.workflows.command import names_all, refused, spiceloop
from workflows.config import Config
from workflows.write_plan import calibrated, plan_writing

# Steps of a twentieth of the range, and thresholds that half of a pulse does not reach.
STUDY = """\
[data]
name = "iris"

[network]
hidden = [8]

[train]
epochs = 80

[cell]
g_off_s = 6e-6
g_on_s = 4.9e-5

[verify]
images = 30

[write]
device = "soft_bounds"
parameters = "reram_array_om"
amplitude_v = {up}
amplitude_down_v = -1.5
width_s = 3e-7
levels = 6
"""


@pytest.mark.ngspice
def test_a_network_is_written(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5))
    run = tmp_path / "run"
    assert spiceloop("train", tmp_path / "study.toml", "-o", run).code == 0
    ran = spiceloop("write-network", run, "--json")
    assert ran.code == 0, (ran.out, ran.err)
    found = json.loads(ran.out)
    stored = np.load(run / "write.npz")
    off = np.abs(stored["achieved_s"] - stored["target_s"])
    assert found["met"] == found["cells"] == off.size > 40
    assert off.max() == pytest.approx(found["worst_error_s"])
    assert off.max() <= found["tolerance_s"] == pytest.approx(4.3e-5 / 10)
    assert stored["pulses"].sum() == found["pulses"] > off.size
    # A cell that stays off needs nothing; one that is far needs more.
    near = stored["target_s"] < 8e-6
    assert stored["pulses"][near].mean() < stored["pulses"][~near].mean()
    assert 0 <= found["accuracy_written"] <= 1
    assert found["accuracy_target"] > 0.6
    assert found["accuracy_spice_written"] == pytest.approx(found["accuracy_written"], abs=0.04)
    judged = found["judged"]
    assert judged["met"] == judged["met_surrogate"] == judged["cells"] == 4
    assert 0 < judged["pulses"] <= 2 * judged["pulses_surrogate"]
    assert judged["states_apart"] < 0.01
    assert abs(found["worst_disturb"]) < 1e-6
    assert json.loads((run / "write.json").read_text())["pulses"] == found["pulses"]


@pytest.mark.ngspice
def test_the_report_shows_what_was_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5))
    run = tmp_path / "run"
    for call in (
        ("train", tmp_path / "study.toml", "-o", run), ("verify", run), ("report", run),
    ):  # fmt: skip
        assert spiceloop(*call).code == 0
    assert "the network was not written" in (run / "report" / "index.html").read_text("utf-8")
    # Where nothing can be compiled the record and the page say so.
    hide_linker(tmp_path, monkeypatch)
    ran = spiceloop("write-network", run)
    assert ran.code == 0, ran.err
    (judge,) = (line for line in ran.out.splitlines() if line.startswith("judge "))
    assert LABEL in judge
    assert json.loads((run / "write.json").read_text("utf-8"))["judged"]["form"] == LABEL
    assert spiceloop("report", run).code == 0
    page = (run / "report" / "index.html").read_text("utf-8")
    assert "Writing the network into soft_bounds reram_array_om" in page
    assert LABEL in page
    rows = (run / "report" / "figures" / "write_targets.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + np.load(run / "write.npz")["target_s"].size
    other = np.load(run / "write.npz")
    np.savez(run / "write.npz", **{k: other[k] * 1.01 for k in other.files})
    names_all(refused(tmp_path, "report", run), "write.npz", "write.json")


@pytest.mark.ngspice
def test_images_without_an_answer_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loses_some(chip: Chip, x: np.ndarray, *rest: Any, **named: Any) -> ChipRead:
        found = read_chip(chip, x, *rest, **named)
        lost = 7 if "written" in named["title"] else 2
        found.codes[:lost] = np.nan
        return found

    monkeypatch.setattr("workflows.write_chip.read_chip", loses_some)
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5))
    run = tmp_path / "run"
    assert spiceloop("train", tmp_path / "study.toml", "-o", run).code == 0
    ran = spiceloop("write-network", run)
    assert ran.code == 1
    assert "counted as wrong: 2 with the targets, 7 as written" in ran.out
    found = json.loads((run / "write.json").read_text())
    assert found["met"] == found["cells"]
    assert (found["failed_target"], found["failed_written"]) == (2, 7)
    assert found["accuracy_spice_written"] <= 23 / 30
    assert len(found["simulations"]) >= 2
    assert spiceloop("verify", run).code == 0
    assert spiceloop("report", run).code == 0
    assert "2 with the targets, 7 as written" in (run / "report" / "index.html").read_text("utf-8")


@pytest.mark.ngspice
def test_a_tile_whose_pulses_fail_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Worn:
        """An engine that gives up after some pulses on the second tile."""

        def __init__(self, engine: WriteEngine) -> None:
            self.engine, self.left = engine, 9

        def __call__(self, array: PulsedArray) -> Pulsed:
            found, self.left = self.engine(array), self.left - 1
            return found if self.left else replace(found, failed="no voltages were found")

    def worn(surrogate: UpdateSurrogate, spread: Spread) -> WriteEngine:
        engine = surrogate_engine(surrogate, spread=spread)
        return Worn(engine) if spread.path == "layer_1.tile_0" else engine

    monkeypatch.setattr("workflows.write_chip.surrogate_engine", worn)
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5))
    run = tmp_path / "run"
    assert spiceloop("train", tmp_path / "study.toml", "-o", run).code == 0
    ran = spiceloop("write-network", run, "--json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found["reason"] == "layer_1.tile_0: no voltages were found"
    assert found["met"] < found["cells"]
    assert np.isfinite(np.load(run / "write.npz")["achieved_s"]).all()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("scheme", '"1t1r"', ("[write] scheme", "1t1r", "transistor", "allowed: v2, v3")),
        ("scheme", '"v4"', ("[write] scheme", "v4", "allowed: v2, v3")),
        ("at_once", "0", ("[write] at_once", "0")),
        ("device", '"softbounds"', ("[write] device", "softbounds", "did you mean 'soft_bounds'")),
        ("device", '"pcm"', ("[write] device", "pcm", "programmed and read")),
        ("parameters", '"reram"', ("[write] parameters", "reram", "reram_array_om")),
        ("amplitude_down_v", "1.2", ("[write] amplitude_v, amplitude_down_v", "opposite signs")),
        (
            "amplitude_v",
            "90.0",
            ("[write] amplitude_v", "90", "times the usual one", "-2.85 to 2.85 V"),
        ),
    ],
)
def test_what_could_never_be_written_is_not_trained(
    key: str, value: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    lines = [line for line in STUDY.format(up=1.5).splitlines() if not line.startswith(f"{key} =")]
    if value == '"pcm"':
        lines = [line.replace("reram_array_om", "joshi") for line in lines]
    (tmp_path / "study.toml").write_text("\n".join([*lines, f"{key} = {value}"]) + "\n")
    call = ("train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(refused(tmp_path, *call), *words)


def test_what_is_refused(tmp_path: Path) -> None:
    names_all(refused(tmp_path, "write-network", tmp_path / "none"), "none")
    (tmp_path / "study.toml").write_text(STUDY.format(up='"high"'))
    call = ("train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(refused(tmp_path, *call), "[write] amplitude_v", "high")


def test_the_table_of_the_defaults_is_within_two_percent() -> None:
    """Filaments that close at once from one side of a line and not from the other included."""
    made = calibrated(Config()).surrogate
    assert made.held_out is not None
    assert made.held_out.lost == 0
    assert made.held_out.nrmse < 0.02
    model = find_model("stanford")
    rng = np.random.default_rng(12)
    x, v = rng.random(5000), rng.uniform(*made.range_v, 5000)
    true = in_torch(model, find_set(model, "sky130"), made.pulse, looks=0)(x, v)
    assert (np.abs(true.after - x) > 0.5).mean() > 0.1
    assert compared(made, x, v, true.after, true.energy_j).nrmse < 0.02


def test_a_pulse_without_an_answer_is_not_one_that_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unsolved(*_given: object, **_named: object) -> CalibratedUpdate:
        x = np.linspace(0, 1, 5)
        rows = [Row(-1.0, x, 0.9 * x, x + 1), Row(1.0, x, np.full(5, np.nan), np.full(5, np.nan))]
        made = replace(
            from_rows(
                rows, model="stanford", parameter_set="sky130", pulse=Pulse(1, 1, 1, 1), state="x",
                source="a test", smooth=False,
            ),
            reason="5 of 5 devices could not be solved",
        )  # fmt: skip
        return CalibratedUpdate(made, False, "", 0.0, "", "")

    monkeypatch.setattr("workflows.write_plan.cached_update", unsolved)
    with pytest.raises(InputError, match=r"highest pulse .* was not solved \(5 of 5 devices"):
        plan_writing(Config())
