"""The search of a fit over all that the data allow, on few points, before the work on all of them.

A thousand candidates are cells of one run and cost hardly more than a hundred, so the search is
wide: starts around the given set, and many times as many over what the data tell. The best of them
descend side by side, and every few rounds the worse half stays behind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.fitting import screen
from cosim.fitting.search import Residuals, cost, descend, explore, polish
from cosim.fitting.space import Space
from cosim.fitting.starts import wide_starts

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WIDE = 3  # of those that descend, to one from around the given set
_ROUNDS = 4  # of the descent before the worse half stays behind
_POLISHED = 2  # of the best, at most
_HOPS = 1
_AROUND = 256  # starts of a hop
_FAR = (0.1, 0.4, 1.0)  # how far they lie from the best, in coordinates
_AGAIN = 0.5  # of a fraction, such as a threshold of the state: anywhere between its bounds
_BETTER = 0.99  # of the cost: a hop that gains less is the last


def search(
    residuals: Residuals,
    last: Mask,
    *,
    starts: int,
    near: int,
    wide: int,
    rounds: int,
    evaluations: int,
    seed: int,
) -> tuple[Array, Mask, bool]:
    """The best place that is found, what was turned for it, and whether it is a solution.

    Args:
        residuals: of the fit, on as many points as the search is worth.
        last: what stays at the start if others do its work by the equations: lengths, of which
            only ratios count [unknown].
        starts: how many are followed to the end.
        near: how many starts are drawn around the given set.
        wide: how many are drawn over what the data tell; 0 for none.
        rounds: most rounds of the last descent.
        evaluations: most steps of the polish.
        seed: of the draws.

    Returns:
        The coordinates and what was turned, [unknown] each, and whether the polish converged.

    Raises:
        OutOfTimeError: the time is up.
    """
    points = explore(residuals, starts, near, seed)
    if wide:
        drawn = wide_starts(residuals.space, ~last, wide, seed)
        order = np.argsort(cost(residuals.at(drawn)), kind="stable")
        points = np.concatenate([points, drawn[order[: _WIDE * starts]]])
    free = ~_alike(residuals, points, last)
    points = np.where(free, points, 0.0)
    if wide:
        while len(points) > starts:
            points = descend(residuals, points, free, _ROUNDS)
            points = points[: max(starts, len(points) // 2)]
    points = descend(residuals, points, free, rounds)
    best, best_cost, converged = _polished(residuals, points[:_POLISHED], free, evaluations)
    for hop in range(_HOPS if wide else 0):
        around = _around(residuals.space, best, free, seed + hop)
        order = np.argsort(cost(residuals.at(around)), kind="stable")
        points = descend(residuals, around[order[: 2 * starts]], free, _ROUNDS)
        points = descend(residuals, points[: max(1, starts // 2)], free, rounds)
        found, found_cost, ended = _polished(residuals, points[:_POLISHED], free, evaluations)
        gained = found_cost < _BETTER * best_cost
        if found_cost < best_cost:
            best, best_cost, converged = found, found_cost, ended
        if not gained:
            break
    return best, free, converged


def _alike(residuals: Residuals, points: Array, last: Mask) -> Mask:
    """Which of the last others do the work of, where most has an effect of its own, [unknown].

    Two unknowns may look alike at one place by chance, as where the device hardly switches; those
    that are alike by the equations are so everywhere.
    """
    if not last.any():
        return last
    _, jacobians = residuals.with_jacobians(points, np.ones_like(last))
    masks = [screen.dependent(j, last) for j in jacobians]
    ranks = [
        int((~screen.insensitive([j])).sum() - mask.sum())
        for j, mask in zip(jacobians, masks, strict=True)
    ]
    return np.asarray(masks[int(np.argmax(ranks))] & last)


def _polished(
    residuals: Residuals, points: Array, free: Mask, evaluations: int
) -> tuple[Array, float, bool]:
    """The best solution from several points, its cost, and whether its polish converged."""
    found = [polish(residuals, one, free, evaluations) for one in points]
    costs = cost(residuals.at(np.stack([one for one, _ in found])))
    k = int(np.argmin(costs))
    return found[k][0], float(costs[k]), found[k][1]


def _around(space: Space, best: Array, free: Mask, seed: int) -> Array:
    """Starts around the best: some of its coordinates, by chance, are somewhere else."""
    rng = np.random.default_rng(seed)
    step = rng.standard_normal((_AROUND, len(best)))
    step *= np.array(_FAR)[np.arange(_AROUND) % len(_FAR)][:, None]
    starts = best + np.where(free, step, 0.0)
    for k, one in enumerate(space.unknowns):
        if free[k] and one.turn == "linear" and one.unit == "1" and not one.initial:
            again = rng.random(_AROUND) < _AGAIN
            anywhere = one.low + rng.random(_AROUND) * (one.high - one.low)
            starts[:, k] = np.where(again, anywhere, starts[:, k])
    return np.asarray(np.clip(starts, space.low, space.high))
