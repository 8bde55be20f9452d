"""The few statistics of the report. Failed images stay in every denominator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workflows.report.data import FloatArray, IntArray, ReportData


def wilson_interval(share: float, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson score interval of a binomial share, 95 % by default.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22 (1927). It stays within 0..1 and is honest at 0 and at 1.

    Args:
        share: observed share, 0..1.
        n: number of trials, at least 1.
        z: quantile of the normal distribution.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, is {n}")
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return max(centre - half, 0.0), min(centre + half, 1.0)


def has_result(codes: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """`[image]` True where every class has a finite code."""
    return np.asarray(np.isfinite(codes).all(axis=1))


@dataclass(frozen=True, eq=False)
class Pairs:
    """The codes of a model beside those of SPICE.

    Attributes:
        model: `[value]` model's codes in LSB where both have a result.
        spice: `[value]` SPICE's codes in LSB, likewise.
        model_alone: `[value]` model's codes of images without a SPICE result.
        n_values: all values, those without a pair included: images x classes.
    """

    model: FloatArray
    spice: FloatArray
    model_alone: FloatArray
    n_values: int

    @property
    def n_unpaired(self) -> int:
        """Values that could not be compared."""
        return self.n_values - self.model.size

    @property
    def error(self) -> FloatArray:
        """`[value]` model - SPICE in LSB."""
        return self.model - self.spice


def pairs(data: ReportData, fidelity: str) -> Pairs | None:
    """A model's codes beside SPICE's, or None where one of the two was not run."""
    if fidelity not in data.codes or "spice" not in data.codes:
        return None
    model, spice = data.codes[fidelity], data.codes["spice"]
    model_ok, spice_ok = has_result(model), has_result(spice)
    both = model_ok & spice_ok
    return Pairs(
        model[both].ravel(), spice[both].ravel(), model[model_ok & ~spice_ok].ravel(), model.size
    )


def cumulative(values: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Share of `n` samples at or below each distinct value; missing samples keep it below 1."""
    distinct, counts = np.unique(values, return_counts=True)
    return distinct.astype(np.float64), np.cumsum(counts) / max(n, 1)


def quantile_of_all(values: FloatArray, n: int, share: float) -> float:
    """The value that `share` of all `n` samples do not exceed.

    Infinite where so many samples have no result that no value can be named.
    """
    rank = math.ceil(share * n)
    ordered = np.sort(values)
    return float(ordered[max(rank, 1) - 1]) if 1 <= max(rank, 1) <= ordered.size else math.inf


def confusion(data: ReportData) -> IntArray:
    """`[true class, predicted class]` counts of SPICE's answers; last column: no result.

    The predicted class is the largest code; of equal codes the first, as a comparator tree
    that keeps its first input would give.
    """
    n = len(data.class_names)
    table = np.zeros((n, n + 1), dtype=np.int64)
    codes = data.codes["spice"]
    valid = has_result(codes)
    predicted = np.full(len(codes), n)
    predicted[valid] = codes[valid].argmax(axis=1)
    np.add.at(table, (data.labels, predicted), 1)
    return table
