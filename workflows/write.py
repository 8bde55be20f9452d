"""`spiceloop write`: conductances into the cells of an array, from a file to a file."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.files import check_place, set_aside
from cosim.devices.form import device_form
from cosim.driven.ode import ode_engine
from cosim.driven.result import Engine
from cosim.driven.spice import spice_engine
from cosim.driven.table import table_engine
from cosim.driven.writable import WritableArray
from cosim.ngspice import find_ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.synapse.default_pulses import EDGE, default_pulses
from cosim.tables.cache import CalibratedUpdate, cached_update, updates_folder
from cosim.tables.update import check_levels
from cosim.write.amplitudes import AmplitudeRule, Predicted, quiet_rule
from cosim.write.behind_access import BehindAccess
from cosim.write.polarity import check_polarity
from cosim.write.unmet import Unmet
from cosim.write.verify import MeanDevice, VerifySpec, Written, check_targets, write_verify
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme, find_scheme, write_schemes
from workflows.console import Reporter
from workflows.runfolder import write_npz
from workflows.slow import said_if_slow, said_of_measuring
from workflows.write_advice import Knobs, shorter_s
from workflows.write_answer import VERIFY, Answer, Asked, write_answer
from workflows.write_file import WriteJob, load_job

ENGINES = ("torch", "ngspice", "surrogate")
_HEADROOM = 1.6  # of the highest level a rule may use, over the default pulse
_MOST = 3.0  # times a set's amplitude: what its model is good for
_GATE_V = 3.0
_TOLERANCE = 1e-3  # of a state, in a step of time
_OF_TOLERANCE = 0.1  # of what a cell may be off, likewise: few states of a wide range are asked for
_OF_TARGET = 0.1  # of a target: what is no further off is near it, however near others are


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
        levels: how many conductances are told apart between the least and the greatest target: a
            target is met within half of a step.
        tolerance_s: how far from its target a cell may be [S]; None is what `levels` says.
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
    tolerance_s: float | None = None


def write_file(request: WriteRequest, reporter: Reporter) -> Answer:
    """Writes the targets into the array and the result into a file.

    Returns:
        The summary, its lines, and 0 if every cell is within its tolerance (of the loop; one
        pulse a cell is outcome `one_pulse` and 0 whatever it reached), else 1.

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
        tolerance_s=_tolerance_s(request, job.target_s),
        read_v=request.read_v,
        most_pulses=request.most_pulses if request.scheme == VERIFY else 1,
        rounds=2 if request.scheme == VERIFY else 1,
        order=request.order,
        gate_raise_v=gate_v,
        gate_lower_v=gate_v,
    )
    check_targets(job.array, job.target_s, scheme, spec)
    pulse, update = _calibrated(request, job.array, reporter)
    surrogate = update.surrogate
    check_polarity(
        device, surrogate,
        ("--amplitude-v", request.amplitude_v), ("--amplitude-down-v", request.amplitude_down_v),
    )  # fmt: skip
    rule = _rule(job.array, surrogate, gate_v, scheme)
    part = spec.tolerance_s / device.range_s
    engine, carried_by = _engine(request.engine, job.array, surrogate, part)
    with reporter.stage("writing") as on_progress:
        written = write_verify(
            job.array, job.target_s, scheme, (pulse, pulse), engine, rule, spec,
            report=said_if_slow(on_progress, reporter.say, _faster(request.engine, scheme)),
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
                "unmet": written.unmet,
            },
        )
    aside = set_aside(request.out, "-o") if written.failed else None
    wall_s = time.perf_counter() - started
    other = _better_bias(request, job, written, scheme, pulse, surrogate, spec, reporter)
    off_s = np.abs(written.conductance_s - job.target_s)
    knobs = Knobs(
        most_pulses=f"--max-pulses above {request.most_pulses}",
        width=f"--width-s, now {pulse.width_s:.3g}",
        amplitudes="--amplitude-v, --amplitude-down-v",
        tolerance=f"--levels below {request.levels}"
        if request.tolerance_s is None
        else f"--tolerance-s above {request.tolerance_s:.3g}",
        quieter=other,
        shaped=job.array.model.pulse is None,
        shorter_s=shorter_s(pulse.width_s, spec.tolerance_s, float(np.nanmax(off_s))),
    )
    asked = Asked(request.scheme, carried_by, request.out, wall_s, aside, knobs)
    return write_answer(asked, job, written, update, spec, device)


