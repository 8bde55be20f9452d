"""`spiceloop device plot`: the page of one device for circuit designers, as one figure."""

from __future__ import annotations

import dataclasses
import io
import re
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from compact_models.files import write_bytes_atomic
from compact_models.library import find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import State
from cosim.portraits.decay import Decay, decay
from cosim.portraits.loop import Fan, Loop
from cosim.portraits.panel import Absent, Detail, Panel
from cosim.portraits.portrait import portrait
from cosim.portraits.switching import PulseTrain, SwitchingCurve
from workflows.console import Reporter
from workflows.device.axes import NO_BREAK, duration, eng, excuse, quantity
from workflows.device.dynamic_page import (
    draw_decay,
    draw_fan,
    draw_key_numbers,
    draw_loop,
    draw_loop_log,
    draw_pulses,
    draw_switching,
)
from workflows.device.one_way import one_way, time_back
from workflows.device.picture import check_picture
from workflows.device.pulse_page import draw_alternation, draw_noise, draw_steps, draw_train
from workflows.device.read_page import (
    draw_drift,
    draw_exponents,
    draw_programming,
    draw_read_noise,
)
from workflows.report.style import GRID, INK, MUTED, figure_style
from workflows.report.svg import standalone, svg_text

_DPI = 150
_COLUMN_IN, _ROW_IN = 4.6, 3.9  # a panel with its labels
_LINE_IN = 0.16  # of the small text in the heading
_CHARACTERS_PER_IN = 15.0  # of the same

# Spaces of the heading at which no line ends: before a doi, between a number and its unit.
_KEPT_WHOLE = re.compile(
    r"(?<=\bdoi) (?=\S)|(?<=\bFig\.) (?=\S)"
    r"|(?<=\d) (?=(?:[fpnumkMG]?(?:V|A|S|s|m|K|Hz|ohm)\b|%))"
)

_DYNAMIC = ("loop", "switching", "pulses", "variability")
# By kind of model: the panel and how it is drawn, in the order of reading; one panel can be drawn
# in two ways. The text comes last and has no panel.
Drawing = tuple[str, str, Callable[[Axes, Any], None]]
_PAGES: Mapping[str, tuple[Drawing, ...]] = {
    "dynamic": (
        ("loop", "I-V loop", draw_loop),
        ("loop", "|I|-V loop", draw_loop_log),
        ("switching", "Switching time", draw_switching),
        ("pulses", "Potentiation and depression", draw_pulses),
        ("variability", "Variability", draw_fan),
    ),
    "pulse": (
        ("pulses", "Potentiation and depression", draw_train),
        ("steps", "Steps", draw_steps),
        ("noise", "Noise from pulse to pulse", draw_noise),
        ("alternation", "Alternation", draw_alternation),
    ),
    "read": (
        ("drift", "Drift", draw_drift),
        ("programming", "Programming", draw_programming),
        ("exponents", "Drift exponent", draw_exponents),
        ("read_noise", "Read noise", draw_read_noise),
    ),
}


@dataclass(frozen=True)
class DevicePlot:
    """A page that was drawn: where it is, the numbers in it by panel, what to note of them."""

    model: str
    parameter_set: str
    source: str
    figure: str
    panels: dict[str, dict[str, Any]]
    absent: dict[str, str]
    remarks: list[str]
    wall_s: float


def plot_device(
    name: str,
    set_name: str | None,
    out: Path | None,
    detail: Detail | None = None,
    reporter: Reporter | None = None,
) -> DevicePlot:
    """Draws the page of a device.

    Args:
        name: a model's name or the path of its file.
        set_name: a parameter set's name or path; None is the model's first.
        out: the file to write; its suffix says the format. None is `<model>_<set>.png` here.
        detail: how finely; None chooses by what the model costs.
        reporter: shows how far it is; None is one of its own, on stderr.

    Raises:
        InputError: a name or the format cannot be used, or the file cannot be written.
    """
    started = time.perf_counter()
    model = find_model(name)
    numbers = find_set(model, set_name)
    path = out or Path(re.sub(r"[^\w.-]+", "_", f"{model.name}_{numbers.name}") + ".png")
    suffix = check_picture(path, "--out")
    shown = reporter or Reporter()
    with shown.stage(f"computing {model.name}, {numbers.name}"):
        panels = panels_of(model, numbers, detail)
    with shown.stage(f"drawing {path.name}"), figure_style():
        write_bytes_atomic(path, _encoded(page(model, numbers, panels), suffix))
    return DevicePlot(
        model=model.name,
        parameter_set=numbers.name,
        source=numbers.credit,
        figure=str(path),
        panels={key: panel.numbers() for key, panel in panels.items()},
        absent={key: one.reason for key, one in panels.items() if isinstance(one, Absent)},
        remarks=_remarks(numbers, panels),
        wall_s=time.perf_counter() - started,
    )


def panels_of(
    model: CompactModel, numbers: ParameterSet, detail: Detail | None = None
) -> dict[str, Panel]:
    """The panels of a portrait, and `decay` where a device forgets by itself."""
    panels = portrait(model, numbers, detail)
    if model.kind == "dynamic":
        forgets = decay(model, numbers)
        if forgets is not None:
            panels["decay"] = forgets
    return panels


