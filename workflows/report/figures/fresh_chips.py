"""Accuracies of chips that training never saw, beside that of the chip that it knew."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.fresh_record import MOVED, FreshRecord
from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.style import FAILED, INK, MUTED, RULE, WIDTH_IN, percent_axis
from workflows.report.text import count, known, percent

ORDER = 12
TITLE = "The verified chip among fresh ones"
CAPTION = (
    "Accuracies of chips that are further samples of the study, on the inputs of the verification. "
    "An input without an answer counts as wrong, and a chip of which none has one stays in every "
    "number. The spread from chip to chip is a standard deviation without what the inputs alone "
    "scatter these accuracies by. Of all chips so many per cent reach the accuracy, with 95 % "
    "confidence: on these inputs, so over other chips alone (Clopper and Pearson), and on all such "
    "inputs, where inputs and chips are drawn anew from those here (Bayesian bootstrap of "
    "inputs, Jeffreys' posterior of the share of chips)."
)
_COLOUR = "#1b6f87"
_BARS = 30


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if data.fresh is not None else "no fresh chips were read: spiceloop verify --chips"


def note(data: ReportData) -> str:
    """Who read how many chips, and which chip the verified one is."""
    found = _found(data)
    chips = count(len(found.samples), "fresh chip")
    lost = sum(found.without_answer)
    kind = (
        "The weights were learnt in the cells of the verified chip; fresh chips get them as"
        f" they are, behind offsets and gains of their own: {MOVED}"
        if found.learnt_in_cells
        else "Fresh chips have the same weights; programming errors, offsets and gains are drawn"
        " anew, so training never saw them, and their mean says what the network is worth"
    )
    return (
        f"{kind}. {chips} by {found.engine}, {count(data.n_images, data.noun)} each, those of the "
        f"verification, {lost:,} without an answer. The verified chip is sample {data.sample}"
        + (", and training knew its offsets and gains." if data.trained else ".")
    )


def _found(data: ReportData) -> FreshRecord:
    if data.fresh is None:
        raise AssertionError("asked to draw what `absent` says is not there")
    return data.fresh


def _verified(data: ReportData, found: FreshRecord) -> float | None:
    """The verified chip, as computed by whoever read the fresh ones."""
    return data.accuracy.get(found.engine if found.engine in ("exact", "surrogate") else "spice")


def bars(
    accuracy: FloatArray, images: int, width: int, threshold: float | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Left ends, right ends and heights of the bars, within 0..1.

    A bar spans its shares of right images and half an image on each side. With a threshold none has
    chips of both of its sides: one ends and one begins there.

    Args:
        accuracy: of every chip.
        images: that each has read.
        width: of a bar, in images.
        threshold: what a good chip reaches.
    """
    right = np.rint(accuracy * images)
    # What reaches the threshold but for rounding is good.
    good = 0 if threshold is None else int(np.ceil(threshold * images - 1e-9))
    place, chips = np.unique(np.floor((right - good) / width), return_counts=True)
    left, end = ((good + (place + k) * width - 0.5) / images for k in (0, 1))
    if threshold is not None:
        between = min(threshold, 1 - 0.5 / images)  # a bar of chips that are all right has a width
        left[place == 0] = between
        end[place == -1] = between
    return np.clip(left, 0, 1), np.clip(end, 0, 1), chips.astype(np.float64)


