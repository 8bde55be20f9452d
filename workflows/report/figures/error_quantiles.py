"""How often a model is how far from SPICE: cumulative distribution of the error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.statistics import Pairs, cumulative, pairs, quantile_of_all
from workflows.report.style import (
    FAILED,
    FIDELITY_COLOUR,
    FIDELITY_NAME,
    INK,
    MUTED,
    RULE,
    WIDTH_IN,
    percent_axis,
)
from workflows.report.text import count, percent, significant

ORDER = 30
TITLE = "How large the errors are, and how often"
CAPTION = (
    "Share of all output codes whose distance from SPICE is at most the value on the axis "
    "(logarithmic): a curve further to the upper left is better. Codes that equal SPICE exactly "
    "have no place on a logarithmic axis; they are the height at which a curve enters from the "
    "strip marked 0. Codes without a SPICE result stay in the denominator, so failures keep a "
    "curve below 100 %."
)
_MODELS = ("surrogate", "exact", "ideal")
# Surrogate and exact often lie on one another: the wide pale line below shows on both sides.
_LOOK: dict[str, dict[str, float]] = {
    "exact": {"linewidth": 4.4, "alpha": 0.45, "zorder": 1.9},
    "surrogate": {"linewidth": 1.6, "zorder": 2.1},
}


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    found = _found(data)
    if not found:
        return "the run recorded no SPICE codes to compare with"
    return "" if any(p.model.size for p in found.values()) else f"no {data.noun} has a SPICE result"


def note(data: ReportData) -> str:
    """The denominators."""
    first = next(iter(_found(data).values()))
    missing = max(p.n_unpaired for p in _found(data).values())
    share = f" ({percent(missing / first.n_values)})" if missing else ""
    return f"{count(first.n_values, 'code')} per model, {missing:,} without a result{share}."


def _found(data: ReportData) -> dict[str, Pairs]:
    return {m: p for m in _MODELS if (p := pairs(data, m)) is not None and p.n_values}


def figure(data: ReportData) -> Figure:
    """Step curves on a logarithmic axis with a place for zero; quantiles beside them."""
    found = _found(data)
    fig = Figure(figsize=(WIDTH_IN, 3.7), layout="constrained")
    ax, side = fig.subplots(1, 2, width_ratios=[2, 1])
    errors = {model: np.abs(pair.error) for model, pair in found.items()}
    positive = np.concatenate([e[e > 0] for e in errors.values()] or [np.empty(0)])
    first = 0.8 * float(positive.min()) if positive.size else 0.1
    last = 1.6 * float(positive.max()) if positive.size else 10.0
    decades = max(math.log10(last / first), 0.5)
    zero, edge = first * 10 ** (-0.09 * decades), first * 10 ** (-0.045 * decades)
    ax.set_xscale("log")
    ax.axvspan(zero * (zero / edge), edge, color="#f3f4f6", linewidth=0, zorder=0)
    ax.axvline(edge, color=RULE, linewidth=0.8)
    worst_missing = 0.0
    for model, pair in found.items():
        error, share = cumulative(errors[model], pair.n_values)
        if not error.size:
            continue
        at_zero = share[0] if error[0] == 0 else 0.0
        keep = error > 0
        x = np.concatenate([[zero * (zero / edge), edge], error[keep], [last]])
        y = np.concatenate([[at_zero, at_zero], share[keep], share[-1:]])
        look = _LOOK.get(model, {"linewidth": 1.6})
        ax.step(x, y, where="post", color=FIDELITY_COLOUR[model], label=FIDELITY_NAME[model],
                **look)  # fmt: skip
        ax.plot(zero, at_zero, "o", color=FIDELITY_COLOUR[model],
                markersize=2.8 * look["linewidth"], alpha=look.get("alpha"),
                zorder=look.get("zorder"))  # fmt: skip
        worst_missing = max(worst_missing, pair.n_unpaired / pair.n_values)
    if worst_missing:
        ax.axhspan(1 - worst_missing, 1, color=FAILED, alpha=0.12, linewidth=0)
        if worst_missing > 0.06:  # less has no room for a word; the table beside says it
            ax.text(last, 1 - worst_missing / 2, f"no result: {percent(worst_missing)} ",
                    color=FAILED, ha="right", va="center", fontsize=8)  # fmt: skip
    steps = (1, 2, 5) if decades < 2.6 else (1,)
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    ticks = [t for p in powers for s in steps if first <= (t := s * 10.0**p) <= last]
    ax.xaxis.set_major_locator(FixedLocator([zero, *ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: "0" if v <= edge else f"{v:g}"))
    ax.set_xlim(zero * (zero / edge), last)
    ax.set_ylim(0, 1.03)
    percent_axis(ax)
    ax.grid()
    ax.set_xlabel("|model - SPICE| (LSB)")
    ax.set_ylabel("share of codes")
    _quantiles(side, found, errors)
    return fig


def _quantiles(side: Axes, found: dict[str, Pairs], errors: dict[str, FloatArray]) -> None:
    """The same in numbers: a small table that is also the key to the colours."""
    side.set_axis_off()
    side.set_xlim(0, 1)
    side.set_ylim(0, 1)
    head: dict[str, Any] = {"color": MUTED, "fontsize": 8.5}
    columns = (("median", 0.5, 0.46), ("95 %", 0.95, 0.64))
    side.text(0, 0.92, "error (LSB)", **head)
    for name, _, x in columns:
        side.text(x, 0.92, name, ha="right", **head)
    side.text(0.82, 0.92, "worst", ha="right", **head)
    side.text(1.0, 0.92, "failed", ha="right", **head)
    side.plot([0, 1], [0.88, 0.88], color=RULE, linewidth=0.8)
    for line, (model, pair) in enumerate(found.items()):
        y = 0.79 - 0.13 * line
        side.text(0, y, FIDELITY_NAME[model], color=FIDELITY_COLOUR[model], weight="bold")
        for _, share, x in columns:
            value = quantile_of_all(errors[model], pair.n_values, share)
            words = "none" if math.isinf(value) else significant(value)
            colour = FAILED if math.isinf(value) else INK
            side.text(x, y, words, ha="right", color=colour)
        worst = significant(float(errors[model].max())) if errors[model].size else "none"
        side.text(0.82, y, worst, ha="right")
        failed = percent(pair.n_unpaired / pair.n_values)
        side.text(1.0, y, failed, ha="right", color=FAILED if pair.n_unpaired else INK)


def table(data: ReportData) -> Table:
    """The steps of the curves."""
    header = ("model", "abs_error_lsb", "cumulative_share", "n_codes", "n_without_result")
    rows = []
    for model, pair in _found(data).items():
        for error, share in zip(*cumulative(np.abs(pair.error), pair.n_values), strict=True):
            rows.append((model, error, share, pair.n_values, pair.n_unpaired))
    return header, rows
