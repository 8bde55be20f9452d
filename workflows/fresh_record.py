"""What fresh chips reach: the record of a verification, in words, and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from workflows.fresh_chips import NO_ANSWER, FreshChips, FreshReads

CONFIDENCE = 0.95


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
    `engine` read all of them. `share` of them reach `accuracy_min`, from `share_low` to
    `share_high` with the confidence 95 % (Wilson).
    """

    engine: str
    samples: tuple[int, ...]
    accuracy: tuple[float, ...]
    without_answer: tuple[int, ...]
    mean: float
    minimum: float
    standard_deviation: float | None
    accuracy_min: float | None
    good: int | None
    share: float | None
    share_low: float | None
    share_high: float | None
    judge: FreshJudge | None


def fresh_record(reads: FreshReads, accuracy_min: float | None) -> FreshRecord:
    """The statistics of fresh chips.

    Args:
        reads: their answers.
        accuracy_min: what a good chip reaches, 0..1.
    """
    answers, accuracy = reads.chips, reads.chips.accuracy
    good: int | None = None
    interval: tuple[float, float] | None = None
    if accuracy_min is not None:
        # A share of n images may lie a rounding below the number that was written down.
        good = int((accuracy >= accuracy_min - 1e-12).sum())
        found = binomtest(good, len(accuracy)).proportion_ci(CONFIDENCE, method="wilson")
        interval = (float(found.low), float(found.high))
    return FreshRecord(
        engine=reads.engine,
        samples=tuple(answers.samples.tolist()),
        accuracy=tuple(accuracy.tolist()),
        without_answer=tuple(answers.without_answer.tolist()),
        mean=float(accuracy.mean()),
        minimum=float(accuracy.min()),
        standard_deviation=float(accuracy.std(ddof=1)) if len(accuracy) > 1 else None,
        accuracy_min=accuracy_min,
        good=good,
        share=None if good is None else good / len(accuracy),
        share_low=None if interval is None else interval[0],
        share_high=None if interval is None else interval[1],
        judge=None if reads.judge is None else _judged(answers, reads.judge, reads.judge_engine),
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


def fresh_lines(found: FreshRecord, images: int, noun: str = "image") -> list[str]:
    """Fresh chips in words, that have read so many images, each called a `noun`."""
    chips = len(found.samples)
    spread = ""
    if found.standard_deviation is not None:
        spread = f", standard deviation {found.standard_deviation:.4f}"
    lines = [
        f"fresh      {chips} chips of the same weights that training never saw"
        f" (samples {found.samples[0]} to {found.samples[-1]}), {_by_whom(found)}, the same"
        f" {images} {noun}s: mean {found.mean:.4f}, minimum {found.minimum:.4f}{spread}"
        + _lost(found.without_answer, noun)
    ]
    if found.good is not None:
        lines.append(
            f"good       {found.good} of {chips} chips reach {found.accuracy_min:g}:"
            f" {found.share:.3f}, 95 % confidence {found.share_low:.3f} to {found.share_high:.3f}"
        )
    if found.judge is not None:
        judge = found.judge
        values = ", ".join(f"{value:.4f}" for value in judge.accuracy)
        lines.append(
            f"           {len(judge.samples)} of them in {judge.engine} too: {values}; the same"
            f" class as {found.engine} for {judge.agreement:.4f} of their {noun}s"
            + _lost(judge.without_answer, noun)
        )
    return lines


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
