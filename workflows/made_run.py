"""A network on a chip, made by training or by mapping, and the run folder that it becomes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.files import write_bytes_atomic, write_text_atomic
from compact_models.scratch import check_room
from compact_models.spec import Spec
from cosim.budget.budget import Budget
from cosim.calibration.calibrate import Calibration, calibrate
from cosim.network.float_weights import float_state_dict
from cosim.network.in_situ import InSituNetwork
from cosim.network.module import CrossbarNetwork
from cosim.ngspice import Ngspice
from cosim.training.endurance import LearntLayer
from cosim.training.loop import Epoch
from netlists.chip import Chip, LayerPeriphery, draw_periphery
from netlists.graph import LinearStage
from netlists.tiles import LayerPlan
from workflows.calibration_store import write_calibration
from workflows.checkpoint import Checkpoint
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split
from workflows.deck import write_chip_deck
from workflows.learnt_cells import write_learnt
from workflows.runfolder import RunRecord, write_chip, write_json, write_weights
from workflows.versions import now_utc, versions
from workflows.watched import Watched, held_out_sentences
from workflows.wires_file import FILE


@dataclasses.dataclass(frozen=True)
class Made:
    """A network on a chip.

    Args:
        chip: programmed.
        network: its weights as they stand in the arrays.
        reference: the network in floating point.
        calibration: of the surrogate.
        history: of the training; empty where there was none.
        accuracy_float: of the reference on the held-out samples.
        accuracy_surrogate: of the network on them, before programming.
        watched: how far the surrogate was off the exact solution.
        learnt: cells that have learnt; empty where weights moved by arithmetic.
        begun: what its cells made of a network of the user's, in words; or nothing.
    """

    chip: Chip
    network: CrossbarNetwork | InSituNetwork
    reference: torch.nn.Module
    calibration: Calibration
    history: Sequence[Epoch]
    accuracy_float: float
    accuracy_surrogate: float
    watched: Watched
    learnt: Sequence[LearntLayer] = ()
    begun: str = ""


def sizes(stages: Sequence[LinearStage]) -> tuple[int, ...]:
    """Inputs of the network, then the outputs of each of its layers."""
    return (stages[0].weight.shape[1], *(len(stage.weight) for stage in stages))


def cells(stages: Sequence[LinearStage]) -> int:
    """Memristors of a network, about."""
    return sum(2 * (inputs + 1) * outputs for inputs, outputs in pairwise(sizes(stages)))


def check_run_fits(folder: Path, stages: Sequence[LinearStage]) -> None:
    """Refuses a full disk before the work: a run's deck and its curves are the most of it.

    Raises:
        InputError: there is too little room.
    """
    lines = sum(3 * outputs for outputs in sizes(stages)[1:])  # pairs of bit lines, and neurons
    check_room(folder, 200.0 * cells(stages) + 10e3 * lines + 1e5, "this run")


def calibrated(
    config: Config,
    plans: Sequence[LayerPlan],
    ngspice: Ngspice,
    reporter: Reporter,
    kept: Checkpoint | None = None,
) -> tuple[tuple[LayerPeriphery, ...], Calibration]:
    """The periphery of a study's chip, drawn, and the surrogate fitted to it in ngspice.

    Args:
        config: the study.
        plans: its layers.
        ngspice: the simulator.
        reporter: where progress goes.
        kept: has the calibration if it was made already, and gets it.

    Raises:
        SimulationFailedError: a calibration run failed.
    """
    seed = config.study.seed
    periphery = draw_periphery(config.hardware, plans, seed=seed, sample=config.study.sample)
    blank = Chip(config.hardware, tuple(plans), periphery, _blank(plans))
    found = None if kept is None else kept.calibration(blank)
    if found is not None:
        return periphery, found
    with reporter.stage("calibrating the surrogate in ngspice") as progress:
        calibration = calibrate(
            blank,
            ngspice,
            arrays=config.calibration.arrays,
            held_out=config.calibration.held_out_arrays,
            seed=seed,
            jobs=Budget.of_process(config.simulator.jobs).decks,
            on_progress=progress,
        )
    for row in calibration.errors:
        reporter.say(
            f"    held-out {row.held_out:<8} {row.quantity}: median {_size(row.median)},"
            f" 95 % {_size(row.p95)}, worst {_size(row.worst)} {row.unit} (n = {row.n})"
        )
    tolerance = config.train.max_surrogate_error
    for line in held_out_sentences(calibration.errors, tolerance, config.hardware):
        reporter.say(f"spiceloop: calibration: {line}")
    for line in calibration.notes:
        reporter.say(f"spiceloop: calibration: {line}")
    if kept is not None:
        kept.write_calibration(calibration)
    return periphery, calibration


def write_run(
    folder: Path,
    config: Config,
    split: Split,
    made: Made,
    ngspice: Ngspice,
    reporter: Reporter,
    *,
    command: str,
    made_by: Literal["train", "map"],
    notes: Sequence[str] = (),
    resumed: int = 0,
) -> RunRecord:
    """Fills a run folder; nothing in it needs the user's Python afterwards.

    Args:
        folder: one that has the configuration (`write_config`).
        config: the study.
        split: its data.
        made: the network on its chip.
        ngspice: the simulator, for the record and for blocks of the user's own.
        reporter: how long each stage took.
        command: the command line.
        made_by: which command.
        notes: what a reader of the results must know, one sentence each.
        resumed: how often the training was taken up again.
    """
    plans, seed = made.chip.plans, config.study.seed
    widths = "-".join(str(n) for n in (plans[0].inputs, *(plan.outputs for plan in plans)))
    title = f"{Path(config.data.file).name or config.data.name}, {widths}"
    if config.network.module:
        title = f"{Path(config.network.module).name} on {title}"
    write_chip(folder, made.chip)
    write_weights(folder / "model.pt", made.network.state_dict())
    write_weights(folder / "weights.pt", float_state_dict(made.network))
    write_weights(folder / "model_float.pt", made.reference.state_dict())
    write_calibration(folder, made.calibration)
    write_json(folder / "data.json", split.facts())
    write_json(folder / "training.json", [dataclasses.asdict(line) for line in made.history])
    write_learnt(folder, made.learnt)
    write_chip_deck(
        folder / "netlist",
        made.chip,
        split.test_x[:4],
        title=f"spiceloop: {title}",
        origin=(f"config {config.hash}, seed {seed}, sample {config.study.sample}",),
        ngspice=ngspice,
        rows=split.test_rows[:4],
    )
    record = RunRecord(
        title=title,
        created_utc=now_utc(),
        command=command,
        made_by=made_by,
        module=config.network.module,
        module_sha256=module_hash(config.network.module),
        config_hash=config.hash,
        data_hash=split.hash,
        versions=versions(ngspice),
        seeds={"study": seed, "sample": config.study.sample},
        stages=reporter.stages,
        accuracy_float=made.accuracy_float,
        accuracy_trained=made.accuracy_surrogate,
        surrogate=made.watched,
        class_names=list(split.class_names),
        notes=list(notes),
        resumed=resumed,
        cells=[one.says for one in made.learnt],
    )
    write_json(folder / "run.json", record.model_dump())
    return record


def write_config(folder: Path, config: Config) -> None:
    """Writes the configuration of a run, whose blocks and wires are copies of its own."""
    changes: dict[str, Spec] = {}
    if config.own_blocks is not None:
        config.own_blocks.write(folder)
        changes["blocks"] = config.own_blocks.kept
    if config.read_wires is not None:
        write_bytes_atomic(folder / FILE, config.read_wires.copy())
        changes["wires"] = config.wires.model_copy(update={"file": FILE})
    kept = config.model_copy(update=changes)
    write_text_atomic(folder / "config.toml", kept.to_toml())


def module_hash(target: str) -> str:
    """The sha256 of the user's file; empty where there is none.

    Args:
        target: `MODULE.py:NAME`, or empty.

    Raises:
        InputError: the file went away while it was used.
    """
    if not target:
        return ""
    file = Path(target.rpartition(":")[0])
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        what = "there is no such file" if gone else f"cannot read this file ({error.strerror})"
        raise InputError(what, where=str(file)) from error


def _size(error: float) -> str:
    """An error in words; what rounding alone leaves is nothing."""
    return "0" if error < 1e-12 else f"{error:.2g}"


def _blank(plans: Sequence[LayerPlan]) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """Conductances of a chip before programming."""
    return tuple(tuple(np.zeros((tile.rows, tile.cols)) for tile in plan.tiles) for plan in plans)
