"""Linear systems known by what their matrix does, many at once: GMRES.

Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986) 856, doi 10.1137/0907058. Every system has its
own Krylov space; all of them take as many steps as the slowest.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

_MOST_STEPS = 40


def gmres(
    apply: Callable[[torch.Tensor], torch.Tensor], rhs: torch.Tensor, *, relative: float
) -> torch.Tensor:
    """Solves apply(x) = rhs for every system.

    Args:
        apply: the matrices times vectors, [..., unknown] to [..., unknown].
        rhs: right-hand sides, [..., unknown]; what is no number counts as 0.
        relative: residual at which to end, as a part of that of x = 0.

    Returns:
        [..., unknown]: the best found within `_MOST_STEPS`.
    """
    rhs = rhs.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    size = rhs.norm(dim=-1, keepdim=True)
    safe = torch.where(size > 0, size, 1.0)
    basis = [rhs / safe]
    columns: list[torch.Tensor] = []
    solution = size.new_zeros(*size.shape[:-1], 0)
    for step in range(_MOST_STEPS):
        new = apply(basis[-1]).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        known = torch.stack(basis, -2)  # [..., step, unknown]: its rows lie whole in memory
        first = (known @ new.unsqueeze(-1)).squeeze(-1)
        new = new - (first.unsqueeze(-2) @ known).squeeze(-2)
        again = (known @ new.unsqueeze(-1)).squeeze(-1)  # once more, for what rounding left
        new = new - (again.unsqueeze(-2) @ known).squeeze(-2)
        length = new.norm(dim=-1, keepdim=True)
        columns.append(torch.cat([first + again, length], -1))
        hessenberg = torch.stack(
            [torch.nn.functional.pad(one, (0, step + 2 - one.shape[-1])) for one in columns], -1
        )
        wanted = torch.nn.functional.pad(size, (0, step + 1)).unsqueeze(-1)
        # Of full rank but where a space has ended; there the smallest singular value is nothing.
        solution = (torch.linalg.pinv(hessenberg, rtol=1e-14) @ wanted).squeeze(-1)
        left = (wanted.squeeze(-1) - (hessenberg @ solution.unsqueeze(-1)).squeeze(-1)).norm(
            dim=-1, keepdim=True
        )
        if bool((left <= relative * size).all()):
            break
        basis.append(new / torch.where(length > 0, length, 1.0))
    known = torch.stack(basis[: solution.shape[-1]], -2)
    found: torch.Tensor = (solution.unsqueeze(-2) @ known).squeeze(-2)
    return found
