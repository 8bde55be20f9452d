"""Wires in closed form: the transfer of an array to second order in the wire resistance.

With R the resistance that two cells' paths share (`nodal.transfer`), cell currents obey
i = G (v - R_word i - R_bit i). Expanding in R and summing over a bit line gives, for 1 V on word
line `row`, with * the product cell by cell:

  T = G (1 - a - b + ...),  a = G R_word,  b = R_bit G,
  second order  (G*a) R_word  +  R_bit (G*b)  +  a*b  +  C/G.

C is the sneak path: current that leaves a bit line through a third cell (`WireModel._sneak`). The
rational form below agrees with the expansion to second order and stays
bounded where the expansion does not (D is its denominator, and the sneak path is damped once
more by the wires it passes):

  T = (G + t3 C / (1 + a + b)) / D
  D = 1 + a + b + t0 (a*a - (G*a) R_word) + t1 (b*b - R_bit (G*b)) + t2 a*b

The four weights are 1 by theory; calibration against ngspice moves them by what higher orders
do at the chip's own resistances. All sums are running sums along the lines. The gradient is written
out: autograd would pass over the array twice as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Self

import torch

from compact_models.errors import InputError
from cosim.surrogate.line_drops import BitDrops, WordDrops

THEORY = (1.0, 1.0, 1.0, 1.0)
# Mean current loss up to which the form with the weights of theory was measured to be within
# one per cent, on uniform, two-level, sparse and paired arrays, wires, drivers or sense ends
# taking most of it (tests/cosim/test_wire_surrogate.py).
REGION = 0.3


@dataclass(frozen=True)
class WireModel:
    """The closed form for arrays of one shape.

    Args:
        word: what word lines do.
        bit: what bit lines do.
        weights: t0 to t3.
    """

    word: WordDrops
    bit: BitDrops
    weights: tuple[float, float, float, float] = THEORY

    def with_sense(self, sense_ohm: torch.Tensor) -> Self:
        """The same with other resistances in series at the sense nodes, [col]."""
        return replace(self, bit=replace(self.bit, sense_ohm=sense_ohm))

    def transfer_s(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The transfer [..., row, col] of conductances [..., row, col], both in siemens."""
        return self.with_losses(conductance_s)[0]

    def with_losses(
        self, conductance_s: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The transfer, and to first order what word and bit lines take, without gradients."""
        found: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
        found = _ClosedForm.apply(conductance_s, self)  # type: ignore[no-untyped-call]  # torch
        return found

    def mean_loss(self, conductance_s: torch.Tensor) -> float:
        """Share of the current that wires take for equal inputs, to first order: the region.

        Up to `REGION` the closed form is within one per cent (Frobenius) of the exact transfer.
        """
        first = 1 + self.word(conductance_s) + self.bit(conductance_s)
        total = float(conductance_s.sum())
        return 1 - float((conductance_s / first).sum()) / total if total > 0 else 0.0

    def offset_current_a(
        self, conductance_s: torch.Tensor, transfer_s: torch.Tensor, sense_v: torch.Tensor
    ) -> torch.Tensor:
        """Currents that voltages behind the sense resistance drive, [..., col], in amperes.

        A bit line held at a voltage sends current through its cells to the drivers, and lifts
        the word lines on the way: v - lift, lift = (I + R G)^-1 R G v taken as R G v / (1 + a).
        For equal voltages this is the transfer's own column sum, as reciprocity demands.

        Args:
            conductance_s: [..., row, col].
            transfer_s: the transfer, exact or not, [..., row, col].
            sense_v: [..., col] in volts.
        """
        a = self.word(conductance_s)
        path = transfer_s * (1 + a)  # the transfer without what its own word line takes
        held = sense_v.unsqueeze(-2)
        lift = self.word(conductance_s * held) / (1 + a)
        return -(path * (held - lift)).sum(-2)

    def _terms(self, g: torch.Tensor) -> Terms:
        """What the transfer is made of, for conductances [..., row, col]; without gradients."""
        a, b = self.word(g), self.bit(g)
        first = 1 + a + b
        squares = g * g
        word_own, bit_own = self.word.own_ohm, self.bit.own_ohm
        # The sneak path C_ij = sum over k, l of R_bit,ik G_kj R_word,jl G_kl G_il. The terms that
        # come back through the cell's own word line (k = i) or bit line (l = j) are taken exactly:
        # in an array of few strong cells they are all there is. In the others the third cell G_kl
        # is the mean of its word line, weighted as R_word,j weights it.
        own_word_line = self.word(squares)
        own_bit_line = torch.addcmul(self.bit(squares), bit_own, squares, value=-1.0)
        rest = torch.addcmul(a, word_own, g, value=-1.0)
        # 0 where there is no other cell, or no wire
        others = self.word.others_ohm.clamp(min=torch.finfo(g.dtype).tiny)
        by_mean = (g * rest) / others
        elsewhere = torch.addcmul(self.bit(by_mean), bit_own, by_mean, value=-1.0)
        sneak = torch.addcmul(bit_own * own_word_line, word_own, own_bit_line) * g
        sneak = torch.addcmul(sneak, rest, elsewhere)
        return Terms(
            a=a,
            b=b,
            first=first,
            word=torch.addcmul(-self.word(g * a), a, a),
            bit=torch.addcmul(-self.bit(g * b), b, b),
            mixed=a * b,
            sneak=sneak / first,
            own_word_line=own_word_line,
            own_bit_line=own_bit_line,
            rest=rest,
            elsewhere=elsewhere,
        )


@dataclass(frozen=True)
class Terms:
    """What the closed form is made of, [..., row, col] each; see the head of this file.

    Attributes:
        a: what the word line takes, to first order.
        b: what the bit line takes, to first order.
        first: 1 + a + b.
        word: second order of the word line.
        bit: second order of the bit line.
        mixed: a b.
        sneak: C / (1 + a + b).
        own_word_line: R_word on squared conductances.
        own_bit_line: R_bit on them, without the cell's own.
        rest: a without the cell's own part.
        elsewhere: the sneak path's way down other word lines.
    """

    a: torch.Tensor
    b: torch.Tensor
    first: torch.Tensor
    word: torch.Tensor
    bit: torch.Tensor
    mixed: torch.Tensor
    sneak: torch.Tensor
    own_word_line: torch.Tensor
    own_bit_line: torch.Tensor
    rest: torch.Tensor
    elsewhere: torch.Tensor


class _ClosedForm(torch.autograd.Function):
    """The closed form and its gradient; resistances get none."""

    @staticmethod
    def forward(
        ctx: Any, g: torch.Tensor, model: WireModel
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The transfer, and what lines take; that without a gradient."""
        t0, t1, t2, t3 = model.weights
        terms = model._terms(g)
        full = terms.first + t0 * terms.word + t1 * terms.bit + t2 * terms.mixed
        # Far beyond its region the correction may be as large as what it corrects, and negative:
        # half of the first order is the least that is left, so that currents stay bounded.
        below = torch.maximum(full, 0.5 * terms.first)
        transfer = (g + t3 * terms.sneak) / below
        ctx.model, ctx.terms = model, terms
        ctx.save_for_backward(g, transfer, below, full < below)
        ctx.mark_non_differentiable(terms.a, terms.b)
        ctx.set_materialize_grads(False)
        return transfer, terms.a, terms.b

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: torch.Tensor | None, *_: None
    ) -> tuple[torch.Tensor | None, None]:
        """Of the conductances: every sum along a line is symmetric, so it is its own transpose."""
        if gradient is None:
            return None, None
        g, transfer, below, bounded = ctx.saved_tensors
        model: WireModel = ctx.model
        terms: Terms = ctx.terms
        t0, t1, t2, t3 = model.weights
        word_own, bit_own = model.word.own_ohm, model.bit.own_ohm
        # addcmul: a product and a sum in one pass over the array
        of_g = gradient / below
        of_below = torch.mul(transfer, of_g).neg_()
        of_full = of_below.masked_fill(bounded, 0.0)
        of_sneak = (of_g / terms.first).mul_(t3)  # of C
        of_first = torch.addcmul(of_full, of_sneak, terms.sneak, value=-1.0)
        of_first = of_first.add_(of_below.sub_(of_full), alpha=0.5)
        of_a = torch.addcmul(of_first, of_full, terms.a, value=2 * t0)
        of_a = of_a.addcmul_(of_full, terms.b, value=t2)
        of_b = of_first.addcmul_(of_full, terms.b, value=2 * t1)
        of_b = of_b.addcmul_(of_full, terms.a, value=t2)
        through = model.word(of_full)  # of g a
        of_g = of_g.addcmul_(through, terms.a, value=-t0)
        of_a = of_a.addcmul_(through, g, value=-t0)
        through = model.bit(of_full)  # of g b
        of_g = of_g.addcmul_(through, terms.b, value=-t1)
        of_b = of_b.addcmul_(through, g, value=-t1)
        scaled = of_sneak * g
        mine = word_own * scaled
        twice = model.word(bit_own * scaled) + model.bit(mine)  # of g g
        of_g = of_g.addcmul_(twice.addcmul_(bit_own, mine, value=-1.0), g, value=2.0)
        own = (bit_own * terms.own_word_line).addcmul_(word_own, terms.own_bit_line)
        of_g = of_g.addcmul_(of_sneak, own)
        of_elsewhere = of_sneak * terms.rest
        of_mean = torch.addcmul(model.bit(of_elsewhere), bit_own, of_elsewhere, value=-1.0)
        of_mean = of_mean.div_(model.word.others_ohm.clamp(min=torch.finfo(g.dtype).tiny))
        of_rest = (of_sneak * terms.elsewhere).addcmul_(of_mean, g)
        of_g = of_g.addcmul_(of_mean, terms.rest).addcmul_(word_own, of_rest, value=-1.0)
        of_g = of_g.add_(model.word(of_a.add_(of_rest))).add_(model.bit(of_b))
        return of_g, None


