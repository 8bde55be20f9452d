"""Cells of two devices in series, for reads: a selector or a transistor before a memristor.

A cell is a function from voltages to currents and slopes (`cosim.nodal.nonlinear.Cell`). In series
the current is the same and the voltages add up, so the voltage across the first device solves
i1(v1) = i2(v - v1): one equation per cell, with one solution where both currents rise.
"""

from __future__ import annotations

import torch

from compact_models.errors import InputError
from cosim.nodal.nonlinear import Cell

_MOST_STEPS = 80
_EXACT = 4e-15  # of the voltage across a cell: rounding
_THERMAL_V = 0.025852  # k T / q at 300 K


def in_series(first: Cell, second: Cell) -> Cell:
    """Two devices, one behind the other; the current of both must rise with the voltage.

    Newton's method within an interval that shrinks around the solution: a step that leaves it is
    replaced by its middle, so that a selector's threshold costs steps and never the solution.
    """

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low, high = v.clamp(max=0.0), v.clamp(min=0.0)
        u = 0.5 * v
        for _ in range(_MOST_STEPS):
            (i1, s1), (i2, s2) = first(u), second(v - u)
            off = i1 - i2
            high, low = torch.where(off > 0, u, high), torch.where(off <= 0, u, low)
            newton = u - off / (s1 + s2)
            inside = (newton > low) & (newton < high)  # False for NaN
            following = torch.where(inside, newton, 0.5 * (low + high))
            done = (following - u).abs() <= _EXACT * v.abs()
            u = following
            if bool(done.all()):
                break
        (i1, s1), (_, s2) = first(u), second(v - u)
        return i1, s1 * s2 / (s1 + s2)

    return cell


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
        current = i_spec_a * (source - charge) * (source + charge)
        return current, i_spec_a * charge * torch.sigmoid(drain) / _THERMAL_V

    return cell


def _check_positive(name: str, value: float | torch.Tensor) -> None:
    given = torch.as_tensor(value)
    if not bool((given > 0).all()):
        raise InputError("must be positive", where=name, value=float(given.min()), allowed="> 0")
