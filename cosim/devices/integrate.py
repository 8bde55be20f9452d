"""Many cells through one ramp of voltage: a stiff integrator with a time step per cell.

Memristors span ten decades of rate within one array, so a common step is always wrong for nearly
all cells. Here every cell has its own; cells that have arrived leave the batch. Gradients flow
through the accepted steps and the times at which thresholds are crossed; all other step sizes are
constants to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel, between_kinks
from compact_models.normal_form import has_vanishing_rate
from cosim.devices.cells import Cells, pick
from cosim.devices.edge_slope import steeper
from cosim.devices.free_rate import is_free, move_freely
from cosim.devices.internal import solve_internal
from cosim.devices.kernels import Kernels, MakeKernels, eager
from cosim.devices.rosenbrock import Slopes, Tried
from cosim.devices.shortcuts import forget, jump, rest_at_bound
from cosim.devices.step_size import NEAR_REST, first_step, mind_the_window

_FEW = 64  # so few cells are not worth functions of their own
_CELLS_AT_ONCE = 1 << 16  # so that a batch's temporaries stay in the processor's cache
_MOST_STEPS = 100_000
_KEEP = 0.9  # a batch with fewer running cells than this is made smaller
_HAIR = 1e-10  # part of a ramp that is as good as nothing


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
    longest_v: float = torch.inf,
    kernels: MakeKernels = eager,
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
        longest_v: by how much the voltage may change in one step [V]; see `humps`.
        kernels: `kernels.eager`, or `kernels.compiled` for very many cells.
    """
    count = v_start.numel()
    is_number = torch.isfinite(v_start.detach()) & torch.isfinite(v_end.detach())
    cells = replace(cells, alive=cells.alive & is_number)
    free = is_free(functions.model) and longest_v == torch.inf
    solve = _advance_free if free else partial(_advance_batch, longest_v=longest_v)

    def part(inside: TorchModel, index: torch.Tensor) -> Cells:
        return solve(
            kernels(inside),
            pick(p, index, count),
            cells.take(index),
            v_start[index],
            v_end[index],
            duration_s,
            tolerance,
        )

    groups = list(_by_kinks(functions, p, v_start, v_end))
    if len(groups) == 1 and count <= _CELLS_AT_ONCE:
        return solve(kernels(groups[0][0]), p, cells, v_start, v_end, duration_s, tolerance)
    done = [
        part(inside, index) for inside, members in groups for index in members.split(_CELLS_AT_ONCE)
    ]
    if len(groups) == 1:
        return Cells.join(done)
    return Cells.join(done).take(torch.argsort(torch.cat([members for _, members in groups])))


def _by_kinks(
    functions: TorchModel, p: Mapping[str, Value], v_start: torch.Tensor, v_end: torch.Tensor
) -> Iterator[tuple[TorchModel, torch.Tensor]]:
    """The cells whose ramps lie between the same thresholds, and the functions for them."""
    everyone = torch.arange(v_start.numel(), device=v_start.device)
    if not functions.form.kinks or v_start.numel() < _FEW:
        yield functions, everyone
        return
    with torch.no_grad():
        signs = []
        for before, after in zip(
            functions.kinks(v_start, p), functions.kinks(v_end, p), strict=True
        ):
            one, other = (torch.as_tensor(x).expand_as(v_start) for x in (before, after))
            signs.append(torch.sign(one + other) * (one * other >= 0))
        codes = torch.stack(signs, 1)
        if bool((codes == codes[0]).all()):
            patterns, member = codes[:1], torch.zeros_like(everyone)
        else:
            patterns, member = torch.unique(codes, dim=0, return_inverse=True)
    for k, pattern in enumerate(patterns.tolist()):
        inside = functions
        if all(pattern):
            inside = between_kinks(functions.model, tuple(int(sign) for sign in pattern))
        yield inside, everyone if len(patterns) == 1 else (member == k).nonzero().squeeze(1)


