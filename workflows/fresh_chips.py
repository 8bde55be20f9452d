"""Chips of the same weights that training never saw: what the network is worth, not one chip.

Training knows the offsets and gains of the chip that its surrogate was calibrated on, and works
round them. A fresh chip has the same weights; its cells' programming errors and its periphery are
drawn anew, as the next sample of the study. They are read by the netlist's equations (`exact`),
many chips at once, and some of them by ngspice. Chips with blocks of the user's own have no
equations: they are read by the surrogate, whose curves hold for all instances, where it is near
enough on instances that it was not fitted to, and else all of them in ngspice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.calibration.calibrate import Calibration
from cosim.calibration.evidence import HeldOutError
from cosim.network.models import codes_of_chips, exact_model
from cosim.network.run import NetworkModel
from cosim.network.whole_chip import SimulationRecord, read_chip
from cosim.ngspice import Ngspice
from netlists.chip import Chip, another_chip
from workflows.console import Reporter

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_ANSWER = -1
"""In place of a class."""


@dataclass(frozen=True)
class FreshRequest:
    """How many fresh chips, how many of them in ngspice, and what accuracy a good one has."""

    chips: int
    spice_chips: int = 2
    accuracy_min: float | None = None

    def __post_init__(self) -> None:
        """Refuses numbers that ask for nothing.

        Raises:
            InputError: one is outside its range.
        """
        for where, value, low, high in (
            ("--chips", self.chips, 1, 1_000_000),
            ("--spice-chips", self.spice_chips, 0, self.chips),
            ("--accuracy-min", self.accuracy_min, 0, 1),
        ):
            if value is not None and not low <= value <= high:
                raise InputError("outside its range", where=where, value=value,
                                 allowed=f"{low} to {high}")  # fmt: skip


def fresh_request(
    chips: int | None, spice_chips: int | None, accuracy_min: float | None
) -> FreshRequest | None:
    """What the options of `verify` ask for; None without `--chips`.

    Raises:
        InputError: an option says something of chips that are not asked for, or is outside its
            range.
    """
    if chips is None:
        for where, value in (("--spice-chips", spice_chips), ("--accuracy-min", accuracy_min)):
            if value is not None:
                raise InputError(
                    "this is of fresh chips, and none are asked for", where=where, value=value,
                    hint="give --chips N too",
                )  # fmt: skip
        return None
    few = min(2, max(chips, 0)) if spice_chips is None else spice_chips
    return FreshRequest(chips, few, accuracy_min)


@dataclass(frozen=True, eq=False)
class FreshChips:
    """What chips answer.

    Args:
        samples: of the study, [chip].
        predicted: classes, [chip, image]; -1 where there was no answer.
        labels: true classes, [image].
    """

    samples: Ints
    predicted: Ints
    labels: Ints

    @property
    def accuracy(self) -> Array:
        """Share of images right, [chip]; an image without an answer is wrong."""
        return np.asarray((self.predicted == self.labels).mean(axis=1), dtype=np.float64)

    @property
    def without_answer(self) -> Ints:
        """Images without an answer, [chip]."""
        return np.asarray((self.predicted == NO_ANSWER).sum(axis=1), dtype=np.int64)


def fresh_chips(
    chip: Chip,
    x: Array,
    labels: Ints,
    *,
    seed: int,
    samples: Sequence[int],
    read: Callable[[Sequence[Chip], Array], Array],
    at_once: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> FreshChips:
    """Sends images through chips of the same weights.

    Args:
        chip: one chip with these weights.
        x: digital inputs [image, in].
        labels: true classes [image].
        seed: the study's seed.
        samples: which chips of the study.
        read: codes [chip, image, out] of chips; not finite where there is no answer.
        at_once: so many chips are read together.
        on_progress: called with (chips done, chips).
    """
    predicted = np.full((len(samples), len(labels)), NO_ANSWER, dtype=np.int64)
    for first in range(0, len(samples), at_once):
        some = samples[first : first + at_once]
        codes = read([another_chip(chip, seed=seed, sample=sample) for sample in some], x)
        answered = np.isfinite(codes).all(axis=2)
        found = np.where(answered, np.nan_to_num(codes).argmax(axis=2), NO_ANSWER)
        predicted[first : first + len(some)] = found
        if on_progress is not None:
            on_progress(first + len(some), len(samples))
    return FreshChips(np.asarray(samples, dtype=np.int64), predicted, labels)


@dataclass(frozen=True, eq=False)
class FreshReads:
    """Fresh chips as they were read for a verification.

    Args:
        engine: who read all of them: `exact`, or ngspice where that has no equations.
        chips: all of them.
        judge: some of them in ngspice; None where ngspice read all, or was to read none.
        judge_engine: the simulator that did.
        simulations: its runs.
    """

    engine: str
    chips: FreshChips
    judge: FreshChips | None
    judge_engine: str
    simulations: tuple[SimulationRecord, ...]


def read_fresh(
    chip: Chip,
    calibration: Calibration,
    x: Array,
    labels: Ints,
    wanted: FreshRequest,
    ngspice: Ngspice,
    reporter: Reporter,
    *,
    seed: int,
    sample: int,
    jobs: int,
) -> FreshReads:
    """Reads the samples after one, the first of them in ngspice too.

    Args:
        chip: the sample with these weights that is there.
        calibration: of its surrogate.
        x: digital inputs [image, in].
        labels: true classes [image].
        wanted: how many.
        ngspice: the simulator.
        reporter: where progress goes.
        seed: the study's seed.
        sample: the sample that `chip` is.
        jobs: decks at a time.
    """
    samples = range(sample + 1, sample + 1 + wanted.chips)
    records: list[SimulationRecord] = []
    engine, numbers = ngspice.label, iter(samples)

    def in_ngspice(some: Sequence[Chip], images: Array) -> Array:
        nonlocal engine
        (one,) = some
        read = read_chip(one, images, ngspice, jobs=jobs, title="a fresh chip")
        place = f"fresh_chip_{next(numbers)}"
        records.extend(dataclasses.replace(r, deck=f"{place}.{r.deck}") for r in read.simulations)
        engine = read.engine
        return read.codes[None]

    def spice(count: int) -> FreshChips:
        with reporter.stage(f"spice: {count} of the fresh chips in ngspice") as progress:
            return fresh_chips(
                chip, x, labels, seed=seed, samples=samples[:count], read=in_ngspice,
                on_progress=progress,
            )  # fmt: skip

    if chip.hardware.blocks and not near_enough(calibration.errors):
        chips = spice(wanted.chips)
        return FreshReads(engine, chips, None, "", tuple(records))
    by = "surrogate" if chip.hardware.blocks else "exact"

    def at_once(some: Sequence[Chip], images: Array) -> Array:
        drawn = [one.periphery for one in some]
        if by == "exact":
            model: NetworkModel = exact_model(chip.hardware, chip.plans, *drawn)
        else:
            model = calibration.model.of_chips(drawn).as_watched()
        return codes_of_chips(some, model, images)

    with reporter.stage(f"{wanted.chips} fresh chips, {by}") as progress:
        chips = fresh_chips(
            chip, x, labels, seed=seed, samples=samples, read=at_once,
            at_once=together(chip, len(x)), on_progress=progress,
        )  # fmt: skip
    judge = spice(wanted.spice_chips) if wanted.spice_chips else None
    return FreshReads(by, chips, judge, engine, tuple(records))


_VALUES_AT_ONCE = 8_000_000  # currents of a layer: 64 MB
_MOST_LSB = 0.5  # what rounding brings anyway


def together(chip: Chip, images: int) -> int:
    """How many chips are read at once."""
    lines = max(sum(tile.cols for tile in plan.tiles) for plan in chip.plans)
    return max(1, _VALUES_AT_ONCE // (lines * images))


def near_enough(errors: Sequence[HeldOutError]) -> bool:
    """Whether a calibration holds for chips that it was not made on.

    What it was not fitted to, instances of blocks above all, is within half an LSB of the converter
    for 95 of 100 points.
    """
    of_chips = [row for row in errors if row.unit == "LSB" and "converters" not in row.quantity]
    return all(row.p95 <= _MOST_LSB for row in of_chips)
