"""Voltages across the cells of an array whose lines are all driven, each from one end.

Then the wires are no network: what a current through one cell takes away from another of its word
line is the resistance that both share on their way to the driver, and likewise for bit lines. The
voltages u across the cells solve u = U - R i(u), where R is two small matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from cosim.nodal.krylov import gmres
from cosim.nodal.transfer import bitline_resistances, wordline_resistances
from netlists.wires import Wires

# Current [A] and its slope [S] of every cell for the voltages across them and those of their
# word-line ends, [..., row, col].
Cell = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

_MOST_STEPS, _MOST_HALVINGS = 50, 30
_WORD_V = 1e-8  # a millionth of what changes a transistor's current by a tenth
_FORCING = (1e-2, 1e-8)  # how exactly Newton's equations are solved, far from the end and at it
_LITTLE = 0.2  # of the voltages: how much the wires may take, and how much each step must leave
_AT_ONCE = 1e-4  # of the residual: one step ends at so much of it where cells are nearly linear


@dataclass(frozen=True, eq=False)
class DrivenLines:
    """What the lines of an array take from the voltages at their ends.

    Attributes:
        word_ohm: shared by the ways to two cells of a word line, its driver included, [col, col].
        bit_ohm: shared by the ways of two cells of a bit line to its end, likewise, [row, row].
    """

    word_ohm: torch.Tensor
    bit_ohm: torch.Tensor

    @staticmethod
    def of(
        shape: tuple[int, int],
        wires: Wires,
        *,
        r_word_driver_ohm: float = 0.0,
        r_bit_driver_ohm: float = 0.0,
    ) -> DrivenLines:
        """Lines of equal segments, with drivers' resistances in series at their driven ends.

        Raises:
            InputError: the segments of a kind are not all alike.
        """
        rows, cols = shape
        r_wordline_ohm, r_bitline_ohm = wires.equal_ohm("writing")
        like = torch.zeros((), dtype=torch.float64)
        word = wordline_resistances(cols, r_wordline_ohm, r_word_driver_ohm, like)
        return DrivenLines(word, bitline_resistances(rows, r_bitline_ohm, like) + r_bit_driver_ohm)

    @property
    def ideal(self) -> bool:
        """No line has any resistance."""
        return not bool(self.word_ohm.any() | self.bit_ohm.any())

    def drop_v(self, current_a: torch.Tensor) -> torch.Tensor:
        """What currents through the cells take from the voltages across them, [..., row, col]."""
        return current_a @ self.word_ohm + self.bit_ohm @ current_a

    def own_ohm(self) -> torch.Tensor:
        """What each cell has before it, [row, col]."""
        return self.word_ohm.diagonal() + self.bit_ohm.diagonal()[:, None]


@dataclass(frozen=True, eq=False)
class Across:
    """What is across the cells, and through them.

    Attributes:
        voltage_v: [..., row, col].
        current_a: likewise.
        converged: of every array, [...].
    """

    voltage_v: torch.Tensor
    current_a: torch.Tensor
    converged: torch.Tensor


def voltages_across(
    cell: Cell,
    lines: DrivenLines,
    word_v: torch.Tensor,
    bit_v: torch.Tensor,
    *,
    guess_v: torch.Tensor | None = None,
    guess_a: torch.Tensor | None = None,
    sees_word: bool = False,
    tolerance_v: float = 1e-10,
) -> Across:
    """The voltages across the cells, by Newton's method.

    Args:
        cell: the cells.
        lines: what leads to them.
        word_v: voltages at the driven ends of the word lines, [..., row].
        bit_v: the same of the bit lines, [..., col].
        guess_v: where to start, [..., row, col]; None starts without any current.
        guess_a: currents at a neighbouring solution, likewise; for cells that see their word line.
        sees_word: a cell's current depends on its word line's voltage too, as behind a transistor.
        tolerance_v: by how much the voltages may contradict the lines [V].
    """
    ends_v = word_v[..., None]
    driven_v = ends_v - bit_v[..., None, :]
    u = driven_v if guess_v is None or lines.ideal else guess_v
    word = ends_v.expand_as(driven_v)
    if sees_word and guess_a is not None:
        word = ends_v - guess_a @ lines.word_ohm
    if lines.ideal:
        current, _ = cell(u, word)
        return Across(u, current, torch.ones(driven_v.shape[:-2], dtype=torch.bool))
    found = _newton(partial(_at, cell, word), lines, driven_v, u, tolerance_v)
    # The word lines' voltages are those of the currents before, until both are at rest.
    for _ in range(_MOST_STEPS if sees_word else 0):
        following = ends_v - found.current_a @ lines.word_ohm
        if bool(((following - word).abs() <= _WORD_V).all()):
            return found
        word = following
        found = _newton(partial(_at, cell, word), lines, driven_v, found.voltage_v, tolerance_v)
    if sees_word:
        return replace(found, converged=torch.zeros_like(found.converged))
    return found


def _at(cell: Cell, word_v: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell with its word line's voltage held."""
    return cell(u, word_v)


