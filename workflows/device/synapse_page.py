"""The figure of a device as a synapse: its train, its steps, and where pulses in turn lead."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from cosim.synapse.synapse import Synapse
from workflows.device.axes import (
    LEVELS,
    NEUTRAL,
    RESET,
    SET,
    count_axis,
    duration,
    eng,
    make_room,
    quantity,
    unit_axis,
)
from workflows.report.style import GRID, INK, MUTED

_WIDTH_IN, _HEIGHT_IN, _DPI = 13.2, 5.0, 150
_CHARACTERS, _LINE_IN = 190, 0.17
_NOTE_CHARACTERS, _NOTE_IN = 195, 0.185
_FEWEST = 10  # pairs
_MARKED = 150  # pulses up to which each gets a mark
_PAIRS = 2000
_THERE = 0.01  # of a weight: so near to where its pairs end a line is there


def page(synapse: Synapse, heading: str, about: str, notes: Sequence[str] = ()) -> Figure:
    """The figure; drawn and saved within one `figure_style()`.

    Args:
        synapse: what is shown.
        heading: the device's name.
        about: where its numbers come from.
        notes: sentences that go below the panels: what is missing and why, and warnings.
    """
    kept = re.sub(r"\bdoi (?=\S)", "doi\N{NO-BREAK SPACE}", about)
    small = textwrap.wrap(kept, _CHARACTERS, break_on_hyphens=False)
    signed = [re.sub(r"(?<!\S)-(?=\d)", "\N{MINUS SIGN}", note) for note in notes]
    below = [
        line
        for note in signed
        for line in textwrap.wrap(note, _NOTE_CHARACTERS, break_on_hyphens=False)
    ]
    head = 0.55 + _LINE_IN * len(small)
    foot = 0.2 + _NOTE_IN * len(below) if below else 0.0
    height = _HEIGHT_IN + head - 0.6 + foot
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=_DPI)
    figure.set_layout_engine(
        ConstrainedLayoutEngine(
            rect=(0.005, 0.01 + foot / height, 0.99, 0.99 - (head + foot) / height),
            w_pad=0.12,
            h_pad=0.08,
        )
    )
    figure.text(0.012, 1 - 0.12 / height, heading, va="top", color=INK, fontsize=14,
                fontweight="bold")  # fmt: skip
    figure.text(0.012, 1 - 0.44 / height, "\n".join(small), va="top", color=MUTED, fontsize=8)
    figure.text(0.012, (foot - 0.08) / height, "\n".join(below), va="top", color=INK,
                fontsize=8.5, linespacing=1.35)  # fmt: skip
    axes = figure.subplots(1, 3)
    for ax, draw in zip(axes, (draw_train, draw_steps, draw_alternation), strict=True):
        ax.grid(visible=True, color=GRID)
        draw(ax, synapse)
    return figure


def draw_train(ax: Axes, synapse: Synapse) -> None:
    """Conductance through equal pulses up, as many as show the whole way, then down."""
    n, back = synapse.train_up, synapse.train_down
    g = synapse.train_s(n, back)
    up, down = synapse.up, synapse.down
    ax.set_title(
        f"{n:,} pulses of {eng(up.amplitude_v, 'V')}, {back:,} of {eng(down.amplitude_v, 'V')},\n"
        f"{duration(up.width_s)} long"
        + ("" if up.timing_s == down.timing_s else f" and {duration(down.width_s)}")
    )
    count_axis(ax, "pulse")
    unit_axis(ax, "y", "S", "conductance at 0.1 V")
    at = np.arange(len(g))
    style = "o-" if n <= _MARKED else "-"
    ax.plot(at[: n + 1], g[: n + 1], style, markersize=2.5, color=SET, label="up (SET)")
    ax.plot(at[n:], g[n:], style, markersize=2.5, color=RESET, label="down (RESET)")
    # The whole range: a train that moves in a small part of it is not to look like a sweep.
    low, high = synapse.g_min_s, synapse.g_max_s
    ax.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    make_room(ax, above=0.12)
    ax.legend(loc="upper center", ncols=2, fontsize=8)


def draw_steps(ax: Axes, synapse: Synapse) -> None:
    """Size of a step over the weight, with the symmetry point."""
    ax.set_title("Step of one pulse over the weight")
    unit_axis(ax, "x", "", "weight before the pulse (\N{MINUS SIGN}1: g_min, 1: g_max)")
    unit_axis(ax, "y", "", "step in the direction of the pulse, in weight")
    ax.plot(synapse.weight, synapse.step_up, color=SET, label="up (SET)")
    ax.plot(synapse.weight, -synapse.step_down, color=RESET, linestyle=(0, (5, 2)),
            label="down (RESET)")  # fmt: skip
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    point = synapse.symmetry_point
    if point is None:
        ax.plot([], [], " ", label="no symmetry point: see below")
    else:
        foot = ax.get_ylim()[0]
        ax.plot([point.weight] * 2, [foot, synapse.dw_min], color=MUTED, linestyle=":", linewidth=1)
        ax.plot([point.weight], [synapse.dw_min], "D", markersize=5, color=NEUTRAL,
                label=f"symmetry point: weight {number(point.weight)}, {synapse.state_name} = "
                f"{quantity(near_nothing(point.state, synapse.state_range), synapse.state_unit)}"
                )  # fmt: skip
    ax.plot([], [], " ", label=states(synapse))
    make_room(ax, above=0.4)
    ax.legend(loc="upper center", fontsize=8)


def draw_alternation(ax: Axes, synapse: Synapse) -> None:
    """The weight through pairs of a pulse up and one down, from three weights."""
    ax.set_title("Pulses up and down in turn")
    count_axis(ax, "pair of pulses")
    unit_axis(ax, "y", "", "weight, mean of a pair")
    goal = None if "cancel" in synapse.no_symmetry else synapse.settles_at.weight
    lines = [synapse.alternated(weight, _PAIRS) for weight in (1.0, 0.0, -1.0)]
    pairs = _FEWEST
    if goal is not None:  # as many as show all lines coming to rest, if they do
        far = [np.flatnonzero(np.abs(line - line[-1]) > _THERE) for line in lines]
        pairs = max(pairs, *(int(1.2 * (one[-1] + 1)) for one in far if one.size))
    for line, colour in zip(lines, LEVELS, strict=False):
        shown = line[: pairs + 1]
        ax.plot(shown, color=colour, label=f"from {number(float(line[0]))}")
    if goal is not None:
        ax.axhline(goal, color=MUTED, linestyle=":", label=f"settles at {number(goal)}")
    ax.set_ylim(-1.1, 1.6)
    ax.set_yticks(np.linspace(-1, 1, 5))
    ax.legend(loc="upper center", ncols=2, fontsize=8)


def states(synapse: Synapse) -> str:
    """The number of states in words."""
    value = synapse.states
    if value is None:
        return "no number of states: see below"
    return f"{value:,.0f} states" if value >= 1000 else f"{value:.3g} states"


def near_nothing(value: float, scale: float) -> float:
    """Nothing instead of what is nothing beside the scale."""
    return 0.0 if abs(value) < 5e-4 * scale else value


def number(value: float) -> str:
    """A weight, three digits."""
    return f"{near_nothing(value, 2):.3g}".replace("-", "\N{MINUS SIGN}")
