"""Which unknowns the data says something about, by the Jacobian of the residuals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Root mean square change of a residual by one unit of a coordinate (a factor of e): below, a
# parameter that is wrong by ten times would change the currents by a quarter of a percent.
INSENSITIVE = 1e-3
# Of a column's length, what is left of it beside the columns before it.
DEPENDENT = 1e-2
CORRELATED = 0.99


def insensitive(jacobians: Sequence[Array]) -> NDArray[np.bool_]:
    """Unknowns that change nothing at any of several places, [unknown].

    Args:
        jacobians: each [point, unknown].
    """
    largest = np.max([np.sqrt((j**2).mean(0)) for j in jacobians], axis=0)
    return np.asarray(largest < INSENSITIVE)


def dependent(jacobian: Array, last: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Unknowns that others could do the work of, [unknown]; those without any effect are not among.

    Columns are taken one by one, each time the one of which most is left beside those taken before.

    Args:
        jacobian: [point, unknown].
        last: unknowns that are taken only after all others, [unknown].
    """
    length = np.sqrt((jacobian**2).mean(0))
    active = length >= INSENSITIVE
    rest = np.where(active, jacobian / np.where(active, np.linalg.norm(jacobian, axis=0), 1), 0)
    found = np.zeros(len(active), dtype=bool)
    waiting = {int(k) for k in np.flatnonzero(active)}
    while waiting:
        first = [k for k in waiting if not last[k]] or list(waiting)
        left = {k: float(np.linalg.norm(rest[:, k])) for k in sorted(first)}
        k = max(left, key=lambda key: left[key])
        waiting.remove(k)
        if left[k] < DEPENDENT:
            found[k] = True
            continue
        direction = rest[:, k] / left[k]
        rest = rest - np.outer(direction, direction @ rest)
    return found


def covariance(jacobian: Array, residual: Array) -> Array:
    """Covariance of the coordinates [unknown, unknown] where the residuals are noise.

    Args:
        jacobian: of full rank [point, unknown].
        residual: [point].
    """
    spare = max(1, jacobian.shape[0] - jacobian.shape[1])
    _, sizes, turned = np.linalg.svd(jacobian, full_matrices=False)
    inverse = np.where(sizes > 1e-12 * sizes.max(initial=0.0), 1 / np.maximum(sizes, 1e-300), 0)
    half = turned.T * inverse
    return np.asarray(half @ half.T * float((residual**2).sum()) / spare)


def correlated(covariances: Array, names: Sequence[str]) -> tuple[tuple[str, str, float], ...]:
    """Pairs of unknowns with a correlation beyond 0.99, the closest first."""
    size = np.sqrt(np.diag(covariances))
    size = np.where(size > 0, size, 1)
    rho = covariances / np.outer(size, size)
    pairs = [
        (names[a], names[b], float(rho[a, b]))
        for a in range(len(names))
        for b in range(a + 1, len(names))
        if abs(rho[a, b]) > CORRELATED
    ]
    return tuple(sorted(pairs, key=lambda pair: -abs(pair[2])))