def _newton(
    cell: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    lines: DrivenLines,
    driven_v: torch.Tensor,
    u: torch.Tensor,
    tolerance_v: float,
) -> Across:
    shape = driven_v.shape
    own = lines.own_ohm()

    def residual(u: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return u - driven_v + lines.drop_v(current)

    current, slope = cell(u)
    off = residual(u, current)
    worst = off.abs().flatten(-2).amax(-1)
    # Where the wires take little the voltages follow from the currents before, at half the price.
    little = bool((worst < _LITTLE * driven_v.abs().flatten(-2).amax(-1)).all())
    while little and not bool((worst <= tolerance_v).all()):
        tried = u - off
        tried_current, tried_slope = cell(tried)
        new = residual(tried, tried_current)
        fell = new.abs().flatten(-2).amax(-1)
        little = bool((fell < _LITTLE * worst).all())  # False for NaN
        if little:
            u, off, current, slope, worst = tried, new, tried_current, tried_slope, fell
    first = worst.clamp_min(1e-300)
    for _ in range(_MOST_STEPS):
        if bool((worst <= tolerance_v).all()):
            break
        weight = 1 / (1 + own * slope.clamp_min(0.0))  # a cell and its own wires, solved at once

        def apply(
            y: torch.Tensor, slope: torch.Tensor = slope, weight: torch.Tensor = weight
        ) -> torch.Tensor:
            change = weight * y.unflatten(-1, shape[-2:])
            product: torch.Tensor = (change + lines.drop_v(slope * change)).flatten(-2)
            return product

        # No more exactly than the end needs; and all the way where that is near: another vector
        # costs less than another step.
        near, enough = float((worst / first).amax()), 0.3 * tolerance_v / float(worst.amax())
        forcing = max(_FORCING[1], 0.1 * near, enough) if enough < _AT_ONCE else enough
        forcing = min(_FORCING[0], forcing)
        step = weight * gmres(apply, -off.flatten(-2), relative=forcing).unflatten(-1, shape[-2:])
        # Where the residual does not fall the step is halved, array by array.
        part = torch.ones_like(worst)
        for _ in range(_MOST_HALVINGS):
            tried = u + part[..., None, None] * step
            tried_current, tried_slope = cell(tried)
            new = residual(tried, tried_current)
            fell = new.abs().flatten(-2).amax(-1)
            bad = ~(fell < (1.0 - 1e-4 * part) * worst) & (worst > tolerance_v)  # True for NaN
            if not bool(bad.any()):
                break
            part = torch.where(bad, 0.5 * part, part)
        better = fell < worst
        if not bool(better.any()):
            break
        chosen = better[..., None, None]
        u, off = torch.where(chosen, tried, u), torch.where(chosen, new, off)
        current = torch.where(chosen, tried_current, current)
        slope = torch.where(chosen, tried_slope, slope)
        worst = torch.where(better, fell, worst)
    return Across(u, current, worst <= tolerance_v)