def _advance_free(
    kernels: Kernels,
    p: Mapping[str, Value],
    cells: Cells,
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    tolerance: float,
) -> Cells:
    """Cells whose rate has no state in it: by an integral, the rest of them by steps."""
    kinks = _kink_times(kernels.functions, p, v_start, v_end, duration_s)
    moved, sure = move_freely(
        kernels.functions, p, cells, v_start, v_end, duration_s, kinks, tolerance
    )
    sure = sure | ~cells.alive
    if bool(sure.all()):
        return moved
    by_steps, index = (~sure).nonzero().squeeze(1), sure.nonzero().squeeze(1)
    rest = _advance_batch(
        kernels,
        pick(p, by_steps, sure.numel()),
        cells.take(by_steps),
        v_start[by_steps],
        v_end[by_steps],
        duration_s,
        tolerance,
    )
    return Cells.join([moved.take(index), rest]).take(torch.argsort(torch.cat([index, by_steps])))


def _advance_batch(
    kernels: Kernels,
    p: Mapping[str, Value],
    cells: Cells,
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    tolerance: float,
    *,
    longest_v: float = torch.inf,
) -> Cells:
    functions = kernels.functions
    p = every = functions.prepared(p)
    ramp = (v_end - v_start) / duration_s
    flat = not ramp.requires_grad and not bool(ramp.any())
    bounded = [state.lower is not None for state in functions.model.states]
    has_window = has_vanishing_rate(functions.model)
    # Beside a vanishing window no place is a rest: the distance to the bound is remembered.
    at_rest = 0.0 if has_window else NEAR_REST * tolerance
    internal_scale = functions.model.internals[0].scale if functions.model.internals else 0.0
    now = replace(
        cells, internal=solve_internal(functions, p, v_start, cells.fractions, cells.internal)
    )
    given = (*p.values(), *now.fractions, v_start, ramp)
    differentiable = torch.is_grad_enabled() and any(
        isinstance(x, torch.Tensor) and x.requires_grad for x in given
    )
    # A ramp may begin or end on a threshold: rates and their gradients are those beside it.
    hair_s = 0.0 if flat else _HAIR * duration_s
    end_s = duration_s - hair_s
    done = torch.full_like(now.step, hair_s)
    running = now.alive.clone()
    place = torch.arange(v_start.numel(), device=v_start.device)
    arrived: list[Cells] = []
    places: list[torch.Tensor] = []
    kinks = _kink_times(functions, p, v_start, v_end, duration_s)
    for turn in range(_MOST_STEPS):
        v = v_start if flat else torch.addcmul(v_start, ramp, done)
        slopes = kernels.linearised(p, now.fractions, now.internal, v)
        if len(bounded) > 1:  # a single state has shortcuts of its own at its bounds
            slopes = steeper(slopes, now.fractions, bounded)
        left = end_s - done
        if flat and turn == 0:
            now = replace(now, step=first_step(slopes, now.step, duration_s))
        slope = None if flat else ramp
        wanted = kernels.limit_step(
            slopes, now.fractions, bounded, slope, now.step, now.failed, at_rest
        )
        if longest_v < torch.inf:
            wanted = torch.minimum(wanted, longest_v / ramp.detach().abs())
        at_kink = torch.zeros_like(running)
        for kink in kinks:
            to_kink = kink - done
            nearer = (to_kink > 0) & (to_kink <= wanted.detach())
            wanted = torch.where(nearer, to_kink, wanted)
            at_kink = at_kink | nearer
        last = wanted.detach() >= left.detach()
        step = torch.where(last, left, wanted)
        attempt = partial(
            _attempt, kernels, bounded=bounded, tolerance=tolerance, has_window=has_window
        )
        with torch.no_grad() if differentiable else nullcontext():
            tried = attempt(p, now, slopes, v, ramp, slope, step)
            size, so_far = step.detach(), done.detach()
            after, good, broken = kernels.judge(
                now, tried, slopes, slope, size, so_far, running, bounded, duration_s, tolerance,
                internal_scale, not has_window,
            )  # fmt: skip
        if differentiable:
            after = _with_gradients(
                attempt, p, now, slopes, v, ramp, flat, step, after, good, tried.shortcut
            )
        now = after
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
            p = pick(p, stay, running.numel())
            now, place, done = now.take(stay), place[stay], done[stay]
            kinks = kinks[:, stay]
            v_start, ramp, running = v_start[stay], ramp[stay], running[stay]
    else:
        arrived.append(replace(now, alive=now.alive & ~running))
        places.append(place)
    final = arrived[0]
    if len(arrived) > 1:
        final = Cells.join(arrived).take(torch.argsort(torch.cat(places)))
    # On the way the internal quantity follows as well as the states need it; what leaves is exact.
    inner = solve_internal(functions, every, v_end, final.fractions, final.internal)
    return replace(final, internal=inner)


