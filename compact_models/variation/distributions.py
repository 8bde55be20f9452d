"""The distributions of a parameter, each as a map from standard normal scores to values.

A score says how many standard deviations a cell lies off; correlation over the die and between
parameters is made in the scores, so every distribution can be correlated (a Gaussian copula).
Sources: Johnson, Kotz, Balakrishnan, "Continuous Univariate Distributions" 1, 2nd ed. (1994),
chapters 13 (truncated normal) and 14 (lognormal).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtr, ndtri

from compact_models.spec import Spec
from compact_models.variation.seeds import Array

Scale = Literal["relative", "absolute"]


class Normal(Spec):
    """Normal around the centre; unbounded, so a draw may leave a parameter's bounds."""

    kind: Literal["normal"] = "normal"
    sigma: float = Field(ge=0, description="standard deviation")
    scale: Scale = Field("relative", description="sigma is a fraction of the centre, or SI units")

    def values(self, score: Array, centre: Array, reference: Array) -> Array:
        """Values [...] at standard normal scores [...], around `centre`, in its unit."""
        return centre + _width(self.sigma, self.scale, centre) * score


class Lognormal(Spec):
    """The centre, which is the median, times a factor; keeps the centre's sign."""

    kind: Literal["lognormal"] = "lognormal"
    sigma: float = Field(ge=0, le=10, description="standard deviation of the natural logarithm")

    def values(self, score: Array, centre: Array, reference: Array) -> Array:
        """Values [...] at standard normal scores [...], around `centre`, in its unit."""
        return np.asarray(centre * np.exp(self.sigma * score))


class _Limits(Spec):
    """Two limits: fractions of a reference value, or values in SI units."""

    low: float = Field(description="least value")
    high: float = Field(description="largest value")
    limits: Scale = Field(
        "relative", description="low and high are fractions of the nominal value, or SI units"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")
        return self

    def ends(self, reference: Array) -> tuple[Array, Array]:
        """The lower and the upper end, [...]; a negative reference turns fractions around."""
        one = reference if self.limits == "relative" else np.ones_like(reference)
        return np.minimum(self.low * one, self.high * one), np.maximum(
            self.low * one, self.high * one
        )


class TruncatedNormal(_Limits):
    """Normal around the centre, without what lies outside the limits (not moved to them)."""

    kind: Literal["truncated_normal"] = "truncated_normal"
    sigma: float = Field(gt=0, description="standard deviation before truncation")
    scale: Scale = Field("relative", description="sigma is a fraction of the centre, or SI units")

    def values(self, score: Array, centre: Array, reference: Array) -> Array:
        """Values [...] at standard normal scores [...]; relative limits are of `reference`."""
        low, high = self.ends(reference)
        width = np.abs(_width(self.sigma, self.scale, centre))
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = _truncated(score, (low - centre) / width, (high - centre) / width)
            free = centre + width * scores
        # The clip takes away rounding at the ends; without width there is the centre alone.
        return np.where(width > 0, np.clip(free, low, high), centre)


class TruncatedLognormal(_Limits):
    """Lognormal around its median, the centre, without what lies outside the limits."""

    kind: Literal["truncated_lognormal"] = "truncated_lognormal"
    sigma: float = Field(gt=0, le=10, description="standard deviation of ln, before truncation")

    def values(self, score: Array, centre: Array, reference: Array) -> Array:
        """Values [...] at standard normal scores [...]; relative limits are of `reference`."""
        low, high = self.ends(reference)
        # With a negative centre the distribution is that of the magnitude.
        sign = np.sign(centre)
        least, most = np.minimum(sign * low, sign * high), np.maximum(sign * low, sign * high)
        with np.errstate(divide="ignore", invalid="ignore"):
            a = np.log(np.maximum(least, 0) / np.abs(centre)) / self.sigma
            b = np.log(np.maximum(most, 0) / np.abs(centre)) / self.sigma
            free = centre * np.exp(self.sigma * _truncated(score, a, b))
        return np.clip(free, low, high)


class Uniform(_Limits):
    """Every value between the limits, equally likely; fractions are of the centre."""

    kind: Literal["uniform"] = "uniform"

    def values(self, score: Array, centre: Array, reference: Array) -> Array:
        """Values [...] at standard normal scores [...]."""
        low, high = self.ends(centre)
        return np.asarray(low + (high - low) * ndtr(score))


Distribution = Annotated[
    Normal | Lognormal | TruncatedNormal | TruncatedLognormal | Uniform,
    Field(discriminator="kind"),
]


def _width(sigma: float, scale: Scale, centre: Array) -> Array:
    return sigma * np.abs(centre) if scale == "relative" else np.full_like(centre, sigma)


def _truncated(score: Array, a: Array, b: Array) -> Array:
    """Scores of the normal distribution cut to [a, b], at scores of the whole one.

    Where the interval lies above zero its mirror image is used: far out in the upper tail the
    distribution function is 1 to the last digit, in the lower tail it is not.
    """
    mirrored = a > 0
    low, high = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    share = ndtr(np.where(mirrored, -score, score))
    found = ndtri(ndtr(low) + share * (ndtr(high) - ndtr(low)))
    return np.asarray(np.where(mirrored, -found, found), dtype=np.float64)
