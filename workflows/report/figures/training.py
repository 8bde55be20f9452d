"""How the training went: loss and accuracy by epoch."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.style import FIDELITY_COLOUR, INK, MUTED, WIDTH_IN, key_below, percent_axis
from workflows.report.text import count, percent, significant

ORDER = 90
TITLE = "Training history"
CAPTION = (
    "Loss and accuracy after each epoch of training, at the fidelity that the training used. A "
    "growing gap between the two accuracies means overfitting."
)
_ACCURACIES = (
    ("train_accuracy", "training images", FIDELITY_COLOUR["surrogate"], "--"),
    ("test_accuracy", "test images", INK, "-"),
)


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    has = any(key != "epoch" and np.size(values) for key, values in data.training.items())
    return "" if has else "the run recorded no training"


def note(data: ReportData) -> str:
    """How many epochs."""
    epochs = count(len(_epochs(data)), "epoch")
    if not data.held_out:
        return f"{epochs}."
    return (
        f"{epochs}. Test images are all {data.held_out:,} held-out ones, before the cells'"
        f" programming errors; the accuracies above are of {data.n_images:,} of them."
    )


def _epochs(data: ReportData) -> FloatArray:
    if "epoch" in data.training:
        return np.asarray(data.training["epoch"], dtype=np.float64)
    longest = max(np.size(values) for values in data.training.values())
    return np.arange(1, longest + 1, dtype=np.float64)


def figure(data: ReportData) -> Figure:
    """Loss to the left, accuracies to the right; the last value in words."""
    epochs = _epochs(data)
    fig = Figure(figsize=(WIDTH_IN, 3.1), layout="constrained")
    loss, accuracy = fig.subplots(1, 2)
    mark = "o" if len(epochs) <= 40 else ""
    if "loss" in data.training:
        values = data.training["loss"]
        loss.plot(epochs, values, color=INK, marker=mark, markersize=3.5)
        loss.set_title(f"Loss, {significant(float(values[-1]))} at the end")
        finite = values[np.isfinite(values)]
        if finite.size and finite.min() >= 0:
            loss.set_ylim(bottom=0)
    else:
        loss.set_title("Loss, not recorded")
    ends = []
    for key, name, colour, dashes in _ACCURACIES:
        if key in data.training:
            values = data.training[key]
            accuracy.plot(
                epochs, values, color=colour, linestyle=dashes, marker=mark, markersize=3.5,
                label=name,
            )  # fmt: skip
            ends.append(f"{percent(float(values[-1]))} on {name}")
    accuracy.set_title("Accuracy, " + (" and ".join(ends) or "not recorded"))
    if ends:
        key_below(accuracy, 2)
        percent_axis(accuracy)
    for ax in (loss, accuracy):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.tick_params(labelcolor=MUTED)
        ax.grid()
    return fig


def table(data: ReportData) -> Table:
    """The recorded columns; nan where a column is shorter."""
    epochs = _epochs(data)
    keys = [key for key in data.training if key != "epoch"]
    padded = []
    for key in keys:
        column = np.full(len(epochs), np.nan)
        column[: np.size(data.training[key])] = data.training[key]
        padded.append(column)
    units = {"train_accuracy": "train_accuracy_share", "test_accuracy": "test_accuracy_share"}
    header = ("epoch", *(units.get(key, key) for key in keys))
    return header, zip(epochs, *padded, strict=True)
