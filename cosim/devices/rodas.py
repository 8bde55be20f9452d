"""One step of Rodas3 for a batch of cells, each with its own step size.

Sandu, Verwer, Blom, Spee, Carmichael, Potra, "Benchmarking stiff ODE solvers for atmospheric
chemistry problems II: Rosenbrock solvers", Atmos. Environ. 31 (1997) 3459. The internal quantity
is solved for at every stage, so the states see an ordinary differential equation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from cosim.devices.internal import solve_internal

_GAMMA = 0.5
Columns = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Tried:
    """A step that may or may not be taken.

    Attributes:
        fractions: the states after it, one tensor [cell] per state.
        internal: the internal quantity after it.
        error: estimate of the largest error of a state, [cell].
    """

    fractions: Columns
    internal: torch.Tensor | None
    error: torch.Tensor


def rodas_step(
    functions: TorchModel,
    p: Mapping[str, Value],
    s: Columns,
    y: torch.Tensor | None,
    v: torch.Tensor,
    ramp: torch.Tensor,
    h: torch.Tensor,
    flat: bool,
) -> Tried:
    """Tries one step.

    Args:
        functions: the model.
        p: its parameters.
        s: fractions at the beginning, one tensor [cell] per state.
        y: the internal quantity at the beginning.
        v: voltages at the beginning [V].
        ramp: their slopes [V/s].
        h: step sizes [s], > 0.
        flat: all slopes are zero, which saves their terms.
    """
    f, jacobian, by_v = _linearised(functions, p, s, y, v)
    inverse_h = 1.0 / h
    solve = _Factored(jacobian, inverse_h / _GAMMA)
    drift = None if flat else tuple(one * ramp * h for one in by_v)
    v_end = v if flat else v + ramp * h

    k1 = solve(f if drift is None else _sum(f, (0.5, drift)))
    lean = [inverse_h * 4.0 * k for k in k1]
    k2 = solve(_sum(f, (1.0, lean), *([] if drift is None else [(1.5, drift)])))

    u = _sum(s, (2.0, k1))
    y3 = solve_internal(functions, p, v_end, u, y)
    f3 = _rates(functions, p, u, y3, v_end)
    k3 = solve([a + inverse_h * (b - c) for a, b, c in zip(f3, k1, k2, strict=True)])

    u = _sum(u, (1.0, k3))
    y4 = solve_internal(functions, p, v_end, u, y3)
    f4 = _rates(functions, p, u, y4, v_end)
    k4 = solve(
        [
            a + inverse_h * (b - c - (8.0 / 3.0) * d)
            for a, b, c, d in zip(f4, k1, k2, k3, strict=True)
        ]
    )
    new = _sum(u, (1.0, k4))
    error = torch.stack([k.detach().abs() for k in k4]).amax(0) if len(k4) > 1 else k4[0].detach()
    return Tried(new, solve_internal(functions, p, v_end, new, y4), error.abs())


def _rates(
    functions: TorchModel,
    p: Mapping[str, Value],
    s: Columns,
    y: torch.Tensor | None,
    v: torch.Tensor,
) -> Columns:
    rates = functions.rates(v, *s, *([] if y is None else [y]), p)
    return tuple(_full(rate, v) for rate in rates)


def _linearised(
    functions: TorchModel,
    p: Mapping[str, Value],
    s: Columns,
    y: torch.Tensor | None,
    v: torch.Tensor,
) -> tuple[Columns, list[list[torch.Tensor]], Columns]:
    """The rates, their derivatives by the states [rate][state], and by the voltage."""
    count = len(s)
    inner = [] if y is None else [y]
    values = [_full(x, v) for x in functions.rates_slopes(v, *s, *inner, p)]
    f, rest = values[:count], values[count:]
    width = count + 1 + len(inner)
    rows = [rest[k * width : (k + 1) * width] for k in range(count)]
    if y is not None and functions.residual is not None and functions.residual_slopes is not None:
        # The internal quantity follows the states: dy/dz = -(dF/dz) / (dF/dy).
        by_y = functions.residual(v, *s, y, p)[1]
        follows = [-slope / by_y for slope in functions.residual_slopes(v, *s, y, p)]
        rows = [
            [own + row[-1] * follow for own, follow in zip(row, follows, strict=False)]
            for row in rows
        ]
    return tuple(f), [row[:count] for row in rows], tuple(row[count] for row in rows)


def _full(value: Value, like: torch.Tensor) -> torch.Tensor:
    if isinstance(value, torch.Tensor) and value.shape == like.shape:
        return value
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand_as(like)


def _sum(start: Columns, *terms: tuple[float, Sequence[torch.Tensor]]) -> Columns:
    result = list(start)
    for factor, columns in terms:
        result = [torch.add(a, b, alpha=factor) for a, b in zip(result, columns, strict=True)]
    return tuple(result)


class _Factored:
    """Solves (d I - J) k = rhs for every cell: elimination written out over columns of cells.

    The matrices are one to three states wide; a batched LAPACK call would cost more.
    """

    def __init__(self, jacobian: list[list[torch.Tensor]], diagonal: torch.Tensor) -> None:
        size = len(jacobian)
        matrix = [
            [diagonal - a if i == j else -a for j, a in enumerate(row)]
            for i, row in enumerate(jacobian)
        ]
        for k in range(size):
            for i in range(k + 1, size):
                matrix[i][k] = matrix[i][k] / matrix[k][k]
                for j in range(k + 1, size):
                    matrix[i][j] = matrix[i][j] - matrix[i][k] * matrix[k][j]
        self._matrix = matrix

    def __call__(self, rhs: Sequence[torch.Tensor]) -> Columns:
        a, x = self._matrix, list(rhs)
        size = len(x)
        for i in range(size):
            for k in range(i):
                x[i] = x[i] - a[i][k] * x[k]
        for i in reversed(range(size)):
            for k in range(i + 1, size):
                x[i] = x[i] - a[i][k] * x[k]
            x[i] = x[i] / a[i][i]
        return tuple(x)
