"""What `spiceloop write` says of an array that was written: summary, lines, exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_level import sign_that_raises
from cosim.tables.cache import CalibratedUpdate
from cosim.write.coarse import smallest_step_s
from cosim.write.ledger import worst_disturb
from cosim.write.unmet import counted, in_words
from cosim.write.verify import MeanDevice, VerifySpec, Written
from workflows.outcome import no_result
from workflows.write_advice import Knobs, next_action
from workflows.write_file import WriteJob

Answer = tuple[dict[str, Any], list[str], int]
VERIFY = "verify"


@dataclass(frozen=True)
class Asked:
    """What of a call its answer repeats.

    Attributes:
        scheme: `verify`, or that of one pulse a cell.
        engine: who carried the array through its pulses, and in which form.
        out: where the result went.
        wall_s: how long it took [s].
        set_aside: where a result of an earlier run is, now that this one failed; None if there was
            none.
        knobs: what the next call may change.
    """

    scheme: str
    engine: str
    out: Path
    wall_s: float
    set_aside: str | None
    knobs: Knobs


def _outcome(asked: Asked, written: Written, spec: VerifySpec, cells: int) -> tuple[str, str]:
    """How it ended, and why; the reason is empty only where every cell is met by the loop."""
    if written.failed:
        kind, _, why = written.failed.partition(": ")
        return kind, why
    met = int(written.within.sum())
    off = f"{cells - met} of {cells} cells are off by more than {spec.tolerance_s * 1e6:.3g} uS"
    if asked.scheme != VERIFY:
        said = off if met < cells else f"all {cells} cells are within the tolerance"
        return "one_pulse", f"one predicted pulse a cell and no second try; {said}"
    if met == cells:
        return "ok", ""
    return "not_reached", f"{off} ({in_words(counted(written.unmet))})"


def write_answer(
    asked: Asked,
    job: WriteJob,
    written: Written,
    update: CalibratedUpdate,
    spec: VerifySpec,
    device: MeanDevice,
) -> Answer:
    """What the command says.

    Args:
        asked: what of the call is repeated here.
        job: the array as it was, and its targets.
        written: the array after it was written.
        update: by what amplitudes were chosen.
        spec: when a cell is done.
        device: the mean device as it is read.

    Returns:
        The summary, its lines, and the exit code.
    """
    surrogate = update.surrogate
    wanted = ~np.isnan(job.target_s)
    off_s = np.abs(written.conductance_s - job.target_s)[wanted]
    ledger, worst = written.ledger, worst_disturb(written.ledger)
    met, cells = int(written.within.sum()), int(wanted.sum())
    outcome, reason = _outcome(asked, written, spec, cells)
    unmet = counted(written.unmet)
    advice = "" if written.failed else _next(asked, unmet)
    worst_s, rms_s = float(off_s.max()), float(np.sqrt((off_s**2).mean()))
    summary = {
        "outcome": outcome,
        "reason": reason,
        "engine": asked.engine,
        "scheme": asked.scheme,
        "energy_j": float(ledger.energy_j.sum()),
        "energy_given_j": ledger.given_j,
        "energy_read_j": float(ledger.read_j.sum()),
        "pulses": int(ledger.pulses.sum()),
        "most_pulses": int(ledger.pulses.max()),
        "steps": ledger.steps,
        "reads": ledger.reads,
        "latency_s": written.latency_s,
        "worst_error_s": None if written.failed else worst_s,
        "rms_error_s": None if written.failed else rms_s,
        "tolerance_s": spec.tolerance_s,
        "device_range_s": device.range_s,
        "met": met,
        "cells": cells,
        "unmet": unmet,
        "next": advice,
        "worst_disturb": worst.moved,
        "worst_disturb_cell": [worst.row, worst.col],
        "worst_disturb_pulses": worst.pulses,
        "pulses_to_one_percent": worst.pulses_to_one_percent,
        "surrogate_nrmse": None if surrogate.held_out is None else surrogate.held_out.nrmse,
        "surrogate_note": update.note,
        "pulse": {
            "rise_s": surrogate.pulse.rise_s,
            "width_s": surrogate.pulse.width_s,
            "fall_s": surrogate.pulse.fall_s,
            "raises_state": sign_that_raises(surrogate),
        },
        "wall_s": asked.wall_s,
        "set_aside": asked.set_aside,
    }
    name = f"{job.array.model.name}, {job.array.parameter_set.name}"
    lines = [f"{name}, {asked.engine}: {outcome}" + (f": {reason}" if reason else "")]
    if not written.failed:
        to_one = worst.pulses_to_one_percent
        drift = "" if to_one is None else f", 1 % after {to_one:.3g} of them at this pace"
        lines += [
            f"{met} of {cells} cells within {spec.tolerance_s * 1e6:.3g} uS of their targets"
            f" ({100 * spec.tolerance_s / device.range_s:.2g} % of the device's range);"
            f" largest error {worst_s * 1e6:.3g} uS, rms {rms_s * 1e6:.3g} uS",
            f"{summary['pulses']} pulses on cells, at most {summary['most_pulses']} on one,"
            f" in {ledger.steps} steps and {ledger.reads} reads: {written.latency_s:.3g} s",
            f"heat in the cells {summary['energy_j']:.3g} J by pulses and"
            f" {ledger.read_j.sum():.3g} J by readings, {ledger.given_j:.3g} J from the drivers",
            f"disturb: cell [{worst.row}, {worst.col}] moved {100 * worst.moved:.2g} % of its range"
            f" in {worst.pulses} pulses for others{drift}",
            *_too_coarse(job, written, surrogate, spec, device),
            *([f"next: {advice}"] if advice else []),
        ]
    else:
        lines += no_result(asked.out, asked.set_aside)
    return summary, lines, 0 if outcome in ("ok", "one_pulse") else 1


def _next(asked: Asked, unmet: dict[str, int]) -> str:
    if asked.scheme == VERIFY or not unmet:
        return next_action(unmet, asked.knobs)
    loop = "the loop, which reads and corrects"
    if asked.knobs.quieter:
        return f"{loop} (--scheme {VERIFY}), with {asked.knobs.quieter}"
    return f"{loop} (--scheme {VERIFY} --bias {asked.scheme})"


def _too_coarse(
    job: WriteJob,
    written: Written,
    surrogate: UpdateSurrogate,
    spec: VerifySpec,
    device: MeanDevice,
) -> list[str]:
    """Why cells are not met that no loop could promise to meet; nothing if there are none."""
    missed = ~np.isnan(job.target_s) & ~written.within
    if job.array.model.pulse is None or spec.most_pulses == 1 or not missed.any():
        return []
    wanted = ~np.isnan(job.target_s)
    step_s = np.where(wanted, smallest_step_s(device, surrogate, job.target_s), 0.0)
    coarse = missed & (step_s > 2 * spec.tolerance_s)
    if not coarse.any():
        return []
    span_s = float(np.ptp(job.target_s[wanted])) or float(job.target_s[wanted].max())
    levels = int(span_s / step_s.max()) + 1
    return [
        f"{coarse.sum()} of the {missed.sum()} cells not met: the smaller step of this device there"
        f" is up to {step_s[coarse].max() * 1e6:.3g} uS, more than twice the tolerance, whatever"
        f" the amplitude; up to {max(levels, 2)} levels can be promised for these targets"
    ]
