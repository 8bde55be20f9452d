"""What fresh chips reach: the record of a verification, in words, and as a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compact_models.variation import Stream
from workflows.chips_and_images import intervals, share_of_other_chips, spread_of_chips
from workflows.fresh_chips import NO_ANSWER, FreshChips, FreshReads


@dataclass(frozen=True)
class FreshJudge:
    """What ngspice says of some of the chips that `exact` or the surrogate has read.

    `agreement` is the share of their images with one class in both; one without an answer has none.
    """

    engine: str
    samples: tuple[int, ...]
    accuracy: tuple[float, ...]
    without_answer: tuple[int, ...]
    agreement: float


@dataclass(frozen=True)
class FreshRecord:
    """`fresh` in `verify.json`: accuracies of fresh chips on the images of the verification.

    Images without an answer count as wrong, and chips of which none had one stay in every number.
    `engine` read all of them. `standard_deviation` is that from chip to chip, without what the
    images alone scatter accuracies by; with it, it is `standard_deviation_seen`. `good` chips, a
    `share` of them, reach `accuracy_min` on these images. Intervals have the confidence 95 %. Of
    the share of all chips that reach it: `share_low_these_images` to `share_high_these_images` on
    the very images that were read, so over other chips alone; `share_low_other_images` to
    `share_high_other_images` over other chips and other images of the kind. Over both,
    `mean_low` to `mean_high` is that of the mean of all chips; `images_low` to `images_high` that
    of the mean of these very chips, over other images alone.
    `learnt_in_cells` says that the weights were trained in the cells of another chip, and moved to
    these.
    """

    engine: str
    samples: tuple[int, ...]
    accuracy: tuple[float, ...]
    without_answer: tuple[int, ...]
    mean: float
    minimum: float
    standard_deviation: float | None
    standard_deviation_seen: float | None
    mean_low: float
    mean_high: float
    images_low: float
    images_high: float
    accuracy_min: float | None
    good: int | None
    share: float | None
    share_low_these_images: float | None
    share_high_these_images: float | None
    share_low_other_images: float | None
    share_high_other_images: float | None
    judge: FreshJudge | None
    learnt_in_cells: bool = False


def fresh_record(
    reads: FreshReads,
    accuracy_min: float | None,
    stream: Stream,
    *,
    learnt_in_cells: bool = False,
) -> FreshRecord:
    """The statistics of fresh chips.

    Args:
        reads: their answers.
        accuracy_min: what a good chip reaches, 0..1.
        stream: what the intervals are drawn from.
        learnt_in_cells: whether their weights were trained in the cells of another chip.
    """
    answers, accuracy = reads.chips, reads.chips.accuracy
    right = answers.predicted == answers.labels
    over = intervals(right, accuracy_min, stream.at("fresh_chips/intervals", 0).rng())
    good: int | None = None
    here: tuple[float, float] | None = None
    if accuracy_min is not None:
        # A share of n images may lie a rounding below the number that was written down.
        good = int((accuracy >= accuracy_min - 1e-12).sum())
        here = share_of_other_chips(good, len(accuracy))
    return FreshRecord(
        engine=reads.engine,
        samples=tuple(answers.samples.tolist()),
        accuracy=tuple(accuracy.tolist()),
        without_answer=tuple(answers.without_answer.tolist()),
        mean=float(accuracy.mean()),
        minimum=float(accuracy.min()),
        standard_deviation=spread_of_chips(right),
        standard_deviation_seen=float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else None,
        mean_low=over.mean[0],
        mean_high=over.mean[1],
        images_low=over.mean_by_images[0],
        images_high=over.mean_by_images[1],
        accuracy_min=accuracy_min,
        good=good,
        share=None if good is None else good / len(accuracy),
        share_low_these_images=None if here is None else here[0],
        share_high_these_images=None if here is None else here[1],
        share_low_other_images=None if over.share is None else over.share[0],
        share_high_other_images=None if over.share is None else over.share[1],
        judge=None if reads.judge is None else _judged(answers, reads.judge, reads.judge_engine),
        learnt_in_cells=learnt_in_cells,
    )


def _judged(exact: FreshChips, spice: FreshChips, engine: str) -> FreshJudge:
    """Holds what ngspice says of the first chips against what `exact` said of them."""
    same = exact.predicted[: len(spice.samples)] == spice.predicted
    return FreshJudge(
        engine=engine,
        samples=tuple(spice.samples.tolist()),
        accuracy=tuple(spice.accuracy.tolist()),
        without_answer=tuple(spice.without_answer.tolist()),
        agreement=float((same & (spice.predicted != NO_ANSWER)).mean()),
    )


def fresh_lines(
    found: FreshRecord, images: int, noun: str = "image", held_out: int = 0
) -> list[str]:
    """Fresh chips in words.

    Args:
        found: the chips.
        images: how many each has read.
        noun: what one of these is called.
        held_out: how many there are; 0: not known.
    """
    chips = len(found.samples)
    which = (
        "chips that got the weights as they are, without learning themselves"
        if found.learnt_in_cells
        else "chips of the same weights that training never saw"
    )
    lines = [
        f"fresh      {chips} {which}"
        f" (samples {found.samples[0]} to {found.samples[-1]}), {_by_whom(found)}, the same"
        f" {images} {noun}s: mean {found.mean:.4f}, minimum {found.minimum:.4f}"
        f"{_spread(found, noun)}{_lost(found.without_answer, noun)}"
    ]
    if found.learnt_in_cells:
        lines.append(f"           {MOVED}")
    lines.append(
        f"           of all chips, on all such {noun}s: mean {found.mean_low:.3f} to"
        f" {found.mean_high:.3f} (95 % confidence, over other chips and other {noun}s)"
    )
    if found.good is not None:
        lines.append(
            f"good       {found.good} of {chips} chips reach {found.accuracy_min:g} on these"
            f" {images} {noun}s"
        )
        lines.append(
            f"           of all chips, on these very {noun}s: a share of"
            f" {found.share_low_these_images:.3f} to {found.share_high_these_images:.3f}"
            " (95 % confidence, over other chips alone)"
        )
        lines.append(
            f"           of all chips, on all such {noun}s: a share of"
            f" {found.share_low_other_images:.3f} to {found.share_high_other_images:.3f}"
            f" (95 % confidence, over other chips and other {noun}s)"
        )
        coarse = too_coarse(found, images, noun, held_out)
        lines += [f"           {coarse}"] if coarse else []
    if found.judge is not None:
        judge = found.judge
        values = ", ".join(f"{value:.4f}" for value in judge.accuracy)
        lines.append(
            f"           {len(judge.samples)} of them in {judge.engine} too: {values}; the same"
            f" class as {found.engine} for {judge.agreement:.4f} of their {noun}s"
            + _lost(judge.without_answer, noun)
        )
    return lines


MOVED = (
    "a chip that learns in its own cells would be trained itself: this says what moving the weights"
    " to another chip's offsets and gains costs, not what such a chip reaches"
)
"""What fresh chips say where the weights were trained in cells."""


def _spread(found: FreshRecord, noun: str) -> str:
    own, seen = found.standard_deviation, found.standard_deviation_seen
    if own is None or seen is None:
        return ""
    return (
        f", standard deviation from chip to chip {own:.4f} ({seen:.4f} before the share of the"
        f" {noun}s was taken off)"
    )


def too_coarse(
    found: FreshRecord,
    images: int,
    noun: str,
    held_out: int,
    say: Callable[[float], str] = "{:.3f}".format,
) -> str:
    """A sentence where the images read cannot tell on which side of `accuracy_min` the chips are.

    Args:
        found: the chips.
        images: how many each has read.
        noun: what one of these is called.
        held_out: how many there are; 0: not known.
        say: writes an accuracy.
    """
    want = found.accuracy_min
    if not images or want is None or not found.images_low < want < found.images_high:
        return ""
    margin = abs(found.mean - want)
    half = found.images_high - found.mean if want > found.mean else found.mean - found.images_low
    words = (
        f"{images:,} {noun}s are too few for this margin: they leave the mean of these chips"
        f" between {say(found.images_low)} and {say(found.images_high)}, and {say(want)} lies"
        " within"
    )
    there = f", and {held_out:,} are held out" if held_out > images else ""
    if margin * 100 < half:  # no number worth naming
        return f"{words}{there}"
    enough = images * (half / margin) ** 2
    digit = 10 ** max(math.floor(math.log10(enough)) - 1, 0)
    return f"{words}; about {math.ceil(enough / digit) * digit:,} would tell{there}"


def unanswered(found: FreshRecord | None) -> int:
    """Images of fresh chips without an answer, in ngspice too."""
    if found is None:
        return 0
    judged = 0 if found.judge is None else sum(found.judge.without_answer)
    return sum(found.without_answer) + judged


def _by_whom(found: FreshRecord) -> str:
    if found.engine == "exact":
        return "by exact"
    if found.engine == "surrogate":
        return (
            "by the surrogate, whose blocks are fitted over what their instances draw, since exact"
            " has no equations for the user's own"
        )
    return f"all of them in {found.engine}, since exact has no equations for the user's own blocks"


def _lost(without_answer: Sequence[int], noun: str) -> str:
    if not any(without_answer):
        return ""
    chips = sum(count > 0 for count in without_answer)
    return f"; {sum(without_answer)} {noun}s of {chips} chips without an answer, counted as wrong"


def fresh_csv(
    found: FreshRecord, *, images: int, sample: int, reader: float | None, spice: float, failed: int
) -> str:
    """One line for each chip, the verified one first.

    Args:
        found: the fresh chips.
        images: how many each has seen.
        sample: the verified chip's.
        reader: its accuracy by who read the fresh chips; None where that was ngspice.
        spice: its accuracy in ngspice.
        failed: its images without an answer there.
    """
    every = zip(found.samples, found.accuracy, found.without_answer, strict=True)
    all_of = {sample: (accuracy, lost) for sample, accuracy, lost in every}
    by_spice: dict[int, tuple[float, int]] = {}
    by = "surrogate" if found.engine == "surrogate" else "exact"
    if found.engine != by:
        all_of, by_spice = {}, all_of
    elif (judge := found.judge) is not None:
        some = zip(judge.samples, judge.accuracy, judge.without_answer, strict=True)
        by_spice = {sample: (accuracy, lost) for sample, accuracy, lost in some}
    nothing = ("", "")
    rows: list[tuple[object, ...]] = [
        ("sample", "fresh", "images", f"accuracy_{by}", f"without_answer_{by}", "accuracy_spice",
         "without_answer_spice"),
        (sample, 0, images, *(nothing if reader is None else (reader, 0)), spice, failed),
    ]  # fmt: skip
    for one in found.samples:
        rows.append((one, 1, images, *all_of.get(one, nothing), *by_spice.get(one, nothing)))
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
