"""Least squares for a device: many candidates as cells of one run, from explored starts to one.

A run of a hundred cells takes hardly longer than one of a single cell, so every question is asked
for all candidates at once: the cost of all starts, the whole Jacobian of several of them, a choice
of damping factors.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from cosim.fitting.data import Measured, scaled
from cosim.fitting.space import Space

Array = NDArray[np.float64]

# A point where the current is off by much more than this factor, exp(0.3), counts with its distance
# and not its square: beside an abrupt switching a right model is far off for a point or two.
SOFT = 0.3
LOST = 50.0  # residual of a point at which the model could not be solved
# Of the differences, in coordinates: well above the integrator's own noise, which is 0.3 % of a
# column here, and short: beside an abrupt switching a step of 1e-2 makes a threshold that is known
# to 7 % seem known to 0.07 %, and a fit stop half-way.
_STEP = 1e-3
_LONGEST = 2.0  # the largest change of a coordinate in one step
_DAMPING = np.array([0.1, 1.0, 10.0, 100.0])
_ENOUGH = 1e-2  # a smaller gain of the cost, as a part of it, does not count
_PATIENCE = 3
_DONE = 1e-7  # scipy's tolerances of the coordinates and the slope
_PACES = 6  # of the walk back to the start
_SMALL = 1e-3  # singular values below this part of the largest are left alone on it
_FLAT = 1e-4  # and of the cost: a step that gains less moves no parameter by its error


class OutOfTimeError(Exception):
    """The time that a fit may take has passed."""


def _untold() -> None:
    """Nobody counts the runs."""


class Residuals:
    """Residuals and Jacobians of candidates, and the best candidate seen.

    Attributes:
        space: the unknowns.
        measured: the data.
        evaluations: candidates evaluated so far, those of the Jacobians among them.
        runs: how many runs that took.
        best: the best coordinates so far [unknown].
        best_cost: their cost.
        on_run: called after every run.
    """

    def __init__(
        self,
        space: Space,
        measured: Measured,
        floor: float,
        deadline_s: float,
        tolerance: float,
        on_run: Callable[[], None] = _untold,
    ) -> None:
        self.space = space
        self.on_run = on_run
        self.evaluations = 0
        self.runs = 0
        self.best = np.zeros(len(space.unknowns))
        self.best_cost = np.inf
        self.measured = measured
        self._floor = floor
        self._target = scaled(measured.values, floor)
        self._deadline_s = deadline_s
        self._tolerance = tolerance

    def answers(self, u: Array) -> Array:
        """What the model answers at coordinates [cell, unknown]: [cell, point], NaN where lost.

        Raises:
            OutOfTimeError: the time is up; asked before the run.
        """
        if time.perf_counter() > self._deadline_s:
            raise OutOfTimeError
        values, initial, valid = self.space.cells(u)
        found = self.measured.answer(self.space.model, values, initial, self._tolerance)
        found = np.broadcast_to(found, (len(u), found.shape[-1]))
        self.evaluations += len(u)
        self.runs += 1
        self.on_run()
        return np.where(valid[:, None], found, np.nan)

    def at(self, u: Array) -> Array:
        """Residuals [cell, point], finite; the best of the cells is remembered."""
        off = scaled(self.answers(u), self._floor) - self._target
        off = np.clip(np.where(np.isfinite(off), off, LOST), -LOST, LOST)
        costs = cost(off)
        k = int(np.argmin(costs))
        if costs[k] < self.best_cost:
            self.best_cost, self.best = float(costs[k]), u[k].copy()
        return off

    def with_jacobians(self, u: Array, free: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Residuals [cell, point] and their Jacobians [cell, point, unknown], zero if not free.

        Central differences where both neighbours are in the box and could be solved.
        """
        cells, size = u.shape
        turned = np.flatnonzero(free)
        steps = np.zeros((1 + 2 * len(turned), size))
        for row, k in enumerate(turned):
            steps[1 + 2 * row, k], steps[2 + 2 * row, k] = _STEP, -_STEP
        points = np.clip(u[:, None] + steps, self.space.low, self.space.high)
        off = self.at(points.reshape(-1, size)).reshape(cells, len(steps), -1)
        jacobians = np.zeros((cells, off.shape[-1], size))
        lost_cells = np.asarray((np.abs(off) >= LOST).any(-1))
        for row, k in enumerate(turned):
            up, down = 1 + 2 * row, 2 + 2 * row
            ends = []
            for side in (up, down):  # a side that could not be solved gives way to the middle
                lost = lost_cells[:, side]
                place = np.where(lost, points[:, 0, k], points[:, side, k])
                ends.append((place, np.where(lost[:, None], off[:, 0], off[:, side])))
            width = ends[0][0] - ends[1][0]
            change = ends[0][1] - ends[1][1]
            jacobians[:, :, k] = change / np.where(width > 0, width, np.inf)[:, None]
        return off[:, 0], jacobians


def cost(off: Array) -> Array:
    """Half the sum of the softened squares over the last axis (scipy's soft_l1)."""
    return np.asarray((SOFT**2 * (np.sqrt(1 + (off / SOFT) ** 2) - 1)).sum(-1))


