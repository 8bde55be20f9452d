"""One step of RODAS for a batch of cells, each with its own step size.

Hairer, Wanner, "Solving Ordinary Differential Equations II", 2nd ed. (1996), section VI.4: a
Rosenbrock method of order 4 with an embedded order 3, six stages, L-stable and stiffly accurate.
It needs one Jacobian a step and no Newton iteration. The internal quantity is one more unknown,
without a rate of its own: states and residual together are a differential-algebraic system of
index 1, on which the method keeps its order (same section). No stage lies behind the end of the
step, so the kinks there stay unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel

Columns = tuple[torch.Tensor, ...]

# The coefficients in the form without matrix-vector products (book, eq. IV.7.25). For every stage:
# where it is (time, weights of the earlier stages), and what is added to the rate there (weight of
# d/dt, weights of the earlier stages over h).
_GAMMA = 0.25
_TIMES = (0.0, 0.386, 0.21, 0.63, 1.0, 1.0)
_PLACES: tuple[tuple[float, ...], ...] = (
    (),
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895),
)
_LEANS = (0.25, -0.1043, 0.1035, -0.03620000000000023, 0.0, 0.0)
_FEEDS: tuple[tuple[float, ...], ...] = (
    (),
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616),
    (
        8.083246795921522,
        -7.981132988064893,
        -31.52159432874371,
        16.31930543123136,
        -6.058818238834054,
    ),
)
ERROR_ORDER = 4  # the error estimate falls with this power of the step


@dataclass(frozen=True)
class Slopes:
    """The model at the beginning of a step. Unknowns: the fractions, then the internal quantity.

    Attributes:
        values: d(fraction)/dt [1/s] of every state, then the residual, if there is one; [cell].
        jacobian: derivatives of these by the unknowns, [equation][unknown].
        by_voltage: derivatives of these by the voltage.
        states: how many of the equations are rates.
    """

    values: Columns
    jacobian: list[list[torch.Tensor]]
    by_voltage: Columns
    states: int

    def own(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Derivatives of a rate by its own state and by the voltage, the internal following."""
        row = self.jacobian[k]
        if self.states == len(self.values):
            return row[k], self.by_voltage[k]
        constraint = self.jacobian[-1]
        share = row[-1] / constraint[-1]
        return row[k] - share * constraint[k], self.by_voltage[k] - share * self.by_voltage[-1]

    def take(self, index: torch.Tensor) -> Slopes:
        """Those of the cells at `index`."""
        return Slopes(
            tuple(x[index] for x in self.values),
            [[x[index] for x in row] for row in self.jacobian],
            tuple(x[index] for x in self.by_voltage),
            self.states,
        )


@dataclass(frozen=True)
class Tried:
    """A step that may or may not be taken.

    Attributes:
        fractions: the states after it, one tensor [cell] per state.
        internal: the internal quantity after it.
        rates: the rates at its end, as the last stage has them, one tensor [cell] per state.
        error: estimate of the largest error of a state, of one beyond 1 relative to it, [cell].
        error_internal: the same for the internal quantity, in its unit.
        shortcut: where a shortcut has taken the step's place, [cell]; None: nowhere.
    """

    fractions: Columns
    internal: torch.Tensor | None
    rates: Columns
    error: torch.Tensor
    error_internal: torch.Tensor | None
    shortcut: torch.Tensor | None = None


