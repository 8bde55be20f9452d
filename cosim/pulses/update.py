"""A pulsed update of an array: trains on its lines, then the steps of its cells.

Two routes to the weights. Pulse by pulse takes any pulse device and is the reference. Where the
step is straight in the weight (soft bounds, constant and linear steps) n pulses of one sign are
one map, `coincidence_kernel`: with the mean device the same numbers, with noise the same mean and
variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy
import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel
from compact_models.variation import Draw
from cosim.pulses.device_steps import apply_pulses, steps
from cosim.pulses.straight_steps import TOGETHER, StraightCells, run_samples
from cosim.pulses.trains import (
    PulseTrains,
    UpdateRule,
    coincidence_counts,
    pulse_trains,
)

Values = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Updated:
    """What an update leaves.

    Attributes:
        w: weights [row, col].
        trains: what was on the lines; `trains.clipped` says how many probabilities were too large.
    """

    w: torch.Tensor
    trains: PulseTrains


@dataclass(frozen=True, eq=False)
class PulseCells:
    """The pulse devices of an array, prepared once; from `pulse_cells`.

    Attributes:
        model: a pulse device.
        values: its parameters in SI units: floats, or tensors [row, col].
        straight: their steps as straight lines; None where they are none.
    """

    model: CompactModel
    values: Values
    straight: StraightCells | None


def pulse_cells(model: CompactModel, values: Values, w: torch.Tensor) -> PulseCells:
    """The cells of an array for its updates: the same as long as the devices are.

    Args:
        model: a pulse device.
        values: its parameters in SI units: floats, or tensors [row, col].
        w: weights [row, col], for shape and dtype.

    Raises:
        InputError: the model is no pulse device, or a parameter has another shape.
    """
    own = {k: x.clone() if isinstance(x, torch.Tensor) else x for k, x in values.items()}
    return PulseCells(model, own, straight_cells(model, own, w))


def pulsed_update(
    cells: PulseCells,
    w: torch.Tensor,
    x: torch.Tensor,
    d: torch.Tensor,
    rule: UpdateRule,
    draw: Draw,
    *,
    noisy: bool = True,
    compiled: bool = False,
) -> Updated:
    """Moves weights by -lr x d^T in the mean, sample after sample, by the fastest route there is.

    Args:
        cells: of the array, prepared for its shape and dtype.
        w: weights before the update [row, col], float32 or float64; not changed.
        x: activations [batch, row].
        d: gradients at the outputs [batch, col].
        rule: lengths and probabilities of the trains.
        draw: where pulses and noise are drawn from: another step in each update.
        noisy: with the noise from pulse to pulse.
        compiled: see `run_samples`; only where the step is straight.

    Raises:
        InputError: a shape or dtype does not fit, or there is no compiler.
    """
    trains = pulse_trains(x, d, rule, draw)
    noise = draw if noisy else None
    if cells.straight is None:
        return Updated(update_by_pulses(cells.model, cells.values, w, trains, noise), trains)
    return Updated(update_straight(cells.straight, w, trains, noise, compiled=compiled), trains)


def update_by_pulses(
    model: CompactModel,
    values: Values,
    w: torch.Tensor,
    trains: PulseTrains,
    noise: Draw | None = None,
) -> torch.Tensor:
    """One pulse after another, each clipped at the bounds: any pulse device; the reference.

    Args:
        model: a pulse device.
        values: its parameters: floats, or tensors [row, col].
        w: weights before the update [row, col].
        trains: of a batch.
        noise: the source of the noise from pulse to pulse; None for the mean device.

    Returns:
        The weights [row, col] in the dtype of `w`, computed in float64.

    Raises:
        InputError: a shape does not fit, or the model is no pulse device.
    """
    _check_shape(w, trains)
    now = w.to(torch.float64)
    for k, counts in enumerate(coincidence_counts(trains)):
        most = int(counts.abs().max()) if counts.numel() else 0
        if most:
            which = torch.arange(most) < counts.abs()[..., None]
            own = noise.part(f"steps_{k}") if noise else None
            directions = which * counts.sign()[..., None]
            now = apply_pulses(model, values, now, directions, own)[..., -1]
    return now.to(w.dtype)


def update_straight(
    cells: StraightCells,
    w: torch.Tensor,
    trains: PulseTrains,
    noise: Draw | None = None,
    *,
    compiled: bool = False,
) -> torch.Tensor:
    """All pulses of a sample as one map.

    Args:
        cells: from `straight_cells`: the same as long as the devices are.
        w: weights before the update [row, col], of the cells' dtype.
        trains: of a batch.
        noise: the source of the noise; None for the mean device.
        compiled: see `run_samples`.

    Returns:
        The weights [row, col].

    Raises:
        InputError: a shape or dtype does not fit, or there is no compiler.
    """
    _check_shape(w, trains)
    if cells.low.shape != w.shape or cells.low.dtype != w.dtype:
        raise InputError(
            "the cells are not those of the weights",
            where="w",
            value=(tuple(w.shape), w.dtype),
            allowed=f"{tuple(cells.low.shape)} of {cells.low.dtype}",
        )
    keys = None
    if noise is not None:
        rng = noise.part("steps").rng()
        count = -(-len(trains.words) // TOGETHER) * TOGETHER  # the last pair has two keys too
        words = rng.integers(-(1 << 31), 1 << 31, (count, 2), dtype=np.int64)
        keys = torch.from_numpy(words.astype(np.int32))
    return run_samples(cells, w, trains.words, trains.bits, keys, compiled=compiled)


def straight_cells(model: CompactModel, values: Values, w: torch.Tensor) -> StraightCells | None:
    """The steps of every cell as straight lines; None if the steps of the model are none.

    Steps of which one covers the whole distance to where they vanish have to be taken one by one
    too, because a bound in between would stop them.

    Args:
        model: a pulse device.
        values: its parameters: floats, or tensors [row, col].
        w: weights [row, col], for shape and dtype.

    Raises:
        InputError: the model is no pulse device, or a parameter has another shape.
    """
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and value.shape not in (w.shape, torch.Size()):
            raise InputError(
                "wrong shape", where=name, value=tuple(value.shape), allowed=str(tuple(w.shape))
            )
    zero = torch.zeros_like(w, dtype=torch.float64)
    at_0 = steps(model, values, zero)
    relative = _noise_is_relative(model)
    if relative is None:
        return None
    functions = torch_model(model)
    p = functions.parameters(values)
    (low,), (high,) = (functions.states([zero + place], p) for place in (0.0, 1.0))
    slopes = [
        (above - below) / (high - low)
        for above, below in zip(steps(model, values, high), steps(model, values, low), strict=True)
    ]
    if not all(bool((slope > -1).all()) for slope in slopes):
        return None
    if functions.pulse_steps is None:
        raise AssertionError("`steps` refuses a model that is no pulse device")
    noise = [zero + one for one in functions.pulse_steps(zero, p)[2:]]
    if relative:
        noise = [one / step.abs() for one, step in zip(noise, at_0, strict=True)]
    else:
        noise = [one / torch.sqrt(2 + slope) for one, slope in zip(noise, slopes, strict=True)]
    (up, down), (up_slope, down_slope), (up_noise, down_noise) = (
        [one.to(w.dtype).contiguous() for one in pair] for pair in (at_0, slopes, noise)
    )
    ends = low.to(w.dtype), high.to(w.dtype)
    return StraightCells(up, up_slope, up_noise, down, down_slope, down_noise, *ends, relative)


@kept_by_content(128)
def _noise_is_relative(model: CompactModel) -> bool | None:
    """Whether the noise goes with the step; None where step or noise are not of these kinds."""
    pulse = model.pulse
    if pulse is None:
        return None
    w = pulse.state
    if any(sympy.diff(step, w).has(w) for step in (pulse.up, pulse.down)):
        return None
    spreads = (pulse.spread_up, pulse.spread_down)
    if not any(spread.has(w) for spread in spreads):
        return False
    shares = [  # squares: what stands between bars may be its negative
        sympy.cancel(spread.replace(sympy.Abs, lambda inside: inside) ** 2 / step**2)
        for spread, step in zip(spreads, (pulse.up, pulse.down), strict=True)
    ]
    return None if any(share.has(w) for share in shares) else True


def _check_shape(w: torch.Tensor, trains: PulseTrains) -> None:
    wanted = (trains.words.shape[1], trains.bits.shape[1])
    if tuple(w.shape) != wanted:
        raise InputError(
            "wrong shape",
            where="w",
            value=tuple(w.shape),
            allowed=f"{wanted}: word lines and bit lines of the trains",
        )
