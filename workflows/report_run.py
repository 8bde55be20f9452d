"""`spiceloop report`: reads a run folder and hands it to the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compact_models.errors import InputError
from cosim.training.loop import Epoch
from netlists.tiles import LayerPlan
from workflows import runfolder
from workflows.calibration_store import read_calibration
from workflows.config import Config
from workflows.fresh_record import FreshRecord
from workflows.learnt_cells import read_learnt
from workflows.report import (
    FIDELITIES,
    ReportData,
    TileData,
    build_report,
)
from workflows.report_hardware import hardware_facts, pair_words
from workflows.report_writing import read_writing, writing_data
from workflows.used_config import used_config
from workflows.verified_arrays import VerifiedArrays
from workflows.verify import Verification


def report_run(run: Path) -> Path:
    """Writes `report/index.html` into a run folder.

    Raises:
        InputError: this is no run, or it has not been verified yet.
    """
    record = runfolder.read_record(run)
    if not (run / "verify.json").exists():
        raise InputError(
            "this run has not been verified yet",
            where=str(run),
            hint=f"run: spiceloop verify {shlex.quote(str(run))}",
        )
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    calibration = read_calibration(run, chip)
    verified: Verification = runfolder.read_json(run / "verify.json", Verification)
    history: list[Epoch] = runfolder.read_json(run / "training.json", list[Epoch])
    stored = VerifiedArrays(run / "verify.npz", verified.arrays_sha256)
    written = read_writing(run)
    classes = len(record.class_names)
    data = ReportData(
        title=record.title,
        created_utc=record.created_utc,
        command=record.command,
        repeat_commands=_repeat(run, record, verified, written=written is not None),
        config_toml=used_config(
            record, config, images=verified.images, written=written is not None
        ),
        config_hash=record.config_hash,
        versions=record.versions,
        seeds=record.seeds,
        stages=(
            *((name, wall) for name, wall in record.stages),
            ("verification", verified.wall_s),
            *(() if written is None else (("writing", written.wall_s),)),
        ),
        hardware=hardware_facts(config, chip),
        n_images=verified.images,
        noun=verified.noun,
        accuracy_float=verified.accuracy_float,
        accuracy={
            "ideal": verified.accuracy_ideal,
            "surrogate": verified.accuracy_surrogate,
            "exact": verified.accuracy_exact,
            "spice": verified.accuracy_spice,
        },
        agreement=verified.agreement,
        logit_rmse_lsb=verified.logit_rmse_lsb,
        logit_max_lsb=verified.logit_max_lsb,
        control_agreement=verified.control_agreement,
        control_logit_rmse_lsb=verified.control_logit_rmse_lsb,
        failed=verified.failed,
        labels=stored.labels(verified.images, classes),
        codes={
            name: stored.codes(name, verified.images, classes)
            for name in FIDELITIES
            if not (verified.note and name in ("ideal", "exact"))
        },
        notes=_notes(record, verified, config),
        class_names=tuple(record.class_names),
        tiles=tuple(
            TileData(
                name=f"{plan.name}.{part.name}",
                layer=layer,
                conductance_s=chip.conductance_s[layer][number],
                ir_drop=stored.ir_drop(layer, number, (part.rows, part.cols)),
                row_labels=_row_labels(plan, part.row_start, part.row_stop),
                col_labels=tuple(
                    f"{out}{sign}"
                    for out in range(part.out_start, part.out_stop)
                    for sign in ("+", "-")
                ),
            )
            for layer, plan in enumerate(chip.plans)
            for number, part in enumerate(plan.tiles)
        ),
        curves=calibration.curves,
        calibration=calibration.errors,
        training={
            key: np.array([getattr(line, key) for line in history], dtype=np.float64)
            for key in _columns(history)
        },
        max_surrogate_error=config.train.max_surrogate_error,
        learnt=read_learnt(run, record.cells),
        simulations=(
            *calibration.simulations,
            *verified.simulations,
            *(() if written is None else written.simulations),
        ),
        writing=None if written is None else writing_data(run, written, config, chip),
        held_out=verified.held_out,
        sample=verified.sample,
        trained=verified.trained,
        fresh=verified.fresh,
        pairs=pair_words(config),
    )
    return build_report(data, run / "report")


def _columns(history: Sequence[Epoch]) -> tuple[str, ...]:
    """What was recorded in every epoch."""
    errors = ("surrogate_error", "closed_form_error", "anchored", "anchors")
    watched = bool(history) and all(line.surrogate_error is not None for line in history)
    spice = ("spice_error", "spice_inputs")  # an error that is not known is nan
    in_ngspice = any(line.spice_inputs for line in history)
    pulses = ("pulses", "coincidences", "energy_j", "clipped")
    return (
        "epoch",
        "loss",
        "train_accuracy",
        "test_accuracy",
        *(errors if watched else ()),
        *(spice if in_ngspice else ()),
        *(
            key
            for key in pulses
            if history and all(getattr(line, key) is not None for line in history)
        ),
    )


STABILITY = (
    "Whether your amplifier is stable is not examined: every bench is a DC sweep, and ngspice finds"
    " a DC solution for an amplifier that would oscillate. Look at its loop gain, or at a step"
    " response with the array's capacitance at its input."
)
"""Of a chip with own amplifiers; docs/own_blocks.md says more."""


def _notes(record: runfolder.RunRecord, verified: Verification, config: Config) -> tuple[str, ...]:
    """Sentences that a reader must know."""
    return tuple(
        text
        for text in (
            verified.poor_surrogate,
            *record.notes,
            verified.note,
            STABILITY if "tia" in config.blocks.roles else "",
            ""
            if verified.accuracy_float_unclipped is None
            else "The floating-point program gets inputs clipped as the drivers clip them; without"
            f" clipping it has {100 * verified.accuracy_float_unclipped:.1f} % of these"
            f" {verified.noun}s right.",
            f"In training {record.surrogate.sentence()}."
            if record.made_by == "train" and record.surrogate is not None
            else "",
            f"Of this chip {verified.surrogate.sentence()}."
            if verified.surrogate is not None
            else "",
        )
        if text
    )


def _repeat(
    run: Path, record: runfolder.RunRecord, verified: Verification, *, written: bool
) -> tuple[str, ...]:
    place = shlex.quote(str(run))
    again = shlex.quote(f"{run}-again")
    config = shlex.quote(str(run / "config.toml"))
    made = f"train {config}"
    if record.made_by == "map":
        made = f"map {shlex.quote(record.module)} --config {config}"
    return (
        f"spiceloop {made} -o {again}",
        f"spiceloop verify {again} --images {verified.images}{_fresh_options(verified.fresh)}",
        *((f"spiceloop write-network {again}",) if written else ()),
        f"spiceloop report {again}",
        f"spiceloop report {place}  # this page, from the numbers already there",
    )


def _fresh_options(fresh: FreshRecord | None) -> str:
    if fresh is None:
        return ""
    words = f" --chips {len(fresh.samples)}"
    if fresh.judge is not None or fresh.engine in ("exact", "surrogate"):
        words += f" --spice-chips {0 if fresh.judge is None else len(fresh.judge.samples)}"
    return words if fresh.accuracy_min is None else f"{words} --accuracy-min {fresh.accuracy_min}"


def _row_labels(plan: LayerPlan, start: int, stop: int) -> tuple[str, ...]:
    return tuple(
        "bias" if plan.has_bias and row == plan.inputs else str(row) for row in range(start, stop)
    )