def figure(data: ReportData) -> Figure:
    """How many chips at which accuracy; the numbers beside it are the key to the lines."""
    found, verified = _found(data), _verified(data, _found(data))
    fig = Figure(figsize=(WIDTH_IN, 2.9), layout="constrained")
    ax, side = fig.subplots(1, 2, width_ratios=[1.55, 1])
    accuracy = np.array(found.accuracy)
    marks = [m for m in (verified, found.accuracy_min) if m is not None and known(m)]
    low, high = min([accuracy.min(), *marks]), max([accuracy.max(), *marks])
    images = max(data.n_images, 1)
    width = max(round((high - low) * images / _BARS), 1)
    left, end, chips = bars(accuracy, images, width, found.accuracy_min)
    ax.bar(left, chips, width=end - left, align="edge", color=_COLOUR, alpha=0.45,
           edgecolor="white", linewidth=0.8)  # fmt: skip
    ax.axvline(found.mean, color=_COLOUR, linewidth=1.8)
    if verified is not None and known(verified):
        ax.axvline(verified, color=INK, linewidth=1.8, linestyle=(0, (4, 2)))
    if found.accuracy_min is not None:
        ax.axvline(found.accuracy_min, color=FAILED, linewidth=1.4, linestyle=(0, (1, 1.5)))
    room = 0.06 * max(high - low, 4 * width / images) + width / images
    ax.set_xlim(max(low - room, 0), min(high + room, 1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    percent_axis(ax, "x")
    ax.set_xlabel("accuracy of a chip")
    ax.set_ylabel("chips")
    ax.grid(axis="y")
    _numbers(side, data, found, verified)
    return fig


def _numbers(side: Axes, data: ReportData, found: FreshRecord, verified: float | None) -> None:
    side.set_axis_off()
    side.set_xlim(0, 1)
    side.set_ylim(0, 1)
    knew = ", known to training" if data.trained else ""
    rows: list[tuple[str, str, Any]] = [
        (f"verified chip{knew}", percent(verified), {"color": INK, "linestyle": (0, (4, 2))}),
        ("fresh chips, mean", percent(found.mean), {"color": _COLOUR}),
        ("minimum", percent(found.minimum), None),
    ]
    if found.standard_deviation is not None:
        rows.append(("spread from chip to chip", percent(found.standard_deviation, 2), None))
    if found.accuracy_min is not None and found.share is not None:
        share = f"{found.good:,} of {len(found.samples):,}, {percent(found.share, 0)}"
        dotted = {"color": FAILED, "linestyle": (0, (1, 1.5))}
        rows.append((f"at or above {percent(found.accuracy_min)}", share, dotted))
        for images, low, high in (
            ("these", found.share_low_these_images, found.share_high_these_images),
            ("all such", found.share_low_other_images, found.share_high_other_images),
        ):
            interval = f"{percent(low, 0)} to {percent(high, 0)}"
            rows.append((f"of all chips, on {images} {data.noun}s", interval, None))
    if found.judge is not None:
        same = f"{percent(found.judge.agreement)}"
        rows.append((f"{len(found.judge.samples)} in SPICE too: same class", same, None))
    for line, (name, value, key) in enumerate(rows):
        y = 0.94 - 0.125 * line
        if key is not None:
            side.plot([0, 0.07], [y, y], linewidth=1.8, **key)
        side.text(0.1, y, name, va="center", color=INK if key else MUTED, fontsize=8.5)
        side.text(1, y, value, va="center", ha="right", fontsize=8.5,
                  weight="bold" if key else "normal")  # fmt: skip
        side.plot([0, 1], [y - 0.0625, y - 0.0625], color=RULE, linewidth=0.5)


def table(data: ReportData) -> Table:
    """One line for each chip, the verified one first; nan where SPICE did not read it."""
    found = _found(data)
    judged: dict[int, float] = {}
    if found.judge is not None:
        judged = dict(zip(found.judge.samples, found.judge.accuracy, strict=True))
    header = ("sample", "fresh", "engine", "accuracy_share", "without_answer", "spice_share",
              "n_images")  # fmt: skip
    verified, spice = _verified(data, found), data.accuracy.get("spice")
    rows: list[tuple[object, ...]] = [
        (data.sample, 0, found.engine, verified, data.failed, spice, data.n_images)
    ]
    columns: tuple[FloatArray | tuple[object, ...], ...] = (
        found.samples, found.accuracy, found.without_answer,
    )  # fmt: skip
    for sample, accuracy, lost in zip(*columns, strict=True):
        judge = judged.get(int(sample), float("nan"))
        rows.append((sample, 1, found.engine, accuracy, lost, judge, data.n_images))
    return header, rows
