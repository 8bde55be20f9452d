"""How the simulator runs ended, and how long they took."""

from __future__ import annotations

from collections import Counter

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflows.report.data import ReportData
from workflows.report.figures import Table
from workflows.report.style import FAILED, INK, MUTED, WIDTH_IN, key_below
from workflows.report.text import count, label, seconds

ORDER = 100
TITLE = "How the simulations ended"
CAPTION = (
    "Left: runs of ngspice by outcome; one counts as ok only if its results passed every check, "
    "not because it exited without an error. Right: wall time of each run in the order of the "
    "run; a cross is one that failed, at the time it had taken."
)
_OUTCOMES = ("ok", "no_convergence", "timeout", "crashed", "invalid")


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if data.simulations else "the run recorded no simulations"


def note(data: ReportData) -> str:
    """Failed of all."""
    failed = sum(s.outcome != "ok" for s in data.simulations)
    total = sum(s.wall_s for s in data.simulations)
    runs = count(len(data.simulations), "simulation")
    return f"{failed:,} failed of {runs}; {seconds(total)} in all."


def figure(data: ReportData) -> Figure:
    """Bars of counts; dots of wall time."""
    counts = Counter(s.outcome for s in data.simulations)
    names = [*_OUTCOMES, *sorted(set(counts) - set(_OUTCOMES))]
    fig = Figure(figsize=(WIDTH_IN, 2.9), layout="constrained")
    bars, times = fig.subplots(1, 2, width_ratios=[1, 1.25])
    places = range(len(names) - 1, -1, -1)
    for place, name in zip(places, names, strict=True):
        n = counts[name]
        colour = INK if name == "ok" else FAILED
        bars.barh(place, n, height=0.6, color=colour)
        bars.annotate(str(n), (n, place), xytext=(5, 0), textcoords="offset points", va="center",
                      color=colour if n else MUTED, weight="bold" if n else "normal")  # fmt: skip
    bars.set_yticks(list(places), [label(name, 18).replace("_", " ") for name in names])
    bars.tick_params(axis="y", length=0, labelcolor=INK)
    bars.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    bars.set_xlim(0, max(counts.values()) * 1.15)
    bars.set_xlabel("simulations")
    bars.grid(axis="x")

    for ok, mark, colour, name in ((True, "o", INK, "ok"), (False, "x", FAILED, "failed")):
        runs = enumerate(data.simulations)
        chosen = [(k, run.wall_s) for k, run in runs if (run.outcome == "ok") == ok]
        if chosen:
            x, y = zip(*chosen, strict=True)
            times.plot(x, y, mark, color=colour, markersize=5, alpha=0.75, label=name)
    times.set_ylim(bottom=-0.04 * times.get_ylim()[1])  # whole dots, those of no time too
    times.xaxis.set_major_locator(MaxNLocator(integer=True))
    times.set_xlabel("simulation, numbered from 0")
    times.set_ylabel("wall time (s)")
    key_below(times, 2)
    times.grid()
    return fig


def table(data: ReportData) -> Table:
    """Every simulation."""
    header = ("deck", "outcome", "reason", "wall_s", "points")
    rows = [(s.deck, s.outcome, s.reason, s.wall_s, s.points) for s in data.simulations]
    return header, rows
