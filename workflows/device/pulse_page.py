"""The panels of a device that moves by a step per pulse.

Their axis is the state of the model, between its own bounds; the weight of `device characterise`
goes from -1 to 1 between the same ends. Symmetry points are told in both.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from cosim.portraits.panel import Array
from cosim.portraits.pulse_device import Alternation, StepSizes, WeightTrain
from workflows.device.axes import LEVELS, NEUTRAL, RESET, SET, count_axis, eng, make_room, unit_axis
from workflows.report.style import MUTED

_ROOM = 0.25  # above the lines, for the legend, of their range
_FEW = 200  # pulses up to which each gets a mark


def draw_train(ax: Axes, train: WeightTrain) -> None:
    """Conductance of the mean device pulse by pulse."""
    n, g = train.count, train.conductance_s
    ax.set_title(
        f"{n:,} pulses up, {n:,} down: the mean device\n"
        f"pulses above {eng(train.threshold_v, 'V')}, {eng(train.width_s, 's')} long"
    )
    count_axis(ax, "pulse")
    unit_axis(ax, "y", "S", "conductance")
    at = np.arange(len(g))
    style = "o-" if n <= _FEW else "-"
    ax.plot(at[: n + 1], g[: n + 1], style, markersize=2.5, color=SET, label="up (SET)")
    ax.plot(at[n:], g[n:], style, markersize=2.5, color=RESET, label="down (RESET)")
    ax.legend(loc="best")


def draw_steps(ax: Axes, sizes: StepSizes) -> None:
    """Step up and step down over the state, with the state at which they cancel."""
    ax.set_title("Step of one pulse over the state")
    unit_axis(ax, "x", "", "state of the model (w_min to w_max)")
    unit_axis(ax, "y", "", "|step|, in state")
    ax.plot(sizes.weight, sizes.up, color=SET, label="up (SET)")
    ax.plot(sizes.weight, -sizes.down, color=RESET, linestyle=(0, (5, 2)), label="down (RESET)")
    top = 1.4 * max(float(sizes.up.max()), float((-sizes.down).max()))
    ax.set_ylim(min(0.0, float(sizes.up.min()), float((-sizes.down).min())), top)
    if sizes.inside:
        height = float(np.interp(sizes.symmetry_point, sizes.weight, sizes.up))
        foot = ax.get_ylim()[0]
        ax.plot([sizes.symmetry_point] * 2, [foot, height], color=MUTED, linestyle=":", linewidth=1)
        ax.plot(
            [sizes.symmetry_point], [height], "D", markersize=5, color=NEUTRAL,
            label=f"{_point(sizes.symmetry_point, sizes.weight)}\n{_states(sizes.states)}",
        )  # fmt: skip
    else:
        alike = bool((abs(sizes.up + sizes.down) < 1e-9 * (sizes.up - sizes.down)).all())
        what = "cancel at every state" if alike else "cancel at no state"
        ax.plot([], [], " ", label=f"{what}, {_states(sizes.states)}")
    ax.legend(loc="upper center", ncols=1, fontsize=8)


def draw_alternation(ax: Axes, found: Alternation) -> None:
    """Where pulses up and down in turn lead."""
    ax.set_title("Pulses up and down in turn")
    count_axis(ax, "pair of pulses")
    unit_axis(ax, "y", "", "state of the model, mean of a pair")
    scale = float(np.ptp(found.weight[:, 0]))
    for line, colour in zip(found.weight, LEVELS, strict=False):
        ax.plot(line, color=colour, label=f"from {_number(float(line[0]), scale)}")
    ax.axhline(
        found.symmetry_point, color=MUTED, linestyle=":",
        label=f"leads to {_number(found.symmetry_point, scale)}",
    )  # fmt: skip
    make_room(ax, above=_ROOM)
    ax.legend(loc="upper center", ncols=2, fontsize=8)


def draw_noise(ax: Axes, train: WeightTrain) -> None:
    """The train of a sample, with noise from pulse to pulse."""
    if train.noisy_s is None:
        raise AssertionError("the panel is absent where there is no noise")
    n = train.count
    ax.set_title(
        f"The same train, {len(train.noisy_s)} devices\nnoise of the steps from pulse to pulse"
    )
    count_axis(ax, "pulse")
    unit_axis(ax, "y", "S", "conductance")
    at = np.arange(2 * n + 1)
    for part, colour in ((slice(0, n + 1), SET), (slice(n, None), RESET)):
        ax.plot(at[part], train.noisy_s[:, part].T, color=colour, alpha=0.25, linewidth=0.5)
    ax.plot(at, np.median(train.noisy_s, axis=0), color=NEUTRAL, linewidth=1.0, label="median")
    ax.legend(loc="best")


def _states(value: float) -> str:
    return f"{value:,.0f} states" if value >= 1000 else f"{value:.3g} states"


def _point(state: float, states: Array) -> str:
    """A symmetry point on both axes: the state, and the weight between the ends of the states."""
    low, high = float(states[0]), float(states[-1])
    weight = 2 * (state - low) / (high - low) - 1
    return f"symmetry point: state {_number(state, high - low)}, weight {_number(weight, 2)}"


def _number(value: float, scale: float) -> str:
    """Three digits; what is nothing beside the scale is 0."""
    return f"{0.0 if abs(value) < 5e-4 * scale else value:.3g}".replace("-", "\N{MINUS SIGN}")
