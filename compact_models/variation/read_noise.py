"""Noise of a read current: thermal, 1/f and random telegraph, as one read or as a time series.

Thermal: Johnson noise, S = 4 k T G [A^2/Hz]. 1/f: S = S_thermal * (corner / f) * (v / v_corner)^2,
because the noise of a fluctuating conductance grows with the square of the current. Telegraph: a
trap that is occupied takes a part of the conductance away; capture and emission are memoryless.
Machlup, J. Appl. Phys. 25 (1954) 341, doi 10.1063/1.1721637; Hooge, IEEE Trans. Electron Devices 41
(1994) 1926, doi 10.1109/16.333808.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from compact_models.errors import InputError
from compact_models.spec import Spec
from compact_models.variation.seeds import Array, component_rng
from compact_models.variation.stream import Draw, Stream

BOLTZMANN_J_PER_K = 1.380649e-23


class ReadNoise(Spec):
    """The noise of a read. Every kind is off where its amplitude is 0."""

    bandwidth_hz: float = Field(
        1e7, gt=0, description="noise bandwidth of the read circuit [Hz]; brick wall"
    )
    temperature_k: float = Field(
        300.0, ge=0, le=2000, description="of the thermal noise [K]; 0: none"
    )
    corner_hz: float = Field(
        0.0, ge=0, description="where 1/f noise is as large as thermal noise at 300 K [Hz]; 0: none"
    )
    corner_v: float = Field(0.1, gt=0, description="read voltage at which the corner is given [V]")
    lowest_hz: float = Field(
        1.0, gt=0, description="1/f noise begins here: one over the time since programming [Hz]"
    )
    trap_probability: float = Field(0.0, ge=0, le=1, description="probability that a cell has one")
    trap_amplitude: float = Field(
        0.0, ge=0, lt=1, description="part of the conductance that an occupied trap takes away"
    )
    capture_s: float = Field(1e-3, gt=0, description="mean time until an empty trap captures [s]")
    emission_s: float = Field(1e-3, gt=0, description="mean time until a full trap emits [s]")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest_hz >= self.bandwidth_hz:
            raise ValueError(
                f"lowest_hz ({self.lowest_hz:g}) must be below bandwidth_hz ({self.bandwidth_hz:g})"
            )
        return self

    def thermal_density(self, conductance_s: Array) -> Array:
        """Density of the thermal current noise [A^2/Hz], one-sided, [...]."""
        return np.asarray(4 * BOLTZMANN_J_PER_K * self.temperature_k * conductance_s)

    def flicker_density_1hz(self, conductance_s: Array, voltage_v: Array) -> Array:
        """Density of the 1/f current noise at 1 Hz [A^2/Hz], one-sided, [...]."""
        at_corner = 4 * BOLTZMANN_J_PER_K * 300.0 * conductance_s
        return np.asarray(at_corner * self.corner_hz * (voltage_v / self.corner_v) ** 2)

    def variance(self, conductance_s: Array, voltage_v: Array) -> Array:
        """Variance of thermal and 1/f noise of one read [A^2], [...]."""
        nepers = np.log(self.bandwidth_hz / self.lowest_hz)
        return np.asarray(
            self.thermal_density(conductance_s) * self.bandwidth_hz
            + self.flicker_density_1hz(conductance_s, voltage_v) * nepers
        )


def noisy_read(
    noise: ReadNoise,
    conductance_s: Array,
    voltage_v: Array | float,
    *,
    seed: int,
    sample: int,
    path: str,
    read: int,
) -> Array:
    """The current of one read with its noise, in amperes, [...].

    Reads are independent of each other; which cells have a trap is not, it belongs to the array.

    Args:
        noise: what there is.
        conductance_s: conductances of the cells, [...].
        voltage_v: read voltage, broadcast against them.
        seed: the study's seed, >= 0.
        sample: the sample's index, >= 0.
        path: the array's hierarchy path.
        read: which read it is, >= 0: another one in each call.
    """
    g, v = _broadcast(conductance_s, voltage_v)
    rng = Stream(seed, sample).at(f"{path}/read", read).rng()
    noisy = np.sqrt(noise.variance(g, v)) * rng.standard_normal(g.shape)
    share = noise.emission_s / (noise.capture_s + noise.emission_s)
    full = _traps(noise, g.shape, seed, sample, path) & (rng.random(g.shape) < share)
    return np.asarray(g * v * (1 - noise.trap_amplitude * full) + noisy)


def noisy_series(
    noise: ReadNoise,
    conductance_s: Array,
    voltage_v: Array | float,
    points: int,
    interval_s: float,
    *,
    seed: int,
    sample: int,
    path: str,
    series: int,
) -> Array:
    """The current of cells under a constant voltage over time, in amperes, [..., time].

    Args:
        noise: what there is; its bandwidth must not be above half the rate of the points.
        conductance_s: conductances of the cells, [...].
        voltage_v: read voltage, broadcast against them.
        points: how many points in time, >= 2.
        interval_s: time between them, > 0.
        seed: the study's seed, >= 0.
        sample: the sample's index, >= 0.
        path: the array's hierarchy path.
        series: which series it is, >= 0: another one in each call.

    Raises:
        InputError: the points are too few, or too far apart for the bandwidth.
    """
    if points < 2:
        raise InputError("a series needs points", where="points", value=points, allowed=">= 2")
    if not 0 < interval_s <= 0.5 / noise.bandwidth_hz * (1 + 1e-12):
        raise InputError(
            "the points are too far apart for the noise bandwidth",
            where="interval_s",
            value=interval_s,
            allowed=f"> 0 and <= {0.5 / noise.bandwidth_hz:g} s",
        )
    g, v = _broadcast(conductance_s, voltage_v)
    draw = Stream(seed, sample).at(path, series)
    rng = draw.part("series").rng()
    current = (g * v)[..., None] * (
        1 - noise.trap_amplitude * _telegraph(noise, g.shape, points, interval_s, draw)
    )
    return np.asarray(current + _coloured(noise, g, v, points, interval_s, rng))


def _broadcast(conductance_s: Array, voltage_v: Array | float) -> tuple[Array, Array]:
    g, v = np.broadcast_arrays(conductance_s, np.asarray(voltage_v, dtype=np.float64))
    return np.asarray(g, dtype=np.float64), np.asarray(v, dtype=np.float64)


def _traps(
    noise: ReadNoise, shape: tuple[int, ...], seed: int, sample: int, path: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return component_rng(seed, sample, f"{path}/traps").random(shape) < noise.trap_probability


def _telegraph(
    noise: ReadNoise,
    shape: tuple[int, ...],
    points: int,
    interval_s: float,
    draw: Draw,
) -> Array:
    """1 while a trap is full, 0 otherwise, [..., time]; exact at the points, of any interval."""
    rng = draw.part("telegraph").rng()
    rate = 1 / noise.capture_s + 1 / noise.emission_s
    full_share = (1 / noise.capture_s) / rate
    moved = -np.expm1(-rate * interval_s)
    full = rng.random(shape) < full_share
    states = np.empty((*shape, points), dtype=bool)
    states[..., 0] = full
    for k in range(1, points):
        chance = rng.random(shape)
        full = np.where(full, chance >= moved * (1 - full_share), chance < moved * full_share)
        states[..., k] = full
    trapped = _traps(noise, shape, draw.seed, draw.sample, draw.path)[..., None]
    return (states & trapped).astype(np.float64)


def _coloured(
    noise: ReadNoise, g: Array, v: Array, points: int, interval_s: float, rng: np.random.Generator
) -> Array:
    """Gaussian noise with the spectrum of thermal and 1/f noise within its band, [..., time].

    Twice as many points are made as are kept, so that the end does not continue into the start.
    Below the lowest frequency that the points resolve, the 1/f part is a constant of the series.
    """
    count = 2 * points
    frequency = np.fft.rfftfreq(count, interval_s)
    step = float(frequency[1])
    lowest = noise.lowest_hz
    upper = np.minimum(frequency + step / 2, noise.bandwidth_hz)
    lower = np.maximum(frequency - step / 2, 0.0)
    white = np.maximum(upper - lower, 0.0)
    with np.errstate(divide="ignore"):
        nepers = np.log(upper / np.maximum(lower, lowest))
    flicker = np.where(upper > np.maximum(lower, lowest), nepers, 0.0)
    # The power of every frequency is that of its band, integrated: no band is lost or twice there.
    power = (
        noise.thermal_density(g)[..., None] * white
        + noise.flicker_density_1hz(g, v)[..., None] * flicker
    )
    ends = np.isin(np.arange(len(frequency)), (0, points))
    amplitude = np.sqrt(power) * count * np.where(ends, 1.0, 0.5)
    real, imaginary = rng.standard_normal((2, *g.shape, len(frequency)))
    spectrum = amplitude * (real + 1j * np.where(ends, 0.0, imaginary))
    return np.asarray(np.fft.irfft(spectrum, count)[..., :points])
