"""Cells of a compact model that do not move alike: what differs from cell to cell, and its draw.

Reads, netlists of reads and the map between weight and state go by the numbers of the parameter
set. What only moves a state - a threshold, a speed, an activation energy - is in none of them, so
cells may differ in that without any of these being wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy
import torch

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError, closest
from compact_models.model import CompactModel
from compact_models.read_form import read_form
from compact_models.symbols import Definition, Parameter
from compact_models.variation.distributions import TruncatedNormal
from compact_models.variation.draw import Variation, draw

# Of the number of the set: what a draw leaves at least, and as far the other way.
_LOW, _HIGH = 0.01, 1.99


def moving_parameters(model: CompactModel) -> tuple[str, ...]:
    """The parameters that say how a device moves, and nothing of how it is read.

    Args:
        model: a compact model.
    """
    ends = [
        one
        for state in model.states
        for one in (state.lower, state.upper, state.scale)
        if one is not None
    ]
    still = {one.name for one in read_form(model).parameters} | _parameters(ends)
    return tuple(one.name for one in model.parameters if one.name not in still)


def _parameters(expressions: Sequence[sympy.Basic]) -> set[str]:
    """The names of those that expressions need, by definitions too."""
    found: set[str] = set()
    for expression in expressions:
        for symbol in expression.free_symbols:
            if isinstance(symbol, Parameter):
                found.add(symbol.name)
            elif isinstance(symbol, Definition):
                found |= _parameters([symbol.expression, *(symbol.limits or ())])
    return found


def check_spread(device: CellDevice, sigma: Mapping[str, float]) -> None:
    """Refuses a spread that cells which learn cannot have.

    Args:
        device: what they are.
        sigma: standard deviation by parameter, as a part of it.

    Raises:
        InputError: another parameter than those that move a cell, or no standard deviation.
    """
    known = moving_parameters(device.model)
    numbers = device.parameter_set.values
    for name, one in sigma.items():
        if not 0 <= one < np.inf:
            raise InputError(
                "no standard deviation", where=f"[device.d2d] {name}", value=one, allowed=">= 0"
            )
        if not one:
            continue
        if name not in numbers:
            raise InputError(
                "no spread of this parameter",
                where="[device.d2d]",
                value=name,
                allowed=", ".join(known),
                hint=closest(name, known),
            )
        if name not in known:
            raise InputError(
                f"cells of {device.model.name} that learn differ in what moves them alone: reads"
                f" take {name} from the parameter set",
                where=f"[device.d2d] {name}",
                value=one,
                allowed=", ".join(known) or "none",
                hint="leave it out, or 0",
            )
        if not numbers[name]:
            raise InputError(
                f"a part of {name}, which is 0, is nothing",
                where=f"[device.d2d] {name}",
                value=one,
                hint="leave it out",
            )


def draw_cells(
    device: CellDevice,
    sigma: Mapping[str, float],
    shape: tuple[int, int],
    *,
    seed: int,
    samples: Sequence[int],
    path: str,
) -> dict[str, torch.Tensor]:
    """What cells have for themselves, by parameter, each [chip, side, row, out].

    Args:
        device: what they are.
        sigma: see `check_spread`.
        shape: word lines and outputs.
        seed: the study's seed.
        samples: the chips.
        path: the matrix's hierarchy path.

    Raises:
        InputError: as `check_spread`, or a value that the model does not allow was drawn.
    """
    check_spread(device, sigma)
    variation = Variation(
        device={
            name: TruncatedNormal(sigma=one, low=_LOW, high=_HIGH)
            for name, one in sigma.items()
            if one
        }
    )
    if not variation.device:
        return {}
    planes = [
        [
            draw(
                variation, device.model, device.parameter_set, shape,
                seed=seed, sample=sample, path=f"{path}/{side}",
            )
            for side in ("plus", "minus")
        ]
        for sample in samples
    ]  # fmt: skip
    return {
        name: torch.from_numpy(np.stack([[one[name] for one in sides] for sides in planes]))
        for name in variation.device
    }
