"""Dense linear systems, many at once."""

from __future__ import annotations

import torch

# Above this size the LAPACK of some builds of torch (MKL 2024.2, seen at 192 and above, not at 128)
# never returns from a batch with several threads: each matrix is handed to it by itself there.
_LARGEST_IN_BATCH = 128


def inverse(matrix: torch.Tensor) -> torch.Tensor:
    """The inverses of matrices [batch, row, row]; differentiable.

    Where a system has several times as many right-hand sides as unknowns, a product with the
    inverse takes half of the time of triangular solutions: LAPACK's are slow for small matrices.
    """
    if _in_one_batch(matrix):
        whole: torch.Tensor = torch.linalg.inv(matrix)
        return whole
    return torch.stack([torch.linalg.inv(one) for one in matrix])


def solve(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    """Solutions of matrix x = rhs, [..., row, rhs]; differentiable.

    Args:
        matrix: [..., row, row].
        rhs: [..., row, rhs], with the same batch or one that broadcasts.
    """
    if _in_one_batch(matrix):
        whole: torch.Tensor = torch.linalg.solve(matrix, rhs)
        return whole
    batch = torch.broadcast_shapes(matrix.shape[:-2], rhs.shape[:-2])
    pairs = zip(
        matrix.expand(*batch, *matrix.shape[-2:]).flatten(0, -3),
        rhs.expand(*batch, *rhs.shape[-2:]).flatten(0, -3),
        strict=True,
    )
    found = torch.stack([torch.linalg.solve(one, other) for one, other in pairs])
    together: torch.Tensor = found.unflatten(0, batch)
    return together


def _in_one_batch(matrix: torch.Tensor) -> bool:
    small = matrix.shape[-1] <= _LARGEST_IN_BATCH or matrix.shape[:-2].numel() == 1
    return small or matrix.device.type != "cpu"
