"""The page: the headline in words, and the figures and tables of the template.

Names and texts come from users' files, so the template escapes everything; the only markup
that enters unescaped is what this package itself has made: the stylesheet and the drawings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cosim.network.whole_chip import SimulationRecord
from workflows.fresh_record import MOVED, too_coarse
from workflows.report.data import FIDELITIES, ReportData
from workflows.report.statistics import pairs
from workflows.report.style import FAILED, FIDELITY_COLOUR, FIDELITY_NAME
from workflows.report.text import (
    NOT_MEASURED,
    count,
    known,
    lsb,
    moment,
    percent,
    prefixed,
    printable,
    seconds,
    significant,
)

MARK = '<meta name="generator" content="spiceloop report">'
"""In the head of each page: tells a report from a stranger's index.html."""


@dataclass(frozen=True)
class ShownFigure:
    """A drawn figure.

    Attributes:
        name: file name without its ending.
        title: heading.
        caption: plain text.
        svg: the `<svg>` element.
    """

    name: str
    title: str
    caption: str
    svg: str

    @property
    def markup(self) -> Markup:
        """The drawing, for the template: made by this package, all its text escaped."""
        label = Markup('<svg role="img" aria-label="{}"').format(self.title)
        return Markup(self.svg.replace("<svg", str(label), 1))  # noqa: S704 # own drawing


@dataclass(frozen=True)
class KeyNumber:
    """A number of the page's head: what, how much, in which colour, and a word beside it."""

    name: str
    value: str
    colour: str
    aside: str


