"""What is fitted and what stays as it was, chosen at the solution and not before it.

Far from the solution a parameter seems to change nothing, or what others do, that at the solution
has an effect of its own. So all are fitted first; then what the data do not determine there goes
back to the start, if the fit is as good without it, and what was held and does have an effect of
its own is fitted too, until nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cosim.fitting import screen
from cosim.fitting.search import Residuals, cost, descend, polish, walk_back

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NO_EFFECT = "changes nothing in these data, as far from the start as was looked"
DEPENDENT = "others do the same work"

_AS_GOOD = 1.005  # a cost no more than this times another is as good: less than noise does
_EXACT = 1e-3  # root mean square residual, a tenth of a percent: better needs no more parameters
_TURNS = 6  # of the choice; one that goes round and round ends here
_ROUNDS = 8  # of the descent after each change
_STEPS = 20  # of the polish after that, at most
_SINGLE = 2  # that are tried one by one where all together cannot go back


@dataclass(frozen=True)
class Settled:
    """A solution, and what of it is fitted.

    Attributes:
        u: the solution [unknown].
        active: what is fitted [unknown].
        why: why the rest is not, by name.
        converged: whether the last polish did.
        refused: names that were held together or freed together, and the fit was worse for it.
    """

    u: Array
    active: Mask
    why: dict[str, str]
    converged: bool
    refused: frozenset[frozenset[str]] = frozenset()


def settle(residuals: Residuals, now: Settled, last: Mask, evaluations: int) -> Settled:
    """The solution with what it does not determine back at the start, and nothing else.

    Args:
        residuals: of the fit.
        now: the solution so far.
        last: unknowns that are the first to go back: those that bound a state. What of them is
            not fitted now is not fitted later [unknown].
        evaluations: most steps of a polish.

    Raises:
        OutOfTimeError: the time is up.
    """
    everything = np.ones(len(now.u), dtype=bool)
    never = last & ~now.active
    for _ in range(_TURNS):
        off, jacobians = residuals.with_jacobians(now.u[None], everything)
        nothing = screen.insensitive([jacobians[0]])
        double = screen.dependent(jacobians[0], last | ~now.active) & ~nothing
        loose = (nothing | double) & now.active
        # Where what does its work has gone back to the start itself, it has an effect again.
        alike = screen.dependent(jacobians[0], last)
        seen = ~now.active & ~nothing & ~double & ~alike & ~never
        before = now
        if loose.any() and not (loose == now.active).all():
            now = _held(residuals, now, loose, nothing, off, evaluations)
        elif seen.any():
            now = _freed(residuals, now, seen, off, evaluations)
        if now.active is before.active:
            break
    # Why the rest stays: what holds at the end, not where it was held.
    _, jacobians = residuals.with_jacobians(now.u[None], everything)
    nothing = screen.insensitive([jacobians[0]])
    names = [name for k, name in enumerate(residuals.space.names) if not now.active[k]]
    return replace(now, why={name: _reason(name, residuals, nothing) for name in names})


def _held(
    residuals: Residuals,
    now: Settled,
    loose: Mask,
    nothing: Mask,
    off: Array,
    evaluations: int,
) -> Settled:
    """With all that is loose back at the start, or one of them; as it was if none can go."""
    ones = [loose]
    if loose.sum() > 1:
        ones += [loose & nothing] if (loose & nothing).any() else []
        ones += [_only(k, loose) for k in _order(loose, now)[:_SINGLE]]
    names = residuals.space.names
    refused = set(now.refused)
    for back in ones:
        together = frozenset(names[k] for k in np.flatnonzero(back).tolist())
        if together in refused:
            continue
        kept = now.active & ~back
        ways = np.stack([walk_back(residuals, now.u, kept, back), np.where(back, 0.0, now.u)])
        tried = descend(residuals, ways, kept, _ROUNDS)
        found, converged = polish(residuals, tried[0], kept, min(_STEPS, evaluations))
        # Three standard deviations of each that went back: the data do not contradict the start.
        spare = max(1, off.size - int(kept.sum()))
        as_good = max(_AS_GOOD, 1 + 9 * int(back.sum()) / spare)
        allowed = as_good * cost(off)[0] + off.size * _EXACT**2 / 2
        if cost(residuals.at(found[None]))[0] <= allowed:
            return Settled(found, kept, {}, converged, frozenset(refused))
        refused.add(together)
    return replace(now, refused=frozenset(refused))


def _freed(residuals: Residuals, now: Settled, seen: Mask, off: Array, evaluations: int) -> Settled:
    """With all fitted that has an effect of its own, if the fit is better for it."""
    names = residuals.space.names
    together = frozenset(names[k] for k in np.flatnonzero(seen).tolist())
    if together in now.refused:
        return now
    active = now.active | seen
    tried = descend(residuals, now.u[None], active, _ROUNDS)
    found, converged = polish(residuals, tried[0], active, evaluations)
    spare = max(1, off.size - int(active.sum()))
    needed = max(_AS_GOOD, 1 + 9 * int(seen.sum()) / spare)
    if needed * cost(residuals.at(found[None]))[0] + off.size * _EXACT**2 / 2 >= cost(off)[0]:
        return replace(now, refused=now.refused | {together})
    return Settled(found, active, {}, converged, now.refused)


def _reason(name: str, residuals: Residuals, nothing: Mask) -> str:
    return NO_EFFECT if nothing[residuals.space.names.index(name)] else DEPENDENT


def _only(k: int, like: Mask) -> Mask:
    one = np.zeros_like(like)
    one[k] = True
    return one


def _order(loose: Mask, now: Settled) -> list[int]:
    """Those nearest to the start first: they have the shortest way back."""
    return sorted(np.flatnonzero(loose).tolist(), key=lambda k: abs(float(now.u[k])))
