"""Many cells through one ramp of voltage: a stiff integrator with a time step per cell.

Memristors span ten decades of rate within one array, so a common step is always wrong for nearly
all cells. Here every cell has its own; cells that have arrived leave the batch. The method is
Rodas3 (Sandu et al., Atmos. Environ. 31 (1997) 3459): a Rosenbrock method of order 3 with an
embedded order 2, L-stable and stiffly accurate. It needs one Jacobian a step and no Newton
iteration on the states. Gradients flow through the accepted steps; step sizes are constants to
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from cosim.devices.internal import solve_internal
from cosim.devices.rodas import Tried, rodas_step

_GROW, _SHRINK, _SAFETY = 6.0, 0.1, 0.9
_CELLS_AT_ONCE = 1 << 16  # so that a batch's temporaries stay in the processor's cache
_MOST_STEPS = 100_000
_KEEP = 0.75  # a batch with fewer running cells than this is made smaller
# A step smaller than this fraction of the ramp can no longer be told from the time itself.
_LEAST_STEP = 1e-14


@dataclass(frozen=True)
class Cells:
    """The solver's view of a batch of cells.

    Attributes:
        fractions: one tensor [cell] per state, see `compact_models.normal_form`.
        internal: the internal quantity [cell], or None where the model has none.
        step: the step size [s] that each cell would try next.
        alive: False for a cell that could not be solved; its numbers are NaN.
    """

    fractions: tuple[torch.Tensor, ...]
    internal: torch.Tensor | None
    step: torch.Tensor
    alive: torch.Tensor

    def take(self, index: torch.Tensor) -> Cells:
        """The cells at `index`."""
        internal = None if self.internal is None else self.internal[index]
        return Cells(
            tuple(s[index] for s in self.fractions), internal, self.step[index], self.alive[index]
        )

    @staticmethod
    def join(parts: Sequence[Cells]) -> Cells:
        """The cells of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        internals = [part.internal for part in parts if part.internal is not None]
        return Cells(
            tuple(torch.cat(column) for column in zip(*(c.fractions for c in parts), strict=True)),
            torch.cat(internals) if internals else None,
            torch.cat([part.step for part in parts]),
            torch.cat([part.alive for part in parts]),
        )


def start(
    functions: TorchModel,
    p: Mapping[str, Value],
    fractions: Sequence[torch.Tensor],
    v: torch.Tensor,
) -> Cells:
    """Cells in a given state at voltage `v`, [cell].

    Args:
        functions: the model.
        p: its parameters, floats or [cell].
        fractions: one tensor [cell] per state.
        v: the voltage across each cell [V].
    """
    internal = solve_internal(functions, p, v, fractions, None)
    return Cells(
        tuple(fractions), internal, torch.full_like(v, torch.inf), torch.isfinite(v.detach())
    )


def advance(
    functions: TorchModel,
    p: Mapping[str, Value],
    cells: Cells,
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    *,
    tolerance: float = 1e-6,
) -> Cells:
    """The cells after their voltages went from `v_start` to `v_end` in a straight line.

    Args:
        functions: the model.
        p: its parameters, floats or [cell].
        cells: the cells before.
        v_start: voltages at the beginning [V], [cell].
        v_end: voltages at the end [V], [cell].
        duration_s: how long it takes [s], > 0.
        tolerance: error of a state, as a fraction of its range, allowed in one step.
    """
    count = v_start.numel()
    parts = []
    for first in range(0, count, _CELLS_AT_ONCE):
        last = min(first + _CELLS_AT_ONCE, count)
        whole = first == 0 and last == count
        index = torch.arange(first, last, device=v_start.device)
        parts.append(
            _advance_batch(
                functions,
                p if whole else _pick(p, index, count),
                cells if whole else cells.take(index),
                v_start[first:last],
                v_end[first:last],
                duration_s,
                tolerance,
            )
        )
    return Cells.join(parts)


def _pick(p: Mapping[str, Value], index: torch.Tensor, count: int) -> dict[str, Value]:
    """The parameters of some of the cells."""
    return {
        name: value[index]
        if isinstance(value, torch.Tensor) and value.ndim == 1 and value.numel() == count
        else value
        for name, value in p.items()
    }


def _advance_batch(
    functions: TorchModel,
    p: Mapping[str, Value],
    cells: Cells,
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    tolerance: float,
) -> Cells:
    ramp = (v_end - v_start) / duration_s
    flat = not ramp.requires_grad and not bool(ramp.any())
    now = cells
    done = torch.zeros_like(now.step)
    running = now.alive.clone()
    place = torch.arange(v_start.numel(), device=v_start.device)
    arrived: list[Cells] = []
    places: list[torch.Tensor] = []
    for _ in range(_MOST_STEPS):
        left = duration_s - done
        last = now.step >= left
        step = torch.where(last, left, now.step)
        v = v_start + ramp * done
        tried = rodas_step(functions, p, now.fractions, now.internal, v, ramp, step, flat)
        now, good, broken = _judge(now, tried, step, running, duration_s, tolerance)
        done = torch.where(good, done + step, done)
        running = running & ~(good & last) & ~broken
        left_over = int(running.sum())
        if left_over == 0:
            arrived.append(now)
            places.append(place)
            break
        if left_over < _KEEP * running.numel():
            out, stay = (~running).nonzero().squeeze(1), running.nonzero().squeeze(1)
            arrived.append(now.take(out))
            places.append(place[out])
            p = _pick(p, stay, running.numel())
            now, place, done = now.take(stay), place[stay], done[stay]
            v_start, ramp, running = v_start[stay], ramp[stay], running[stay]
    else:
        arrived.append(Cells(now.fractions, now.internal, now.step, now.alive & ~running))
        places.append(place)
    if len(arrived) == 1:
        return arrived[0]
    return Cells.join(arrived).take(torch.argsort(torch.cat(places)))


def _judge(
    before: Cells,
    tried: Tried,
    step: torch.Tensor,
    running: torch.Tensor,
    duration_s: float,
    tolerance: float,
) -> tuple[Cells, torch.Tensor, torch.Tensor]:
    """The cells after the steps that were good enough; which were, and which cells are lost."""
    error = tried.error / tolerance
    good = running & (error <= 1)  # False for NaN
    broken = running & ~good & (step <= _LEAST_STEP * duration_s)
    factor = (_SAFETY * error.clamp(min=1e-12).pow(-1 / 3)).nan_to_num(nan=_SHRINK)
    wanted = step * factor.clamp(_SHRINK, _GROW)
    # A step cut short by the end of the ramp says nothing against the longer one.
    wanted = torch.where(good, torch.maximum(wanted, before.step.clamp(max=duration_s)), wanted)
    fractions = tuple(
        torch.where(good, new, old)
        for new, old in zip(tried.fractions, before.fractions, strict=True)
    )
    internal = before.internal
    if internal is not None and tried.internal is not None:
        internal = torch.where(good, tried.internal, internal)
    after = Cells(
        fractions, internal, torch.where(running, wanted, before.step), before.alive & ~broken
    )
    return after, good, broken
