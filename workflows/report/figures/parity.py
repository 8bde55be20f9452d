"""The surrogate's logits against SPICE's, with the ideal model as a negative control."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.statistics import Pairs, has_result, pairs
from workflows.report.style import (
    FAILED,
    FIDELITY_COLOUR,
    FIDELITY_NAME,
    MUTED,
    RULE,
    WIDTH_IN,
    aside,
)
from workflows.report.text import count, lsb, significant

ORDER = 20
TITLE = "Every logit: model against SPICE"
CAPTION = (
    "Each dot is one output code of one input, in LSB of the output converter; on the grey "
    "diagonal the model equals SPICE. Left: the calibrated surrogate. Right: the ideal model on "
    "the same axes, a negative control: it shows how far off a model is that ignores wires and "
    "circuit limits. Below: the difference, model minus SPICE."
)
_MODELS = ("surrogate", "ideal")
_MANY = 3000  # dots; more are drawn as pixels, or the page grows to tens of megabytes


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    if "spice" not in data.codes:
        return "the run recorded no SPICE codes"
    if not any(model in data.codes for model in _MODELS):
        return "the run recorded no codes to compare with SPICE"
    return "" if len(data.labels) else "nothing was verified"


def note(data: ReportData) -> str:
    """The failed images."""
    missing = int((~has_result(data.codes["spice"])).sum())
    total = len(data.labels)
    if not missing:
        return f"0 of {count(total, data.noun)} failed in SPICE: every code is shown."
    return (
        f"{missing} of {count(total, data.noun)} failed in SPICE: the codes that the models give "
        "for them are the crosses in the strip at the left."
    )


def _strip(ax: Axes, values: FloatArray, x: float, edge: float) -> None:
    ax.axvspan(x - edge, x + edge, color=FAILED, alpha=0.07, linewidth=0)
    ax.plot(np.full(values.size, x), values, "x", color=FAILED, markersize=4, markeredgewidth=0.9)


def _panel(top: Axes, bottom: Axes, model: str, found: Pairs, low: float, high: float) -> None:
    colour = FIDELITY_COLOUR[model]
    pixels = found.model.size > _MANY
    span = high - low
    strip_x, half = low - 0.09 * span, 0.03 * span
    top.plot([low, high], [low, high], color=RULE, linewidth=1.2, zorder=1)
    bottom.axhline(0, color=RULE, linewidth=1.2, zorder=1)
    dots: dict[str, Any] = {"color": colour, "markersize": 3.2, "alpha": 0.5, "markeredgewidth": 0}
    top.plot(found.spice, found.model, "o", rasterized=pixels, **dots)
    bottom.plot(found.spice, found.error, "o", rasterized=pixels, **dots)
    left = low - 0.04 * span
    if found.n_unpaired:
        _strip(top, found.model_alone, strip_x, half)
        bottom.axvspan(strip_x - half, strip_x + half, color=FAILED, alpha=0.07, linewidth=0)
        middle: dict[str, Any] = {
            "color": FAILED,
            "fontsize": 8,
            "rotation": 90,
            "ha": "center",
            "va": "center",
        }
        bottom.text(strip_x, 0.5, "no result", transform=bottom.get_xaxis_transform(), **middle)
        left = strip_x - 1.5 * half
    top.set_xlim(left, high + 0.04 * span)
    top.set_ylim(low - 0.04 * span, high + 0.04 * span)
    top.set_title(f"{FIDELITY_NAME[model]} against SPICE", color=colour)
    if found.model.size:
        rmse = float(np.sqrt(np.mean(found.error**2)))
        worst = float(np.abs(found.error).max())
        aside(top, f"RMSE {significant(rmse)}, worst {lsb(worst)}, n = {found.model.size:,}")
    else:
        aside(top, "nothing has both results")
    top.tick_params(labelbottom=False)
    bottom.set_xlabel("SPICE code (LSB)")
    for ax in (top, bottom):
        ax.grid()


def figure(data: ReportData) -> Figure:
    """Parity above, difference below; one column per model, axes shared."""
    found = {model: pair for model in _MODELS if (pair := pairs(data, model)) is not None}
    fig = Figure(figsize=(WIDTH_IN, 5.6), layout="constrained")
    axes = fig.subplots(
        2, len(found), sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1.15]
    )
    shown = [v for p in found.values() for v in (p.model, p.spice, p.model_alone) if v.size]
    low = min((float(v.min()) for v in shown), default=0.0)
    high = max((float(v.max()) for v in shown), default=1.0)
    if high <= low:
        low, high = low - 1, high + 1
    for column, (model, pair) in enumerate(found.items()):
        _panel(axes[0, column], axes[1, column], model, pair, low, high)
    reach = max((float(np.abs(p.error).max()) for p in found.values() if p.error.size), default=1.0)
    reach = max(reach, 1.0) * 1.15
    axes[1, 0].set_ylim(-reach, reach)
    axes[0, 0].set_ylabel("model code (LSB)")
    axes[1, 0].set_ylabel("difference (LSB)")
    fig.align_ylabels(axes[:, 0])
    for ax in axes.flat:
        ax.tick_params(labelcolor=MUTED)
    return fig


def table(data: ReportData) -> Table:
    """Every code of every image, the failed ones (nan) included."""
    shown = [model for model in ("spice", *_MODELS) if model in data.codes]
    header = ("image", "true_class", "class", *(f"{model}_code_lsb" for model in shown))
    rows = (
        (image, data.class_names[truth], name, *(data.codes[m][image, k] for m in shown))
        for image, truth in enumerate(data.labels)
        for k, name in enumerate(data.class_names)
    )
    return header, rows
