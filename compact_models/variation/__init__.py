"""Variation: how devices differ from each other, from cycle to cycle, in time and over the die.

The parameters of all cells of an array come from `compact_models.variation.draw`, which is not
imported here: it needs sympy and torch, which the rest does without.
"""

from compact_models.variation.defects import StuckAt, StuckCells
from compact_models.variation.die import DieField, die_scores
from compact_models.variation.distributions import (
    Distribution,
    Lognormal,
    Normal,
    TruncatedLognormal,
    TruncatedNormal,
    Uniform,
)
from compact_models.variation.read_noise import ReadNoise, noisy_read, noisy_series
from compact_models.variation.retention import ArrheniusDecay, PowerLawDrift
from compact_models.variation.seeds import Array, component_rng, lognormal_factor, normal
from compact_models.variation.stream import Draw, Stream

__all__ = [
    "Array",
    "ArrheniusDecay",
    "DieField",
    "Distribution",
    "Draw",
    "Lognormal",
    "Normal",
    "PowerLawDrift",
    "ReadNoise",
    "Stream",
    "StuckAt",
    "StuckCells",
    "TruncatedLognormal",
    "TruncatedNormal",
    "Uniform",
    "component_rng",
    "die_scores",
    "lognormal_factor",
    "noisy_read",
    "noisy_series",
    "normal",
]
