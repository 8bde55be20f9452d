"""`spiceloop write-network`: a trained network in dynamic cells."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import Engine, PulseResult
from cosim.driven.table import Spread, table_engine
from cosim.network.whole_chip import ChipRead, read_chip
from cosim.ngspice.outcome import Outcome
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_rows import Row, compared, from_rows
from cosim.tables.cache import CalibratedUpdate
from cosim.tables.source import in_torch
from netlists.chip import Chip
from netlists.pulse import Pulse
from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.written_study import STUDY
from workflows import runfolder
from workflows.config import Config
from workflows.write_plan import calibrated, plan_writing
from workflows.write_record import ChipWriting, writing_lines


@pytest.mark.ngspice
def test_a_network_is_written(written_study: Path) -> None:
    run = written_study
    found = json.loads((run / "write.json").read_text())
    stored = np.load(run / "write.npz")
    off = np.abs(stored["achieved_s"] - stored["target_s"])
    assert found["met"] == found["cells"] == off.size > 40
    assert found["unmet"] == {}
    assert off.max() == pytest.approx(found["worst_error_s"])
    assert off.max() <= found["tolerance_s"] == pytest.approx(4.3e-5 / 10)
    assert stored["pulses"].sum() == found["pulses"] > off.size
    # A cell that stays off needs nothing; one that is far needs more.
    near = stored["target_s"] < 8e-6
    assert stored["pulses"][near].mean() < stored["pulses"][~near].mean()
    assert 0 <= found["accuracy_written"] <= 1
    assert found["accuracy_target"] > 0.6
    assert found["accuracy_spice_written"] == pytest.approx(found["accuracy_written"], abs=0.04)
    assert abs(found["worst_disturb"]) < 1e-6
    assert list(run.glob("write.tiles")) == []  # kept for a call that is stopped only


@pytest.mark.ngspice
def test_what_ngspice_needed_for_the_same_cells_stands_beside_the_totals(
    written_study: Path,
) -> None:
    found = json.loads((written_study / "write.json").read_text())
    judged = found["judged"]
    groups = judged["groups"]
    assert len(groups) >= 3
    assert {one["place"]["layer"] for one in groups} == {0, 1}
    assert judged["cells"] == sum(one["cells"] for one in groups) >= 9
    assert judged["met"] == judged["met_surrogate"] == judged["cells"]
    assert judged["states_apart"] < 0.01
    # By hand, from the groups: the least and the greatest of them.
    for name, unit in (("pulses", ""), ("energy", "_j")):
        apart = [
            one[f"{name}{unit}"] / one[f"{name}_surrogate{unit}"]
            for one in groups
            if one[f"{name}_surrogate{unit}"] > 0
        ]
        many = judged[f"{name}_ratio"]
        assert many == pytest.approx([min(apart), max(apart)])
        assert 0.5 < many[0] <= many[1] < 2
    lines = writing_lines(TypeAdapter(ChipWriting).validate_python(found))
    bound = next(line for line in lines if line.startswith("bound"))
    low, high = judged["pulses_ratio"]
    names_all(bound, f"{low:.3g} to {high:.3g} times the surrogate's pulses", "its heat")
    assert any(line.startswith("cost       by the surrogate") for line in lines)


@pytest.mark.ngspice
def test_every_cell_is_told_in_npz_and_csv(written_study: Path) -> None:
    run = written_study
    stored = np.load(run / "write.npz")
    names = (
        "layer", "tile", "row", "col", "input", "output", "sign", "weight", "target_s",
        "achieved_s", "pulses", "energy_j", "unmet",
    )  # fmt: skip
    assert tuple(stored.files) == names
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    assert stored["pulses"].dtype.kind == "i"
    # The conductance that a weight asks for, by hand: its part of the scale on its sign's side.
    part = np.array([
        max(sign * chip.weights[layer][k, out] / chip.plans[layer].weight_scale, 0)
        for layer, k, out, sign in zip(
            *(stored[name].tolist() for name in ("layer", "input", "output", "sign")), strict=True
        )
    ])  # fmt: skip
    np.testing.assert_allclose(
        stored["target_s"], 6e-6 + (4.9e-5 - 6e-6) * np.minimum(part, 1), rtol=1e-9
    )
    third = int(np.flatnonzero((stored["layer"] == 1) & (stored["row"] == 2))[3])
    assert (stored["col"][third], stored["output"][third], stored["sign"][third]) == (3, 1, -1)
    assert stored["weight"][third] == chip.weights[1][2, 1]
    found = json.loads((run / "write.json").read_text())
    # Heat of the pulses on all cells; half-selected ones are among them.
    assert stored["energy_j"].sum() == pytest.approx(found["energy_j"])
    with (run / "write.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == found["cells"]
    assert list(rows[0]) == [*names, "reason"]
    for name in ("row", "sign", "target_s", "achieved_s", "energy_j", "weight"):
        assert [float(row[name]) for row in rows] == stored[name].tolist()


class KilledError(BaseException):
    """Ends a call in the middle as a kill does: nothing catches it."""


@pytest.mark.slow
@pytest.mark.ngspice
def test_what_was_finished_before_a_kill_is_not_written_again(
    trained_study: Path, written_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_study
    paths: list[str] = []

    def dies_on_the_second(surrogate: UpdateSurrogate, spread: Spread) -> Engine:
        paths.append(spread.path)
        if len(paths) == 2:
            raise KilledError
        return table_engine(surrogate, spread=spread)

    monkeypatch.setattr("workflows.write_chip.table_engine", dies_on_the_second)
    both = ["layer_0.tile_0", "layer_1.tile_0"]
    with pytest.raises(KilledError):
        spiceloop("write-network", run)
    assert paths == both
    (kept,) = (run / "write.tiles").iterdir()
    assert not (run / "write.json").exists()

    # Another [write]: nothing of it is used, and nothing of it stays.
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("levels = 6", "levels = 5"))
    paths[:] = []
    with pytest.raises(KilledError):
        spiceloop("write-network", run)
    assert paths == both
    (other,) = (run / "write.tiles").iterdir()
    assert other.name != kept.name

    # A spoilt one is written again; then that one is found.
    (run / "config.toml").write_text(config)
    paths[:] = []
    kept.write_bytes(other.read_bytes()[:999])
    with pytest.raises(KilledError):
        spiceloop("write-network", run)
    assert paths == both
    # As if the tile that is kept had taken an hour: it stands in the time of the whole.
    (kept,) = (run / "write.tiles").iterdir()
    stored = dict(np.load(kept))
    assert 0 < stored["wall_s"] < 3600
    np.savez(kept, **{**stored, "wall_s": np.array(3600.0)})
    paths[:] = ["so that it does not die"] * 2
    ran = spiceloop("write-network", run)
    assert ran.code == 0, ran.err
    assert paths[2:] == ["layer_1.tile_0"]
    assert "1 of 2 tiles had been written by a call that was stopped" in ran.err
    assert not (run / "write.tiles").exists()
    # As if nobody had ever stopped it.
    ours, theirs = (json.loads((one / "write.json").read_text()) for one in (run, written_study))
    assert 3600 < ours["wall_s"] < 3600 + 600
    for name in set(theirs) - {"wall_s", "surrogate_note", "simulations"}:
        assert ours[name] == theirs[name], name


@pytest.mark.ngspice
def test_cells_that_are_not_met_are_named_with_their_reason(
    trained_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worn:
        """An engine that gives up after some pulses on the second tile."""

        def __init__(self, engine: Engine) -> None:
            self.engine, self.left = engine, 9

        def __call__(self, array: PulsedArray) -> PulseResult:
            found, self.left = self.engine(array), self.left - 1
            if self.left:
                return found
            return replace(found, outcome=Outcome.NO_CONVERGENCE, reason="no voltages were found")

    def worn(surrogate: UpdateSurrogate, spread: Spread) -> Engine:
        engine = table_engine(surrogate, spread=spread)
        return Worn(engine) if spread.path == "layer_1.tile_0" else engine

    def loses_some(chip: Chip, x: np.ndarray, *rest: Any, **named: Any) -> ChipRead:
        found = read_chip(chip, x, *rest, **named)
        lost = 7 if "written" in named["title"] else 2
        found.codes[:lost] = np.nan
        return found

    monkeypatch.setattr("workflows.write_chip.table_engine", worn)
    monkeypatch.setattr("workflows.write_chip.read_chip", loses_some)
    run = trained_study
    ran = spiceloop("write-network", run)
    assert ran.code == 1
    found = json.loads((run / "write.json").read_text())
    assert found["reason"] == "layer_1.tile_0: no_convergence: no voltages were found"
    off = found["cells"] - found["met"]
    assert found["unmet"] == {"ended_early": off}
    names_all(ran.out, f"off        {off}: not tried to the end", "all in write.csv")
    stored = np.load(run / "write.npz")
    assert np.isfinite(stored["achieved_s"]).all()
    apart = np.abs(stored["achieved_s"] - stored["target_s"]) > found["tolerance_s"]
    assert ((stored["unmet"] == "ended_early") == apart).all()
    assert set(stored["layer"][apart].tolist()) == {1}
    with (run / "write.csv").open() as stream:
        said = [row for row in csv.DictReader(stream) if row["reason"]]
    assert len(said) == off
    assert said[0]["reason"] == "not tried to the end: the write ended early"
    # Images without an answer count as wrong.
    assert "counted as wrong: 2 with the targets, 7 as written" in ran.out
    assert (found["failed_target"], found["failed_written"]) == (2, 7)
    assert found["accuracy_spice_written"] <= 23 / 30
    assert len(found["simulations"]) >= 2
    # In the report: the furthest off, with their place.
    assert spiceloop("verify", run).code == 0
    assert spiceloop("report", run).code == 0
    page = (run / "report" / "index.html").read_text("utf-8")
    assert "2 with the targets, 7 as written" in page
    worst = int(np.abs(stored["achieved_s"] - stored["target_s"]).argmax())
    place = page[page.index("Cells that are not met") :]
    names_all(
        place, "layer_1.tile_0", "not tried to the end", f"furthest off of {off}", "write.csv"
    )
    names_all(place, f"{stored['target_s'][worst] * 1e6:.4g} µS")
    # And a record that says another reason is not believed.
    record = json.loads((run / "write.json").read_text())
    (run / "write.json").write_text(json.dumps({**record, "unmet": {"stays": off}}))
    names_all(refused(run.parent, "report", run), "write.json: unmet", "stays", "ended_early")


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


@pytest.mark.slow
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
