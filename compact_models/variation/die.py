"""Correlation over the die: standard normal scores that are alike in cells that are near.

A score is the sum of three independent parts whose shares of the variance add up to one: one
common to the whole die, one that changes slowly over the array (a Gaussian random field), and one
of every cell. Circulant embedding: Dietrich, Newsam, SIAM J. Sci. Comput. 18 (1997) 1088,
doi 10.1137/S1064827592240555. Plane waves: Shinozuka, Jan, J. Sound Vib. 25 (1972) 111,
doi 10.1016/0022-460X(72)90600-1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from compact_models.spec import Spec
from compact_models.variation.seeds import Array, component_rng

# Up to here the covariance matrix itself is factorised: exact, and 0.1 s.
_DENSE_CELLS = 1024
# The torus is this many times the array, tried in turn until its spectrum is positive.
_TORUS = (2, 4)
# Negative part of the spectrum that is left out, as a share of the variance.
_TOLERATED = 1e-3
_WAVES = 2048


class DieField(Spec):
    """How the cells of a die resemble each other.

    The slow part is drawn per array: two arrays of a die have the die's common part in common.
    """

    common_share: float = Field(
        0.0, ge=0, le=1, description="share of the variance that the whole die has in common"
    )
    field_share: float = Field(
        0.0, ge=0, le=1, description="share of the variance that changes slowly over the array"
    )
    kernel: Literal["exponential", "gaussian"] = Field(
        "exponential", description="correlation at distance d: exp(-d/L) or exp(-(d/L)^2)"
    )
    length_m: float = Field(1e-4, gt=0, description="correlation length L [m]")
    row_pitch_m: float = Field(1e-7, gt=0, description="distance of neighbouring rows [m]")
    col_pitch_m: float = Field(1e-7, gt=0, description="distance of neighbouring columns [m]")

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.common_share + self.field_share > 1 + 1e-12:
            raise ValueError("common_share and field_share must add up to at most 1")
        return self

    def correlation(self, row_steps: Array, col_steps: Array) -> Array:
        """Correlation of the slow part between cells so many rows and columns apart, [...]."""
        distance = np.hypot(row_steps * self.row_pitch_m, col_steps * self.col_pitch_m)
        ratio = distance / self.length_m
        return np.asarray(np.exp(-(ratio**2 if self.kernel == "gaussian" else ratio)))


def die_scores(
    field: DieField,
    shape: tuple[int, int],
    *,
    seed: int,
    sample: int,
    path: str,
    die: str = "die",
) -> Array:
    """Standard normal scores of one quantity of every cell of an array, [row, col].

    Args:
        field: how cells resemble each other.
        shape: rows and columns of the array.
        seed: the study's seed, >= 0.
        sample: the sample's index, >= 0.
        path: the array's hierarchy path with the quantity, e.g. `layer_0/tile_1/r_on`.
        die: the die's path with the quantity; arrays with the same one share the common part.
    """
    common = float(component_rng(seed, sample, f"{die}/common").standard_normal())
    own = component_rng(seed, sample, f"{path}/own").standard_normal(shape)
    rest = max(0.0, 1.0 - field.common_share - field.field_share)
    scores = np.sqrt(field.common_share) * common + np.sqrt(rest) * own
    if field.field_share > 0:
        rng = component_rng(seed, sample, f"{path}/field")
        scores = scores + np.sqrt(field.field_share) * _random_field(field, shape, rng)
    return np.asarray(scores, dtype=np.float64)


def _random_field(field: DieField, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A Gaussian random field with unit variance and the field's correlation, [row, col]."""
    rows, cols = shape
    if field.kernel == "gaussian":
        # A product of one factor along the rows and one along the columns: exact at any size.
        along_rows, along_cols = _line_roots(field, shape)
        return np.asarray(along_rows @ rng.standard_normal(shape) @ along_cols.T)
    if rows * cols <= _DENSE_CELLS:
        return (_dense_root(field, shape) @ rng.standard_normal(rows * cols)).reshape(shape)
    embedded = _embedded(field, shape, rng)
    return _plane_waves(field, shape, rng) if embedded is None else embedded


def _steps(count: int) -> Array:
    index = np.arange(count, dtype=np.float64)
    return index[:, None] - index[None, :]


def _root(covariance: Array) -> Array:
    """The symmetric R with R R = covariance.

    By eigenvalues, since a smooth kernel's covariance is singular; symmetric, since the signs and
    the order of eigenvectors are the library's choice and a sample must not be.
    """
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


@lru_cache(maxsize=8)
def _line_roots(field: DieField, shape: tuple[int, int]) -> tuple[Array, Array]:
    """The roots of the covariances along the rows and along the columns."""
    zero = np.zeros(1)
    along_rows = _root(field.correlation(_steps(shape[0]), zero))
    along_cols = _root(field.correlation(zero, _steps(shape[1])))
    for root in (along_rows, along_cols):
        root.setflags(write=False)
    return along_rows, along_cols


@lru_cache(maxsize=8)
def _dense_root(field: DieField, shape: tuple[int, int]) -> Array:
    """The root of the covariance of all cells; kept, since every sample of an array needs it."""
    row, col = (k.ravel() for k in np.indices(shape).astype(np.float64))
    root = _root(field.correlation(row[:, None] - row[None, :], col[:, None] - col[None, :]))
    root.setflags(write=False)
    return root


def _embedded(field: DieField, shape: tuple[int, int], rng: np.random.Generator) -> Array | None:
    """The field by FFT: the array on a torus on which the correlation is circulant.

    None where no torus of the sizes tried has a positive spectrum: at lengths above its size.
    """
    for times in _TORUS:
        size = tuple(times * n for n in shape)
        rows, cols = (np.minimum(np.arange(n), n - np.arange(n)).astype(np.float64) for n in size)
        spectrum = np.fft.fft2(field.correlation(rows[:, None], cols[None, :])).real
        lost = -spectrum[spectrum < 0].sum() / spectrum.sum()
        if lost <= _TOLERATED:
            break
    else:
        return None
    positive = np.maximum(spectrum, 0.0)
    positive *= spectrum.size / positive.sum()  # unit variance, with the negative part left out
    noise = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    whole = np.fft.fft2(np.sqrt(positive / spectrum.size) * noise).real
    return np.asarray(whole[: shape[0], : shape[1]])


def _plane_waves(field: DieField, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """The field with the exponential kernel as a sum of plane waves, for any length.

    Wave vectors are drawn from the kernel's spectrum, (1 + k^2 L^2)^(-3/2) in two dimensions, and
    amplitudes from the normal distribution: over samples the correlation is the kernel's.
    """
    # k L from its distribution function 1 - (1 + k^2 L^2)^(-1/2); 1 - random() is never 0.
    length = np.sqrt((1 - rng.random(_WAVES)) ** -2.0 - 1) / field.length_m
    angle = rng.uniform(0, 2 * np.pi, _WAVES)
    amplitude = rng.standard_normal((2, _WAVES)) / np.sqrt(_WAVES)
    row_phase = np.outer(np.arange(shape[0]) * field.row_pitch_m, length * np.cos(angle))
    col_phase = np.outer(np.arange(shape[1]) * field.col_pitch_m, length * np.sin(angle))
    rows = np.exp(1j * row_phase) * (amplitude[0] + 1j * amplitude[1])
    return np.asarray((rows @ np.exp(1j * col_phase).T).real)