def render_page(
    data: ReportData, shown: Sequence[ShownFigure], left_out: Sequence[tuple[str, str]]
) -> str:
    """The whole HTML page.

    Args:
        data: what to show.
        shown: the figures, in reading order.
        left_out: (title, reason) of the figures that had nothing to draw.
    """
    environment = Environment(
        loader=PackageLoader("workflows.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        seconds=seconds, significant=significant, percent=percent, printable=printable
    )
    css = files("workflows.report").joinpath("templates", "report.css").read_text("utf-8")
    failed = [s for s in data.simulations if s.outcome != "ok"]
    return environment.get_template("page.html.j2").render(
        data=data,
        mark=Markup(MARK),  # noqa: S704 # a constant of this file
        css=Markup(css),  # noqa: S704 # a file of this package
        created=moment(printable(data.created_utc)),
        headline=headline(data),
        which_chip=which_chip(data),
        accuracies=_accuracies(data),
        comparisons=_comparisons(data),
        in_cells=_in_cells(data),
        failed_colour=FAILED,
        figures=shown,
        left_out=left_out,
        failed_simulations=failed,
        outcome_words=_outcomes(data.simulations),
        stage_total=sum(wall for _, wall in data.stages),
    )


def headline(data: ReportData) -> tuple[str, ...]:
    """The result in sentences: accuracy, agreement against the control, failures."""
    sentences = (
        _accuracy_words(data), _fresh_words(data), _agreement_words(data), _failed(data),
        _written(data),
    )  # fmt: skip
    return tuple(s for s in sentences if s)


def _accuracy_words(data: ReportData) -> str:
    spice, float_network = data.accuracy.get("spice"), data.accuracy_float
    images = count(data.n_images, data.noun)
    if known(spice):
        words = (
            f"As a circuit in ngspice, the chip of this run classifies {percent(spice)} of {images}"
            " right"
        )
    elif known(best := data.accuracy.get("surrogate")):
        words = (
            f"In the surrogate, the chip of this run classifies {percent(best)} of {images} right; "
            "SPICE has not been asked"
        )
    else:
        return "No accuracy was measured."
    if known(float_network):
        return f"{words}; as a floating-point program {percent(float_network)}."
    return f"{words}."


def which_chip(data: ReportData) -> str:
    """Of which chip and of how many images the accuracies are."""
    of = f" of {data.held_out:,} held-out ones" if data.held_out > data.n_images else ""
    knew = ", whose offsets and gains training knew" if data.trained else ""
    return (
        f"Shares of the same {count(data.n_images, data.noun)}{of}, by one chip: sample"
        f" {data.sample} of the study{knew}."
    )


def _fresh_words(data: ReportData) -> str:
    if data.fresh is None:
        return ""
    fresh = data.fresh
    chips = count(len(fresh.samples), "fresh chip")
    moved = "to which the weights were moved" if fresh.learnt_in_cells else "of the same weights"
    words = (
        f"Of the same {data.noun}s, {chips} {moved} classify {percent(fresh.mean)} "
        f"right in the mean, the worst {percent(fresh.minimum)}"
    )
    if fresh.accuracy_min is not None and fresh.share is not None:
        words += (
            f"; {fresh.good:,} of them reach {percent(fresh.accuracy_min)} (of all chips, on these "
            f"very {data.noun}s, {percent(fresh.share_low_these_images, 0)} to "
            f"{percent(fresh.share_high_these_images, 0)}, 95 % interval over other chips alone; "
            f"on all such {data.noun}s, {percent(fresh.share_low_other_images, 0)} to "
            f"{percent(fresh.share_high_other_images, 0)}, over other {data.noun}s too)"
        )
    knew = "; training knew the offsets and gains of the run's own chip, and of none of these"
    words = f"{words}{knew if data.trained else ''}."
    if fresh.learnt_in_cells:
        words += f" {MOVED[0].upper()}{MOVED[1:]}."
    coarse = too_coarse(fresh, data.n_images, data.noun, data.held_out, percent)
    return f"{words} {coarse}." if coarse else words


def _agreement_words(data: ReportData) -> str:
    if not known(data.agreement) and not known(data.logit_rmse_lsb):
        return "The surrogate was not compared with SPICE."
    parts = []
    if known(data.agreement):
        share = percent(data.agreement)
        parts.append(f"gives the same class as SPICE for {share} of the {data.noun}s")
    if known(data.logit_rmse_lsb):
        size = lsb(data.logit_rmse_lsb)
        parts.append(f"misses SPICE's output codes by {size} (root mean square)")
    words = f"The surrogate {' and '.join(parts)}"
    control = []
    if known(data.control_agreement):
        control.append(f"agrees for {percent(data.control_agreement)}")
    if known(data.control_logit_rmse_lsb):
        control.append(f"misses by {lsb(data.control_logit_rmse_lsb)}")
    if not control:
        return f"{words}."
    return f"{words}; the ideal model, the negative control, {' and '.join(control)}."


def _failed(data: ReportData) -> str:
    if data.n_images < 1:
        return ""
    if not data.failed:
        return f"0 of {count(data.n_images, data.noun)} failed in SPICE."
    return (
        f"{data.failed:,} of {count(data.n_images, data.noun)} failed in SPICE; they count as "
        "wrong and as disagreeing, and stay in every count and figure."
    )


def _written(data: ReportData) -> str:
    if data.writing is None:
        return ""
    one = data.writing
    met, cells = int(one.met.sum()), count(one.met.size, "cell")
    return (
        f"Written pulse by pulse into {printable(one.device)}, {met:,} of {cells} are within half "
        f"a step of {one.levels} levels of their targets; so written, the network classifies "
        f"{percent(one.accuracy_written)} of {count(one.n_images, data.noun)} right in SPICE, with "
        f"the targets themselves {percent(one.accuracy_target)}."
    )


def _accuracies(data: ReportData) -> list[KeyNumber]:
    asides = {
        "ideal": "no wires, no circuit",
        "surrogate": "the fast model",
        "exact": "wired arrays solved",
        "spice": "ngspice, the reference",
    }
    return [
        KeyNumber(FIDELITY_NAME[f], percent(data.accuracy.get(f)), FIDELITY_COLOUR[f], asides[f])
        for f in FIDELITIES
    ]


def _comparisons(data: ReportData) -> list[tuple[str, str, str]]:
    """(what, the surrogate's number, the ideal model's) against SPICE."""
    failed = f"{data.failed:,} of {data.n_images:,}"
    return [
        ("same class as SPICE", percent(data.agreement), percent(data.control_agreement)),
        (
            "error of the output codes, RMS",
            lsb(data.logit_rmse_lsb),
            lsb(data.control_logit_rmse_lsb),
        ),
        ("largest error of an output code", lsb(data.logit_max_lsb), lsb(_largest(data, "ideal"))),
        (f"{data.noun}s without a SPICE result", failed, failed),
    ]


def _in_cells(data: ReportData) -> list[tuple[str, str]]:
    """What training in cells took in all: (what, how much with its unit)."""
    found = []
    for key, what in (("pulses", "Pulses on lines"), ("coincidences", "Steps asked of cells")):
        if key in data.training:
            found.append((what, f"{int(np.sum(data.training[key])):,}"))
    if "energy_j" in data.training:
        total_j = float(np.sum(data.training["energy_j"]))
        size, prefix = prefixed(total_j)
        found.append(("Energy of the cells", f"{significant(total_j / size)} {prefix}J"))
    if "clipped" in data.training:
        worst = float(np.max(data.training["clipped"]))
        found.append(("Clipped probabilities, worst epoch", percent(worst, 2)))
    if "anchors" in data.training:
        found.append(("Tiles solved exactly again", f"{int(data.training['anchors'][-1]):,}"))
    return found


def _largest(data: ReportData, fidelity: str) -> float | None:
    found = pairs(data, fidelity)
    return float(np.abs(found.error).max()) if found is not None and found.error.size else None


def _outcomes(simulations: Sequence[SimulationRecord]) -> str:
    if not simulations:
        return "The run recorded no simulations."
    counts = Counter(s.outcome for s in simulations)
    failed = sum(n for outcome, n in counts.items() if outcome != "ok")
    total = count(len(simulations), "simulation")
    if not failed:
        return f"0 failed of {total}."
    kinds = ", ".join(
        f"{n:,} {printable(outcome).replace('_', ' ')}"
        for outcome, n in sorted(counts.items())
        if outcome != "ok"
    )
    return f"{failed:,} failed of {total}: {kinds}."


__all__ = ["MARK", "NOT_MEASURED", "ShownFigure", "headline", "render_page", "which_chip"]
