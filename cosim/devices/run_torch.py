"""A device, or many, under a stimulus in torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel
from cosim.devices.cells import Cells
from cosim.devices.humps import longest_step_v
from cosim.devices.integrate import advance, start
from cosim.devices.kernels import MakeKernels, eager

_TOLERANCES = (1e-11, 0.1)
_BEYOND = (
    1e-3  # of its range: so far beyond its bounds a state may start, as one that was read back
)


@dataclass(frozen=True)
class Trace:
    """What a run leaves.

    Attributes:
        time_s: the times of the stimulus [time].
        voltage_v: the stimulus [..., time].
        current_a: the current at those times [..., time]; NaN from where a cell was lost.
        states: every state at those times, in its unit, by name [..., time].
        alive: False for a cell that could not be solved, or whose voltage or current is no number
            [...].
    """

    time_s: torch.Tensor
    voltage_v: torch.Tensor
    current_a: torch.Tensor
    states: dict[str, torch.Tensor]
    alive: torch.Tensor


def run_torch(
    model: CompactModel,
    values: Mapping[str, Value],
    initial: Mapping[str, Value],
    time_s: Sequence[float] | torch.Tensor,
    voltage_v: torch.Tensor,
    *,
    tolerance: float = 1e-5,
    kernels: MakeKernels = eager,
) -> Trace:
    """Integrates the device along a stimulus that is straight between its points.

    Args:
        model: the device.
        values: its parameters in SI units: floats, or tensors [...] with one value per cell.
            Whatever their type, they are computed with in float64. NaN in a tensor loses its cell.
        initial: its states at the first time, likewise.
        time_s: times, rising, [time].
        voltage_v: voltage across the device at those times, [..., time] or [time].
        tolerance: error of a state, as a fraction of its range, allowed in one step.
        kernels: `kernels.eager`, or `kernels.compiled` for very many cells.

    Returns:
        Current and states at the times of the stimulus.

    Raises:
        InputError: the times do not rise or are not finite; the voltage has not one value for each
            of them; a parameter or a state is missing or has no such name, the shapes of two do
            not go together, or there is no cell; a parameter is out of its bounds; the bounds of a
            state are not in order, or it starts out of them; the tolerance is none.
    """
    functions = torch_model(model)
    low, high = _TOLERANCES
    if not low <= tolerance <= high:
        raise InputError(
            "not an error that can be asked for",
            where="tolerance",
            value=tolerance,
            allowed=f"{low:g} to {high:g} of a state's range",
        )
    times = _times(time_s)
    voltage = torch.as_tensor(voltage_v).to(torch.float64)
    if voltage.shape[-1:] != (len(times),):
        raise InputError(
            "the voltage needs one value for each time",
            where="voltage_v",
            value=tuple(voltage.shape),
            allowed=f"a last dimension of {len(times)}, the times",
        )
    numbers = {name: _float64(value, f"values[{name!r}]") for name, value in values.items()}
    before = {
        state.name: _float64(value, f"initial[{state.name!r}]")
        for state, value in zip(model.states, functions.in_order(initial), strict=True)
    }
    shape = _common_shape(voltage, {**numbers, **before})
    count = shape.numel()
    if not count:
        raise InputError(
            "a run needs a cell", where="values, initial, voltage_v", value=tuple(shape)
        )
    v = voltage.expand(*shape, len(times)).reshape(count, len(times)).T

    def flat(value: Value) -> Value:
        return value.expand(shape).reshape(count) if isinstance(value, torch.Tensor) else value

    p = functions.parameters({name: flat(value) for name, value in numbers.items()})
    _check_parameters(model, p)
    _check_bounds(functions, p, v[0])
    states = [torch.as_tensor(flat(x), dtype=torch.float64).expand(count) for x in before.values()]
    fractions = functions.fractions(states, p)
    _check_start(functions, p, states, fractions)
    cells = start(functions, p, fractions, v[0].contiguous())
    record = [_look(functions, p, cells, v[0])]
    longest_v = longest_step_v(functions, p, cells, v, times[-1] - times[0], tolerance)
    for k in range(1, len(times)):
        cells = advance(
            functions,
            p,
            cells,
            v[k - 1],
            v[k],
            times[k] - times[k - 1],
            tolerance=tolerance,
            longest_v=longest_v,
            kernels=kernels,
        )
        record.append(_look(functions, p, cells, v[k]))
    columns = [
        torch.stack(column, -1).reshape(*shape, len(times)) for column in zip(*record, strict=True)
    ]
    return Trace(
        time_s=torch.tensor(times, dtype=torch.float64),
        voltage_v=voltage.expand(*shape, len(times)),
        current_a=columns[0],
        states={x.name: column for x, column in zip(model.states, columns[1:], strict=True)},
        alive=cells.alive.reshape(shape) & torch.isfinite(columns[0].detach()).all(-1),
    )


def _times(time_s: Sequence[float] | torch.Tensor) -> list[float]:
    """The times as numbers; refuses those that are no times of a run."""
    given = torch.as_tensor(time_s, dtype=torch.float64)
    if given.ndim != 1 or not len(given):
        raise InputError(
            "a run needs times", where="time_s", value=tuple(given.shape), allowed="[time], >= 1"
        )
    times: list[float] = given.tolist()
    for k, time in enumerate(times):
        if not math.isfinite(time):
            raise InputError(
                "not a time", where=f"time_s[{k}]", value=time, allowed="a finite number of s"
            )
    for k, (before, after) in enumerate(pairwise(times)):
        if not after > before:
            raise InputError(
                "time does not rise",
                where=f"time_s[{k + 1}]",
                value=after,
                allowed=f"> {before:g} s, the time before",
            )
    return times


def _float64(value: Value, where: str) -> Value:
    """A number or a tensor of them with all digits: float32 would lose a stiff device."""
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise InputError("not a real number", where=where, value=value.dtype)
        return value.to(torch.float64)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            "neither a number nor a tensor", where=where, value=value, allowed="one or the other"
        ) from error


def _common_shape(voltage: torch.Tensor, numbers: Mapping[str, Value]) -> torch.Size:
    """The shape [...] that all cells have."""
    shape, so_far = voltage.shape[:-1], "the voltage"
    for name, value in numbers.items():
        if not isinstance(value, torch.Tensor):
            continue
        try:
            shape = torch.broadcast_shapes(shape, value.shape)
        except RuntimeError as error:
            raise InputError(
                "the number of cells is not the same",
                where=name,
                value=tuple(value.shape),
                allowed=f"what goes with {tuple(shape)}, the shape of {so_far}",
            ) from error
        so_far = "those before it"
    return shape


def _check_parameters(model: CompactModel, p: Mapping[str, Value]) -> None:
    """Refuses a value that the model excludes: its equations mean nothing there.

    In a tensor NaN stands for a cell of which nothing is known; that cell is lost, not the run.
    """
    for one in model.parameters:
        value = p[one.name]
        if not isinstance(value, torch.Tensor):
            bad, cell, found = not one.allows(value), 0, value
        else:
            x = value.detach()
            above = x > one.low if one.open_low else x >= one.low
            below = x < one.high if one.open_high else x <= one.high
            inside = (torch.isfinite(x) & above & below) | torch.isnan(x)
            bad = not bool(inside.all())
            cell = int(torch.argmin(inside.to(torch.int8))) if bad else 0
            found = float(x[cell]) if bad else math.nan
        if bad:
            many = isinstance(value, torch.Tensor) and value.numel() > 1
            raise InputError(
                f"parameter {one.name!r} is out of bounds",
                where=f"values[{one.name!r}], cell {cell}" if many else "values",
                value=found,
                allowed=one.allowed_text(),
            )


def _check_bounds(functions: TorchModel, p: Mapping[str, Value], like: torch.Tensor) -> None:
    """Refuses a state whose range is empty: no state is in it."""
    if not any(state.lower is not None for state in functions.model.states):
        return
    # As tensors, of which a logarithm or a quotient that does not exist is no exception.
    plain = {k: torch.as_tensor(x, dtype=torch.float64).detach() for k, x in p.items()}
    zero = [torch.zeros_like(like) for _ in functions.model.states]
    lows, highs = (functions.states([s + end for s in zero], plain) for end in (0.0, 1.0))
    for state, low, high in zip(functions.model.states, lows, highs, strict=True):
        if state.lower is None:
            continue
        good = low < high
        if state.log:
            good = good & (low > 0)
        if bool(good.all()):
            continue
        cell = int(torch.argmin(good.to(torch.int8)))
        own = {k: float(x if x.ndim == 0 else x[cell]) for k, x in plain.items()}
        raise InputError(
            f"the bounds of state {state.name!r} are not in order",
            where=f"values, cell {cell}" if good.numel() > 1 else "values",
            value=functions.model.bounds(own)[state.name],
            allowed="the lower one below the upper" + (", both above 0" if state.log else ""),
        )


def _check_start(
    functions: TorchModel,
    p: Mapping[str, Value],
    states: Sequence[torch.Tensor],
    fractions: Sequence[torch.Tensor],
) -> None:
    """Refuses a state out of its bounds: its rate beyond them means nothing."""
    for k, (state, s) in enumerate(zip(functions.model.states, fractions, strict=True)):
        inside = torch.isfinite(s)
        if state.lower is not None:
            inside = inside & (s >= -_BEYOND) & (s <= 1 + _BEYOND)
        if bool(inside.all()):
            continue
        cell = int(torch.argmin(inside.to(torch.int8)))
        allowed = "a finite number"
        if state.lower is not None:
            ends = (
                functions.states([torch.full_like(s, end) for _ in fractions], p)[k][cell]
                for end in (0.0, 1.0)
            )
            allowed = " to ".join(f"{float(end):g}" for end in ends)
        raise InputError(
            f"state {state.name!r} starts out of bounds",
            where=f"initial[{state.name!r}], cell {cell}" if s.numel() > 1 else "initial",
            value=float(states[k][cell]),
            allowed=allowed,
        )


def _look(
    functions: TorchModel, p: Mapping[str, Value], cells: Cells, v: torch.Tensor
) -> list[torch.Tensor]:
    """Current and physical states now; NaN for a cell that was lost."""
    inner = [] if cells.internal is None else [cells.internal]
    (current,) = functions.current(v, *cells.fractions, *inner, p)
    columns = [
        torch.as_tensor(current).expand_as(v),
        *functions.states(cells.fractions, p),
    ]
    lost = torch.full_like(v, torch.nan)
    return [torch.where(cells.alive, column, lost) for column in columns]
