"""The wires of an array and what they end in: what the exact solver is asked about.

Every word line comes from its driver on the left, every bit line ends in its sense node below the
last row. A line may have a second driver or sense node at its other end. Resistances are single
values, one per line, or one per segment, as extracted from a layout; 0 is a short, infinity an
open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.budget.in_threads import with_threads

Ohm = float | torch.Tensor


def as_ohm(value: float | NDArray[np.float64]) -> Ohm:
    """Resistances of a netlist as the solver takes them."""
    return value if isinstance(value, float) else torch.from_numpy(np.array(value))


@dataclass(frozen=True)
class Lines:
    """Resistances of the lines of one array or of many, in ohm.

    Attributes:
        r_wordline_ohm: of the word-line segment on the left of every cell, the one next to the
            driver included; one value or [..., row, col].
        r_bitline_ohm: of the bit-line segment below every cell, the one next to the sense node
            included; one value or [..., row, col].
        r_driver_ohm: in series at the driver; one value or [..., row], infinite where a word line
            floats.
        r_sense_ohm: in series at the sense node; one value or [..., col], infinite where a bit
            line floats.
        r_driver_right_ohm: the same for a second driver behind the last column; None without.
        r_sense_top_ohm: the same for a second sense node above the first row; None without.
    """

    r_wordline_ohm: Ohm
    r_bitline_ohm: Ohm
    r_driver_ohm: Ohm = 0.0
    r_sense_ohm: Ohm = 0.0
    r_driver_right_ohm: Ohm | None = None
    r_sense_top_ohm: Ohm | None = None


def check_array(conductance_s: torch.Tensor, lines: Lines) -> None:
    """Refuses what has no solution or would lose its digits.

    Raises:
        InputError: no tensor; single precision; a negative or missing number; a shape that does not
            fit.
    """
    check_double("conductance_s", conductance_s)
    if conductance_s.ndim < 2 or 0 in conductance_s.shape:
        raise InputError(
            "not an array",
            where="conductance_s",
            value=tuple(conductance_s.shape),
            allowed="[..., row, col] with a cell at least",
        )
    given = conductance_s.detach()
    right = (given >= 0) & torch.isfinite(given)
    if not bool(right.all()):
        raise InputError(
            "not a conductance", **first_wrong("conductance_s", given, right),
            allowed=">= 0 S and finite",
        )  # fmt: skip
    rows, cols = conductance_s.shape[-2:]
    for name, ends in (
        ("r_wordline_ohm", (rows, cols)),
        ("r_bitline_ohm", (rows, cols)),
        ("r_driver_ohm", (rows,)),
        ("r_sense_ohm", (cols,)),
        ("r_driver_right_ohm", (rows,)),
        ("r_sense_top_ohm", (cols,)),
    ):
        ohm = getattr(lines, name)
        if ohm is not None or name in ("r_wordline_ohm", "r_bitline_ohm"):
            _check(name, _number(name, ohm).detach(), ends)
    for far, near, along, line in (
        (lines.r_driver_right_ohm, lines.r_driver_ohm, lines.r_wordline_ohm, "word"),
        (lines.r_sense_top_ohm, lines.r_sense_ohm, lines.r_bitline_ohm, "bit"),
    ):
        if far is not None and not any(_has_ohms(x) for x in (far, near, along)):
            raise InputError(
                f"both ends of a {line} line are held and there is no resistance between them",
                where="r_driver_right_ohm" if line == "word" else "r_sense_top_ohm",
                hint="give the line or one of its ends a resistance",
            )


def check_double(name: str, value: object) -> None:
    """Refuses what is no tensor of double precision.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, torch.Tensor):
        raise InputError(
            "not a torch tensor",
            where=name,
            value=type(value).__name__,
            allowed="a torch tensor of torch.float64",
            hint="torch.from_numpy makes one of a numpy array",
        )
    if value.dtype != torch.float64:
        raise InputError(
            "the exact solver needs double precision",
            where=name,
            value=str(value.dtype),
            allowed="torch.float64",
        )


def check_volts(name: str, value: object, count: int) -> None:
    """Refuses what are no voltages of that many lines.

    Raises:
        InputError: no tensor of double precision, another number of lines, NaN or infinite.
    """
    check_double(name, value)
    if not isinstance(value, torch.Tensor):
        raise AssertionError("checked before")
    if value.ndim == 0 or value.shape[-1] != count:
        raise InputError(
            "as many voltages as lines",
            where=name,
            value=tuple(value.shape),
            allowed=f"[..., {count}]",
        )
    with with_threads(1):
        right = torch.isfinite(value.detach())
        finite = bool(right.all())
    if not finite:
        raise InputError(
            "not a voltage", **first_wrong(name, value.detach(), right), allowed="finite"
        )


def first_wrong(name: str, value: torch.Tensor, right: torch.Tensor) -> _Wrong:
    """Where the first number is that is not right, and which it is."""
    if not value.ndim:
        return {"where": name, "value": float(value)}
    at = (~right).nonzero()[0].tolist()
    return {"where": f"{name}[{', '.join(map(str, at))}]", "value": float(value[tuple(at)])}


class _Wrong(TypedDict):
    where: str
    value: float


def _has_ohms(value: Ohm) -> bool:
    return bool((torch.as_tensor(value) > 0).any())


def _number(name: str, value: object) -> torch.Tensor:
    if isinstance(value, int | float | torch.Tensor) and not isinstance(value, bool):
        return torch.as_tensor(value, dtype=torch.float64)
    raise InputError(
        "not a resistance",
        where=name,
        value=type(value).__name__,
        allowed="a number or a torch tensor [ohm]",
        hint="torch.from_numpy makes one of a numpy array",
    )


def _check(name: str, value: torch.Tensor, ends: tuple[int, ...]) -> None:
    if not bool((value >= 0).all()):  # False for NaN
        raise InputError(
            "not a resistance", **first_wrong(name, value, value >= 0),
            allowed=">= 0 ohm; infinite for an open",
        )  # fmt: skip
    if value.ndim and value.shape[-len(ends) :] != ends:
        raise InputError(
            f"one value for all, or one for every {'line' if len(ends) == 1 else 'segment'}",
            where=name,
            value=tuple(value.shape),
            allowed=f"[..., {', '.join(str(n) for n in ends)}]",
        )