def _remarks(numbers: ParameterSet, panels: Mapping[str, Panel]) -> list[str]:
    """What a reader of the numbers alone would not notice."""
    found = []
    loop, forgets = panels.get("loop"), panels.get("decay")
    remark = one_way(loop) if isinstance(loop, Loop) else ""
    if remark:
        why = time_back(panels["switching"], numbers)
        found.append(f"{remark} ({why})" if why else remark)
    if isinstance(forgets, Decay):
        found.append(
            f"the device forgets by itself, {forgets.way} in {duration(forgets.half_s)} at 0 V; "
            "switching times of that direction may be nothing else"
        )
    return [one.replace(NO_BREAK, " ") for one in found]


def page(model: CompactModel, numbers: ParameterSet, panels: Mapping[str, Panel]) -> Figure:
    """The figure; drawn and saved within one `figure_style()`."""
    drawings = _PAGES[model.kind]
    columns = 3 if len(drawings) > 4 else 2
    width = columns * _COLUMN_IN
    small = textwrap.wrap(
        _KEPT_WHOLE.sub(
            NO_BREAK,
            f"{model.title[:1].upper()}{model.title[1:]}. Parameter set {numbers.name}: "
            f"{numbers.credit}. Model: {model.source}.",
        ),
        int(width * _CHARACTERS_PER_IN),
        break_on_hyphens=False,  # a doi may have some
    )
    heading = 0.55 + _LINE_IN * len(small)
    height = 2 * _ROW_IN + heading
    figure = Figure(figsize=(width, height), dpi=_DPI)
    figure.set_layout_engine(
        ConstrainedLayoutEngine(
            rect=(0.005, 0.005, 0.99, 1 - heading / height), w_pad=0.12, h_pad=0.12
        )
    )
    figure.text(0.012, 1 - 0.12 / height, f"{model.name}, {numbers.name}", va="top", color=INK,
                fontsize=14, fontweight="bold")  # fmt: skip
    figure.text(0.012, 1 - 0.44 / height, "\n".join(small), va="top", color=MUTED, fontsize=8)
    axes = figure.subplots(2, columns).reshape(-1)
    for ax, (key, title, draw) in zip(axes, drawings, strict=False):
        panel = _as_shown(panels, key)
        if isinstance(panel, Decay):
            ax.grid(visible=True, color=GRID)
            draw_decay(ax, panel)
        elif isinstance(panel, Absent):
            ax.set_title(title)
            excuse(ax, panel.reason)
        else:
            ax.grid(visible=True, color=GRID)
            draw(ax, panel)
    for ax in axes[len(drawings) :]:
        draw_key_numbers(ax, _key_numbers(model, numbers, panels))
    return figure


def _as_shown(panels: Mapping[str, Panel], key: str) -> Panel:
    """A panel as it is drawn: for what is missing its stand-in, in the colours that hold."""
    panel, curve = panels[key], panels.get("switching")
    if key == "pulses" and isinstance(panel, Absent):
        return panels.get("decay", panel)
    resets = not isinstance(curve, SwitchingCurve) or bool(curve.reset_v.size)
    only_forgets = "decay" in panels and isinstance(panels.get("pulses"), Absent)
    if isinstance(panel, Loop | Fan) and (only_forgets or not resets):
        # What goes back by itself, or never, has no polarity of RESET.
        return dataclasses.replace(panel, set_sign=0)
    return panel


def _key_numbers(
    model: CompactModel, numbers: ParameterSet, panels: Mapping[str, Panel]
) -> list[tuple[str, str]]:
    """What a designer asks first of a device that switches by voltage."""
    rows = [
        ("sweep", f"{eng(numbers.amplitude_v, 'V')}, {duration(numbers.period_s)} (sinusoid)"),
        ("starts at", ", ".join(_state(one, numbers.initial[one.name]) for one in model.states)),
    ]
    loop, switching, train, fan = (panels[key] for key in _DYNAMIC)
    if isinstance(loop, Loop):
        found = loop.numbers()
        rows += [
            ("current of the loop", f"{eng(found['least_current_a'], 'A')} to "
             f"{eng(found['largest_current_a'], 'A')}"),
            (f"ratio at {eng(loop.window_v, 'V')}", f"{loop.window:.3g}"),
        ]  # fmt: skip
        why = time_back(switching, numbers) if one_way(loop) else ""
        if why:
            rows.append(("switches back", f"not in this sweep: {why}"))
    if isinstance(switching, SwitchingCurve):
        for name, key in (("SET", "set_times"), ("RESET", "reset_times")):
            curve = switching.numbers()[key]
            times = curve["time_s"]
            if times:
                rows.append((f"{name} times", f"{duration(min(times))} to {duration(max(times))}"))
                rows.append(("", f"{curve['decades']:.1f} decades"))
    if isinstance(train, PulseTrain):
        found = train.numbers()
        rows += [
            ("pulses up reach", f"{eng(found['start_s'], 'S')} to {eng(found['top_s'], 'S')}"),
            ("half of it after", f"{found['up_half_after_pulses']} pulses up, "
             f"{found['down_half_after_pulses']} down"),
        ]  # fmt: skip
    forgets = panels.get("decay")
    if isinstance(forgets, Decay):
        rows.append(("forgets half in", f"{duration(forgets.half_s)} at 0 V"))
    if isinstance(fan, Fan):
        rows.append(("varied", ", ".join(fan.drawn)))
    return rows


def _state(state: State, value: float) -> str:
    return NO_BREAK.join((state.name, "=", quantity(value, state.unit)))


def _encoded(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a file, the same bytes for the same figure."""
    if suffix == "svg":
        return standalone(svg_text(figure, "device")).encode("utf-8")
    nothing = {"png": ("Software",), "pdf": ("CreationDate", "Producer", "Creator")}[suffix]
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, metadata=dict.fromkeys(nothing))
    return buffer.getvalue()
