"""The same draw of a component in SPICE, in torch and tomorrow.

A draw is a function of (study seed, sample index, component path) and of nothing else: not of
the order in which components are visited, nor of the simulator.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def component_rng(seed: int, sample: int, path: str) -> np.random.Generator:
    """The random generator of one component in one sample of a study.

    Args:
        seed: the study's seed, >= 0.
        sample: the index of the sample: one chip, >= 0. What is drawn again in every step of a
            training or an update comes from `Stream`.
        path: the component's hierarchy path, e.g. `layer_0/tile_1/tia`.
    """
    key = (sample, *path_words(path))
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))


def path_words(path: str) -> tuple[int, ...]:
    """Four words of 32 bits that stand for a path."""
    words = np.frombuffer(hashlib.sha256(path.encode()).digest()[:16], dtype="<u4")
    return tuple(int(word) for word in words)


def normal(seed: int, sample: int, path: str, sigma: float, shape: tuple[int, ...]) -> Array:
    """Zero-mean normal draws with standard deviation `sigma`, of the given shape."""
    return sigma * component_rng(seed, sample, path).standard_normal(shape)


def lognormal_factor(
    seed: int, sample: int, path: str, sigma: float, shape: tuple[int, ...]
) -> Array:
    """Factors with median 1 whose natural logarithm has standard deviation `sigma`."""
    return np.asarray(np.exp(normal(seed, sample, path, sigma, shape)), dtype=np.float64)
