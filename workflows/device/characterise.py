"""`spiceloop device characterise`: a device as a synapse, as a table and as a figure."""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compact_models.errors import InputError, closest
from compact_models.files import write_bytes_atomic
from compact_models.library import check_device_folder, find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from workflows.console import Reporter
from workflows.device.picture import check_picture
from workflows.device.table import aligned, line_width, wrapped

# What can be refused is refused before torch and matplotlib are loaded, which takes seconds.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cosim.surrogate.update import HeldOut
    from cosim.synapse.synapse import Synapse

ENGINES = ("torch", "ngspice")
_NO_SPACE = "\N{NO-BREAK SPACE}"
_COVERED = 0.9  # of the range of conductance: a train that covers less has not switched the cell
_SURE = 0.02  # weight: a larger error of the surrogate, 1 % of the range, is told
Answer = tuple[dict[str, Any], list[str], int]


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        name: a model's name or the path of its file.
        params: a parameter set's name or path; None is the model's first.
        amplitude_v: the level of the pulse up [V]; None is found, as are the next two.
        amplitude_down_v: the level of the pulse down [V].
        width_s: how long the level lasts [s].
        engine: `torch` or `ngspice`.
        out: the figure to write; None draws none.
    """

    name: str
    params: str | None = None
    amplitude_v: float | None = None
    amplitude_down_v: float | None = None
    width_s: float | None = None
    engine: str = "torch"
    out: Path | None = None


def characterise_device(request: Request, reporter: Reporter) -> Answer:
    """Measures a device's response to equal pulses and says what synapse it is.

    Raises:
        InputError: a name, a number, the engine or the figure's place cannot be used.
    """
    if request.engine not in ENGINES:
        raise InputError(
            "no such engine",
            where="--engine",
            value=request.engine,
            allowed=", ".join(ENGINES),
            hint=closest(request.engine, ENGINES),
        )
    suffix = None if request.out is None else check_picture(request.out, "--out")
    check_device_folder(may_be_missing=True)  # what is bundled needs none
    model = find_model(request.name)
    if model.kind == "read":
        raise InputError(
            f"model {model.name!r} is only programmed and read, no pulse moves it: "
            f"'spiceloop device plot {model.name}' shows what it does, and 'spiceloop device list' "
            "which models are dynamic or pulse and can be characterised"
        )
    numbers = find_set(model, request.params)
    _check_numbers(request, model, numbers)

    from cosim.budget.budget import Budget
    from cosim.ngspice import find_ngspice
    from cosim.synapse.default_pulses import default_pulses
    from cosim.synapse.place_map import UnsolvedError
    from cosim.synapse.synapse import characterise
    from cosim.tables.kept_points import KeptPoints
    from workflows.device.synapse_page import page
    from workflows.report.style import figure_style

    source = find_ngspice() if request.engine == "ngspice" else None
    started, kept = time.perf_counter(), KeptPoints.of_user()  # of a measurement that was stopped
    with reporter.stage(f"choosing pulses for {model.name}, {numbers.name}"):
        up, down = default_pulses(
            model,
            numbers,
            up_v=request.amplitude_v,
            down_v=request.amplitude_down_v,
            width_s=request.width_s,
        )
    try:
        with reporter.stage(f"one pulse from every state, {request.engine}") as on_progress:
            synapse = characterise(
                model, numbers, up, down,
                source=source, decks=Budget.of_process().decks, report=on_progress, kept=kept,
            )  # fmt: skip
    except UnsolvedError as error:
        return {"error": str(error)}, [str(error)], 1
    kept.clear()
    warnings = _warnings(request, model, numbers, synapse)
    notes = [*_missing(synapse), *(f"Warning: {one}." for one in warnings)]
    if request.out is not None and suffix is not None:
        with reporter.stage(f"drawing {request.out.name}"), figure_style():
            about = f"{model.title[:1].upper()}{model.title[1:]}. Parameter set {numbers.name}: "
            about += f"{numbers.credit}. Model: {model.source}. "
            about += f"Measured in {synapse.after_up.source}."
            drawn = page(synapse, f"{model.name}, {numbers.name}, as a synapse", about, notes)
            write_bytes_atomic(request.out, _encoded(drawn, suffix))
    found = {
        "model": model.name,
        "parameter_set": numbers.name,
        "source": numbers.credit,
        **_numbers(synapse),
        "warnings": warnings,
        "figure": None if request.out is None else str(request.out),
        "wall_s": time.perf_counter() - started,
    }
    return found, _lines(numbers, synapse, f"{model.name}, {numbers.name}", notes, request.out), 0


def _check_numbers(request: Request, model: CompactModel, numbers: ParameterSet) -> None:
    """Refuses what no pulse can have, by the name of its option."""
    from cosim.tables.update import MOST, check_levels

    check_levels(model, numbers, (-1e-9, 1e-9))
    most_v = MOST * numbers.amplitude_v
    for option, level in (
        ("--amplitude-v", request.amplitude_v),
        ("--amplitude-down-v", request.amplitude_down_v),
    ):
        if level is not None and not 0 < abs(level) <= most_v:
            raise InputError(
                "not a level of a pulse for this model",
                where=option,
                value=level,
                allowed=f"{-most_v:g} to {most_v:g} V and not 0, {MOST:g} times the amplitude of "
                f"set {numbers.name!r}",
            )
    width = request.width_s
    if width is not None and not (width > 0 and math.isfinite(width)):
        raise InputError("not a width of a pulse", where="--width-s", value=width, allowed="> 0 s")


def _warnings(
    request: Request, model: CompactModel, numbers: ParameterSet, one: Synapse
) -> list[str]:
    """What is right as it stands and would still mislead a designer."""
    from cosim.synapse.default_pulses import missed_aim, near_threshold

    found = _forgetting(model, numbers, one)
    for name, pulse in (("up", one.up), ("down", one.down)):
        threshold = near_threshold(model, numbers, pulse)
        if threshold is not None:
            margin = abs(pulse.amplitude_v) - abs(threshold)
            found.append(
                f"the pulse {name} of {_shown(pulse.amplitude_v, 'V')} is only "
                f"{_shown(float(f'{margin:.2g}'), 'V')} ({100 * margin / abs(threshold):.2g} %) "
                f"beyond the threshold of {_shown(threshold, 'V')}: a driver or a line that is off "
                "by so little does not write"
            )
    chosen = None in (request.amplitude_v, request.amplitude_down_v, request.width_s)
    if model.pulse is None and chosen:  # a pulse device has the step of its publication
        missed = missed_aim(one.pulses_up, one.pulses_down)
        found += [missed] if missed else []
    if one.weight_error > _SURE:
        found.append(
            f"where the conductance is steepest over {one.state_name}, the surrogate's worst error "
            f"is {one.weight_error:.2g} in weight a pulse: where pulses in turn lead is known to a "
            "few times that"
        )
    if one.train_covers < _COVERED:
        found.append(
            f"{one.train_up:,} pulses up from g_min lead through {100 * one.train_covers:.2g} % of "
            "the range of conductance: this train does not switch the cell"
        )
    return found


def _forgetting(model: CompactModel, numbers: ParameterSet, one: Synapse) -> list[str]:
    """That weights do not stay, and that a pulse is only the time in which they go."""
    from cosim.portraits.decay import decay
    from workflows.device.axes import duration

    forgets = decay(model, numbers) if model.pulse is None else None
    if forgets is None:
        return []
    half = duration(forgets.half_s).replace(_NO_SPACE, " ")
    found = [
        f"the device forgets by itself, {forgets.way} in {half} at 0 V: a weight does not stay, "
        "and what is told here holds only for pulses that follow each other at once"
    ]
    if one.up.amplitude_v * one.down.amplitude_v > 0:
        idle, wrong = ("down", "up") if forgets.from_on else ("up", "down")
        level = one.down.amplitude_v if forgets.from_on else one.up.amplitude_v
        found.append(
            f"the pulse {idle} of {_shown(level, 'V')} has the polarity of the pulse {wrong}: it "
            "does not switch the device, which only forgets meanwhile"
        )
    return found


def _missing(one: Synapse) -> list[str]:
    """Why a number is not there."""
    found = []
    if one.symmetry_point is None:
        found.append(f"No symmetry point: {one.no_symmetry}.")
    if one.states is None:
        found.append(f"No number of states: {one.no_states}.")
    return found


def _shown(value: float, unit: str) -> str:
    from workflows.device.axes import quantity

    return quantity(value, unit).replace(_NO_SPACE, " ")


def _numbers(one: Synapse) -> dict[str, Any]:
    """What the JSON has."""
    point, held = one.symmetry_point, _held_out(one)
    return {
        "engine": one.after_up.source,
        "read_v": 0.1,
        "g_min_s": one.g_min_s,
        "g_max_s": one.g_max_s,
        "dw_min": one.dw_min,
        "largest_step": one.largest_step,
        "slope_up": one.slope_up,
        "slope_down": one.slope_down,
        "asymmetry": one.asymmetry,
        "symmetry_point": None if point is None else point.weight,
        "symmetry_state": None if point is None else point.state,
        "symmetry_conductance_s": None if point is None else point.conductance_s,
        "no_symmetry": one.no_symmetry or None,
        "settles_at": one.settles_at.weight,
        "states": one.states,
        "no_states": one.no_states or None,
        "pulses_up": one.pulses_up,
        "pulses_down": one.pulses_down,
        "weight_pulses_up": one.weight_pulses_up,
        "weight_pulses_down": one.weight_pulses_down,
        "pulses_from_low": one.pulses_from_low,
        "train_up": one.train_up,
        "train_down": one.train_down,
        "train_covers": one.train_covers,
        "energy_up_j": one.energy_up_j,
        "energy_down_j": one.energy_down_j,
        "pulse": {
            "amplitude_v": one.up.amplitude_v,
            "amplitude_down_v": one.down.amplitude_v,
            "width_s": one.up.width_s,
            "rise_s": one.up.rise_s,
            "fall_s": one.up.fall_s,
        },
        "held_out_nrmse": held.nrmse,
        "held_out_worst": held.worst,
        "held_out_worst_weight": one.weight_error,
        "held_out_energy_nrmse": held.energy_nrmse,
        "held_out_points": held.points,
        "held_out_lost": held.lost,
    }


def _held_out(one: Synapse) -> HeldOut:
    held = one.after_up.held_out
    if held is None:
        raise AssertionError("a calibrated surrogate has been measured")
    return held


def _sweep(one: Synapse, of_state: int, of_conductance: int) -> str:
    """How many pulses a sweep takes, and of what; one number where both are the same."""
    if of_state == of_conductance:
        return f"{_counted(of_state)} for 5 % to 95 % of the range"
    return (
        f"{_counted(of_state)} for 5 % to 95 % of {one.state_name}'s range, "
        f"{_counted(of_conductance)} of the conductance's"
    )


def _counted(pulses: int) -> str:
    from cosim.synapse.default_pulses import MOST_COUNTED

    return f"{pulses:,}" if pulses < MOST_COUNTED else f"{MOST_COUNTED:,} or more"


def _lines(
    numbers: ParameterSet, one: Synapse, heading: str, notes: list[str], out: Path | None
) -> list[str]:
    """What a reader gets."""
    from workflows.device.synapse_page import near_nothing

    point, held = one.symmetry_point, _held_out(one)
    where = "at the symmetry point" if point else "at weight 0"
    slopes = [near_nothing(slope, one.largest_step) for slope in (one.slope_up, one.slope_down)]
    rows = [
        ("g_min, g_max", f"{_shown(one.g_min_s, 'S')} to {_shown(one.g_max_s, 'S')}",
         "read at 0.1 V; the weights -1 and 1"),
        ("pulse up", f"{_shown(one.up.amplitude_v, 'V')}, {_shown(one.up.width_s, 's')}",
         _sweep(one, one.pulses_up, one.weight_pulses_up)),
        ("pulse down", f"{_shown(one.down.amplitude_v, 'V')}, {_shown(one.down.width_s, 's')}",
         _sweep(one, one.pulses_down, one.weight_pulses_down)),
        ("from g_min", f"{_counted(one.pulses_from_low)} up", "to 95 % of the conductance"),
        ("heat up, down", f"{_shown(one.energy_up_j, 'J')}, {_shown(one.energy_down_j, 'J')}",
         "of one pulse at weight 0"),
        ("dw_min", f"{one.dw_min:.4g}", f"mean |step| {where}, in weight"),
        ("largest step", f"{one.largest_step:.4g}", "from any weight"),
        ("states", "none" if one.states is None else f"{one.states:.4g}",
         "see below" if one.states is None else "range over dw_min"),
        ("slope up, down", f"{slopes[0]:.4g}, {slopes[1]:.4g}", "of the step over weight"),
        ("asymmetry", f"{near_nothing(one.asymmetry, 1):.4g}",
         "(up + down) / (up - down), of one step each from weight 0"),
        ("symmetry point", "none" if point is None else f"{near_nothing(point.weight, 2):.4g}",
         "see below" if point is None else
         f"weight; {one.state_name} = "
         f"{_shown(near_nothing(point.state, one.state_range), one.state_unit)}, "
         f"{_shown(point.conductance_s, 'S')}"),
        ("surrogate", f"{100 * held.nrmse:.2g} % NRMSE",
         f"on {held.points} held-out pulses; worst {held.worst:.2g} of {one.state_name}'s range"),
    ]  # fmt: skip
    if held.lost:
        rows.append(("lost", f"{held.lost}", f"held-out pulses unsolved: {one.after_up.reason}"))
    told = [line for note in notes for line in wrapped(note, line_width())]
    return [
        *wrapped(f"{heading}: {numbers.credit}", line_width()),
        f"measured in {one.after_up.source}",
        "",
        *aligned(rows),
        *(["", *told] if told else []),
        *([] if out is None else ["", str(out)]),
    ]


def _encoded(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a file, the same bytes for the same figure."""
    from workflows.report.svg import standalone, svg_text

    if suffix == "svg":
        return standalone(svg_text(figure, "synapse")).encode("utf-8")
    nothing = {"png": ("Software",), "pdf": ("CreationDate", "Producer", "Creator")}[suffix]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, metadata=dict.fromkeys(nothing))
    return buffer.getvalue()
