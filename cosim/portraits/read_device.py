"""Devices that are programmed and then read: how they age, and how they scatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compact_models import pcm_statistics
from compact_models.emit.torch_code import Value
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.run_torch import run_torch
from cosim.portraits.panel import Absent, Array, Detail, plain, plain_list

_LEVELS = (0.1, 0.25, 0.5, 1.0)  # of the largest conductance
_AGES_S = (1.0, 1e8)  # read from `t_c` times the first on, to the second
_POINTS = 25
_CELLS = 20  # per device of the detail: shares of a sample need more cells than a fan has lines
_SEED, _PATH = 1, "portrait"
_SHARES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Drift:
    """Conductances over the time since programming, for several programmed levels.

    Attributes:
        age_s: [time].
        level_s: conductances aimed at [level].
        quantiles_s: of the cells of a level, 5 %, 50 % and 95 %: [level, 3, time].
        cells: per level.
        read_v: the voltage at which they are read [V].
    """

    age_s: Array
    level_s: Array
    quantiles_s: Array
    cells: int
    read_v: float

    def numbers(self) -> dict[str, Any]:
        """Levels and their quantiles at the first and the last time."""
        return {
            "from_s": plain(self.age_s[0]),
            "to_s": plain(self.age_s[-1]),
            "levels_s": plain_list(self.level_s),
            "median_first_s": plain_list(self.quantiles_s[:, 1, 0]),
            "median_last_s": plain_list(self.quantiles_s[:, 1, -1]),
            "low_last_s": plain_list(self.quantiles_s[:, 0, -1]),
            "high_last_s": plain_list(self.quantiles_s[:, 2, -1]),
            "cells_per_level": self.cells,
            "seed": _SEED,
        }


@dataclass(frozen=True)
class Statistics:
    """A statistic over the programmed conductance, with its spread.

    Attributes:
        aim_s: conductances aimed at [level].
        mean: [level].
        spread: standard deviation [level].
    """

    aim_s: Array
    mean: Array
    spread: Array

    def numbers(self) -> dict[str, Any]:
        """Mean and spread at some conductances."""
        few = slice(None, None, max(1, (len(self.aim_s) - 1) // 10))
        return {
            "conductance_s": plain_list(self.aim_s[few]),
            "mean": plain_list(self.mean[few]),
            "standard_deviation": plain_list(self.spread[few]),
        }


@dataclass(frozen=True)
class ReadNoise:
    """Standard deviation of a read over the conductance read, by time since programming.

    Attributes:
        age_s: [time].
        level_s: conductances as programmed [level].
        part: [level, time].
    """

    age_s: Array
    level_s: Array
    part: Array

    def numbers(self) -> dict[str, Any]:
        """Noise at the first and the last time."""
        return {
            "levels_s": plain_list(self.level_s),
            "part_first": plain_list(self.part[:, 0]),
            "part_last": plain_list(self.part[:, -1]),
        }


def has_statistics(model: CompactModel) -> bool:
    """Whether the statistics of phase-change memory speak of this model's quantities."""
    parameters = {x.name for x in model.parameters}
    states = {x.name for x in model.states}
    return {"g_max", "nu", "t_c"} <= parameters and {"g", "age"} <= states


def drift(model: CompactModel, numbers: ParameterSet, detail: Detail) -> Drift | Absent:
    """Cells programmed to several levels and read for three years, with their own exponents."""
    if not has_statistics(model):
        return _without("Drift")
    g_max_s, first_s = numbers.values["g_max"], numbers.values["t_c"] * _AGES_S[0]
    cells = _CELLS * detail.devices
    aim_s = np.repeat(np.array(_LEVELS)[:, None] * g_max_s, cells, axis=1)
    g_s = pcm_statistics.programmed_s(aim_s, g_max_s, _SEED, 0, _PATH)
    nu = pcm_statistics.drift_exponents(aim_s, g_max_s, _SEED, 0, _PATH)
    age_s = np.geomspace(first_s, max(_AGES_S[1], 10 * first_s), _POINTS)
    values: dict[str, Value] = {**numbers.values, "nu": torch.from_numpy(nu)}
    initial: dict[str, Value] = {"g": torch.from_numpy(g_s), "age": first_s}
    times = torch.from_numpy(age_s - first_s)
    voltage = torch.full((_POINTS,), numbers.amplitude_v, dtype=torch.float64)
    with torch.no_grad():
        trace = run_torch(model, values, initial, times, voltage)
    if not bool(trace.alive.all()):
        lost = int((~trace.alive).sum())
        return Absent("Drift", f"{lost} of {trace.alive.numel()} cells could not be solved.")
    conductance = trace.current_a.numpy() / numbers.amplitude_v
    quantiles = np.quantile(conductance, _SHARES, axis=1).transpose(1, 0, 2)
    return Drift(age_s, aim_s[:, 0], quantiles, cells, numbers.amplitude_v)


def programming(model: CompactModel, numbers: ParameterSet) -> Statistics | Absent:
    """What programming leaves of a conductance aimed at [S]."""
    if not has_statistics(model):
        return _without("Programming")
    g_max_s = numbers.values["g_max"]
    aim_s = np.linspace(0, g_max_s, 101)
    return Statistics(aim_s, aim_s, pcm_statistics.programming_std_s(aim_s, g_max_s))


def exponents(model: CompactModel, numbers: ParameterSet) -> Statistics | Absent:
    """Drift exponents over the programmed conductance."""
    if not has_statistics(model):
        return _without("Drift exponent")
    g_max_s = numbers.values["g_max"]
    aim_s = np.linspace(0.01, 1, 100) * g_max_s
    return Statistics(
        aim_s,
        pcm_statistics.drift_exponent_mean(aim_s, g_max_s),
        pcm_statistics.drift_exponent_std(aim_s, g_max_s),
    )


def read_noise(model: CompactModel, numbers: ParameterSet) -> ReadNoise | Absent:
    """Noise of one read over the time since programming, for several levels."""
    if not has_statistics(model):
        return _without("Read noise")
    g_max_s = numbers.values["g_max"]
    age_s = np.geomspace(1e-6, _AGES_S[1], 57)
    level_s = np.array(_LEVELS) * g_max_s
    part = [
        [float(pcm_statistics.read_noise_part(np.array(g), g_max_s, age)) for age in age_s.tolist()]
        for g in level_s
    ]
    return ReadNoise(age_s, level_s, np.array(part))


def _without(title: str) -> Absent:
    return Absent(title, "There are no published statistics for this model.")
