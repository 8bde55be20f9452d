"""Reads of nonlinear cells without Newton's method: drops along the lines, weighed by calibration.

The current of a bit line is the sum of its cells' currents, so all that a read needs to know is the
voltage u across every cell. A guess of u gives currents, these give drops along the word lines and
rises along the bit lines, and they give a better u:

  u = p0 V - p1 (drop of the word line) - p2 (rise of the bit line).

Done again and again with p = 1 that is relaxation, which takes many steps, and does not converge
where wires take half of the current. Here the three numbers of every cell and step are fitted to
voltages that Newton's method found for calibration inputs: they stand for the steps that are left
out. What the result is worth is measured on inputs that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import component_rng
from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import Cell, chord_conductance, solve_nonlinear
from cosim.nodal.transfer import solve_transfer

Current = Callable[[torch.Tensor], torch.Tensor]
"""Current [A] of every cell for the voltages across them, [..., batch, row, col]."""

_AT_ONCE = 1 << 22  # voltages of cells in memory at once
_TINY = 1e-300


@dataclass(frozen=True)
class SurrogateRead:
    """Currents of one read.

    Attributes:
        current_a: out of the bit lines [A], [..., batch, col]; NaN where an input is outside of the
            region and was not solved.
        inside: whether all voltages of an input are in the calibration's range, [..., batch].
        solved: whether it was solved by Newton's method instead, [..., batch].
    """

    current_a: torch.Tensor
    inside: torch.Tensor
    solved: torch.Tensor


@dataclass(frozen=True, eq=False)
class NonlinearSurrogate:
    """A calibrated array of nonlinear cells, or a stack of them.

    Attributes:
        cell: the cells.
        lines: what runs through the array.
        paths: what currents of cells make of them.
        weights: p0 to p2 of every step and cell, [step, 3, ..., row, col].
        share: first guess of the voltage across a cell, of its driver's, [..., row, col].
        low_v: the least driver voltage of the region.
        high_v: the largest one.
        held_out: error of the currents of every held-out input, of their norm, [..., input].
        family: of which kind every held-out input is: "mixed" as the fitted ones are, "one row"
            alone away from rest, "both signs" in turn at random.
        current: the current of `cell` without its slope; None to ask it for both.
    """

    cell: Cell
    lines: Lines
    paths: Paths
    weights: torch.Tensor
    share: torch.Tensor
    low_v: float
    high_v: float
    held_out: torch.Tensor
    family: tuple[str, ...] = ()
    current: Current | None = None

    @property
    def errors(self) -> dict[str, float]:
        """The held-out error of every family: root of the mean square over its inputs.

        Of a stack it is that of the array for which it is largest. Of one input it is the norm of
        the error of all currents by the norm of all currents, so that currents near 0, as where
        signs cancel, may be off by more of themselves.
        """
        return {
            kind: float(
                self.held_out[..., torch.tensor([one == kind for one in self.family])]
                .square().mean(-1).sqrt().max()
            )
            for kind in dict.fromkeys(self.family)
        }  # fmt: skip

    @property
    def error(self) -> float:
        """The held-out error of the worst family, of `errors`."""
        return max(self.errors.values())

    def read(self, drive_v: torch.Tensor, *, solve_outside: bool = False) -> SurrogateRead:
        """Currents for driver voltages [..., batch, row]; differentiable inside of the region.

        Args:
            drive_v: voltages of the drivers.
            solve_outside: hand inputs outside of the region to Newton's method; of one array.

        Raises:
            InputError: the voltages do not fit the array.
        """
        shape = self.share.shape
        if drive_v.ndim != len(shape) or drive_v.shape[-1] != shape[-2]:
            raise InputError(
                "as many voltages as word lines",
                where="drive_v",
                value=tuple(drive_v.shape),
                allowed=f"[{''.join(f'{n}, ' for n in shape[:-2])}batch, {shape[-2]}]",
            )
        given = drive_v.detach()
        inside = ((given >= self.low_v) & (given <= self.high_v)).all(-1)  # False for NaN
        at_once = max(1, _AT_ONCE // shape.numel())
        parts = [self._currents(part) for part in drive_v.split(at_once, -2)]
        current = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if not bool(inside.all()):
            current = current.masked_fill(~inside.unsqueeze(-1), torch.nan)
        solved = torch.zeros_like(inside)
        outside = ~inside & torch.isfinite(given).all(-1)
        if solve_outside and bool(outside.any()):
            found = solve_nonlinear(self.cell, self.lines, given[outside], tuple(shape))
            current = current.masked_scatter(outside.unsqueeze(-1), found.state.sense_a)
            solved = solved.masked_scatter(outside, found.converged)
        return SurrogateRead(current, inside, solved)

    def with_cells(self, cell: Cell, current: Current | None = None) -> NonlinearSurrogate:
        """The same for other states of the cells: the less they have moved, the better.

        Args:
            cell: the cells.
            current: their current without its slope, where that costs less.
        """
        return replace(self, cell=cell, current=current)

    def _currents(self, drive_v: torch.Tensor) -> torch.Tensor:
        current = self.current or _current_of(self.cell)
        u = self.share.unsqueeze(-3) * drive_v.unsqueeze(-1)
        for weights in self.weights:
            u = _weighed(weights, self.paths.voltages(drive_v, current(u)))
        return current(u).sum(-2)


def fit_nonlinear(
    cell: Cell,
    lines: Lines,
    shape: tuple[int, ...],
    *,
    low_v: float,
    high_v: float,
    seed: int,
    sense_v: torch.Tensor | None = None,
    inputs: int = 48,
    held_out: int = 24,
    steps: int = 2,
) -> NonlinearSurrogate:
    """Fits a programmed array, or a stack of them, for driver voltages from `low_v` to `high_v`.

    Inputs are dense, sparse, dark and in blocks of rows in turn; the first two are the same voltage
    at all rows, the largest and the least, so that the corners of the range are in the fit. The
    error is measured on others of these kinds, and on two that are not fitted: one row alone, the
    others at rest, and, where the range has both signs, the largest and the least voltage in turn
    at random. `errors` averages over the inputs of each; `error` is the worst of them. For inputs
    unlike all of these measure it: `solve_nonlinear` beside `read`.

    Args:
        cell: the cells as they are programmed.
        lines: what runs through the array; driven from the left and sensed below only, no opens.
        shape: rows and columns, behind the axes of the stack: [..., row, col].
        low_v: the least voltage of a driver.
        high_v: the largest one.
        seed: of the inputs.
        sense_v: voltages of the sense nodes, [..., col]; None is ground.
        inputs: how many are fitted, at least 12.
        held_out: how many only measure, of each of the three kinds, at least 3.
        steps: how often drops are computed for one read, at least 1.

    Raises:
        InputError: a range that is none, too few inputs or steps, lines with opens or second ends,
            or inputs for which Newton's method finds no solution.
    """
    if not low_v < high_v:
        raise InputError(
            "no range of voltages",
            where="low_v, high_v",
            value=(low_v, high_v),
            allowed="low_v < high_v",
        )
    for name, value, least in (
        ("inputs", inputs, 12),
        ("held_out", held_out, 3),
        ("steps", steps, 1),
    ):
        if value < least:
            raise InputError("too few", where=name, value=value, allowed=f">= {least}")
    _check_lines(lines)
    rng = component_rng(seed, 0, "surrogate/nonlinear/inputs")
    stack, rows = shape[:-2], shape[-2]
    kinds = {
        "mixed": _inputs(rng, inputs + held_out, rows, low_v, high_v),
        "one row": _one_row(rng, held_out, rows, low_v, high_v),
    }
    if low_v < 0 < high_v:
        kinds["both signs"] = np.where(rng.uniform(size=(held_out, rows)) < 0.5, low_v, high_v)
    family = tuple(kind for kind, given in kinds.items() for _ in given)[inputs:]
    drive = torch.from_numpy(np.concatenate(list(kinds.values()))).expand(*stack, -1, -1)
    held = None if sense_v is None else (sense_v.unsqueeze(-2) if stack else sense_v)
    found = solve_nonlinear(cell, lines, drive, shape, sense_v=held)
    if not bool(found.converged.all()):
        raise InputError(
            "Newton's method finds no solution for calibration inputs",
            where="low_v, high_v",
            value=f"{int((~found.converged).sum())} of {found.converged.numel()} inputs",
            hint="calibrate for a smaller range of voltages",
        )
    fitted = drive[..., :inputs, :]
    chord = chord_conductance(cell, fitted, shape)
    transfer = solve_transfer(
        chord,
        r_wordline_ohm=lines.r_wordline_ohm,
        r_bitline_ohm=lines.r_bitline_ohm,
        r_driver_ohm=lines.r_driver_ohm,
        r_sense_ohm=lines.r_sense_ohm,
    ).transfer_s
    share = torch.where(chord > 0, transfer / chord, 1.0)
    truth = (found.state.word_v - found.state.bit_v)[..., :inputs, :, :]
    u = share.unsqueeze(-3) * fitted.unsqueeze(-1)
    weights, current = [], _current_of(cell)
    paths = paths_of(lines, shape, sense_v)
    for _ in range(steps):
        features = torch.stack(paths.voltages(fitted, current(u)))
        weights.append(_regression(features, truth))
        u = _weighed(weights[-1], tuple(features))
    surrogate = NonlinearSurrogate(
        cell, lines, paths, torch.stack(weights), share, low_v, high_v, torch.zeros(0)
    )
    measured = found.state.sense_a[..., inputs:, :]
    off = surrogate._currents(drive[..., inputs:, :]) - measured
    error = off.norm(dim=-1) / measured.norm(dim=-1).clamp_min(_TINY)
    return replace(surrogate, held_out=error, family=family)


def _check_lines(lines: Lines) -> None:
    for name in ("r_driver_right_ohm", "r_sense_top_ohm"):
        if getattr(lines, name) is not None:
            raise InputError(
                "the surrogate of nonlinear cells knows no second end of a line",
                where=name,
                hint="use solve_nonlinear",
            )
    for name in ("r_wordline_ohm", "r_bitline_ohm", "r_driver_ohm", "r_sense_ohm"):
        if not bool(torch.isfinite(torch.as_tensor(getattr(lines, name))).all()):
            raise InputError(
                "the surrogate of nonlinear cells knows no open line",
                where=name,
                hint="use solve_nonlinear",
            )


def _inputs(
    rng: np.random.Generator, count: int, rows: int, low_v: float, high_v: float
) -> NDArray[np.float64]:
    """Inputs [input, row]: the corners, then in turn dense, many rows at rest, dark, in blocks."""
    drive = rng.uniform(low_v, high_v, (count, rows))
    rest = min(max(0.0, low_v), high_v)
    shares = rng.uniform(0.2, 0.8, (count, 1))
    sparse = np.where(rng.uniform(size=drive.shape) < shares, rest, drive)
    dark = rest + (drive - rest) * rng.uniform(0.05, 1.0, (count, 1))
    first, length = rng.integers(0, rows, (count, 1)), rng.integers(1, rows + 1, (count, 1))
    in_block = (np.arange(rows) - first) % rows < length
    blocks = np.where(in_block, rng.uniform(low_v, high_v, (count, 1)), rest)
    kind = np.arange(count)[:, None] % 4
    inputs = np.choose(kind, (drive, sparse, dark, blocks))
    inputs[0], inputs[1] = high_v, low_v
    return inputs


def _one_row(
    rng: np.random.Generator, count: int, rows: int, low_v: float, high_v: float
) -> NDArray[np.float64]:
    """One row at the largest or, in turn, the least voltage; the others at rest."""
    rest = min(max(0.0, low_v), high_v)
    ends = [end for end in (high_v, low_v) if end != rest]
    drive = np.full((count, rows), rest)
    drive[np.arange(count), rng.permutation(max(rows, count))[:count] % rows] = np.resize(
        ends, count
    )
    return drive


def _current_of(cell: Cell) -> Current:
    return lambda v: cell(v)[0]


@dataclass(frozen=True, eq=False)
class Paths:
    """What the currents of cells make of an array's lines.

    The path of a cell is the segments between it and the end of its line. What a current makes at
    another cell is a drop along the segments that their paths share, and at the end of the line:
    one product a line, not a sum along it.

    Attributes:
        word_ohm: shared by two cells of a word line, [col, col], or [..., row, col, col].
        bit_ohm: by two cells of a bit line, [row, row], or [..., col, row, row].
        driver_ohm: [..., 1, row, 1], or one value.
        sense_ohm: [..., 1, 1, col], or one value.
        sense_v: what sense nodes are held at [V], likewise; None for ground.
    """

    word_ohm: torch.Tensor
    bit_ohm: torch.Tensor
    driver_ohm: torch.Tensor
    sense_ohm: torch.Tensor
    sense_v: torch.Tensor | None

    def voltages(self, drive_v: torch.Tensor, cell_a: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Driver's voltage, drop of the word line, voltage of the bit line.

        Args:
            drive_v: [..., batch, row].
            cell_a: current through every cell, [..., batch, row, col].

        Returns:
            Each [..., batch, row, col].
        """
        if self.word_ohm.ndim == 2:
            drop = cell_a @ self.word_ohm
        else:
            drop = (cell_a.movedim(-3, -2) @ self.word_ohm).movedim(-2, -3)
        if self.bit_ohm.ndim == 2:
            rise = self.bit_ohm @ cell_a
        else:  # [..., col, batch, row] for the products
            rise = (cell_a.movedim(-1, -3) @ self.bit_ohm).movedim(-3, -1)
        drop = drop + self.driver_ohm * cell_a.sum(-1, keepdim=True)
        at_end = self.sense_ohm * cell_a.sum(-2, keepdim=True)
        rise = rise + (at_end if self.sense_v is None else at_end + self.sense_v)
        return drive_v.unsqueeze(-1).expand_as(drop), drop, rise


