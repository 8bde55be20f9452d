"""What chips and images that were drawn say of all chips on all images of the kind.

Every chip reads the same images. So an accuracy is uncertain twice: other chips, other images; and
the two are not nested but crossed. right[chip, image] = mean + chip + image + rest is split into
its variance components (Searle, Casella, McCulloch, "Variance Components", 1992, 4.4, one
observation a cell). The part of the images is common to all chips: it moves all of them against
the accuracy that a good one has. The rest scatters chips for no other reason than that the images
are few.

Two questions, two intervals. For these very images the share of good chips is a binomial one, over
other chips alone: Clopper and Pearson's interval. The other draws images anew too. Images: Bayesian
bootstrap (Rubin, Ann. Statist. 9 (1981) 130) with half an image that all have right and half one
that all have wrong, which makes it Jeffreys' where chips are alike. Chips: Jeffreys' posterior of
the share that is good by the images drawn. Before they are counted, accuracies are drawn together
to the spread that is the chips' own (Louis, J. Am. Statist. Assoc. 79 (1984) 393); how large that
is, is drawn anew over chips too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

CONFIDENCE = 0.95
_DRAWS = 1000
_VALUES_AT_ONCE = 4_000_000  # accuracies of chips by drawn images: 32 MB


def spread_of_chips(right: Bools) -> float | None:
    """Standard deviation of chips' accuracies without the share of the images; >= 0.

    Args:
        right: [chip, image].

    Returns:
        None of a single chip or a single image, where the two cannot be told apart.
    """
    if min(right.shape) < 2:
        return None
    by_chip = float(right.mean(axis=1).var(ddof=1))
    return float(np.sqrt(max(0.0, by_chip - float(_rest(right).sum()) / right.shape[1] ** 2)))


def _rest(right: Bools) -> Array:
    """Variance of what neither the chip nor the image explains, by image, [image]."""
    chips, images = right.shape
    if min(chips, images) < 2:
        return np.zeros(images)
    values = right.astype(np.float64)
    off = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    freedom = (chips - 1) * (images - 1) / images
    return np.asarray((off**2).sum(axis=0) / freedom, dtype=np.float64)


@dataclass(frozen=True)
class Intervals:
    """95 % intervals over other chips and other images.

    Attributes:
        mean: of the mean accuracy of all chips.
        share: of the share of chips that reach the accuracy; None where none is asked for.
        mean_by_images: of the mean accuracy of these very chips, over other images alone.
    """

    mean: tuple[float, float]
    share: tuple[float, float] | None
    mean_by_images: tuple[float, float]


def share_of_other_chips(good: int, chips: int) -> tuple[float, float]:
    """Between which shares of all chips are good, for the images that were read and no others.

    C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404: it holds the share in 95 % of all
    draws of chips at least, whatever that is.

    Args:
        good: how many are, 0..chips.
        chips: how many were drawn, >= 1.
    """
    found = binomtest(good, chips).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def intervals(right: Bools, accuracy_min: float | None, rng: np.random.Generator) -> Intervals:
    """See the head of this file.

    Args:
        right: [chip, image].
        accuracy_min: what a good chip reaches, 0..1.
        rng: what is drawn from.
    """
    chips, images = right.shape
    rest = _rest(right)
    values = right.astype(np.float32)
    means, own, shares = np.empty(_DRAWS), np.empty(_DRAWS), np.empty(_DRAWS)
    at_once = max(1, _VALUES_AT_ONCE // max(chips, images))
    for first in range(0, _DRAWS, at_once):
        count = min(at_once, _DRAWS - first)
        part = slice(first, first + count)
        weight = rng.dirichlet(np.append(np.ones(images), (0.5, 0.5)), count)
        accuracy = weight[:, :images] @ values.T + weight[:, -2:-1]  # [draw, chip]
        of_chips = rng.dirichlet(np.ones(chips), count)
        own[part] = accuracy.mean(axis=1)
        means[part] = (of_chips * accuracy).sum(axis=1)
        if accuracy_min is None:
            continue
        off = accuracy - own[part, None]
        seen = (of_chips * (accuracy - means[part, None]) ** 2).sum(axis=1)
        seen *= (chips + 1) / max(chips - 1, 1)  # such weights leave so much of a variance
        by_images = (weight[:, :images] ** 2) @ rest
        kept = np.sqrt(np.clip(1 - by_images / np.maximum(seen, 1e-300), 0, 1))
        # A share of n images may lie a rounding below the number that was written down.
        good = (own[part, None] + kept[:, None] * off >= accuracy_min - 1e-9).sum(axis=1)
        shares[part] = rng.beta(good + 0.5, chips - good + 0.5)
    return Intervals(
        _quantiles(means), None if accuracy_min is None else _quantiles(shares), _quantiles(own)
    )


def _quantiles(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)
