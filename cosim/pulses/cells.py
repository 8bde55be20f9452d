"""The pulse devices of an array, prepared for updates: what a pulse does to each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np
import sympy
import torch
from numpy.typing import NDArray

from compact_models.emit.loop_code import FUNCTIONS, pulse_law
from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel
from cosim.pulses.device_steps import steps
from cosim.pulses.jit import part
from cosim.pulses.visit import visit_straight, visit_straight_relative, visits_by

Values = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class PulseCells:
    """The pulse devices of an array, prepared once; from `pulse_cells`.

    Attributes:
        model: a pulse device.
        values: its parameters in SI units: floats, or tensors [row, col].
        cells: what a pulse does to each cell, [row, col, parameter] of the weights' dtype. Where
            steps are straight: the step up at weight 0, how it changes with the weight, its noise;
            the same of the step down. Last the least and the largest weight.
        shared: parameters that are the same in all cells, see `cosim.pulses.visit.law`.
        visit: the loop over coincidences, see `cosim.pulses.visit.visit`.
        map_noise: None where many pulses are no affine map. True: the noise is a part of the step.
    """

    model: CompactModel
    values: Values
    cells: torch.Tensor
    shared: torch.Tensor
    visit: Callable[..., tuple[int, int]]
    map_noise: bool | None

    @cached_property
    def on_host(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """`cells` and `shared` as loops take them."""
        return self.cells.numpy(), self.shared.numpy()


def pulse_cells(model: CompactModel, values: Values, w: torch.Tensor) -> PulseCells:
    """The cells of an array for its updates: the same as long as the devices are.

    Args:
        model: a pulse device.
        values: its parameters in SI units: floats, or tensors [row, col].
        w: weights [row, col], for shape and dtype.

    Raises:
        InputError: the model is no pulse device, a parameter has another shape, or the weights are
            neither float32 nor float64.
    """
    if w.dtype not in (torch.float32, torch.float64):
        raise InputError("no precision", where="w", value=w.dtype, allowed="float32 or float64")
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and value.shape not in (w.shape, torch.Size()):
            raise InputError(
                "wrong shape", where=name, value=tuple(value.shape), allowed=str(tuple(w.shape))
            )
    own = {
        k: x.detach().cpu().clone() if isinstance(x, torch.Tensor) else x for k, x in values.items()
    }
    zero = torch.zeros(w.shape, dtype=torch.float64)
    at_0 = steps(model, own, zero)  # refuses a model that is no pulse device
    functions = torch_model(model)
    p = functions.parameters(own)
    ends = [functions.states([zero + place], p)[0] for place in (0.0, 1.0)]
    relative = _noise_is_relative(model)
    if relative is not None:
        straight = _straight(model, own, at_0, ends, relative)
        found = visit_straight_relative if relative else visit_straight
        # A step that covers the whole distance to where steps vanish has to be taken by itself,
        # because a bound in between would stop it.
        whole = bool((straight[..., [1, 4]] > -1).all())
        cells = straight.to(w.dtype).contiguous()
        none = torch.empty(0, dtype=torch.float64)
        return PulseCells(model, own, cells, none, found, relative if whole else None)
    of_cells = tuple(k for k, x in own.items() if isinstance(x, torch.Tensor) and x.ndim)
    found, names = _visit_by(model, of_cells)
    shared = torch.tensor([float(p[name]) for name in names], dtype=torch.float64)
    columns = [torch.as_tensor(own[name], dtype=torch.float64) for name in of_cells]
    cells = torch.stack([*columns, *ends], -1).to(w.dtype).contiguous()
    return PulseCells(model, own, cells, shared, found, None)


def _straight(
    model: CompactModel,
    values: Values,
    at_0: tuple[torch.Tensor, torch.Tensor],
    ends: list[torch.Tensor],
    relative: bool,
) -> torch.Tensor:
    """The steps of every cell as straight lines, [row, col, 8]; see `PulseCells.cells`."""
    low, high = ends
    slopes = [
        (above - below) / (high - low)
        for above, below in zip(steps(model, values, high), steps(model, values, low), strict=True)
    ]
    functions = torch_model(model)
    if functions.pulse_steps is None:
        raise AssertionError("`steps` refuses a model that is no pulse device")
    zero = torch.zeros_like(low)
    noise = [zero + one for one in functions.pulse_steps(zero, functions.parameters(values))[2:]]
    if relative:
        noise = [one / step.abs() for one, step in zip(noise, at_0, strict=True)]
    columns = [zero + one for line in zip(at_0, slopes, noise, strict=True) for one in line]
    return torch.stack([*columns, low, high], -1)


@kept_by_content(32)
def _visit_by(
    model: CompactModel, of_cells: tuple[str, ...]
) -> tuple[Callable[..., tuple[int, int]], tuple[str, ...]]:
    """The loop over coincidences of a model whose steps are not straight; see `pulse_law`."""
    text, names = pulse_law(model, of_cells)
    scope = {
        name: part(one) if isinstance(one, FunctionType) else one for name, one in FUNCTIONS.items()
    }
    # The text is printed from a parsed sympy expression; nothing of a user's is in it.
    exec(compile(text, f"<spiceloop pulse of {model.name}>", "exec"), scope)  # noqa: S102
    return visits_by(part(scope["law"]), text), names


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