def rosenbrock_step(
    functions: TorchModel,
    p: Mapping[str, Value],
    s: Columns,
    y: torch.Tensor | None,
    at_start: Slopes,
    v: torch.Tensor,
    ramp: torch.Tensor | None,
    h: torch.Tensor,
) -> Tried:
    """Tries one step.

    Args:
        functions: the model.
        p: its parameters.
        s: fractions at the beginning, one tensor [cell] per state.
        y: the internal quantity at the beginning.
        at_start: the model there, from `linearised`.
        v: voltages at the beginning [V].
        ramp: their slopes [V/s]; None where all are zero.
        h: step sizes [s], > 0.
    """
    inverse_h = 1.0 / h
    count = len(s)
    solve = _Factored(at_start.jacobian, inverse_h * (1.0 / _GAMMA), count)
    rise = None if ramp is None else ramp * h
    drift = None if rise is None else [one * rise for one in at_start.by_voltage]
    stages: list[Columns] = []
    unknowns = s if y is None else (*s, y)
    values, u = at_start.values, unknowns
    for stage, (time, lean, feed) in enumerate(zip(_TIMES, _LEANS, _FEEDS, strict=True)):
        if stage > 0:
            # The last stage stands where the one before it has led.
            known = stage < len(_PLACES)
            u = _sum(unknowns, _PLACES[stage], stages) if known else _sum(u, (1.0,), stages[-1:])
            there = v if rise is None else torch.add(v, rise, alpha=time)
            values = tuple(_full(one, v) for one in functions.equations(there, *u, p))
        rhs = list(values)
        for k in range(count if feed else 0):
            fed = stages[0][k] * feed[0]
            for weight, earlier in zip(feed[1:], stages[1:], strict=False):
                fed = torch.add(fed, earlier[k], alpha=weight)
            rhs[k] = torch.addcmul(rhs[k], fed, inverse_h)
        if drift is not None and lean != 0:
            rhs = [torch.add(a, b, alpha=lean) for a, b in zip(rhs, drift, strict=True)]
        stages.append(solve(rhs))
    new = _sum(u, (1.0,), stages[-1:])
    # A state without bounds, such as a temperature, may be far above its scale: then its error
    # counts as a part of it.
    each = [
        one.detach().abs() / place.detach().abs().clamp_min(1.0)
        for one, place in zip(stages[-1][:count], s, strict=True)
    ]
    error = reduce(torch.maximum, each)
    if y is None:
        return Tried(new, None, values, error, None)
    return Tried(new[:count], new[-1], values[:count], error, stages[-1][-1].detach().abs())


def linearised(
    functions: TorchModel,
    p: Mapping[str, Value],
    s: Columns,
    y: torch.Tensor | None,
    v: torch.Tensor,
) -> Slopes:
    """The equations and their derivatives by the unknowns and by the voltage."""
    unknowns = s if y is None else (*s, y)
    size = len(unknowns)
    values = [_full(x, v) for x in functions.equations_slopes(v, *unknowns, p)]
    rows = [values[size + k * (size + 1) : size + (k + 1) * (size + 1)] for k in range(size)]
    return Slopes(
        tuple(values[:size]), [row[:size] for row in rows], tuple(row[size] for row in rows), len(s)
    )


def _full(value: Value, like: torch.Tensor) -> torch.Tensor:
    if isinstance(value, torch.Tensor) and value.shape == like.shape:
        return value
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand_as(like)


def _sum(start: Columns, factors: Sequence[float], stages: Sequence[Columns]) -> Columns:
    """`start` plus the stages, each times its factor."""
    result = start
    for factor, stage in zip(factors, stages, strict=False):
        result = tuple(torch.add(a, b, alpha=factor) for a, b in zip(result, stage, strict=True))
    return result


class _Factored:
    """Solves (d M - J) k = rhs for every cell: elimination written out over columns of cells.

    M is one for the first `states` unknowns and zero for the rest. The matrices are one to three
    unknowns wide; a batched LAPACK call would cost more.
    """

    def __init__(
        self, jacobian: list[list[torch.Tensor]], diagonal: torch.Tensor, states: int
    ) -> None:
        size = len(jacobian)
        matrix = [
            [diagonal - a if i == j and i < states else -a for j, a in enumerate(row)]
            for i, row in enumerate(jacobian)
        ]
        for k in range(size):
            for i in range(k + 1, size):
                matrix[i][k] = matrix[i][k] / matrix[k][k]
                for j in range(k + 1, size):
                    matrix[i][j] = matrix[i][j] - matrix[i][k] * matrix[k][j]
        self._lower_and_upper = matrix
        self._inverse_pivots = [1.0 / matrix[k][k] for k in range(size)]

    def __call__(self, rhs: Sequence[torch.Tensor]) -> Columns:
        a, x = self._lower_and_upper, list(rhs)
        size = len(x)
        for i in range(size):
            for k in range(i):
                x[i] = x[i] - a[i][k] * x[k]
        for i in reversed(range(size)):
            for k in range(i + 1, size):
                x[i] = x[i] - a[i][k] * x[k]
            x[i] = x[i] * self._inverse_pivots[i]
        return tuple(x)
