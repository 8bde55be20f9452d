"""Fitting a kind of block over what its instances draw, at a few values of it.

A bench has instances at the corners of what is drawn, three standard deviations out, and some more
as a chip would draw them. The first are fitted to; the others, which nothing was fitted to, say how
far off any instance of any chip may be.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.variation import Stream
from cosim.surrogate.curves import Curves, fit_curves
from cosim.surrogate.drawn_curves import BlockCurves, DrawnValue, monomials

Array = NDArray[np.float64]

FRESH = 9
"""So many instances are held out."""
REACH = 4.0
"""Standard deviations that benches leave room for; of 30,000 draws two are beyond."""

_CORNER = 3.0  # standard deviations
_LEAST_FACTOR = 0.1  # as `Draws.factor` has it
# Outputs are shifted and scaled only where this makes the error that much smaller: what a bend of
# the curve between its samples leaves is no reason.
_WORTH = 0.5
# Where a curve is straight a shift of the output does what one of the input does; the latter is it.
_RIDGE = 1e-6
_TINY = 1e-12  # for terms that say nothing
_STEPS, _ENDS = 20, 0.99


@dataclass(frozen=True)
class Drawn:
    """One parameter that instances of a block draw.

    Attributes:
        nominal: without errors.
        sigma: its standard deviation, 0 where it is not drawn or the block does not know it.
        positive: it never goes below a tenth of its nominal value.
    """

    nominal: float
    sigma: float
    positive: bool = False

    def clipped(self, value: Array) -> Array:
        """As chips draw it."""
        return np.maximum(value, _LEAST_FACTOR * self.nominal) if self.positive else value


@dataclass(frozen=True, eq=False)
class Instances:
    """The instances of a bench.

    Attributes:
        drawn: what they draw, by name.
        values: by name, [instance]; the block without errors first, the fresh ones last.
        fitted: how many are fitted to.
    """

    drawn: Mapping[str, Drawn]
    values: Mapping[str, Array]
    fitted: int

    def __len__(self) -> int:
        """How many there are."""
        return len(next(iter(self.values.values())))

    def parameters(self, instance: int, known: Collection[str]) -> dict[str, float]:
        """Of an instance, those that its block knows."""
        return {name: float(v[instance]) for name, v in self.values.items() if name in known}

    def tensors(self) -> list[torch.Tensor]:
        """The values, [instance] each."""
        return [torch.from_numpy(one) for one in self.values.values()]

    @property
    def fresh(self) -> slice:
        """Those that are held out; the block itself where nothing is drawn."""
        return slice(self.fitted, None) if self.fitted < len(self) else slice(None)

    @property
    def held_out(self) -> str:
        """What is held out."""
        return "instances" if self.fitted < len(self) else "vectors"

    def scaled(self) -> tuple[Array, Array, Array]:
        """Deviations [instance, parameter], what they are from and what they are scaled by."""
        nominal = np.array([one.nominal for one in self.drawn.values()])
        scale = np.array([_CORNER * one.sigma or 1.0 for one in self.drawn.values()])
        return (np.stack(list(self.values.values()), 1) - nominal) / scale, nominal, scale


def instances(drawn: Mapping[str, Drawn], *, seed: int, path: str) -> Instances:
    """Chooses the instances of a bench.

    Args:
        drawn: what instances of the block draw, by name.
        seed: the study's seed.
        path: names the block in the draws.
    """
    corners = [
        one.nominal + _CORNER * one.sigma * np.array([0.0, -1.0, 1.0] if one.sigma else [0.0])
        for one in drawn.values()
    ]
    grid = np.array(list(itertools.product(*corners)))
    if len(grid) > 1:
        rng = Stream(seed).at(f"calibration/{path}", 0).rng()  # of every chip
        sigma = np.array([one.sigma for one in drawn.values()])
        fresh = rng.standard_normal((FRESH, len(drawn))) * sigma + grid[0]
        every = np.concatenate([grid, fresh])
    else:
        every = grid
    values = {name: one.clipped(every[:, k]) for k, (name, one) in enumerate(drawn.items())}
    return Instances(drawn, values, len(grid))


def fit_value(of: Instances, measured: Array, *, straight: bool = False) -> DrawnValue:
    """A number over what is drawn, by the instances that are fitted to.

    Args:
        of: the instances.
        measured: [instance].
        straight: of first degree only.
    """
    z, nominal, scale = of.scaled()
    terms = monomials(torch.from_numpy(z)).numpy()[: of.fitted]
    if straight:
        terms[:, 1 + z.shape[1] :] = 0
    # Terms that are all 0, as those of what is not drawn, get a coefficient of 0.
    size = np.abs(measured).max() or 1.0
    coefficients = np.linalg.lstsq(terms, measured[: of.fitted] / size, rcond=1e-10)[0]
    return _value(nominal, scale, size * coefficients)


def _value(nominal: Array, scale: Array, coefficients: Array) -> DrawnValue:
    return DrawnValue(*(torch.from_numpy(x) for x in (nominal, scale, coefficients)))


def fit_block(of: Instances, x: Array, y: Array, *, within: float) -> tuple[BlockCurves, Array]:
    """A block's curve over what is drawn, and its held-out errors [point, instance].

    Every second point of the first instance is a sample of the curve. Where nothing is drawn the
    points between are held out, else the fresh instances at these points.

    Args:
        of: the instances.
        x: swept input, [point]; it goes so far that no instance leaves the curve within `within`.
        y: outputs, [point, instance].
        within: the largest input, to either side, that is fitted to and held out.
    """
    z, nominal, scale = of.scaled()
    curves = fit_curves(x[::2], y[::2, :1])
    master = replace(curves, value=curves.value[0], slope=curves.slope[0])
    terms = monomials(torch.from_numpy(z)).numpy()
    varied = np.flatnonzero(np.abs(terms[: of.fitted]).max(0) > 0)[1:]  # 1 is the block's alone
    inside = np.abs(x) <= within
    fitted, between = inside[::2], inside[1::2]
    placing = _Placing(master, terms, varied, within, float(np.abs(y[inside]).max()) or 1.0)
    coefficients = np.zeros((2, len(varied)))
    if len(varied):
        some = slice(1, of.fitted)
        at, known = x[::2][fitted], y[::2, some][fitted]
        coefficients, rough = placing.nearest(coefficients, at, known, some)
        more = np.concatenate([coefficients, np.zeros_like(coefficients)])
        richer, fine = placing.nearest(more, at, known, some)
        if fine < _WORTH * rough:
            coefficients = richer
    of_instances = (_value(nominal, scale, one) for one in placing.values(coefficients))
    known = y[1::2, of.fresh][between]
    error = placing.outputs(coefficients, x[1::2][between], of.fresh)[0] - known
    return BlockCurves(master, *of_instances), error


@dataclass(frozen=True, eq=False)
class _Placing:
    """How instances place a curve.

    Attributes:
        master: the curve.
        terms: monomials of all instances, [instance, term].
        varied: those that differ.
        in_size: of inputs.
        out_size: of outputs.
    """

    master: Curves
    terms: Array
    varied: NDArray[np.intp]
    in_size: float
    out_size: float

    def values(self, c: Array) -> list[Array]:
        """Coefficients of a, b and, where there are four rows, s and t, [term] each.

        Args:
            c: of what is varied, in units of one, [2 or 4, varied term].
        """
        units = (1.0, self.in_size, 1.0, self.out_size)
        found = []
        for number, row in enumerate(c):
            whole = np.zeros(self.terms.shape[1])
            whole[self.varied] = units[number] * row
            whole[0] = 1.0 if number in (0, 2) else 0.0
            found.append(whole)
        return found

    def outputs(self, c: Array, x: Array, some: slice) -> tuple[Array, list[Array]]:
        """Of some instances, [point, instance], and their slopes by a, b, s and t in such units."""
        placed = [self.terms[some] @ one for one in self.values(c)]
        inside = torch.from_numpy(x[:, None] * placed[0] + placed[1]).requires_grad_()
        f = self.master(inside)
        (slope,) = torch.autograd.grad(f.sum(), inside)
        y, by_inside = f.detach().numpy(), slope.numpy()
        if len(placed) == 4:
            by_output = [y, np.full_like(y, self.out_size)]
            y, by_inside = y * placed[2] + placed[3], by_inside * placed[2]
        else:
            by_output = []
        return y, [by_inside * x[:, None], by_inside * self.in_size, *by_output]

    def nearest(self, start: Array, x: Array, known: Array, some: slice) -> tuple[Array, float]:
        """Coefficients nearest to what was measured, and the rms error that is left (Gauss-Newton).

        Args:
            start: [2 or 4, varied term].
            x: [point].
            known: [point, instance].
            some: which instances.
        """
        best, least = start, np.inf
        c, ridge = start, np.zeros(start.shape)
        ridge[2:] = _RIDGE * np.sqrt(known.size)
        terms = self.terms[some][:, self.varied]
        for _ in range(_STEPS):
            y, slopes = self.outputs(c, x, some)
            off = (y - known) / self.out_size
            error = float(np.sqrt(np.square(off).mean()))
            ended = not error < _ENDS * least
            if error < least:
                best, least = c, error
            if ended:
                break
            columns = np.concatenate(
                [(slope[:, :, None] * terms / self.out_size).reshape(known.size, -1)
                 for slope in slopes], 1
            )  # fmt: skip
            matrix = np.concatenate([columns, np.diag(ridge.ravel() + _TINY)])
            wanted = np.concatenate([off.ravel(), (ridge * c).ravel()])
            step = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
            c = c - step.reshape(c.shape)
        return best, least
