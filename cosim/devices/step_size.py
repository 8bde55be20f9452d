"""How long the next step of every cell may be, and whether the last one was good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch

from compact_models.normal_form import EDGE
from cosim.devices.cells import Cells
from cosim.devices.rosenbrock import ERROR_ORDER, Slopes, Tried

_ROUNDING = 1e-15  # of a slope: below it a rate is not known
_HARDLY = 0.1  # of its range: a state that moves by less may be taken to rest at first
_GROW, _SHRINK, _SAFETY = 10.0, 0.1, 0.9
_LESS = 0.8  # a rejected step is tried again at most this long
_TREND = (0.3, 2.0)  # how much the change from the step before counts, at least and at most
_GROW_AFTER_FAILURE = 1.0  # what was too long a moment ago is not far ahead
# At the edge: how near counts as there, and how far the step across the kink goes, both in edges.
_NEAR, _CROSS = 0.02, 0.06
_FREE = 0.5  # error of a state inside an edge, in edges, that is as good as none
# Error of the internal quantity, in its scale, allowed in one step. It does not add up: every step
# begins with a correction of it.
_INTERNAL = 1e-3
_E_FOLDS = 2.0  # by which a state may leave a bound in one step, where its rate vanishes there
_DECAYS = 2.0  # time constants of a decay that a step may cover, farther from rest than so many
NEAR_REST = 3.0  # tolerances
# How far a rate may be from straight over a step, as the way that it makes, at a tolerance of one:
# the error of order five that is controlled is that to the power of 5/3.
_BENT, _BENT_POWER = 10.0, 0.6
# Beside a bound at which the rate vanishes, the error of the distance as a part of it.
_OF_DISTANCE, _NOWHERE = 0.01, 1e-30
_UNFOLLOWED = 16.0  # counts as this error, in tolerances: the step is tried again at half
# A step smaller than this part of the time since the ramp's beginning is lost in it by rounding;
# one smaller than that part of the ramp is no step.
_LEAST_STEP, _NO_STEP = 1e-15, 1e-24


def first_step(slopes: Slopes, step: torch.Tensor, duration_s: float) -> torch.Tensor:
    """The first step at a constant voltage: all of it where the states hardly move, else `step`."""
    rates = [rate.detach().abs() for rate in slopes.values[: slopes.states]]
    return torch.where(reduce(torch.maximum, rates) * duration_s < _HARDLY, torch.inf, step)


def limit_step(
    slopes: Slopes,
    fractions: Sequence[torch.Tensor],
    bounded: Sequence[bool],
    ramp: torch.Tensor | None,
    step: torch.Tensor,
    failed: torch.Tensor,
    at_rest: float,
) -> torch.Tensor:
    """`step`, no longer than edges and time constants allow.

    Args:
        slopes: the model at the beginning of the step.
        fractions: the states there.
        bounded: which states have bounds.
        ramp: slopes of the voltages [V/s]; None where all are zero.
        step: the steps that the error control asks for [s].
        failed: which of them follow a rejected one.
        at_rest: how near to its rest a state is as good as there, as a fraction of its range.
    """
    step = _mind_the_edge(slopes, fractions, bounded, ramp, step, failed)
    return _far_from_rest(slopes, step, bounded, at_rest)


def _far_from_rest(
    slopes: Slopes, step: torch.Tensor, bounded: Sequence[bool], at_rest: float
) -> torch.Tensor:
    """`step`, cut to a few time constants for states that are not near their rest.

    A Rosenbrock step of many time constants is one step of Newton's method to where the rate, as
    it is here, would vanish: right beside a rest, and anything at all far from it, with an error
    estimate of next to nothing. And where a state grows by e-folds, a long step loses them all.
    A state without bounds, such as a temperature, follows others; it is left to the error control.
    """
    for k in range(slopes.states):
        if not bounded[k]:
            continue
        rate, own = slopes.values[k].detach(), slopes.own(k)[0].detach()
        to_rest = (rate / own).abs()
        grows = (own > 0) & (rate != 0)
        falls = (own < 0) & (to_rest > at_rest)
        most = torch.where(grows, _E_FOLDS / own, torch.where(falls, _DECAYS / -own, torch.inf))
        step = torch.minimum(step, most)
    return step


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


def followed(tried: Tried, scale: float) -> torch.Tensor:
    """True where a step has followed the internal quantity; `scale` is its scale."""
    if tried.error_internal is None:
        return torch.ones_like(tried.error, dtype=torch.bool)
    return tried.error_internal <= _INTERNAL * scale


def let_go(
    before: Cells,
    tried: Tried,
    slopes: Slopes,
    step: torch.Tensor,
    bounded: Sequence[bool],
    tolerance: float,
) -> torch.Tensor:
    """True where a state that a bound held at the beginning of a step is free at its end.

    The decay to the bound damps all stages of the step, and with them what is left of the motion
    away from it: state and error estimate look as if it were still held.
    """
    found = torch.zeros_like(step, dtype=torch.bool)
    for k in range(len(before.fractions)):
        if bounded[k]:
            near, _, away_first, away = _from_bound(before, tried, slopes, k)
            # A state a hair beyond its bound is led back, which is no leaving yet.
            held = (near < EDGE) & (away_first < 0.5 * away)
            own = slopes.own(k)[0].detach()
            # At a rest within an edge the rate is rounding, which any step is long enough for.
            moves = (away * step > tolerance) & (away > _ROUNDING * own.abs())
            found = found | (held & (own * step < -1.0) & moves)
    return found


def _bent(
    before: Cells,
    tried: Tried,
    slopes: Slopes,
    ramp: torch.Tensor | None,
    step: torch.Tensor,
    bounded: Sequence[bool],
    tolerance: float,
) -> torch.Tensor:
    """True where the rate at the end of a step is far from what its slopes at the beginning say.

    An estimate of the error is zero for some steps by chance. A cell that tries a step far too long
    and then ever shorter ones has many chances; this looks at another number.
    """
    found = torch.zeros_like(step, dtype=torch.bool)
    old, new = list(before.fractions), list(tried.fractions)
    if before.internal is not None and tried.internal is not None:
        old, new = [*old, before.internal], [*new, tried.internal]
    moved = [b.detach() - a.detach() for a, b in zip(old, new, strict=True)]
    for k in range(slopes.states):
        if not bounded[k]:
            continue
        off = tried.rates[k].detach() - slopes.values[k].detach()
        for slope, way in zip(slopes.jacobian[k], moved, strict=True):
            off = off - slope.detach() * way
        if ramp is not None:
            off = off - slopes.by_voltage[k].detach() * (ramp.detach() * step)
        # A rate that is off by this leads away for a time constant of the decay at most.
        way = off.abs() * step / (1.0 + step * slopes.own(k)[0].detach().abs())
        found = found | (way > _BENT * tolerance**_BENT_POWER)
    return found


def mind_the_window(
    before: Cells,
    tried: Tried,
    slopes: Slopes,
    step: torch.Tensor,
    bounded: Sequence[bool],
    tolerance: float,
) -> Tried:
    """`tried`, mended and judged for models whose rate vanishes at a bound by a window.

    A state leaves such a bound by e-folds of its distance, none of which is seen by an error that
    counts in parts of the range until all have passed: a step of more than a few is rejected. And
    behind the bound the window has the other sign, so that a state there would never come back:
    what a step carries across is put before it, at half of the distance that it had.
    """
    error, fractions = tried.error, list(tried.fractions)
    for k, (old, new) in enumerate(zip(before.fractions, tried.fractions, strict=True)):
        if bounded[k]:
            near, near_end, _, away = _from_bound(before, tried, slopes, k)
            missed = (near < EDGE) & ((away * step).abs() > _E_FOLDS * near_end.abs())
            error = torch.where(missed, torch.inf, error)
            # How long it takes to leave again is a matter of the logarithm of the distance.
            relative = tried.error * tolerance / (_OF_DISTANCE * near_end.abs() + _NOWHERE)
            error = torch.where(near_end < near, torch.maximum(error, relative), error)
            crossed = (near > 0) & (near_end < 0)
            fractions[k] = torch.where(
                crossed, torch.where(old > 0.5, 0.5 + 0.5 * old, 0.5 * old), new
            )
    return replace(tried, error=error, fractions=tuple(fractions))


def _from_bound(
    before: Cells, tried: Tried, slopes: Slopes, k: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A state's distances to the bound beside it, and its speeds away from it: first and last."""
    at_upper = before.fractions[k].detach() > 0.5
    near, near_end = (
        torch.where(at_upper, 1.0 - x.detach(), x.detach())
        for x in (before.fractions[k], tried.fractions[k])
    )
    first, last = (
        torch.where(at_upper, -x.detach(), x.detach()) for x in (slopes.values[k], tried.rates[k])
    )
    return near, near_end, first, last


