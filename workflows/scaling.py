"""How a user's values become what word-line drivers take: [0, 1] or [-1, 1], 1 is the read voltage.

Two steps. The network sees `(value - offset) / factor`, by feature, as the user's own training
would have it; a driver gets that over `full_scale`, one number for all features, so that the
weights of the network stay what they are. What lies beyond a driver's range clips, as it does in
the circuit. Everything is fitted to the training share alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.mapping import INPUT_ROUNDING, RANGE_QUANTILE

Array = NDArray[np.float64]
Scale = Literal["none", "minmax", "standard", "range"]
Place = Callable[[int, int], str]


@dataclass(frozen=True, eq=False)
class Scaling:
    """A fitted scale.

    Args:
        kind: by which name it was asked for.
        offset: [feature], in the user's units.
        factor: [feature], in the user's units, > 0.
        full_scale: the network's input that full read voltage stands for, > 0.
        signed: whether drivers give both signs.
    """

    kind: Scale
    offset: Array
    factor: Array
    full_scale: float
    signed: bool

    def seen(self, values: Array) -> Array:
        """What the network sees [sample, feature], nothing clipped.

        Args:
            values: in the user's units [sample, feature].
        """
        with np.errstate(over="ignore"):  # what becomes infinite clips like all that is beyond
            return np.asarray((values - self.offset) / self.factor, dtype=np.float64)

    def drive(self, values: Array) -> tuple[Array, int]:
        """Shares of the read voltage [sample, feature], and how many of them had to be clipped.

        Args:
            values: in the user's units [sample, feature].
        """
        with np.errstate(over="ignore"):
            share = self.seen(values) / self.full_scale
        held = share.clip(-1.0 if self.signed else 0.0, 1.0)
        return held, int((np.abs(share - held) > INPUT_ROUNDING).sum())


def fit_scaling(kind: Scale, train: Array, place: Place) -> Scaling:
    """A scale fitted to the samples that may be seen.

    Args:
        kind: `none` takes what `check_shares` lets through as it is; `range` leaves the network's
            inputs as they are, full drive being the largest value of all; `minmax` brings each
            feature to [0, 1]; `standard` to mean 0 and variance 1, full drive being the value that
            99.9 % do not pass.
        train: finite values [sample, feature].
        place: names a value of `train` by its row and column, for errors.

    Raises:
        InputError: values too large to be scaled.
    """
    features = train.shape[1]
    offset, factor, full_scale = np.zeros(features), np.ones(features), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        if kind == "range":
            full_scale = float(np.abs(train).max()) or 1.0
        elif kind == "minmax":
            offset = train.min(axis=0)
            factor = train.max(axis=0) - offset
        elif kind == "standard":
            offset, factor = train.mean(axis=0), train.std(axis=0)
        # A feature that never changes has nothing to be divided by.
        factor = np.where(factor > 0, factor, 1.0)
        seen = (train - offset) / factor
        if kind == "standard":
            full_scale = float(np.quantile(np.abs(seen), RANGE_QUANTILE)) or 1.0
        share = seen / full_scale
    if not np.isfinite(share).all():
        row, col = (int(k) for k in np.argwhere(~np.isfinite(share))[0])
        raise InputError(
            "this feature is too large to be scaled",
            where=place(row, col),
            value=float(train[row, col]),
            allowed="values whose differences and squares are numbers too",
        )
    signed = bool((share < -INPUT_ROUNDING).any())
    return Scaling(kind, offset, factor, full_scale, signed)


def check_shares(values: Array, place: Place) -> None:
    """Holds values against what drivers take as it is.

    Raises:
        InputError: one is beyond [-1, 1], by more than rounding.
    """
    beyond = ~(np.abs(values) <= 1 + INPUT_ROUNDING)  # NaN too
    if beyond.any():
        row, col = (int(k) for k in np.argwhere(beyond)[0])
        raise InputError(
            "inputs of a chip are shares of its read voltage",
            where=place(row, col),
            value=float(values[row, col]),
            allowed="values in [0, 1] or [-1, 1]",
            hint='scale "minmax" or "standard" scales x by its training share, "range" keeps what a'
            " trained network sees: [data] scale, or --scale",
        )
