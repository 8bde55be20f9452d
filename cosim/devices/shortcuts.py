"""Where no step of the method is needed, or none would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from compact_models.normal_form import EDGE
from cosim.devices.cells import Cells, pick
from cosim.devices.internal import solve_internal
from cosim.devices.rosenbrock import Slopes, Tried
from cosim.devices.step_size import followed

# How far the rate may be from straight in the distance to the bound.
_PLAIN = 0.01
_STILL_V = 1e-3  # change of the voltage in which a branch ends, if it does
_FORGOTTEN = 1e3  # time constants of a decay
_DISTANCE = 1e-3 * EDGE  # least distance to a bound at which a decay's rate is read


def jump(
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
    no step leads across. It shows in steps that are rejected though no state moves in them, and the
    voltage next to nothing: a longer step may only have lost the branch. There
    the internal quantity is looked for again, and the step counts if the state moves in it by less
    than the tolerance with the rates of either branch.
    """
    moved = torch.zeros_like(step)
    for rate in slopes.values[: slopes.states]:
        moved = torch.maximum(moved, (rate.detach() * step).abs())
    stuck = (moved < tolerance) & ~((tried.error <= tolerance) & followed(tried, scale))
    stuck = stuck & ((ramp * step).detach().abs() <= _STILL_V)
    if tried.internal is None or tried.error_internal is None or before.internal is None:
        return tried
    if not bool(stuck.any()):
        return tried
    index = stuck.nonzero().squeeze(1)
    some = pick(p, index, step.numel())
    h, there = step[index], torch.addcmul(v[index], ramp[index], step[index])
    states = [
        torch.addcmul(s[index], rate[index], h)
        for s, rate in zip(before.fractions, slopes.values, strict=False)
    ]
    inner = solve_internal(functions, some, there, states, before.internal[index])
    if inner is None:
        raise AssertionError("a model with an internal quantity")
    moved = torch.zeros_like(h)
    for value in functions.equations(there, *states, inner, some)[: slopes.states]:
        moved = torch.maximum(moved, (torch.as_tensor(value).detach() * h).abs())
    found = moved < tolerance  # False for NaN
    index = index[found]
    return Tried(
        tuple(
            old.index_put((index,), new[found])
            for old, new in zip(tried.fractions, states, strict=True)
        ),
        tried.internal.index_put((index,), inner[found]),
        tried.rates,
        tried.error.index_put((index,), moved[found]),
        tried.error_internal.index_put((index,), torch.zeros_like(moved[found])),
        _marked(tried, index),
    )


def rest_at_bound(
    functions: TorchModel,
    p: Mapping[str, Value],
    before: Cells,
    tried: Tried,
    slopes: Slopes,
    v: torch.Tensor,
    ramp: torch.Tensor,
    step: torch.Tensor,
) -> Tried:
    """`tried`, with cells that lie at a bound and are pressed against it left there.

    Inside an edge the state decays to its bound, faster and faster as the voltage rises. It is
    enough that it is pressed at both ends of the step: there the decay's mean rate is known.
    For a model with one state, which has bounds.
    """
    s = before.fractions[0]
    at_upper = s > 0.5
    near = torch.where(at_upper, 1.0 - s, s)
    index = (near.abs() < EDGE).nonzero().squeeze(1)
    if index.numel() == 0:
        return tried
    side, here, h = at_upper[index], near[index], step[index]
    there = torch.addcmul(v[index], ramp[index], h)
    some = pick(p, index, step.numel())
    # The decay's rate does not know the distance: it is read where a quotient by that has digits
    # and a gradient, which it has not at the bound itself.
    away = here.detach().clamp_min(_DISTANCE)
    place = torch.where(side, 1.0 - away, away)
    away = torch.where(side, 1.0 - place, place)
    inner = last_inner = None
    if before.internal is not None:
        inner = before.internal[index]
        last_inner = solve_internal(functions, some, there, [s[index]], inner)
    fall = _fall(functions, some, v[index], place, inner, away, side)
    fall_last = _fall(functions, some, there, place, last_inner, away, side)
    # A window that vanishes at the bound makes the decay slower the farther it is.
    is_plain = (slopes.own(0)[0][index] + fall).abs() <= _PLAIN * fall
    pressed = ((fall >= 0) & (fall_last >= 0) & is_plain).detach()
    index, side = index[pressed], side[pressed]
    new = here[pressed] * torch.exp(-0.5 * h[pressed] * (fall + fall_last)[pressed])
    last = fall_last[pressed] * torch.where(side, here[pressed], -here[pressed])
    none = torch.zeros_like(new).detach()
    return Tried(
        (tried.fractions[0].index_put((index,), torch.where(side, 1.0 - new, new)),),
        None
        if tried.internal is None or last_inner is None
        else tried.internal.index_put((index,), last_inner[pressed]),
        (tried.rates[0].index_put((index,), last),),
        tried.error.index_put((index,), none),
        None if tried.error_internal is None else tried.error_internal.index_put((index,), none),
        _marked(tried, index),
    )


def forget(
    before: Cells, tried: Tried, slopes: Slopes, step: torch.Tensor, bounded: Sequence[bool]
) -> Tried:
    """`tried`, without the gradients of states that a step has pressed against their bounds.

    The true ones fall like the distance to the bound, by thousands of e-folds. The method's fall by
    a power of that, and where a state has switched abruptly they were large enough to show.
    """
    fractions = list(tried.fractions)
    for k, (old, new) in enumerate(zip(before.fractions, tried.fractions, strict=True)):
        if not bounded[k] or not new.requires_grad:
            continue
        upper, s = old.detach() > 0.5, old.detach()
        near = torch.where(upper, 1.0 - s, s)
        first, last = (
            torch.where(upper, x.detach(), -x.detach()) for x in (slopes.values[k], tried.rates[k])
        )
        gone = (near.abs() < EDGE) & (first * step > _FORGOTTEN * near.abs()) & (last >= 0)
        fractions[k] = torch.where(gone, new.detach(), new)
    return replace(tried, fractions=tuple(fractions))


def _marked(tried: Tried, index: torch.Tensor) -> torch.Tensor:
    """`tried.shortcut` with the cells at `index`."""
    marks = tried.shortcut
    if marks is None:
        marks = torch.zeros_like(tried.error, dtype=torch.bool)
    return marks.index_fill(0, index, True)


def _fall(
    functions: TorchModel,
    p: Mapping[str, Value],
    v: torch.Tensor,
    place: torch.Tensor,
    inner: torch.Tensor | None,
    away: torch.Tensor,
    side: torch.Tensor,
) -> torch.Tensor:
    """The rate at which the distance to the bound decays [1/s]; negative where it grows."""
    value = functions.equations(v, place, *([] if inner is None else [inner]), p)[0]
    rate = torch.as_tensor(value).expand_as(away)
    return torch.where(side, rate, -rate) / away