def _faster(engine: str, scheme: WriteScheme) -> str:
    """Which engine would take less time, in words; empty where there is none."""
    table = "--engine surrogate takes seconds, by the table of one pulse"
    of_torch = "--engine ngspice is several times faster where cells switch abruptly"
    return "; ".join(
        ([of_torch] if engine == "torch" else [])
        + ([table] if engine != "surrogate" and scheme.access == "nothing" else [])
    )


def _better_bias(
    request: WriteRequest,
    job: WriteJob,
    written: Written,
    scheme: WriteScheme,
    pulse: Pulse,
    surrogate: UpdateSurrogate,
    spec: VerifySpec,
    reporter: Reporter,
) -> str:
    """The bias by which the loop meets more cells, tried by the table; empty where there is none.

    Which lines disturb whom depends on the device, so nothing but a try says it. It takes as long
    as `--engine surrogate`, and is made where cells were moved away by pulses for others, or had
    only one pulse.
    """
    loop = request.scheme == VERIFY
    moved = written.unmet == (Unmet.DISTURBED if loop else Unmet.ONE_PULSE).value
    if written.failed or scheme.access != "nothing" or not moved.any():
        return ""
    spec = replace(spec, most_pulses=WriteRequest.most_pulses, rounds=2) if not loop else spec
    bare = [one for one in map(find_scheme, write_schemes()) if one.access == "nothing"]
    met: dict[str, int] = {}
    with reporter.stage("trying other lines by the table"):
        for one in sorted(bare, key=lambda one: one.name != scheme.name):
            tried = write_verify(
                job.array, job.target_s, one, (pulse, pulse), table_engine(surrogate),
                quiet_rule(surrogate, one.half_selected), spec,
            )  # fmt: skip
            met[one.name] = -1 if tried.failed else int(tried.within.sum())
    best = max(met, key=lambda name: met[name])
    if best == scheme.name or met[best] <= int(written.within.sum()):
        return ""
    return (
        f"another bias (--bias {best}: by the device's table it meets {met[best]} of"
        f" {int((~np.isnan(job.target_s)).sum())} cells, {scheme.name} {met[scheme.name]})"
    )


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
        ("--tolerance-s", request.tolerance_s,
         request.tolerance_s is None or 0 < request.tolerance_s < np.inf, "> 0 S"),
    ):  # fmt: skip
        if not good:
            raise InputError("cannot be used", where=name, value=value, allowed=allowed)


def _calibrated(
    request: WriteRequest, array: WritableArray, reporter: Reporter
) -> tuple[Pulse, CalibratedUpdate]:
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
    with reporter.stage("calibrating the update surrogate") as on_progress:
        range_v = (min(levels), max(levels))
        folder = updates_folder()
        update = cached_update(
            model, numbers, up, range_v, folder=folder,
            report=said_of_measuring(on_progress, reporter.say, folder),
        )  # fmt: skip
    reporter.say(f"    {update.note}")
    return up, update


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


def _tolerance_s(request: WriteRequest, target_s: NDArray[np.float64]) -> float:
    """How far from its target a cell may be [S].

    Raises:
        InputError: so far that targets could not be told apart, nor from where cells begin.
    """
    wanted_s = target_s[~np.isnan(target_s)]
    low_s, high_s = float(wanted_s.min()), float(wanted_s.max())
    span_s = high_s - low_s or high_s
    if request.tolerance_s is None:
        if not span_s > 0:
            raise InputError(
                "targets of 0 S have no levels between them", where="--levels",
                value=request.levels, hint="give --tolerance-s",
            )  # fmt: skip
        return span_s / (2 * (request.levels - 1))
    most_s = max(span_s / 2, _OF_TARGET * low_s)
    if request.tolerance_s > most_s:
        raise InputError(
            f"a cell may be so far off that the targets, {low_s:.4g} to {high_s:.4g} S, are not"
            " told apart",
            where="--tolerance-s",
            value=request.tolerance_s,
            allowed=f"up to {most_s:.3g} S",
            hint=f"--levels {request.levels} asks for {span_s / (2 * (request.levels - 1)):.3g} S",
        )
    return request.tolerance_s


def _engine(
    name: str, array: WritableArray, surrogate: UpdateSurrogate, tolerance: float
) -> tuple[Engine, str]:
    """What carries the array through its pulses, and its name with the form that it gives cells.

    `tolerance` is what a cell may be off, over the device's range.
    """
    if name == "surrogate":
        return table_engine(surrogate), name
    if name == "torch":
        return ode_engine(tolerance=min(_TOLERANCE, _OF_TOLERANCE * tolerance)), name
    ngspice = find_ngspice()
    form = device_form(array.model, array.parameter_set, ngspice)
    engine = spice_engine(ngspice, compiled=form.compiled)
    return engine, f"{ngspice.label}, {form.label}"
