"""Accuracy at the four fidelities, each with its 95 % interval."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from workflows.report.data import FIDELITIES, ReportData
from workflows.report.figures import Table
from workflows.report.statistics import wilson_interval
from workflows.report.style import (
    FIDELITY_COLOUR,
    FIDELITY_MARKER,
    FIDELITY_NAME,
    MUTED,
    WIDTH_IN,
    percent_axis,
)
from workflows.report.text import NOT_MEASURED, count, known, percent

ORDER = 10
TITLE = "Accuracy, from the matrix product to the circuit"
CAPTION = (
    "Share of inputs classified correctly. Ideal is the mapped network without wires or "
    "circuit limits; surrogate is the fast model that training uses; exact solves the equations "
    "of the wired arrays; SPICE is ngspice on the emitted netlist. Bars are 95 % Wilson intervals "
    "of a binomial share; the dashed line is the floating-point network before mapping. All "
    "fidelities see the same inputs, so they may differ by less than their bars suggest."
)


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    if data.n_images < 1:
        return "nothing was verified"
    measured = any(known(data.accuracy.get(f)) for f in FIDELITIES)
    return "" if measured else "no accuracy was measured"


def note(data: ReportData) -> str:
    """How many images, and what a failed one counts as."""
    failed = (
        f"{data.failed} of them without a SPICE result, counted as wrong for SPICE"
        if data.failed
        else "none of them failed in SPICE"
    )
    return f"n = {count(data.n_images, data.noun)}, {failed}."


def _rows(data: ReportData) -> list[tuple[str, float, float, float]]:
    rows = []
    for fidelity in FIDELITIES:
        share = data.accuracy.get(fidelity)
        if share is not None and known(share):
            rows.append((fidelity, share, *wilson_interval(share, data.n_images)))
    return rows


def figure(data: ReportData) -> Figure:
    """One line per fidelity: marker, interval, number."""
    fig = Figure(figsize=(WIDTH_IN, 2.75), layout="constrained")
    ax = fig.add_subplot()
    measured = {row[0]: row[1:] for row in _rows(data)}
    places = {fidelity: len(FIDELITIES) - 1 - i for i, fidelity in enumerate(FIDELITIES)}
    edges = [edge for row in measured.values() for edge in row]
    if data.accuracy_float is not None and known(data.accuracy_float):
        edges.append(data.accuracy_float)
        ax.axvline(data.accuracy_float, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
        ax.annotate(
            f"floating point {percent(data.accuracy_float)}",
            (data.accuracy_float, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            fontsize=8.5,
        )
    for fidelity, place in places.items():
        right: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center"}
        if fidelity not in measured:
            ax.annotate(NOT_MEASURED, (1.02, place), color=MUTED, annotation_clip=False, **right)
            continue
        share, low, high = measured[fidelity]
        colour = FIDELITY_COLOUR[fidelity]
        ax.plot([low, high], [place, place], color=colour, linewidth=5, alpha=0.28)
        ax.plot(share, place, FIDELITY_MARKER[fidelity], color=colour, markersize=7.5)
        ax.annotate(
            percent(share),
            (1.02, place),
            color=colour,
            weight="bold",
            annotation_clip=False,
            **right,
        )
        ax.annotate(
            f"{100 * low:.1f} to {100 * high:.1f} %",
            (1.105, place),
            color=MUTED,
            fontsize=8.5,
            annotation_clip=False,
            **right,
        )
    span = max(max(edges) - min(edges), 0.02)
    ax.set_xlim(max(min(edges) - 0.1 * span, -0.02), min(max(edges) + 0.1 * span, 1.02))
    ax.set_ylim(-0.6, len(places) - 0.4)
    ax.set_yticks(list(places.values()), [FIDELITY_NAME[f] for f in places])
    ax.tick_params(axis="y", length=0, labelcolor="#1b1f24", labelsize=9.5)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    percent_axis(ax, "x")
    ax.set_xlabel("accuracy")
    return fig


def table(data: ReportData) -> Table:
    """Accuracy and interval per fidelity."""
    header = ("fidelity", "accuracy_share", "wilson95_low_share", "wilson95_high_share", "n_images")
    rows: list[tuple[object, ...]] = [(*row, data.n_images) for row in _rows(data)]
    if data.accuracy_float is not None and known(data.accuracy_float):
        low, high = wilson_interval(data.accuracy_float, data.n_images)
        rows.append(("floating_point", data.accuracy_float, low, high, data.n_images))
    return header, rows