def wire_model(
    rows: int,
    cols: int,
    *,
    r_wordline_ohm: float,
    r_bitline_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float | torch.Tensor = 0.0,
    weights: tuple[float, float, float, float] = THEORY,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> WireModel:
    """The closed form for [row, col] arrays with these wires; conventions of `solve_transfer`.

    Raises:
        InputError: what is no resistance, an open, or a resistance per line or segment, which the
            closed form knows at the sense nodes only.
    """
    word, bit, driver = (
        _one_ohm(name, value)
        for name, value in (
            ("r_wordline_ohm", r_wordline_ohm),
            ("r_bitline_ohm", r_bitline_ohm),
            ("r_driver_ohm", r_driver_ohm),
        )
    )
    if isinstance(r_sense_ohm, torch.Tensor) and r_sense_ohm.ndim:
        if r_sense_ohm.shape != (cols,):
            raise InputError(
                "one value, or one for every bit line",
                where="r_sense_ohm",
                value=tuple(r_sense_ohm.shape),
                allowed=f"[{cols}]",
            )
        for value in r_sense_ohm.tolist():
            _one_ohm("r_sense_ohm", value)
        ends = r_sense_ohm
    else:
        ends = torch.as_tensor(_one_ohm("r_sense_ohm", r_sense_ohm), dtype=dtype)
    sense = torch.as_tensor(ends, dtype=dtype, device=device).expand(cols)
    return WireModel(WordDrops(cols, word, driver, sense), BitDrops(rows, bit, sense), weights)


def _one_ohm(name: str, value: object) -> float:
    """A resistance that the closed form can take."""
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, torch.Tensor):
        raise InputError(
            "the closed form knows one resistance for all of these",
            where=name,
            value=tuple(value.shape),
            allowed="one value",
        )
    none = isinstance(value, bool) or not isinstance(value, Real)
    ohm = float("nan") if none else float(value)  # type: ignore[arg-type]  # a Real
    if not 0 <= ohm < float("inf"):
        raise InputError("not a resistance", where=name, value=value, allowed=">= 0 ohm and finite")
    return ohm


