"""Which class SPICE takes for which: counts, failed images in a column of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from workflows.report.data import FloatArray, IntArray, ReportData
from workflows.report.figures import Table
from workflows.report.statistics import confusion
from workflows.report.style import FAILED, INK, MUTED, WIDTH_IN
from workflows.report.text import count, label

ORDER = 40
TITLE = "Confusion matrix of the circuit in SPICE"
CAPTION = (
    "Rows are the true classes, columns the class with the largest SPICE code; right answers lie "
    "on the diagonal. Numbers are inputs, the shade is the share of the row. Inputs without a "
    "SPICE result stand in a column of their own."
)
_MOST_NUMBERS = 26  # classes; beyond, numbers would not be readable
_MISTAKES = 8
_SHADES = LinearSegmentedColormap.from_list("ink", ["#ffffff", "#a9c6df", "#0072b2", "#00395c"])
_FAILED_SHADES = LinearSegmentedColormap.from_list("failed", ["#ffffff", "#e3b3cf", FAILED])


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    if "spice" not in data.codes:
        return "the run recorded no SPICE codes"
    return "" if len(data.labels) and data.class_names else "nothing was verified"


def note(data: ReportData) -> str:
    """How many right, wrong, failed."""
    counts = confusion(data)
    right, missing = int(np.trace(counts[:, :-1])), int(counts[:, -1].sum())
    wrong = int(counts.sum()) - right - missing
    return f"{count(right, data.noun)} right, {wrong:,} wrong, {missing:,} without a result."


def figure(data: ReportData) -> Figure:
    """A matrix, failed images, if any, in a column set apart, the commonest mistakes in words."""
    counts = confusion(data)
    n = len(data.class_names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = min(0.36, 5.4 / n)
    step = max(1, -(-n // _MOST_NUMBERS))
    names = [label(name, 14) for name in data.class_names]
    letters = max(len(name) for name in names)
    upright = letters <= 4 and step == 1
    left, below = 0.45 + 0.075 * letters, 0.45 + (0.2 if upright else 0.08 * letters)
    height = cell * n + below + 0.25
    fig = Figure(figsize=(WIDTH_IN, height))

    def axes(x: float, columns: int) -> Axes:
        box = (x / WIDTH_IN, below / height, columns * cell / WIDTH_IN, n * cell / height)
        ax = fig.add_axes(box)
        ax.spines[:].set_visible(False)
        return ax

    main, right = axes(left, n), left + cell * n + 0.75
    _cells(main, share[:, :-1], counts[:, :-1], _SHADES)
    if counts[:, -1].any():
        failed, right = axes(left + cell * n + 0.14, 1), right + cell
        _cells(failed, share[:, -1:], counts[:, -1:], _FAILED_SHADES)
        failed.set_yticks([])
        failed.set_xticks([0], ["none"])
        failed.tick_params(labelcolor=FAILED)
    main.set_xticks(range(0, n, step), names[::step])
    if not upright:
        for word in main.get_xticklabels():
            word.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
    main.set_yticks(range(0, n, step), names[::step])
    main.tick_params(labelcolor=MUTED)
    main.set_xlabel("SPICE's answer")
    main.set_ylabel("true class")
    _mistakes(fig, right, height, counts, names)
    return fig


def _cells(ax: Axes, shades: FloatArray, numbers: IntArray, cmap: LinearSegmentedColormap) -> None:
    n = len(numbers)
    ax.imshow(shades, cmap=cmap, vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(np.arange(numbers.shape[1] + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="#e3e6ea", linewidth=0.8 if n <= _MOST_NUMBERS else 0.2)
    ax.tick_params(which="both", length=0)
    if n > _MOST_NUMBERS:
        return
    for (row, col), value in np.ndenumerate(numbers):
        if value:
            ax.text(col, row, str(value), ha="center", va="center", fontsize=8.5,
                    color="white" if shades[row, col] > 0.45 else INK)  # fmt: skip


def _mistakes(fig: Figure, x: float, height: float, counts: IntArray, names: list[str]) -> None:
    """The commonest wrong answers, where the width leaves room for them."""
    wrong = counts[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]
    found = [(int(k) // len(wrong), int(k) % len(wrong)) for k in order if wrong.flat[k]]
    if x + 2.2 > WIDTH_IN or height < 0.45 + 0.24 * (len(found) + 1):
        return
    right = min(x + 2.9, WIDTH_IN - 0.05)

    def line(place: int, what: str, n: str, **look: Any) -> None:
        y = 1 - (0.3 + 0.26 * place) / height
        fig.text(x / WIDTH_IN, y, what, **look)
        fig.text(right / WIDTH_IN, y, n, ha="right", **look)

    line(0, "commonest mistakes, true → answer", "how often", color=MUTED, fontsize=8.5)
    for place, (true, answer) in enumerate(found, start=1):
        line(place, f"{names[true]} → {names[answer]}", str(wrong[true, answer]))
    if not found:
        line(1, "none", "")


def table(data: ReportData) -> Table:
    """Counts, one row for each pair of classes."""
    counts = confusion(data)
    answers = (*data.class_names, "(no result)")
    rows = [
        (true, answer, int(counts[i, k]))
        for i, true in enumerate(data.class_names)
        for k, answer in enumerate(answers)
    ]
    return ("true_class", "spice_answer", "images"), rows
