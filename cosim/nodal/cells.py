"""Cells of two devices in series, for reads: a selector or a transistor before a memristor.

A cell is a function from voltages to currents and slopes (`cosim.nodal.nonlinear.Cell`). In series
the current is the same and the voltages add up, so the voltage across the first device solves
i1(v1) = i2(v - v1): one equation per cell, with one solution where both currents rise.
"""

from __future__ import annotations

import torch

from compact_models.errors import InputError
from cosim.nodal.nonlinear import Cell

_MOST_STEPS = 200  # far more than are seen: a middle at a time takes 52
_ROUNDING = 16  # units of the last place, of the voltage across a cell
_THERMAL_V = 1.380649e-23 * 300.0 / 1.602176634e-19  # k T / q at 300 K
_LEAST_DROP = 1.0  # of a channel, in 2 kT/q: from here on the difference of its ends keeps digits


def in_series(first: Cell, second: Cell) -> Cell:
    """Two devices, one behind the other; the current of both must rise with the voltage.

    Newton's method within an interval that shrinks around the solution: a step that leaves it, or
    that is not half of the one before, is replaced by its middle, so that a selector's threshold
    costs steps and never the solution. A cell that has ended stays as it is while others go on: its
    current does not depend on them. Differentiable in all that the two devices are.
    """

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            u = split_voltage(first, second, v)
        if torch.is_grad_enabled():  # one more step of Newton's, of no length, brings the gradient
            (i1, s1), (i2, s2) = first(u), second(v - u)
            off, slope = i1 - i2, (s1 + s2).detach()
            step = (off - off.detach()) / torch.where(slope > 0, slope, 1.0)
            u = u - step
        (i1, s1), (i2, s2) = first(u), second(v - u)
        total = s1 + s2
        share = torch.where(total > 0, s1 / total, 0.5)
        # What is left of the difference goes to both as the voltage would: second order in u.
        return i1 + share * (i2 - i1), share * s2

    return cell


def split_voltage(
    first: Cell, second: Cell, v: torch.Tensor, *, guess_v: torch.Tensor | None = None
) -> torch.Tensor:
    """The voltage across the first of two devices in series, without gradients.

    Args:
        first: a device whose current rises with its voltage.
        second: likewise.
        v: across both [V], [...].
        guess_v: where to start [V], [...]; None starts in the middle.
    """
    low, high = v.clamp(max=0.0), v.clamp(min=0.0)
    exact = _ROUNDING * torch.finfo(v.dtype).eps * v.abs()
    u, moved = 0.5 * v, v.abs()
    if guess_v is not None:
        u = torch.where(torch.isfinite(guess_v), guess_v, u).clamp(low, high)
    done = ~(torch.isfinite(v) & (v != 0))
    for _ in range(_MOST_STEPS):
        (i1, s1), (i2, s2) = first(u), second(v - u)
        off = i1 - i2
        high, low = torch.where(off >= 0, u, high), torch.where(off <= 0, u, low)
        newton = u - off / (s1 + s2)
        good = (newton >= low) & (newton <= high)  # False for NaN
        good = good & ((newton - u).abs() <= torch.maximum(0.5 * moved, exact))
        following = torch.where(good, newton, low + 0.5 * (high - low))
        following = torch.where(done, u, following)
        moved = (following - u).abs()
        # Where rounding has the last word no step gets short, but the interval does.
        done = done | (moved <= exact) | (high - low <= exact)
        u = following
        if bool(done.all()):
            break
    return u


def sinh_selector(i_0_a: float | torch.Tensor, v_0: float | torch.Tensor) -> Cell:
    """A selector of i = i_0 sinh(v / v_0), which conducts next to nothing at half of the voltage.

    Args:
        i_0_a: current scale [A], one value or [row, col], > 0.
        v_0: voltage that multiplies the current by e [V], likewise.

    Raises:
        InputError: one of them is not positive.
    """
    for name, value in (("i_0_a", i_0_a), ("v_0", v_0)):
        _check_positive(name, value)

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return i_0_a * torch.sinh(v / v_0), i_0_a / v_0 * torch.cosh(v / v_0)

    return cell


def ekv_channel(
    gate_v: float | torch.Tensor,
    *,
    threshold_v: float | torch.Tensor,
    i_spec_a: float | torch.Tensor,
    slope: float = 1.3,
) -> Cell:
    """The channel of an n-type access transistor whose source is at 0 V, from off to saturation.

    Enz, Krummenacher, Vittoz, Analog Integr. Circuits Signal Process. 8 (1995) 83,
    doi 10.1007/BF01239381, without mobility reduction: i = i_spec (F(v_p) - F(v_p - v)) with
    F(x) = ln(1 + exp(x / 2 U))^2, U = kT/q at 300 K, and v_p = (gate - threshold) / slope.

    Args:
        gate_v: voltage of the gate [V], one value or [row, col].
        threshold_v: of the transistor [V], likewise.
        i_spec_a: specific current, 2 slope beta U^2 [A], likewise, > 0.
        slope: slope factor, >= 1.

    Raises:
        InputError: the specific current is not positive or the slope factor is below 1.
    """
    _check_positive("i_spec_a", i_spec_a)
    if not slope >= 1:
        raise InputError("not a slope factor", where="slope", value=slope, allowed=">= 1")

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, threshold = (torch.as_tensor(x, dtype=v.dtype) for x in (gate_v, threshold_v))
        pinch = (gate - threshold) / slope / (2 * _THERMAL_V)
        drain = pinch - v / (2 * _THERMAL_V)
        source = torch.nn.functional.softplus(pinch, threshold=40)
        charge = torch.nn.functional.softplus(drain, threshold=40)
        # For a small drop the same difference as one logarithm, which loses no digits.
        drop = v / (2 * _THERMAL_V)
        small = drop.abs() < _LEAST_DROP
        change = torch.expm1(-drop.clamp(-_LEAST_DROP, _LEAST_DROP))
        near = -torch.log1p(torch.sigmoid(pinch) * change)
        difference = torch.where(small, near, source - charge)
        current = i_spec_a * difference * (source + charge)
        return current, i_spec_a * charge * torch.sigmoid(drain) / _THERMAL_V

    return cell


def _check_positive(name: str, value: float | torch.Tensor) -> None:
    given = torch.as_tensor(value)
    if not bool((given > 0).all()):
        raise InputError("must be positive", where=name, value=float(given.min()), allowed="> 0")
