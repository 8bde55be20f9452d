"""How phase-change memory scatters: programming, drift exponents and the noise of a read.

Nandakumar et al., "Phase-change memory models for deep learning training and inference", IEEE ICECS
(2019), doi 10.1109/ICECS46596.2019.8964852, with the programming error of Joshi et al., Nat.
Commun. 11 (2020) 2473, doi 10.1038/s41467-020-16108-9: fits to arrays of doped Ge2Sb2Te5 mushroom
cells of 25 uS at most. The coefficients are those that aihwkit 1.2.0 uses (PCMLikeNoiseModel).
Conductances are in S, of any shape; `g_max_s` is the conductance that counts as 1.

Draws are functions of (seed, sample, path), see `compact_models.variation`; of a read, of its
number too. The mean device is the
compact model `pcm`.
"""

from __future__ import annotations

import numpy as np

from compact_models.variation import Array, Stream, component_rng

# Programming error in uS at a g_max of 25 uS, by rising powers of g / g_max.
_PROGRAMMING_US = (0.26348, 1.9650, -1.1731)
_PROGRAMMING_G_MAX_US = 25.0
# Mean and standard deviation of the drift exponent: slope and offset by ln(g / g_max), and limits.
_NU_MEAN = (-0.0155, 0.0244, 0.049, 0.1)
_NU_STD = (-0.0125, -0.0059, 0.008, 0.045)
# Read noise at 1 Hz^-1/2: size and exponent by g / g_max, and the most it is.
_Q, _Q_POWER, _Q_MOST = 0.0088, 0.65, 0.2
_READ_S = 250e-9
_LEAST = 1e-7  # of g / g_max, where its logarithm is taken


def programming_std_s(g_s: Array, g_max_s: float) -> Array:
    """Standard deviation of the conductance after iterative programming [S].

    Args:
        g_s: the conductances aimed at [S].
        g_max_s: the largest conductance that is programmed [S].
    """
    x = g_s / g_max_s
    relative = sum(c * x**k for k, c in enumerate(_PROGRAMMING_US)) / _PROGRAMMING_G_MAX_US
    return np.asarray(np.maximum(relative, 0.0) * g_max_s)


def programmed_s(g_s: Array, g_max_s: float, seed: int, sample: int, path: str) -> Array:
    """Conductances as programmed, never negative [S].

    Args:
        g_s: the conductances aimed at [S].
        g_max_s: the largest conductance that is programmed [S].
        seed: the study's seed, >= 0.
        sample: the index of the sample, >= 0.
        path: the path of the array.
    """
    xi = component_rng(seed, sample, f"{path}/programming").standard_normal(g_s.shape)
    return np.asarray(np.maximum(g_s + programming_std_s(g_s, g_max_s) * xi, 0.0))


def drift_exponent_mean(g_s: Array, g_max_s: float) -> Array:
    """Mean drift exponent of cells that were programmed to `g_s` [S]; low cells drift more."""
    return _logarithmic(g_s / g_max_s, *_NU_MEAN)


def drift_exponent_std(g_s: Array, g_max_s: float) -> Array:
    """Standard deviation of the drift exponent from cell to cell."""
    return _logarithmic(g_s / g_max_s, *_NU_STD)


def drift_exponents(g_s: Array, g_max_s: float, seed: int, sample: int, path: str) -> Array:
    """A drift exponent per cell, never negative; a value for `nu` of the compact model `pcm`.

    Args:
        g_s: the conductances aimed at [S].
        g_max_s: the largest conductance that is programmed [S].
        seed: the study's seed, >= 0.
        sample: the index of the sample, >= 0.
        path: the path of the array.
    """
    xi = component_rng(seed, sample, f"{path}/drift").standard_normal(g_s.shape)
    return np.abs(drift_exponent_mean(g_s, g_max_s) + drift_exponent_std(g_s, g_max_s) * xi)


def read_noise_part(g_s: Array, g_max_s: float, age_s: float) -> Array:
    """Standard deviation of a read by 1/f noise, as a part of the conductance read.

    Args:
        g_s: the conductances as programmed [S].
        g_max_s: the largest conductance that is programmed [S].
        age_s: time since programming, which sets the band of the noise, > 0 [s].
    """
    x = np.maximum(np.abs(g_s) / g_max_s, _LEAST)
    q = np.minimum(_Q / x**_Q_POWER, _Q_MOST)
    return np.asarray(q * np.sqrt(np.log1p(np.maximum(age_s - _READ_S, 0.0) / (2 * _READ_S))))


def noisy_read_s(
    g_s: Array,
    drifted_s: Array,
    g_max_s: float,
    age_s: float,
    seed: int,
    sample: int,
    path: str,
    read: int,
) -> Array:
    """What one read of every cell finds, never negative [S].

    Args:
        g_s: the conductances as programmed [S].
        drifted_s: the conductances that they have drifted to [S].
        g_max_s: the largest conductance that is programmed [S].
        age_s: time since programming, > 0 [s].
        seed: the study's seed, >= 0.
        sample: the index of the sample, >= 0.
        path: the path of the array.
        read: which read it is, >= 0: another one in each call.
    """
    xi = Stream(seed, sample).at(f"{path}/read", read).rng().standard_normal(g_s.shape)
    part = read_noise_part(g_s, g_max_s, age_s)
    return np.asarray(np.maximum(drifted_s * (1 + part * xi), 0.0))


def _logarithmic(x: Array, slope: float, offset: float, least: float, most: float) -> Array:
    value = slope * np.log(np.maximum(np.abs(x), _LEAST)) + offset
    return np.asarray(np.clip(value, least, most))
