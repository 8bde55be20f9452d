"""How long a device takes to switch at a constant voltage, over as many decades as there are.

With one state nothing is integrated in time: at a constant voltage the rate is a function of the
state alone, and the time is the integral of 1 / rate over the state. That costs the same for a
nanosecond and for a year, and says that a device never arrives: its rate has a zero on the way.
With several states, and where the integral's error is too large, the device is integrated on a
logarithmic grid of times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import tanhsinh

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.normal_form import EDGE
from cosim.devices.cells import Cells
from cosim.devices.integrate import advance, start
from cosim.devices.internal import solve_internal
from cosim.devices.rosenbrock import linearised

Array = NDArray[np.float64]

_LOOKS = 400  # places, in equal steps and in equal steps of a logarithm, at which a rate is seen
_RELATIVE, _LEVELS = 1e-7, 12  # of a tanh-sinh rule over the state
_NODES = 4  # of a Gauss rule, and the pieces in which it is taken until the results agree
_PIECES, _RELATIVE_IN_SEQUENCE = (16, 32, 64, 128, 256), 1e-4
_SHORTEST, _PER_DECADE = 1e-22, 24  # the grid of times, as a part of the longest
_HARDLY = 1e-3  # of its range: a state that moves by less until the end has come to rest
_LOOKS_FOR_REST = 8  # in every so many intervals
_WITHIN = 20  # and how many parts of an interval in which a device arrives


def switching_times(
    model: CompactModel,
    parameter_set: ParameterSet,
    voltages_v: Sequence[float] | torch.Tensor,
    *,
    from_fraction: float,
    to_fraction: float,
    longest_s: float,
) -> torch.Tensor:
    """The time that the state needs from one place of its range to another, at constant voltages.

    Args:
        model: the device; the state that is meant is its first one with bounds.
        parameter_set: its numbers; other states start at its initial values.
        voltages_v: voltages across the device [V], [voltage].
        from_fraction: where the state starts: 0 at its lower bound, 1 at its upper one, and in
            between along its logarithm if it is a logarithmic state.
        to_fraction: where it is to arrive, likewise.
        longest_s: longer than this counts as not switched [s], > 0.

    Returns:
        Seconds, float64 [voltage]; NaN where the device does not arrive within `longest_s`. With
        one state within 1e-6, or 1e-4 with an internal quantity; within 2 % with several, and
        where a device all but stops on its way.

    Raises:
        InputError: the model has no state with bounds, a fraction lies outside 0 to 1, both are
            the same, or `longest_s` is not positive.
    """
    for name, value in (("from_fraction", from_fraction), ("to_fraction", to_fraction)):
        if not 0 <= value <= 1:
            raise InputError("not a part of the range", where=name, value=value, allowed="0 to 1")
    if from_fraction == to_fraction:
        raise InputError("the state is there already", where="to_fraction", value=to_fraction)
    if not longest_s > 0:
        raise InputError(
            "the longest time must be positive", where="longest_s", value=longest_s, allowed="> 0"
        )
    place = switching_state(model)
    voltages = torch.as_tensor(voltages_v, dtype=torch.float64)
    functions = torch_model(model)
    p = functions.parameters(dict(parameter_set.values))
    with torch.no_grad():
        times = torch.full_like(voltages, torch.nan)
        sure = torch.zeros_like(voltages, dtype=torch.bool)
        if len(model.states) == 1:
            solve = _by_quadrature if functions.residual is None else _by_quadrature_in_sequence
            # In its edge a state is at its bound, to which it would only ever decay.
            goal = min(max(to_fraction, EDGE), 1.0 - EDGE)
            times, sure = solve(functions, p, voltages, from_fraction, goal)
        rest = (~sure).nonzero().squeeze(1)
        if rest.numel():
            times[rest] = _by_integration(
                functions, p, parameter_set, voltages[rest], place, from_fraction, to_fraction,
                longest_s,
            )  # fmt: skip
    return torch.where(times <= longest_s, times, torch.nan)


def switching_state(model: CompactModel) -> int:
    """The index of the state by which a device switches: the first that has bounds.

    Raises:
        InputError: there is none.
    """
    for k, state in enumerate(model.states):
        if state.lower is not None:
            return k
    raise InputError("the model has no state with bounds", where="model", value=model.name)


def _by_quadrature(
    functions: TorchModel, p: dict[str, Value], v: torch.Tensor, first: float, last: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The integral of 1 / rate at every voltage, NaN where it has none; and where it is exact."""

    def rate(place: torch.Tensor, volts: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(functions.rates(volts, place, p)[0]).expand_as(place)

    # Graded towards both ends, where windows vanish; the ends themselves are looked at as well.
    grid = torch.linspace(0.0, 1.0, _LOOKS, dtype=torch.float64)
    grid = torch.cat([torch.logspace(-18, -3, _LOOKS, dtype=torch.float64), grid])
    grid = torch.cat([grid, 1.0 - grid]) * (last - first) + first
    seen = rate(grid[:, None].expand(-1, v.numel()), v.expand(grid.numel(), -1))
    moving = (torch.isfinite(seen) & (seen * (last - first) > 0)).all(0)
    time_s = torch.full_like(v, torch.nan)
    sure = ~moving
    if not bool(moving.any()):
        return time_s, sure

    def per_rate(place: Array, volts: Array) -> Array:
        across = torch.from_numpy(np.broadcast_to(volts, place.shape).copy())
        value: Array = (1.0 / rate(torch.from_numpy(place), across)).numpy()
        return value

    found = tanhsinh(
        per_rate, first, last, args=(v[moving].numpy(),), rtol=_RELATIVE, maxlevel=_LEVELS
    )
    time_s[moving] = torch.from_numpy(np.asarray(found.integral))
    sure[moving] = torch.from_numpy(np.asarray(found.success))
    return time_s, sure


def _by_quadrature_in_sequence(
    functions: TorchModel, p: dict[str, Value], v: torch.Tensor, first: float, last: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for a rate that follows an internal quantity.

    One place after the other, so that a quantity with several solutions stays on its branch.
    """
    before = _composite(functions, p, v, first, last, _PIECES[0])
    time_s, sure = before.clone(), torch.zeros_like(v, dtype=torch.bool)
    for pieces in _PIECES[1:]:
        todo = (~sure).nonzero().squeeze(1)
        if not todo.numel():
            break
        now = _composite(functions, p, v[todo], first, last, pieces)
        same = (now - time_s[todo]).abs() <= _RELATIVE_IN_SEQUENCE * now
        sure[todo] = same | (now.isnan() & time_s[todo].isnan())
        time_s[todo] = now
    return time_s, sure


def _composite(
    functions: TorchModel, p: dict[str, Value], v: torch.Tensor, first: float, last: float,
    pieces: int,
) -> torch.Tensor:  # fmt: skip
    """Gauss's rule in equal pieces of the way; NaN where the state does not move along it."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(first, last, pieces + 1)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    places = torch.from_numpy((middle[:, None] + half[:, None] * nodes).reshape(-1))
    parts = torch.from_numpy((half[:, None] * weights).reshape(-1))
    found, guess = [], None
    for place in places:
        s = place.expand_as(v)
        guess = solve_internal(functions, p, v, [s], guess)
        found.append(torch.as_tensor(functions.rates(v, s, guess, p)[0]).expand_as(v))
    rates = torch.stack(found)
    per_rate = parts[:, None] / rates
    moving = (torch.isfinite(rates) & (per_rate > 0)).all(0)  # a part has the sign of the way
    return torch.where(moving, per_rate.sum(0), torch.nan)


def _by_integration(
    functions: TorchModel,
    p: dict[str, Value],
    parameter_set: ParameterSet,
    v: torch.Tensor,
    place: int,
    first: float,
    last: float,
    longest_s: float,
) -> torch.Tensor:
    """When each device, integrated in time, first passes `last`; NaN where it does not."""
    initial = [
        torch.full_like(v, parameter_set.initial[state.name]) for state in functions.model.states
    ]
    fractions = list(functions.fractions(initial, p))
    fractions[place] = torch.full_like(v, first)
    cells = start(functions, p, fractions, v)
    times = torch.full_like(v, torch.nan)
    way = 1.0 if last > first else -1.0
    shortest_s = max(_SHORTEST * longest_s, min(_first_move(functions, p, cells, v), longest_s / 2))
    points = int(_PER_DECADE * np.log10(longest_s / shortest_s)) + 2
    before_s = 0.0
    for turn, now_s in enumerate(np.geomspace(shortest_s, longest_s, points).tolist()):
        after = advance(functions, p, cells, v, v, now_s - before_s)
        arrived = after.alive & (way * (after.fractions[place] - last) >= 0) & times.isnan()
        index = arrived.nonzero().squeeze(1)
        if index.numel():
            # Most of a SET happens in a small part of its time: the grid would be too coarse.
            way_s = _passing(
                functions, p, cells.take(index), v[index], now_s - before_s, place, last, way
            )
            times[index] = before_s + way_s
        cells, before_s = after, now_s
        ended = ~times.isnan() | ~cells.alive
        if not bool(ended.all()) and turn % _LOOKS_FOR_REST == 0:
            far = (last - cells.fractions[place]).abs() > 2 * _HARDLY
            ended = ended | (far & _rests(functions, p, cells, v, longest_s - now_s))
        if bool(ended.all()):
            break
    return times


def _first_move(functions: TorchModel, p: dict[str, Value], cells: Cells, v: torch.Tensor) -> float:
    """A time in which no state of any cell moves by more than a ten-thousandth of its range."""
    slopes = linearised(functions, p, cells.fractions, cells.internal, v)
    fastest = torch.stack(slopes.values[: slopes.states]).abs().amax()
    return float(1e-4 / fastest.clamp_min(1e-300))


def _rests(
    functions: TorchModel, p: dict[str, Value], cells: Cells, v: torch.Tensor, left_s: float
) -> torch.Tensor:
    """True where nothing is to come: hardly a move in what is left, and nothing that grows."""
    slopes = linearised(functions, p, cells.fractions, cells.internal, v)
    count = slopes.states
    still = (torch.stack(slopes.values[:count]).abs() * left_s).amax(0) < _HARDLY
    rows = [torch.stack(row[:count], -1) for row in slopes.jacobian[:count]]
    jacobian = torch.stack(rows, -2)
    if cells.internal is not None:  # it follows the states
        constraint = torch.stack(slopes.jacobian[count], -1)
        share = torch.stack([row[count] for row in slopes.jacobian[:count]], -1)
        jacobian = jacobian - share.unsqueeze(-1) * (
            constraint[..., :count] / constraint[..., count:]
        ).unsqueeze(-2)
    growth = torch.linalg.eigvals(jacobian.nan_to_num()).real.amax(-1)
    rests: torch.Tensor = still & (growth * left_s < 1.0)
    return rests


def _passing(
    functions: TorchModel,
    p: dict[str, Value],
    cells: Cells,
    v: torch.Tensor,
    duration_s: float,
    place: int,
    last: float,
    way: float,
) -> torch.Tensor:
    """When, within `duration_s`, cells that do so pass `last` [s], [cell]."""
    step_s = duration_s / _WITHIN
    times = torch.full_like(v, torch.nan)
    for k in range(_WITHIN):
        before = cells.fractions[place]
        cells = advance(functions, p, cells, v, v, step_s)
        now = cells.fractions[place]
        passed = times.isnan() & (way * (now - last) >= 0)
        times = torch.where(passed, (k + (last - before) / (now - before)) * step_s, times)
    return times
