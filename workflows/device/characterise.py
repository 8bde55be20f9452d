"""`spiceloop device characterise`: a device as a synapse, as a table and as a figure."""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from compact_models.errors import InputError, closest
from compact_models.files import write_bytes_atomic
from compact_models.library import check_device_folder, find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from cosim.calibration.update import MOST, check_levels
from cosim.devices.switching_time import switching_state
from cosim.ngspice import find_ngspice
from cosim.surrogate.update import HeldOut
from cosim.write.default_pulses import default_pulses
from cosim.write.place_map import UnsolvedError
from cosim.write.synapse import Synapse, characterise
from workflows.console import Reporter
from workflows.device.axes import quantity
from workflows.device.picture import check_picture
from workflows.device.synapse_page import page
from workflows.device.table import aligned, line_width, wrapped
from workflows.report.style import figure_style
from workflows.report.svg import standalone, svg_text

ENGINES = ("torch", "ngspice")
_NO_SPACE = "\N{NO-BREAK SPACE}"
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
    check_device_folder()
    model = find_model(request.name)
    numbers = find_set(model, request.params)
    _check_numbers(request, model, numbers)
    source = find_ngspice() if request.engine == "ngspice" else None
    started = time.perf_counter()
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
            synapse = characterise(model, numbers, up, down, source=source, report=on_progress)
    except UnsolvedError as error:
        return {"error": str(error)}, [str(error)], 1
    if request.out is not None and suffix is not None:
        with reporter.stage(f"drawing {request.out.name}"), figure_style():
            about = f"{model.title[:1].upper()}{model.title[1:]}. Parameter set {numbers.name}: "
            about += f"{numbers.credit}. Model: {model.source}. Measured in {request.engine}."
            drawn = page(synapse, f"{model.name}, {numbers.name}, as a synapse", about)
            write_bytes_atomic(request.out, _encoded(drawn, suffix))
    found = {
        "model": model.name,
        "parameter_set": numbers.name,
        "source": numbers.credit,
        **_numbers(synapse),
        "figure": None if request.out is None else str(request.out),
        "wall_s": time.perf_counter() - started,
    }
    return found, _lines(model, numbers, synapse, request.out), 0


def _check_numbers(request: Request, model: CompactModel, numbers: ParameterSet) -> None:
    """Refuses what no pulse can have, by the name of its option."""
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
        "pulses_up": one.pulses_up,
        "pulses_down": one.pulses_down,
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
        "held_out_energy_nrmse": held.energy_nrmse,
        "held_out_points": held.points,
        "held_out_lost": held.lost,
    }


def _held_out(one: Synapse) -> HeldOut:
    held = one.after_up.held_out
    if held is None:
        raise AssertionError("a calibrated surrogate has been measured")
    return held


def _lines(model: CompactModel, numbers: ParameterSet, one: Synapse, out: Path | None) -> list[str]:
    """What a reader gets."""
    point, held = one.symmetry_point, _held_out(one)
    state = model.states[switching_state(model)]

    def shown(value: float, unit: str) -> str:
        return quantity(value, unit).replace(_NO_SPACE, " ")

    def counted(pulses: int) -> str:
        return f"{pulses:,}" if pulses < 10_000 else "10,000 or more"

    where = "at the symmetry point" if point else "at weight 0"
    rows = [
        ("g_min, g_max", f"{shown(one.g_min_s, 'S')} to {shown(one.g_max_s, 'S')}",
         "read at 0.1 V; the weights -1 and 1"),
        ("pulse up", f"{shown(one.up.amplitude_v, 'V')}, {shown(one.up.width_s, 's')}",
         f"{counted(one.pulses_up)} from 5 % to 95 %; {shown(one.energy_up_j, 'J')} at weight 0"),
        ("pulse down", f"{shown(one.down.amplitude_v, 'V')}, {shown(one.down.width_s, 's')}",
         f"{counted(one.pulses_down)} back; {shown(one.energy_down_j, 'J')} at weight 0"),
        ("dw_min", f"{one.dw_min:.4g}", f"mean |step| {where}, in weight"),
        ("largest step", f"{one.largest_step:.4g}", "from any weight"),
        ("states", f"{one.states:.4g}", "range over mean step"),
        ("slope up, down", f"{one.slope_up:.4g}, {one.slope_down:.4g}", "of the step over weight"),
        ("asymmetry", f"{one.asymmetry:.4g}", "(up + down) / (up - down) at weight 0"),
        ("symmetry point", "none" if point is None else f"{point.weight:.4g}",
         one.no_symmetry if point is None else
         f"{state.name} = {shown(point.state, state.unit)}, {shown(point.conductance_s, 'S')}"),
        ("surrogate", f"{100 * held.nrmse:.2g} % NRMSE",
         f"on {held.points} held-out pulses; worst {held.worst:.2g} of the range"),
    ]  # fmt: skip
    if held.lost:
        rows.append(("lost", f"{held.lost}", f"held-out pulses unsolved: {one.after_up.reason}"))
    return [
        *wrapped(f"{model.name}, {numbers.name}: {numbers.credit}", line_width()),
        f"measured in {one.after_up.source}",
        "",
        *aligned(rows),
        *([] if out is None else ["", str(out)]),
    ]


def _encoded(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a file, the same bytes for the same figure."""
    if suffix == "svg":
        return standalone(svg_text(figure, "synapse")).encode("utf-8")
    nothing = {"png": ("Software",), "pdf": ("CreationDate", "Producer", "Creator")}[suffix]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, metadata=dict.fromkeys(nothing))
    return buffer.getvalue()