def judge(
    before: Cells,
    tried: Tried,
    slopes: Slopes,
    ramp: torch.Tensor | None,
    step: torch.Tensor,
    done: torch.Tensor,
    running: torch.Tensor,
    bounded: Sequence[bool],
    duration_s: float | torch.Tensor,
    tolerance: float,
    internal_scale: float,
    free_in_edge: bool,
) -> tuple[Cells, torch.Tensor, torch.Tensor]:
    """The cells after the steps that were good enough; which were, and which cells are lost.

    `free_in_edge`: pressed into its edge a single state is at its bound for all purposes. Not so
    where a window vanishes there: how long it takes to leave hangs on where it is.
    """
    error = tried.error / tolerance
    if tried.error_internal is not None:
        # It does not fall with the step like a state's, so it has no part in the step's length.
        error = torch.where(followed(tried, internal_scale), error, error.clamp_min(_UNFOLLOWED))
    if free_in_edge and len(before.fractions) == 1 and bounded[0]:
        s, new = before.fractions[0].detach(), tried.fractions[0].detach()
        # Pressed against its bound: on its way out of the edge the state is as it is anywhere.
        first, last = slopes.values[0].detach(), tried.rates[0].detach()
        lower = (s < EDGE) & (new.abs() < EDGE) & (first <= 0) & (last <= 0)
        upper = (s > 1 - EDGE) & ((1 - new).abs() < EDGE) & (first >= 0) & (last >= 0)
        in_edge = lower | upper
        error = torch.where(in_edge, tried.error / max(tolerance, _FREE * EDGE), error)
    doubtful = let_go(before, tried, slopes, step, bounded, tolerance)
    doubtful = doubtful | _bent(before, tried, slopes, ramp, step, bounded, tolerance)
    error = torch.where(doubtful, error.clamp_min(_UNFOLLOWED), error)
    good = running & (error <= 1)  # False for NaN
    for new, has_bounds in zip(tried.fractions, bounded, strict=True):
        if has_bounds:  # an error estimate can be small by chance; a state out of bounds is not
            good = good & (new > -EDGE) & (new < 1.0 + EDGE)
    least = (_LEAST_STEP * done).clamp_min(_NO_STEP * duration_s)
    broken = running & ~good & (step <= least)
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