def explore(residuals: Residuals, keep: int, draw: int, seed: int) -> Array:
    """The best of many starts, the given start first, [keep, unknown].

    Args:
        residuals: of the fit.
        keep: how many.
        draw: how many are drawn.
        seed: of the draw.

    Raises:
        OutOfTimeError: the time is up.
    """
    candidates = residuals.space.candidates(draw, seed)
    order = np.argsort(cost(residuals.at(candidates)), kind="stable")
    chosen = [0, *(int(k) for k in order if k != 0)]
    if residuals.space.shifts.any():
        # What switches in the wrong place is farther off than what never does, and only from
        # there a step leads to the right place: each kind gets half.
        first = [k for k in chosen if k < len(order) // 2][: keep - keep // 2]
        chosen = [*first, *(k for k in chosen if k >= len(order) // 2)]
    chosen = chosen[:keep]
    return np.asarray(candidates[chosen])


def descend(residuals: Residuals, u: Array, free: NDArray[np.bool_], rounds: int) -> Array:
    """Levenberg-Marquardt on several candidates side by side, the best first.

    Args:
        residuals: of the fit.
        u: starts [candidate, unknown].
        free: what may be turned [unknown].
        rounds: most rounds; ends before when the best gains no more.

    Raises:
        OutOfTimeError: the time is up.
    """
    cells, size = u.shape
    now = u.copy()
    damping = np.full(cells, 1e-2)
    best, idle = np.inf, 0
    costs = np.full(cells, np.inf)
    for _ in range(rounds):
        off, jacobians = residuals.with_jacobians(now, free)
        costs = cost(off)
        trials = np.empty((cells, len(_DAMPING), size))
        for c in range(cells):
            soft = (1 + (off[c] / SOFT) ** 2) ** -0.25
            j, r = jacobians[c] * soft[:, None], off[c] * soft
            normal, slope = j.T @ j, j.T @ r
            for d, factor in enumerate(_DAMPING):
                ridge = np.diag(np.diag(normal) + 1e-6 * np.trace(normal) / size + 1e-12)
                step = -np.linalg.solve(normal + damping[c] * factor * ridge, slope)
                step = np.clip(np.where(free, step, 0), -_LONGEST, _LONGEST)
                trials[c, d] = np.clip(now[c] + step, residuals.space.low, residuals.space.high)
        tried = cost(residuals.at(trials.reshape(-1, size))).reshape(cells, -1)
        for c in range(cells):
            d = int(np.argmin(tried[c]))
            if tried[c, d] < costs[c]:
                now[c], costs[c] = trials[c, d], tried[c, d]
                damping[c] = max(1e-9, damping[c] * _DAMPING[d])
            else:
                damping[c] = min(1e6, damping[c] * 100)
        idle = 0 if costs.min() < best * (1 - _ENOUGH) else idle + 1
        best = min(best, float(costs.min()))
        if idle >= _PATIENCE:
            break
    return np.asarray(now[np.argsort(costs, kind="stable")])


def polish(
    residuals: Residuals, u: Array, free: NDArray[np.bool_], evaluations: int
) -> tuple[Array, bool]:
    """Scipy's trust-region least squares from one candidate.

    Args:
        residuals: of the fit.
        u: the candidate [unknown].
        free: what may be turned [unknown].
        evaluations: most residuals evaluated, without those for the Jacobians.

    Returns:
        The solution [unknown], and whether it converged.

    Raises:
        OutOfTimeError: the time is up.
    """
    low, high = residuals.space.low[free], residuals.space.high[free]
    asked: dict[bytes, tuple[Array, Array]] = {}

    def whole(x: Array) -> tuple[Array, Array]:
        key = x.tobytes()
        if key not in asked:
            asked.clear()
            full = u.copy()
            full[free] = x
            off, jacobians = residuals.with_jacobians(full[None], free)
            asked[key] = off[0], jacobians[0][:, free]
        return asked[key]

    inside = 1e-9 * (high - low)
    found = least_squares(
        lambda x: whole(x)[0],
        np.clip(u[free], low + inside, high - inside),
        jac=lambda x: whole(x)[1],
        bounds=(low, high),
        method="trf",
        loss="soft_l1",
        f_scale=SOFT,
        ftol=_FLAT,
        xtol=_DONE,
        gtol=_DONE,
        max_nfev=evaluations,
    )
    solution = u.copy()
    solution[free] = found.x
    return solution, bool(found.status > 0)


def walk_back(
    residuals: Residuals, u: Array, free: NDArray[np.bool_], loose: NDArray[np.bool_]
) -> Array:
    """Takes unknowns to the start, coordinate 0, and lets others make up for them on the way.

    Args:
        residuals: of the fit.
        u: a solution [unknown].
        free: what makes up for them [unknown].
        loose: what goes back [unknown].

    Returns:
        Where that leads [unknown]; it may be no solution.

    Raises:
        OutOfTimeError: the time is up.
    """
    now = u.copy()
    for left in range(_PACES, 0, -1):
        off, jacobians = residuals.with_jacobians(now[None], free | loose)
        change = np.where(loose, -now / left, 0.0)
        wanted = -(off[0] + jacobians[0] @ change)
        step = np.linalg.lstsq(jacobians[0][:, free], wanted, rcond=_SMALL)[0]
        change[free] = np.clip(step, -_LONGEST, _LONGEST)
        now = np.clip(now + change, residuals.space.low, residuals.space.high)
    return np.where(loose, 0.0, now)