def paths_of(lines: Lines, shape: tuple[int, ...], sense_v: torch.Tensor | None) -> Paths:
    """The paths of an array, or of a stack.

    Args:
        lines: what runs through it.
        shape: [..., row, col].
        sense_v: what sense nodes are held at, [..., col]; None for ground.
    """
    rows, cols = shape[-2:]
    word, bit, driver, sense = (
        torch.as_tensor(x, dtype=torch.float64).detach()
        for x in (lines.r_wordline_ohm, lines.r_bitline_ohm, lines.r_driver_ohm, lines.r_sense_ohm)
    )

    def shared(segment: torch.Tensor, cells: int) -> torch.Tensor:
        """Of segments counted from the end of their line, one value or [..., line, cell]."""
        own = (segment if segment.ndim else segment.expand(cells)).cumsum(-1)
        place = torch.arange(cells)
        return own[..., torch.minimum(place.unsqueeze(-1), place)]

    bit_ohm = shared(bit.mT.flip(-1) if bit.ndim else bit, rows).flip(-2, -1)
    return Paths(
        shared(word, cols),
        bit_ohm,
        driver.unsqueeze(-2).unsqueeze(-1) if driver.ndim else driver,
        sense.unsqueeze(-2).unsqueeze(-2) if sense.ndim else sense,
        None if sense_v is None else sense_v.unsqueeze(-2).unsqueeze(-2),
    )


def _weighed(weights: torch.Tensor, features: tuple[torch.Tensor, ...]) -> torch.Tensor:
    first, *others = weights.unsqueeze(-3)
    found: torch.Tensor = first * features[0]
    for weight, feature in zip(others, features[1:], strict=True):
        found = torch.addcmul(found, weight, feature)
    return found


def _regression(features: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Least squares for every cell, [3, ..., row, col]; a feature that is always 0 gets 0."""
    scale = features.square().flatten(1).mean(1).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    matrix = (features.movedim(0, -1) / scale).movedim(-4, -2)  # [..., row, col, input, feature]
    wanted = u.movedim(-3, -1).unsqueeze(-1)
    normal = matrix.mT @ matrix
    size = normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(3, dtype=normal.dtype, device=normal.device)
    # The ridge keeps what the inputs do not tell apart, such as drops without wires, small.
    found = torch.linalg.solve(normal + (1e-12 * size + _TINY) * eye, matrix.mT @ wanted)
    weights: torch.Tensor = (found.squeeze(-1) / scale).movedim(-1, 0)
    return weights
