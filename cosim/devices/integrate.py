"""Many cells through one ramp of voltage: a stiff integrator with a time step per cell.

Memristors span ten decades of rate within one array, so a common step is always wrong for nearly
all cells. Here every cell has its own; cells that have arrived leave the batch. Gradients flow
through the accepted steps; step sizes are constants to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from compact_models.normal_form import EDGE
from cosim.devices.internal import solve_internal
from cosim.devices.rosenbrock import (
    ERROR_ORDER,
    Slopes,
    Tried,
    linearised,
    rosenbrock_step,
)

_GROW, _SHRINK, _SAFETY = 10.0, 0.1, 0.9
_LESS = 0.8  # a rejected step is tried again at most this long
_TREND = (0.3, 2.0)  # how much the change from the step before counts, at least and at most
_GROW_AFTER_FAILURE = 1.0  # what was too long a moment ago is not far ahead
_CELLS_AT_ONCE = 1 << 16  # so that a batch's temporaries stay in the processor's cache
_MOST_STEPS = 100_000
_KEEP = 0.75  # a batch with fewer running cells than this is made smaller
# At the edge: how near counts as there, and how far the step across the kink goes, both in edges.
_NEAR, _CROSS = 0.02, 0.06
_FREE = 0.5  # error of a state inside an edge, in edges, that is as good as none
# Error of the internal quantity, in its scale, allowed in one step. It does not add up: every step
# begins with a correction of it.
_INTERNAL = 1e-2
_UNFOLLOWED = 16.0  # counts as this error, in tolerances: the step is tried again at half
_HAIR = 1e-10  # part of a ramp that is as good as nothing
# A step smaller than this fraction of the ramp can no longer be told from the time itself.
_LEAST_STEP = 1e-14


@dataclass(frozen=True)
class Cells:
    """The solver's view of a batch of cells.

    Attributes:
        fractions: one tensor [cell] per state, see `compact_models.normal_form`.
        internal: the internal quantity [cell], or None where the model has none.
        step: the step size [s] that each cell would try next.
        failed: its last try was too long.
        taken: the last step that was good [s], 0 before the first.
        taken_error: its error, as a fraction of what was allowed.
        alive: False for a cell that could not be solved; its numbers are NaN.
    """

    fractions: tuple[torch.Tensor, ...]
    internal: torch.Tensor | None
    step: torch.Tensor
    failed: torch.Tensor
    taken: torch.Tensor
    taken_error: torch.Tensor
    alive: torch.Tensor

    def take(self, index: torch.Tensor) -> Cells:
        """The cells at `index`."""
        internal = None if self.internal is None else self.internal[index]
        return Cells(
            tuple(s[index] for s in self.fractions),
            internal,
            self.step[index],
            self.failed[index],
            self.taken[index],
            self.taken_error[index],
            self.alive[index],
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
            torch.cat([part.failed for part in parts]),
            torch.cat([part.taken for part in parts]),
            torch.cat([part.taken_error for part in parts]),
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
        tuple(fractions),
        internal,
        torch.full_like(v.detach(), torch.inf),
        torch.zeros_like(v, dtype=torch.bool),
        torch.zeros_like(v.detach()),
        torch.ones_like(v.detach()),
        torch.isfinite(v.detach()),
    )


def advance(
    functions: TorchModel,
    p: Mapping[str, Value],
    cells: Cells,
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    *,
    tolerance: float = 1e-5,
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

    def batch(first: int) -> Cells:
        index = torch.arange(first, min(first + _CELLS_AT_ONCE, count), device=v_start.device)
        return _advance_batch(
            functions,
            _pick(p, index, count),
            cells.take(index),
            v_start[index],
            v_end[index],
            duration_s,
            tolerance,
        )

    if count <= _CELLS_AT_ONCE:
        return _advance_batch(functions, p, cells, v_start, v_end, duration_s, tolerance)
    return Cells.join([batch(first) for first in range(0, count, _CELLS_AT_ONCE)])


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
    every = p
    ramp = (v_end - v_start) / duration_s
    flat = not ramp.requires_grad and not bool(ramp.any())
    bounded = [state.lower is not None for state in functions.model.states]
    internal_scale = functions.model.internals[0].scale if functions.model.internals else 0.0
    now = replace(
        cells, internal=solve_internal(functions, p, v_start, cells.fractions, cells.internal)
    )
    # A ramp may begin on a threshold: the first look is at what lies behind it.
    hair_s = 0.0 if flat else _HAIR * duration_s
    done = torch.full_like(now.step, hair_s)
    running = now.alive.clone()
    place = torch.arange(v_start.numel(), device=v_start.device)
    arrived: list[Cells] = []
    places: list[torch.Tensor] = []
    kinks = _kink_times(functions, p, v_start, v_end, duration_s)
    if flat:  # nothing changes from outside: the states may be at rest, or far from it
        now = replace(now, step=torch.full_like(now.step, torch.inf))
    for _ in range(_MOST_STEPS):
        v = v_start if flat else torch.addcmul(v_start, ramp, done)
        slopes = linearised(functions, p, now.fractions, now.internal, v)
        left = duration_s - done
        wanted = _mind_the_edge(
            slopes, now.fractions, bounded, None if flat else ramp, now.step, now.failed
        )
        at_kink = torch.zeros_like(running)
        for kink in kinks:
            to_kink = kink - done
            nearer = (to_kink > 0) & (to_kink <= wanted)
            wanted = torch.where(nearer, to_kink, wanted)
            at_kink = at_kink | nearer
        last = wanted >= left
        step = torch.where(last, left, wanted)
        tried = rosenbrock_step(
            functions,
            p,
            now.fractions,
            now.internal,
            slopes,
            v,
            None if flat else ramp,
            step,
        )
        if internal_scale:
            tried = _jump(
                functions, p, now, tried, slopes, v, ramp, step, tolerance, internal_scale
            )
        now, good, broken = _judge(
            now, tried, step, running, bounded, duration_s, tolerance, internal_scale
        )
        # From a hair before a threshold to a hair behind it, so that no stage sees both sides.
        done = torch.where(good, done + step + 2 * hair_s * at_kink, done)
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
            kinks = kinks[:, stay]
            v_start, ramp, running = v_start[stay], ramp[stay], running[stay]
    else:
        arrived.append(replace(now, alive=now.alive & ~running))
        places.append(place)
    after = arrived[0]
    if len(arrived) > 1:
        after = Cells.join(arrived).take(torch.argsort(torch.cat(places)))
    # On the way the internal quantity follows as well as the states need it; what leaves is exact.
    inner = solve_internal(functions, every, v_end, after.fractions, after.internal)
    return replace(after, internal=inner)


def _jump(
    functions: TorchModel,
    p: Mapping[str, Value],
    before: Cells,
    tried: Tried,
    slopes: Slopes,
    v: torch.Tensor,
    ramp: torch.Tensor,
    step: torch.Tensor,
    tolerance: float,
    scale: float,
) -> Tried:
    """`tried`, with cells for which the branch of the internal quantity ends put on the next one.

    Where a residual has several zeros, the one on which a cell sits can vanish as the state moves;
    no step leads across. It shows in steps that are rejected though no state moves in them. There
    the internal quantity is looked for again, and the step counts if the state moves in it by less
    than the tolerance with the rates of either branch.
    """
    moved = torch.zeros_like(step)
    for rate in slopes.values[: slopes.states]:
        moved = torch.maximum(moved, (rate.detach() * step).abs())
    stuck = (moved < tolerance) & ~_followed(tried, tolerance, scale)
    if tried.internal is None or tried.error_internal is None or before.internal is None:
        return tried
    if not bool(stuck.any()):
        return tried
    index = stuck.nonzero().squeeze(1)
    some = _pick(p, index, step.numel())
    h, there = step[index], torch.addcmul(v[index], ramp[index], step[index])
    states = [
        torch.addcmul(s[index], rate[index], h)
        for s, rate in zip(before.fractions, slopes.values, strict=False)
    ]
    inner = solve_internal(functions, some, there, states, before.internal[index])
    if inner is None:
        raise AssertionError("a model with an internal quantity")
    moved = torch.zeros_like(h)
    for rate in functions.rates(there, *states, inner, some):
        moved = torch.maximum(moved, (torch.as_tensor(rate).detach() * h).abs())
    found = moved < tolerance  # False for NaN
    index = index[found]
    return Tried(
        tuple(
            old.index_put((index,), new[found])
            for old, new in zip(tried.fractions, states, strict=True)
        ),
        tried.internal.index_put((index,), inner[found]),
        tried.error.index_put((index,), moved[found]),
        tried.error_internal.index_put((index,), torch.zeros_like(moved[found])),
    )


def _followed(tried: Tried, tolerance: float, scale: float) -> torch.Tensor:
    """True where the error estimates of a step are small enough."""
    good = tried.error <= tolerance
    if tried.error_internal is not None:
        good = good & (tried.error_internal <= _INTERNAL * scale)
    return good


def _kink_times(
    functions: TorchModel,
    p: Mapping[str, Value],
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
) -> torch.Tensor:
    """When each ramp comes to the thresholds of the model [s], [kink, cell]; infinite where not.

    That is a hair before it crosses them.
    """
    times = []
    with torch.no_grad():
        for before, after in zip(
            functions.kinks(v_start, p), functions.kinks(v_end, p), strict=True
        ):
            place = torch.as_tensor(before / (before - after)).expand_as(v_start)
            ahead = (place > 3 * _HAIR) & (place < 1 - 3 * _HAIR)
            times.append(torch.where(ahead, (place - _HAIR) * duration_s, torch.inf))
    return torch.stack(times) if times else v_start.detach().new_empty(0, v_start.numel())


def _mind_the_edge(
    slopes: Slopes,
    fractions: Sequence[torch.Tensor],
    bounded: Sequence[bool],
    ramp: torch.Tensor | None,
    step: torch.Tensor,
    failed: torch.Tensor,
) -> torch.Tensor:
    """`step`, cut so that it ends where a state reaches the edge in which its rate falls to zero.

    The rate has a kink there that no step is good across, and behind it a decay that is fast beside
    everything before. Without this, cells find both by rows of rejected steps.

    Args:
        slopes: the model at the beginning of the step.
        fractions: the states there.
        bounded: which states have bounds.
        ramp: slopes of the voltages [V/s]; None where all are zero.
        step: the steps that the error control asks for [s].
        failed: which of them follow a rejected one.
    """
    for k, (s, has_bounds) in enumerate(zip(fractions, bounded, strict=True)):
        if not has_bounds:
            continue
        velocity, inner = slopes.values[k].detach(), s.detach()
        speed = velocity.abs()
        to_bound = torch.where(velocity > 0, 1.0 - inner, inner)
        distance = to_bound - EDGE
        by_state, by_voltage = slopes.own(k)
        gain = by_state.detach() * speed
        if ramp is not None:
            along = (by_voltage * ramp).detach()
            gain = gain + torch.where(velocity > 0, along, -along)
        root = (speed * speed + 2.0 * gain * distance).sqrt()  # NaN: turns back before the edge
        arrival = 2.0 * distance / (speed + root)
        cut = torch.where(distance > _NEAR * EDGE, arrival, _CROSS * EDGE / speed)
        step = torch.where(distance > -_NEAR * EDGE, torch.fmin(step, cut), step)
        if len(fractions) == 1:
            # Behind the kink nothing is left but a decay to the bound, which the method takes in
            # one step of any length; if the voltage turns on the way, that step is rejected.
            near = torch.minimum(inner, 1.0 - inner)
            inside = (near < (1.0 - _NEAR) * EDGE) & ((near <= 0) | (near == to_bound)) & ~failed
            step = torch.where(inside, torch.inf, step)
    return step


def _judge(
    before: Cells,
    tried: Tried,
    step: torch.Tensor,
    running: torch.Tensor,
    bounded: Sequence[bool],
    duration_s: float,
    tolerance: float,
    internal_scale: float,
) -> tuple[Cells, torch.Tensor, torch.Tensor]:
    """The cells after the steps that were good enough; which were, and which cells are lost."""
    error = tried.error / tolerance
    if tried.error_internal is not None:
        # It does not fall with the step like a state's, so it has no part in the step's length.
        followed = tried.error_internal <= _INTERNAL * internal_scale
        error = torch.where(followed, error, error.clamp_min(_UNFOLLOWED))
    if len(before.fractions) == 1 and bounded[0]:
        # Within the edge a state is at its bound for all purposes: where exactly is free.
        s, new = before.fractions[0].detach(), tried.fractions[0].detach()
        in_edge = ((s < EDGE) & (new.abs() < EDGE)) | ((s > 1 - EDGE) & ((1 - new).abs() < EDGE))
        error = torch.where(in_edge, tried.error / max(tolerance, _FREE * EDGE), error)
    good = running & (error <= 1)  # False for NaN
    for new, has_bounds in zip(tried.fractions, bounded, strict=True):
        if has_bounds:  # an error estimate can be small by chance; a state out of bounds is not
            good = good & (new > -EDGE) & (new < 1.0 + EDGE)
    broken = running & ~good & (step <= _LEAST_STEP * duration_s)
    power = -1.0 / ERROR_ORDER
    error = error.clamp(min=1e-24)
    factor = error.pow(power)
    # Where steps have to become shorter and shorter, or may become longer and longer, the change
    # from the step before goes on: Gustafsson, ACM TOMS 20 (1994) 496, doi 10.1145/198429.198437.
    trend = (step / before.taken) * (error / before.taken_error).pow(power)
    trend = trend.nan_to_num(nan=1.0).clamp(*_TREND)
    factor = torch.where(good & (before.taken > 0), factor * trend, factor)
    factor = (_SAFETY * factor).nan_to_num(nan=_SHRINK)
    most = torch.where(before.failed, _GROW_AFTER_FAILURE, _GROW)
    wanted = step * torch.minimum(factor.clamp_min(_SHRINK), most)
    # A step cut short by the ramp's end or by an edge says nothing against the longer one.
    cut = step < before.step.clamp(max=duration_s)
    longer = torch.where(cut, torch.maximum(wanted, before.step.clamp(max=duration_s)), wanted)
    wanted = torch.where(good, longer, torch.minimum(wanted, _LESS * step))
    fractions = tuple(
        torch.where(good, new, old)
        for new, old in zip(tried.fractions, before.fractions, strict=True)
    )
    internal = before.internal
    if internal is not None and tried.internal is not None:
        internal = torch.where(good, tried.internal, internal)
    after = Cells(
        fractions,
        internal,
        torch.where(running, wanted, before.step),
        running & ~good,
        torch.where(good, step, before.taken),
        torch.where(good, error, before.taken_error),
        before.alive & ~broken,
    )
    return after, good, broken
