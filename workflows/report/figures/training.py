"""How the training went: loss and accuracy by epoch."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.style import (
    FAILED,
    FIDELITY_COLOUR,
    INK,
    MUTED,
    WIDTH_IN,
    key_below,
    percent_axis,
)
from workflows.report.text import count, percent, significant

ORDER = 90
TITLE = "Training history"
CAPTION = (
    "Loss and accuracy after each epoch of training, at the fidelity that the training used. A "
    "growing gap between the two accuracies means overfitting. Errors are of the array whose "
    "currents are furthest off (relative, rms): of the surrogate beside the exact solution, and of "
    "the currents that training used beside ngspice, where it read a share of the inputs as well."
)
_ACCURACIES = (
    ("train_accuracy", "training share", FIDELITY_COLOUR["surrogate"], "--"),
    ("test_accuracy", "held-out share", INK, "-"),
)
_ERRORS = (
    ("closed_form_error", "surrogate without anchors, off exact", MUTED, "--"),
    ("surrogate_error", "surrogate as it was used, off exact", FIDELITY_COLOUR["surrogate"], "-"),
    ("spice_error", "what training used, off SPICE", FIDELITY_COLOUR["spice"], "-"),
)
_ALLOWED = "allowed (max_surrogate_error)"


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    has = any(key != "epoch" and np.size(values) for key, values in data.training.items())
    return "" if has else "the run recorded no training"


def note(data: ReportData) -> str:
    """How many epochs."""
    epochs = count(len(_epochs(data)), "epoch")
    if "spice_inputs" in data.training:
        read = int(np.sum(data.training["spice_inputs"]))
        epochs += f", {count(read, 'input')} of which SPICE read as well"
        failed = int(_failed_in_ngspice(data).sum())
        epochs += f", without an answer in {count(failed, 'epoch')}" if failed else ""
    if not data.held_out:
        return f"{epochs}."
    before = "" if data.learnt else ", before the cells' programming errors"
    return (
        f"{epochs}. The held-out share is all {data.held_out:,} {data.noun}s{before}; the"
        f" accuracies above are of {data.n_images:,} of them."
    )


def _epochs(data: ReportData) -> FloatArray:
    if "epoch" in data.training:
        return np.asarray(data.training["epoch"], dtype=np.float64)
    longest = max(np.size(values) for values in data.training.values())
    return np.arange(1, longest + 1, dtype=np.float64)


def figure(data: ReportData) -> Figure:
    """Loss to the left, accuracies to the right, errors of currents below; values in words."""
    epochs = _epochs(data)
    watched = any(key in data.training for key, *_ in _ERRORS)
    fig = Figure(figsize=(WIDTH_IN, 5.4 if watched else 3.1), layout="constrained")
    panels = fig.subplot_mosaic("LA;EE" if watched else "LA")
    loss, accuracy = panels["L"], panels["A"]
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
            ends.append(f"{percent(float(values[-1]))} ({name.split()[0]})")
    accuracy.set_title("Accuracy, " + (", ".join(ends) or "not recorded"))
    if ends:
        key_below(accuracy, 2)
        percent_axis(accuracy)
    if watched:
        _draw_errors(panels["E"], epochs, data, mark)
    for ax in panels.values():
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.tick_params(labelcolor=MUTED)
        ax.grid()
    return fig


def _draw_errors(ax: Axes, epochs: FloatArray, data: ReportData, mark: str) -> None:
    """How far currents are off exact and off ngspice; epochs in which that failed on the axis."""
    drawn = [line for line in _ERRORS if line[0] in data.training]
    closed = data.training.get("closed_form_error")
    if closed is not None and (
        not np.isfinite(closed).any() or np.array_equal(closed, data.training["surrogate_error"])
    ):
        drawn = [line for line in drawn if line[0] != "closed_form_error"]
    for key, name, colour, dashes in drawn:
        ax.plot(
            epochs, 100 * data.training[key], color=colour, linestyle=dashes, marker=mark,
            markersize=3.5, label=name,
        )  # fmt: skip
    allowed = data.max_surrogate_error
    if allowed is not None:
        ax.axhline(100 * allowed, color=FAILED, linestyle=":", linewidth=1.2, label=_ALLOWED)
    failed = epochs[_failed_in_ngspice(data)]
    if failed.size:
        ax.plot(
            failed, np.zeros(failed.size), "x", color=FAILED, clip_on=False, label="SPICE failed"
        )
    ax.set_ylim(bottom=0)
    ax.set_ylabel("error of currents (%)")
    key_below(ax, 3)
    worst = [
        f"off {whom} by {significant(100 * float(np.nanmax(values)))} %"
        for key, whom in (("surrogate_error", "exact"), ("spice_error", "SPICE"))
        if (values := data.training.get(key)) is not None and np.isfinite(values).any()
    ]
    ax.set_title(
        f"Currents {' and '.join(worst)} at most" if worst else "Errors of currents are not known"
    )


def _failed_in_ngspice(data: ReportData) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """`[epoch]` True where ngspice was asked and gave no answer."""
    inputs = data.training.get("spice_inputs", np.zeros(len(_epochs(data))))
    error = data.training.get("spice_error", np.zeros(len(inputs)))
    return np.asarray((inputs > 0) & ~np.isfinite(error))


def table(data: ReportData) -> Table:
    """The recorded columns; nan where a column is shorter."""
    epochs = _epochs(data)
    keys = [key for key in data.training if key != "epoch"]
    padded = []
    for key in keys:
        column = np.full(len(epochs), np.nan)
        column[: np.size(data.training[key])] = data.training[key]
        padded.append(column)
    shares = (
        "train_accuracy", "test_accuracy", "surrogate_error", "closed_form_error", "spice_error",
        "clipped",
    )  # fmt: skip
    units = {key: f"{key}_share" for key in shares}
    header = ("epoch", *(units.get(key, key) for key in keys))
    return header, zip(epochs, *padded, strict=True)
