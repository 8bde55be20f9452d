"""A device, or many, under a stimulus in torch."""

from __future__ import annotations

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
        initial: its states at the first time, likewise.
        time_s: times, rising, [time].
        voltage_v: voltage across the device at those times, [..., time] or [time].
        tolerance: error of a state, as a fraction of its range, allowed in one step.
        kernels: `kernels.eager`, or `kernels.compiled` for very many cells.

    Returns:
        Current and states at the times of the stimulus.

    Raises:
        InputError: the times do not rise; a parameter or a state is missing or has no such name;
            a state starts out of its bounds; the tolerance is none.
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
    times = torch.as_tensor(time_s, dtype=torch.float64).tolist()
    for k, (before, after) in enumerate(pairwise(times)):
        if not after > before:
            raise InputError(
                "time does not rise",
                where=f"time_s[{k + 1}]",
                value=after,
                allowed=f"> {before:g} s, the time before",
            )
    voltage = voltage_v.to(torch.float64)
    shapes = [x.shape for x in (*values.values(), *initial.values()) if isinstance(x, torch.Tensor)]
    shape = torch.broadcast_shapes(voltage.shape[:-1], *shapes)
    count = shape.numel()
    v = voltage.expand(*shape, len(times)).reshape(count, len(times)).T

    def flat(value: Value) -> Value:
        return value.expand(shape).reshape(count) if isinstance(value, torch.Tensor) else value

    p = functions.parameters({name: flat(value) for name, value in values.items()})
    states = [
        torch.as_tensor(flat(x), dtype=torch.float64).expand(count)
        for x in functions.in_order(initial)
    ]
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
