"""Rates that are large at some voltage within a ramp and small at both of its ends.

The stages of a step see a ramp at five places. A rate that rises with the size of the voltage, as
those of nearly all devices do, shows at the far end what a long step would miss. One with a peak in
between does not: both ends are at rest, and so is the error estimate. So rates are looked at over
the whole range of voltages before a run, for a few cells and states, and where there is a peak no
step of a ramp is longer than half of its width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from cosim.devices.cells import Cells, pick
from cosim.devices.internal import solve_internal

_VOLTAGES = 1025  # at which rates are looked at
_CELLS = 6  # of a batch
_PLACES = (0.03, 0.3, 0.7, 0.97)  # of their range, beside where the cells are


def longest_step_v(
    functions: TorchModel,
    p: Mapping[str, Value],
    cells: Cells,
    voltage_v: torch.Tensor,
    duration_s: float,
    tolerance: float,
) -> float:
    """By how much the voltage may change in one step [V]; infinite for rates without a peak.

    Args:
        functions: the model.
        p: its parameters, floats or [cell].
        cells: the cells at the beginning of the run.
        voltage_v: all voltages of the run, [time, cell].
        duration_s: of all its ramps together.
        tolerance: of the run; peaks that move no state by more are none.
    """
    with torch.no_grad():
        if not voltage_v.numel():
            return torch.inf
        low, high = float(voltage_v.detach().amin()), float(voltage_v.detach().amax())
        if not low < high:
            return torch.inf
        count = voltage_v.shape[1]
        chosen = torch.linspace(0, count - 1, min(count, _CELLS)).long().unique()
        some, own = cells.take(chosen), pick(p, chosen, count)
        volts = torch.linspace(low, high, _VOLTAGES, dtype=torch.float64, device=voltage_v.device)
        finest = torch.inf
        for place in (None, *_PLACES):
            fractions = [
                s if place is None or state.lower is None else torch.full_like(s, place)
                for s, state in zip(some.fractions, functions.model.states, strict=True)
            ]
            rates = _rates(functions, own, fractions, volts)
            width = _narrowest(rates.abs() * duration_s, tolerance)
            finest = min(finest, width * float(volts[1] - volts[0]))
    return finest


def _rates(
    functions: TorchModel,
    p: Mapping[str, Value],
    fractions: list[torch.Tensor],
    volts: torch.Tensor,
) -> torch.Tensor:
    """Rates of all states of bounded ones' range, [state and cell, voltage]."""
    cells, many = len(fractions[0]), len(volts)
    place = torch.arange(cells, device=volts.device).repeat_interleave(many)
    across, own = volts.repeat(cells), pick(p, place, cells)
    states = [s[place] for s in fractions]
    inner = solve_internal(functions, own, across, states, None)
    arguments = [*states, *([] if inner is None else [inner])]
    found = [
        torch.as_tensor(rate, dtype=torch.float64, device=volts.device).expand_as(across)
        for rate, state in zip(
            functions.rates(across, *arguments, own), functions.model.states, strict=True
        )
        if state.lower is not None
    ]
    if not found:
        return volts.new_zeros(0, many)
    return torch.stack(found).reshape(-1, many).nan_to_num()


def _narrowest(size: torch.Tensor, least: float) -> float:
    """Half of the width of the narrowest peak, in samples; infinite if there is none.

    A peak is what stands above the lowest values on both of its sides; a curve that falls and then
    rises, however steeply, has none.
    """
    if not size.numel():
        return torch.inf
    left = size.cummin(-1).values
    right = size.flip(-1).cummin(-1).values.flip(-1)
    above = size - torch.maximum(left, right)
    height = above.amax(-1, keepdim=True)
    rows = height.squeeze(-1) > torch.clamp(1e-6 * size.amax(-1), min=least)
    if not bool(rows.any()):
        return torch.inf
    # Of several peaks the narrowest: runs of samples above half of what any of them has.
    high = (above > 0.5 * height)[rows].to(torch.int64)
    ends = torch.nn.functional.pad(high, (1, 1)).diff(dim=-1)
    starts, stops = (ends == 1).nonzero()[:, 1], (ends == -1).nonzero()[:, 1]
    return 0.5 * float((stops - starts).amin())
