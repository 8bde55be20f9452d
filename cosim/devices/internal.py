"""The internal quantity of a model, cell by cell: Newton's method inside a bracket.

The residual of a model with thermal feedback can have several zeros; a cell stays on the branch on
which it was, because the iteration starts there, and leaves it only where that branch ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from compact_models.emit.torch_code import Function, Value
from compact_models.emit.torch_model import TorchModel
from cosim.devices.cells import pick

_MOST_ITERATIONS = 80
# A Newton step this small has an error of its square left.
_RELATIVE = 1e-6
_LOOK_AROUND = 3  # iterations between two looks at who has arrived
_ABSOLUTE = 1e-8  # of the quantity's scale


def solve_internal(
    functions: TorchModel,
    p: Mapping[str, Value],
    v: torch.Tensor,
    fractions: Sequence[torch.Tensor],
    guess: torch.Tensor | None,
) -> torch.Tensor | None:
    """The internal quantity at which the residual is zero, [cell]; None if the model has none.

    It is NaN for a cell for which none is found: a bracket without a solution, or a residual that
    does not rise through it.

    Gradients are those of the solution (one Newton step carries them), not of the iteration.

    Args:
        functions: the model.
        p: its parameters.
        v: voltage across each cell [V], [cell].
        fractions: one tensor [cell] per state.
        guess: where to start; None starts in the middle of the bracket.
    """
    if functions.residual is None or functions.bracket is None:
        return None
    with torch.no_grad():
        solution = _newton(functions, p, v, fractions, guess)
    if torch.is_grad_enabled():
        value, slope = functions.residual(v, *fractions, solution, p)
        if isinstance(value, torch.Tensor) and value.requires_grad:
            divisor = slope.detach() if isinstance(slope, torch.Tensor) else slope
            return solution - (value - value.detach()) / divisor
    return solution


def _newton(
    functions: TorchModel,
    p: Mapping[str, Value],
    v: torch.Tensor,
    fractions: Sequence[torch.Tensor],
    guess: torch.Tensor | None,
) -> torch.Tensor:
    if functions.residual is None or functions.bracket is None:
        raise AssertionError("called for a model without an internal quantity")
    ends = [torch.as_tensor(end, dtype=v.dtype).expand_as(v) for end in functions.bracket(v, p)]
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    y = 0.5 * (low + high) if guess is None else guess.detach().clamp(low, high)
    least = _ABSOLUTE * functions.model.internals[0].scale
    if y.numel() == 1:  # the same iteration in floats: operations on one number cost as much
        single = tuple(float(x) for x in (v, *fractions))
        known = (
            None
            if _has_tensors(p)
            else _newton_in_floats(
                functions.residual, p, single, (float(low), float(high), float(y)), least
            )
        )
        if known is not None:
            return torch.full_like(y, known)
    return _iterate(functions.residual, p, (v, *fractions), low, high, y, least)


def _iterate(
    residual: Function,
    p: Mapping[str, Value],
    place: Sequence[torch.Tensor],
    low: torch.Tensor,
    high: torch.Tensor,
    y: torch.Tensor,
    least: float,
) -> torch.Tensor:
    near = torch.zeros_like(y, dtype=torch.bool)
    for turn in range(_MOST_ITERATIONS):
        value, slope = residual(*place, y, p)
        above = torch.as_tensor(value) > 0
        low, high = torch.where(above, low, y), torch.where(above, y, high)
        newton = y - value / slope
        near = (newton - y).abs() <= _RELATIVE * y.abs() + least  # False for NaN
        # An end has been tried already: going back there would go round in circles.
        inside = ((newton > low) & (newton < high)) | near
        y = torch.where(inside, newton, 0.5 * (low + high))
        if bool(near.all()):
            break
        if turn % _LOOK_AROUND == _LOOK_AROUND - 1:
            far = (~near).nonzero().squeeze(1)
            if 2 * far.numel() < y.numel():  # a few need many iterations: they go on alone
                lost = [x[far] for x in place]
                some = pick(p, far, y.numel())
                found = _iterate(residual, some, lost, low[far], high[far], y[far], least)
                return y.index_put((far,), found)
    # Nothing that is not a solution leaves this place: the integrator rejects a step with NaN in
    # it, and a cell that finds no way round is lost, as data.
    return torch.where(near, y, torch.nan)


def _has_tensors(p: Mapping[str, Value]) -> bool:
    return any(isinstance(x, torch.Tensor) for x in p.values())


def _newton_in_floats(
    residual: Function,
    p: Mapping[str, Value],
    place: tuple[float, ...],
    bracket: tuple[float, float, float],
    least: float,
) -> float | None:
    """The solution for one cell; None where it is not found, or floats overflow on the way."""
    low, high, y = bracket
    for _ in range(_MOST_ITERATIONS):
        try:
            value, slope = (float(x) for x in residual.plain(*place, y, p))
            newton = y - value / slope
        except (ArithmeticError, ValueError):
            return None
        low, high = (low, y) if value > 0 else (y, high)
        if abs(newton - y) <= _RELATIVE * abs(y) + least:
            return newton
        y = newton if low < newton < high else 0.5 * (low + high)
    return None