def fit_weights(
    model: WireModel, conductances_s: Sequence[torch.Tensor], transfers_s: Sequence[torch.Tensor]
) -> tuple[float, float, float, float]:
    """The weights with which the closed form is nearest to measured transfers.

    Multiplying the form by its denominator makes it linear in the weights. A ridge pulls them
    to theory, so that terms that hardly matter at these resistances stay where they belong.

    Args:
        model: the closed form; its own weights are not used.
        conductances_s: calibration arrays, each [row, col].
        transfers_s: their measured transfers, each [row, col].
    """
    columns: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    for g, t in zip(conductances_s, transfers_s, strict=True):
        terms = model._terms(g)
        scale = t.norm() * terms.first  # errors of T itself, not of T times the denominator
        design = [t * terms.word, t * terms.bit, t * terms.mixed, -terms.sneak]
        rest = g - t * terms.first - sum(design)  # what is left of the equation at theory
        columns.append(torch.stack([(x / scale).flatten() for x in design], dim=1))
        targets.append((rest / scale).flatten())
    matrix, target = torch.cat(columns), torch.cat(targets)
    normal = matrix.T @ matrix
    ridge = 1e-3 * normal.trace() / 4 + torch.finfo(matrix.dtype).tiny
    step = torch.linalg.solve(normal + ridge * torch.eye(4, dtype=matrix.dtype), matrix.T @ target)
    t0, t1, t2, t3 = (1.0 + float(x) for x in step)
    return (t0, t1, t2, t3)