def _attempt(
    kernels: Kernels,
    p: Mapping[str, Value],
    now: Cells,
    slopes: Slopes,
    v: torch.Tensor,
    ramp: torch.Tensor,
    slope: torch.Tensor | None,
    step: torch.Tensor,
    *,
    bounded: Sequence[bool],
    tolerance: float,
    has_window: bool,
    by_shortcut: bool = False,
) -> Tried:
    """One step of every cell, or the shortcut that takes its place; `by_shortcut`: it does."""
    functions = kernels.functions
    with torch.no_grad() if by_shortcut else nullcontext():
        tried = kernels.step(p, now.fractions, now.internal, slopes, v, slope, step)
    if functions.model.internals:
        scale = functions.model.internals[0].scale
        tried = jump(functions, p, now, tried, slopes, v, ramp, step, tolerance, scale)
    if bounded == [True]:
        tried = rest_at_bound(functions, p, now, tried, slopes, v, ramp, step)
    elif len(bounded) > 1:
        tried = forget(now, tried, slopes, step, bounded)
    return mind_the_window(now, tried, slopes, step, bounded, tolerance) if has_window else tried


def _with_gradients(
    attempt: Callable[..., Tried],
    p: Mapping[str, Value],
    before: Cells,
    slopes: Slopes,
    v: torch.Tensor,
    ramp: torch.Tensor,
    flat: bool,
    step: torch.Tensor,
    after: Cells,
    good: torch.Tensor,
    shortcut: torch.Tensor | None,
) -> Cells:
    """`after` with the graphs of what was taken, and of nothing else.

    A step that is rejected, or in whose place a shortcut was taken, may lead to infinity: zero
    times the gradients there would be NaN.
    """
    fractions, internal = before.fractions, before.internal
    short = torch.zeros_like(good) if shortcut is None else shortcut
    for members, by_shortcut in ((good & ~short, False), (good & short, True)):
        index = members.nonzero().squeeze(1)
        if not index.numel():
            continue
        here = ramp[index]
        tried = attempt(
            pick(p, index, good.numel()), before.take(index), slopes.take(index), v[index], here,
            None if flat else here, step[index], by_shortcut=by_shortcut,
        )  # fmt: skip
        fractions = tuple(
            old.index_put((index,), new)
            for old, new in zip(fractions, tried.fractions, strict=True)
        )
        if internal is not None and tried.internal is not None:
            internal = internal.index_put((index,), tried.internal)
    return replace(after, fractions=fractions, internal=internal)


def _kink_times(
    functions: TorchModel,
    p: Mapping[str, Value],
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
) -> torch.Tensor:
    """When each ramp comes to the thresholds of the model [s], [kink, cell]; infinite where not.

    That is a hair before it crosses them. Thresholds that no ramp comes to are left out. The times
    carry gradients: where a rate jumps at a threshold, moving that moves the state by them alone.
    """
    times = []
    for before, after in zip(functions.kinks(v_start, p), functions.kinks(v_end, p), strict=True):
        fall = torch.as_tensor(before - after).expand_as(v_start)
        # Where there is no crossing the division must be one whose gradient is a number.
        place = before / torch.where(fall == 0, torch.inf, fall)
        ahead = (place > 3 * _HAIR) & (place < 1 - 3 * _HAIR)
        times.append(torch.where(ahead, (place - _HAIR) * duration_s, torch.inf))
    if not times:
        return v_start.detach().new_empty(0, v_start.numel())
    found = torch.stack(times)
    return found[torch.isfinite(found.detach()).any(1)]
