"""DACs, and neurons with ADCs, in one pass over their values; codes with their slopes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.pulses.jit import loop, loop_with, part
from cosim.pulses.trains import on_host
from netlists.adcs import quantiser
from netlists.adcs.quantiser import AdcSpec
from netlists.drivers.level import TIE_BREAK, DriverSpec, steps
from netlists.neurons.spec import neuron_by_name


def driven(x: torch.Tensor, spec: DriverSpec, *, signed: bool, biased: bool) -> torch.Tensor:
    """What drivers without errors put on word lines, [chip, batch, row], for digital [.., in].

    Args:
        x: 1 = full; `netlists.drivers.level.level` says what becomes of it.
        spec: the drivers.
        signed: they put out both signs.
        biased: one more line, the last, carries what stands for 1.
    """
    count, values = steps(spec, signed), on_host(x)
    lines = np.empty((*values.shape[:-1], values.shape[-1] + biased), values.dtype)
    _levels(_flat(values), count, -count if signed else 0, spec.v_read_v, _flat(lines))
    return _like(x, lines)


@loop
def _levels(x: NDArray[Any], count: int, low: int, v_read_v: float, lines: NDArray[Any]) -> None:
    """Levels of [value, in] into [value, row]; a row more has the full voltage."""
    for k in range(x.shape[0]):
        for j in range(x.shape[1]):
            code = np.floor(x[k, j] * count + (0.5 + TIE_BREAK))
            lines[k, j] = v_read_v * min(max(code, float(low)), float(count)) / count
        if lines.shape[1] > x.shape[1]:
            lines[k, x.shape[1]] = v_read_v


def clamped(x: torch.Tensor, *, signed: bool, scale: float, bias: float | None) -> torch.Tensor:
    """Digital values as drivers reach them, times a scale, [.., row].

    Args:
        x: [.., in].
        signed: drivers put out both signs.
        scale: what a value of 1 stands for.
        bias: of one more line, the last; None for no such line.
    """
    values = on_host(x)
    lines = np.empty((*values.shape[:-1], values.shape[-1] + (bias is not None)), values.dtype)
    _within(_flat(values), -1.0 if signed else 0.0, scale, bias or 0.0, _flat(lines))
    return _like(x, lines)


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(-1, values.shape[-1])


def _like(x: torch.Tensor, values: NDArray[Any]) -> torch.Tensor:
    """Values of the host where `x` is."""
    found = torch.from_numpy(values)
    return found if x.is_cpu else found.to(x.device)


@loop
def _within(x: NDArray[Any], low: float, scale: float, bias: float, lines: NDArray[Any]) -> None:
    for k in range(x.shape[0]):
        for j in range(x.shape[1]):
            lines[k, j] = min(max(x[k, j], low), 1.0) * scale
        if lines.shape[1] > x.shape[1]:
            lines[k, x.shape[1]] = bias


def ends(x: torch.Tensor) -> tuple[float, float]:
    """The least and the largest value, of any shape; NaN where one is; 0 where there is none."""
    known = x if x.dtype in (torch.float32, torch.float64) else x.double()
    return _ends(on_host(known).reshape(-1))


@loop
def _ends(x: NDArray[Any]) -> tuple[float, float]:
    if len(x) == 0:
        return 0.0, 0.0
    low = high = x[0]
    strange = 0
    for k in range(len(x)):
        low, high = min(low, x[k]), max(high, x[k])
        strange += int(x[k] != x[k])
    return (np.nan, np.nan) if strange else (float(low), float(high))


PairAmplifiers = Callable[[torch.Tensor], torch.Tensor]
"""From currents [chip, row block, side, batch, out] to sums of pairs [chip, batch, out] in volts.
Amplifiers invert: minus less plus, over all row blocks."""


@dataclass(frozen=True, eq=False)
class Codes:
    """What neurons and converters make of sums, [chip, batch, out] each.

    Attributes:
        continuous: codes before they are rounded and clipped.
        codes: rounded and clipped.
        slope: of `continuous` by the sums, 0 where codes are clipped: what stands for a gradient.
    """

    continuous: torch.Tensor
    codes: torch.Tensor
    slope: torch.Tensor


@dataclass(frozen=True, eq=False)
class Converters:
    """Neurons and converters at the outputs of a layer.

    Attributes:
        neuron: by name.
        knee_v: rounding of a rectifier's corner; 0 for the network's own activation.
        full_v: see `netlists.neurons.spec.Neuron`.
        span: likewise.
        adc: the converters.
        signed: they have codes of both signs.
        gain: of neurons at the input, [chip, out]; one chip for all, one value for all outputs.
        offset_v: likewise.
        adc_gain: likewise.
        adc_offset_v: likewise.
    """

    neuron: str
    knee_v: float
    full_v: float
    span: float
    adc: AdcSpec
    signed: bool
    gain: torch.Tensor
    offset_v: torch.Tensor
    adc_gain: torch.Tensor
    adc_offset_v: torch.Tensor

    @cached_property
    def _given(self) -> tuple[Any, ...]:
        """What the loop is given beside the sums."""
        drawn = (self.gain, self.offset_v, self.adc_gain, self.adc_offset_v)
        low, high = quantiser.code_range(self.adc, signed=self.signed)
        lsb = quantiser.lsb_v(self.adc, signed=self.signed)
        shape = torch.broadcast_shapes(*(one.shape for one in drawn))
        arrays = (on_host(one.double().expand(shape)) for one in drawn)
        return (*arrays, self.knee_v, self.full_v, self.span, lsb, low, high)

    def __call__(self, total_v: torch.Tensor) -> Codes:
        """Of sums [chip, batch, out]; without a graph."""
        sums = on_host(total_v)
        made = np.empty((3, *sums.shape), sums.dtype)
        _loop(self.neuron)(sums, *self._given, made[0], made[1], made[2])
        return Codes(*(_like(total_v, one) for one in made))


@lru_cache(32)
def _loop(neuron: str) -> Callable[..., None]:
    """`_converted` with a neuron."""
    point = neuron_by_name(neuron).point
    text = Path(point.__code__.co_filename).read_text(encoding="utf-8")
    return loop_with(_converted, text, _point=part(point))


def _point(v: float, knee: float, full: float, span: float) -> tuple[float, float]:
    raise NotImplementedError


def _converted(
    total: NDArray[Any],
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
    adc_gain: NDArray[np.float64],
    adc_offset: NDArray[np.float64],
    knee: float,
    full: float,
    span: float,
    lsb: float,
    low: int,
    high: int,
    continuous: NDArray[Any],
    codes: NDArray[Any],
    slope: NDArray[Any],
) -> None:
    """Fills the last three, [chip, batch, out]; see `Converters` and `Codes`."""
    for chip in range(total.shape[0]):
        own = chip if len(gain) > 1 else 0
        for k in range(total.shape[1]):
            for j in range(total.shape[2]):
                out = j if gain.shape[1] > 1 else 0
                v, by_v = _point(
                    total[chip, k, j] * gain[own, out] + offset[own, out], knee, full, span
                )
                at = (v * adc_gain[own, out] + adc_offset[own, out]) / lsb
                continuous[chip, k, j] = at
                inside = low <= at <= high
                rise = by_v * gain[own, out] * adc_gain[own, out] / lsb
                slope[chip, k, j] = rise if inside else 0.0 * rise
                code = min(max(np.floor(at + 0.5), float(low)), float(high))
                codes[chip, k, j] = code if at == at else at  # what is no number stays so
