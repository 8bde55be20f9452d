"""`spiceloop write`: conductances into the cells of an array, from a file to a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compact_models.errors import InputError, closest
from compact_models.files import check_place
from cosim.calibration.update import calibrate_update, check_levels
from cosim.devices.form import device_form
from cosim.ngspice import find_ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_level import sign_that_raises
from cosim.write.amplitudes import AmplitudeRule, Predicted, quiet_rule
from cosim.write.array_surrogate import surrogate_engine
from cosim.write.behind_access import BehindAccess
from cosim.write.coarse import smallest_step_s
from cosim.write.default_pulses import EDGE, default_pulses
from cosim.write.engines import WriteEngine, ngspice_engine, torch_engine
from cosim.write.ledger import worst_disturb
from cosim.write.polarity import check_polarity
from cosim.write.verify import MeanDevice, VerifySpec, Written, check_targets, write_verify
from cosim.write.writable import WritableArray
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme, find_scheme, write_schemes
from workflows.console import Reporter
from workflows.runfolder import write_npz
from workflows.write_file import WriteJob, load_job

ENGINES = ("torch", "ngspice", "surrogate")
VERIFY = "verify"
_HEADROOM = 1.6  # of the highest level a rule may use, over the default pulse
_MOST = 3.0  # times a set's amplitude: what its model is good for
_GATE_V = 3.0
_TOLERANCE = 1e-3  # of a state, in a step of time: a tenth of a level in a hundred
Answer = tuple[dict[str, Any], list[str], int]


@dataclass(frozen=True)
class WriteRequest:
    """What the command line asks for.

    Attributes:
        array: .npz of the array.
        target: .npz of the targets.
        scheme: a write scheme: each cell gets one predicted pulse; or `verify`: a loop.
        bias: the scheme of the loop.
        engine: `torch`, `ngspice` or `surrogate`, which is the fastest and knows bare cells only.
        out: .npz to write.
        levels: how many conductances are told apart: a target is met within half of a step.
        most_pulses: for one cell in one round of the loop.
        order: row, column or cell.
        read_v: at which conductances are read [V].
        amplitude_v: level of a pulse that raises the conductance [V]; None is found.
        amplitude_down_v: of one that lowers it; likewise.
        width_s: how long it lasts [s]; likewise.
        gate_v: voltage of open gates, with transistors [V].
    """

    array: Path
    target: Path
    scheme: str
    bias: str | None
    engine: str
    out: Path
    levels: int = 32
    most_pulses: int = 50
    order: str = "row"
    read_v: float = 0.1
    amplitude_v: float | None = None
    amplitude_down_v: float | None = None
    width_s: float | None = None
    gate_v: float | None = None


def write_file(request: WriteRequest, reporter: Reporter) -> Answer:
    """Writes the targets into the array and the result into a file.

    Returns:
        The summary, its lines, and 0 if every cell is within its tolerance (of the loop; one
        pulse a cell is done whatever it reached), else 1.

    Raises:
        InputError: a file, a name or a number cannot be used.
    """
    check_place(request.out, "-o")
    if request.out.resolve() in (request.array.resolve(), request.target.resolve()):
        raise InputError(
            "this is what is read: the result would take its place",
            where="-o",
            value=str(request.out),
            hint="give another name",
        )
    scheme = _scheme(request)
    _check_numbers(request)
    if request.engine == "surrogate" and scheme.access != "nothing":
        raise InputError(
            f"the surrogate knows bare cells only, scheme {scheme.name!r} has {scheme.access} "
            "before each",
            where="--engine", value=request.engine, allowed="torch, ngspice",
        )  # fmt: skip
    job = load_job(request.array, request.target, scheme.access, request.read_v)
    started = time.perf_counter()
    gate_v = (request.gate_v or _GATE_V) if scheme.access == "transistor" else None
    device = MeanDevice.of(job.array, request.read_v)
    spec = VerifySpec(
        tolerance_s=device.range_s / (2 * (request.levels - 1)),
        read_v=request.read_v,
        most_pulses=request.most_pulses if request.scheme == VERIFY else 1,
        rounds=2 if request.scheme == VERIFY else 1,
        order=request.order,
        gate_raise_v=gate_v,
        gate_lower_v=gate_v,
    )
    check_targets(job.array, job.target_s, scheme, spec)
    pulse, surrogate = _calibrated(request, job.array, reporter)
    check_polarity(
        device, surrogate,
        ("--amplitude-v", request.amplitude_v), ("--amplitude-down-v", request.amplitude_down_v),
    )  # fmt: skip
    rule = _rule(job.array, surrogate, gate_v, scheme)
    engine, carried_by = _engine(request.engine, job.array, surrogate)
    with reporter.stage("writing") as on_progress:
        written = write_verify(
            job.array, job.target_s, scheme, (pulse, pulse), engine, rule, spec,
            report=on_progress,
        )  # fmt: skip
    if not written.failed:
        write_npz(
            request.out,
            {
                "conductance_s": written.conductance_s,
                "state": np.asarray(written.array.states[job.array.memory]),
                "energy_j": written.ledger.energy_j,
                "pulses": written.ledger.pulses,
                "disturb": written.ledger.disturb,
            },
        )
    wall_s = time.perf_counter() - started
    return _answer(request, job, written, surrogate, spec, device, carried_by, wall_s)


def _scheme(request: WriteRequest) -> WriteScheme:
    names = (*write_schemes(), VERIFY)
    if request.scheme not in names:
        raise InputError(
            "no such scheme", where="--scheme", value=request.scheme, allowed=", ".join(names),
            hint=closest(request.scheme, names),
        )  # fmt: skip
    if request.engine not in ENGINES:
        raise InputError(
            "no such engine", where="--engine", value=request.engine, allowed=", ".join(ENGINES),
            hint=closest(request.engine, ENGINES),
        )  # fmt: skip
    if request.scheme != VERIFY and request.bias not in (None, request.scheme):
        raise InputError(
            f"one pulse a cell by scheme {request.scheme!r} has no other bias",
            where="--bias", value=request.bias, allowed=request.scheme,
            hint=f"--scheme verify --bias {request.bias} is the loop",
        )  # fmt: skip
    try:
        return find_scheme((request.bias or "v2") if request.scheme == VERIFY else request.scheme)
    except InputError as error:
        raise error.within("--bias") from error


def _check_numbers(request: WriteRequest) -> None:
    for name, value, good, allowed in (
        ("--levels", request.levels, request.levels >= 2, ">= 2"),
        ("--max-pulses", request.most_pulses, request.most_pulses >= 1, ">= 1"),
        ("--read-v", request.read_v, 0 < abs(request.read_v) < np.inf, "not 0 V"),
        ("--gate-v", request.gate_v, request.gate_v is None or abs(request.gate_v) < 100,
         "a voltage below 100 V"),
    ):  # fmt: skip
        if not good:
            raise InputError("cannot be used", where=name, value=value, allowed=allowed)


def _calibrated(
    request: WriteRequest, array: WritableArray, reporter: Reporter
) -> tuple[Pulse, UpdateSurrogate]:
    """The pulse, and what one pulse does to the device at every level that may be needed."""
    model, numbers = array.model, array.parameter_set
    up_v, down_v, width_s = request.amplitude_v, request.amplitude_down_v, request.width_s
    if up_v is not None and down_v is not None and not up_v * down_v < 0:
        raise InputError(
            "pulses that raise and that lower a conductance have opposite signs",
            where="--amplitude-v, --amplitude-down-v",
            value=(up_v, down_v),
        )
    if up_v is not None and down_v is not None and width_s is not None:
        check_levels(model, numbers, (min(up_v, down_v), max(up_v, down_v)))
        up, down = (Pulse(v, width_s, EDGE * width_s, EDGE * width_s) for v in (up_v, down_v))
    else:
        with reporter.stage("looking for pulses"):
            up, down = default_pulses(model, numbers, up_v=up_v, down_v=down_v, width_s=width_s)
    most_v = _MOST * numbers.amplitude_v
    # A pulse device steps alike at any height: more would only disturb its neighbours.
    headroom = 1.0 if model.pulse is not None else _HEADROOM
    levels = [max(-most_v, min(most_v, headroom * one.amplitude_v)) for one in (up, down)]
    with reporter.stage("calibrating the update surrogate"):
        range_v = (min(levels), max(levels))
        return up, calibrate_update(model, numbers, up, range_v)


def _rule(
    array: WritableArray, surrogate: UpdateSurrogate, gate_v: float | None, scheme: WriteScheme
) -> AmplitudeRule:
    """Amplitudes by the surrogate, no higher than half-selected cells can stand if that will do."""
    if array.access is None:
        return quiet_rule(surrogate, scheme.half_selected)
    bare = Predicted(surrogate, surrogate)
    gates = None if gate_v is None else (gate_v, gate_v)
    highest_v = _MOST * array.parameter_set.amplitude_v
    return BehindAccess(bare, array.access, surrogate, surrogate, gates, highest_v)


def _engine(name: str, array: WritableArray, surrogate: UpdateSurrogate) -> tuple[WriteEngine, str]:
    """What carries the array through its pulses, and its name with the form that it gives cells."""
    if name == "surrogate":
        return surrogate_engine(surrogate), name
    if name == "torch":
        return torch_engine(tolerance=_TOLERANCE), name
    ngspice = find_ngspice()
    form = device_form(array.model, array.parameter_set, ngspice)
    engine = ngspice_engine(ngspice, compiled=form.compiled)
    return engine, f"{ngspice.label}, {form.label}"


def _answer(
    request: WriteRequest,
    job: WriteJob,
    written: Written,
    surrogate: UpdateSurrogate,
    spec: VerifySpec,
    device: MeanDevice,
    engine: str,
    wall_s: float,
) -> Answer:
    wanted, range_s = ~np.isnan(job.target_s), device.range_s
    off_s = np.abs(written.conductance_s - job.target_s)[wanted]
    ledger, worst = written.ledger, worst_disturb(written.ledger)
    met = int(written.within.sum())
    outcome = "ok" if not written.failed else written.failed.partition(":")[0]
    if outcome == "ok" and request.scheme == VERIFY and met < wanted.sum():
        outcome = "not_reached"
    raising = sign_that_raises(surrogate)
    worst_error = float(off_s.max() / range_s)
    rms_error = float(np.sqrt((off_s**2).mean()) / range_s)
    tolerance = spec.tolerance_s / range_s
    summary = {
        "outcome": outcome,
        "reason": written.failed,
        "engine": engine,
        "scheme": request.scheme,
        "energy_j": float(ledger.energy_j.sum()),
        "energy_given_j": ledger.given_j,
        "energy_read_j": float(ledger.read_j.sum()),
        "pulses": int(ledger.pulses.sum()),
        "most_pulses": int(ledger.pulses.max()),
        "steps": ledger.steps,
        "reads": ledger.reads,
        "latency_s": written.latency_s,
        "worst_error": None if written.failed else worst_error,
        "rms_error": None if written.failed else rms_error,
        "tolerance": tolerance,
        "met": met,
        "cells": int(wanted.sum()),
        "worst_disturb": worst.moved,
        "worst_disturb_cell": [worst.row, worst.col],
        "worst_disturb_pulses": worst.pulses,
        "pulses_to_one_percent": worst.pulses_to_one_percent,
        "surrogate_nrmse": None if surrogate.held_out is None else surrogate.held_out.nrmse,
        "pulse": {
            "rise_s": surrogate.pulse.rise_s,
            "width_s": surrogate.pulse.width_s,
            "fall_s": surrogate.pulse.fall_s,
            "raises_state": raising,
        },
        "wall_s": wall_s,
    }
    name = f"{job.array.model.name}, {job.array.parameter_set.name}"
    lines = [f"{name}, {engine}: {outcome} {written.failed}".strip()]
    if not written.failed:
        to_one = worst.pulses_to_one_percent
        drift = "" if to_one is None else f", 1 % after {to_one:.3g} of them at this pace"
        lines += [
            f"{met} of {wanted.sum()} cells within {100 * tolerance:.2g} % of the range;"
            f" largest error {100 * worst_error:.2g} %,"
            f" rms {100 * rms_error:.2g} %",
            f"{summary['pulses']} pulses on cells, at most {summary['most_pulses']} on one,"
            f" in {ledger.steps} steps and {ledger.reads} reads: {written.latency_s:.3g} s",
            f"heat in the cells {summary['energy_j']:.3g} J by pulses and"
            f" {ledger.read_j.sum():.3g} J by readings, {ledger.given_j:.3g} J from the drivers",
            f"disturb: cell [{worst.row}, {worst.col}] moved {100 * worst.moved:.2g} % of its range"
            f" in {worst.pulses} pulses for others{drift}",
            *_too_coarse(job, written, surrogate, spec, device),
        ]
    else:
        lines.append(f"no result was written to {request.out}")
    return summary, lines, 0 if outcome == "ok" else 1


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
    levels = int(device.range_s / step_s.max()) + 1
    return [
        f"{coarse.sum()} of the {missed.sum()} cells not met: the smaller step of this device there"
        f" is up to {100 * step_s[coarse].max() / device.range_s:.2g} % of the range, more than"
        f" twice the tolerance, whatever the amplitude; up to {max(levels, 2)} levels can be"
        " promised for these targets"
    ]
