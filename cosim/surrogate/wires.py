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
do at the chip's own resistances. All sums are running sums along the lines. `wire_loops` computes
it, and its gradient by the conductances, in one compiled loop; the same written with torch, in
`WireModel._terms`, is what calibration fits and what resistances are trained through.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import Any, Self

import numpy as np
import torch

from compact_models.errors import InputError
from cosim.nodal.lines import Ohm, first_wrong
from cosim.pulses.trains import on_host
from cosim.surrogate.line_drops import BitDrops, WordDrops
from cosim.surrogate.wire_loops import closed_form, gradient

THEORY = (1.0, 1.0, 1.0, 1.0)
# Within these the form with the weights of theory was measured to be within one per cent, on
# uniform, two-level, sparse and paired arrays and on single lines, wires, drivers or sense ends
# taking most of it (tests/cosim/test_wire_surrogate.py): a mean loss up to the first where all
# segments are alike, and a loss of every cell up to the second in any case.
REGION, REGION_OF_A_CELL = 0.25, 0.4
ERROR_WITHIN = 0.01


MUCH = 1 / (1 - REGION_OF_A_CELL) - 1
"""The region of a cell, of the current that is left to it: what is below it is inside."""


def warn_outside(outside: str, where: str) -> None:
    """Warns of an answer outside the region.

    Args:
        outside: what `WireModel.outside` says.
        where: which array it is.
    """
    warnings.warn(
        f"{where}: {outside}; compare with `solve_transfer`, or anchor on it (`AnchoredTransfer`)",
        RuntimeWarning,
        stacklevel=3,
    )


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
        """The same with other resistances in series at the sense nodes, [col] or [..., col]."""
        held = sense_ohm if sense_ohm.requires_grad else sense_ohm.detach().clone()
        return replace(self, bit=replace(self.bit, sense_ohm=held))

    def with_live(self, live: torch.Tensor) -> Self:
        """The same for arrays that are padded on the right, so that padding changes nothing.

        Args:
            live: 1 where bit lines have cells, 0 where they are padded, [..., col].
        """
        mask = live.to(self.word.segment_ohm).unsqueeze(-2)
        return replace(self, word=replace(self.word, live=mask))

    def transfer_s(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The transfer [..., row, col] of conductances [..., row, col], both in siemens.

        Warns outside of the region, as `outside` says; `with_losses` and compiled code do not.
        """
        transfer, word, bit = self.with_losses(conductance_s)
        if torch.compiler.is_compiling():
            return transfer
        outside = self.outside_by(conductance_s, word, bit)
        if outside:
            warn_outside(outside, f"{' x '.join(map(str, conductance_s.shape))} cells")
        return transfer

    def with_losses(
        self, conductance_s: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The transfer, and to first order what word and bit lines take, without gradients."""
        transfer, _, word, bit = self.with_held(conductance_s, conductance_s.new_zeros(1))
        return transfer, word, bit

    def with_held(
        self, conductance_s: torch.Tensor, sense_v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The transfer, what held bit lines drive, and the losses of `with_losses`.

        Args:
            conductance_s: [..., row, col].
            sense_v: see `offset_current_a`.

        Returns:
            The transfer [..., row, col]; currents as `offset_current_a` has them; losses.
        """
        # Resistances that are trained are rare, and autograd knows the way.
        trained = self.trained or sense_v.requires_grad
        if trained or not conductance_s.is_cpu or torch.compiler.is_compiling():
            terms = self._terms(conductance_s)
            transfer = self._rational(conductance_s, terms)
            # By name: who takes other conductances than his own has them converted by now.
            held = WireModel.offset_current_a(self, conductance_s, transfer, sense_v)
            return transfer, held, terms.a.detach(), terms.b.detach()
        found: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
        found = _ClosedForm.apply(conductance_s, sense_v, self)  # type: ignore[no-untyped-call]  # torch
        return found

    @cached_property
    def _given(self) -> _Lines:
        """What the loops are given of the lines, without gradients."""
        return _Lines.of(self.word, self.bit)

    def mean_loss(self, conductance_s: torch.Tensor) -> float:
        """Share of the current that wires take for equal inputs, to first order.

        Of stacked arrays that of the one that loses most.
        """
        first = self._first(conductance_s)
        total = conductance_s.sum((-2, -1))
        left = (conductance_s / first).sum((-2, -1))
        return float((1 - left / total).nan_to_num(nan=0.0).amax())

    def largest_loss(self, conductance_s: torch.Tensor) -> float:
        """The same of the cell that loses most."""
        return 1 - 1 / float(self._first(conductance_s).max())

    def outside(self, conductance_s: torch.Tensor) -> str:
        """Why the closed form may be off by more than one per cent (Frobenius); empty within.

        Up to `REGION` and `REGION_OF_A_CELL` it is within one per cent of the exact transfer.
        """
        mean, largest = self.mean_loss(conductance_s), self.largest_loss(conductance_s)
        alike = self.word.alike and self.bit.alike
        if largest <= REGION_OF_A_CELL or (alike and mean <= REGION):
            return ""
        return (
            f"wires take about {100 * mean:.0f} % of the current, {100 * largest:.0f} % of one"
            " cell's; the closed form is within 1 % up to"
            + (f" {100 * REGION:.0f} % in the mean or" if alike else "")
            + f" {100 * REGION_OF_A_CELL:.0f} % of every cell's"
        )

    def outside_by(self, conductance_s: torch.Tensor, word: torch.Tensor, bit: torch.Tensor) -> str:
        """The same, quickly where no cell loses much, with what `with_losses` gave."""
        largest = float((word + bit).amax()) if word.numel() else 0.0
        return self.outside(conductance_s.detach()) if largest > MUCH else ""

    def _first(self, conductance_s: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            word, bit = self._lines()
            return 1 + word(conductance_s) + bit(conductance_s)

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
        word, _ = self._lines()
        a = word(conductance_s)
        path = transfer_s * (1 + a)  # the transfer without what its own word line takes
        held = sense_v.unsqueeze(-2)
        lift = word(conductance_s * held) / (1 + a)
        return -(path * (held - lift)).sum(-2)

    @property
    def trained(self) -> bool:
        """A resistance has gradients."""
        return self.word.trained or self.bit.trained

    def _lines(self) -> tuple[WordDrops, BitDrops]:
        return self.word.fresh(), self.bit.fresh()

    def _terms(self, g: torch.Tensor) -> Terms:
        """What the transfer is made of, for conductances [..., row, col]."""
        word, bit = self._lines()
        a, b = word(g), bit(g)
        first = 1 + a + b
        squares = g * g
        word_own, bit_own = word.own_ohm, bit.own_ohm
        # The sneak path C_ij = sum over k, l of R_bit,ik G_kj R_word,jl G_kl G_il. The terms that
        # come back through the cell's own word line (k = i) or bit line (l = j) are taken exactly:
        # in an array of few strong cells they are all there is. In the others a cell G_il is the
        # mean of its word line, weighted as R_word,j weights it.
        own_word_line = word(bit_own * squares)
        mine = word_own * squares
        own_bit_line = torch.addcmul(bit(mine), bit_own, mine, value=-1.0)
        rest = torch.addcmul(a, word_own, g, value=-1.0)
        mean = rest * _inverse(word.others_ohm)
        paths = g * rest
        elsewhere = torch.addcmul(bit(paths), bit_own, paths, value=-1.0)
        sneak = (own_word_line + own_bit_line).mul_(g).addcmul_(mean, elsewhere)
        return Terms(
            a=a,
            b=b,
            first=first,
            word=torch.addcmul(-word(g * a), a, a),
            bit=torch.addcmul(-bit(g * b), b, b),
            mixed=a * b,
            sneak=sneak / first,
        )

    def _rational(self, g: torch.Tensor, terms: Terms) -> torch.Tensor:
        """The transfer."""
        t0, t1, t2, t3 = self.weights
        full = terms.first + t0 * terms.word + t1 * terms.bit + t2 * terms.mixed
        # Far beyond its region the correction may be as large as what it corrects, and negative:
        # half of the first order is the least that is left, so that currents stay bounded.
        return (g + t3 * terms.sneak) / torch.maximum(full, 0.5 * terms.first)


def _inverse(ohm: torch.Tensor) -> torch.Tensor:
    """1 / ohm, and 0 where a cell shares nothing with others: there is no other cell, or no wire.

    What rounding leaves of nothing must not be divided by nothing.
    """
    none = ohm == 0
    return ohm.masked_fill(none, 1.0).reciprocal().masked_fill(none, 0.0)


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
    """

    a: torch.Tensor
    b: torch.Tensor
    first: torch.Tensor
    word: torch.Tensor
    bit: torch.Tensor
    mixed: torch.Tensor
    sneak: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines as `wire_loops` is given them.

    Attributes:
        lead: leading axes that lines differ along.
        before: what is the same for all parts, as in `wire_loops.closed_form`.
        sense_ohm: [1 or part, col].
        inverse: 1 over what a cell shares with others, [1 or part, 1 or row, col].
    """

    lead: tuple[int, ...]
    before: tuple[Any, ...]
    sense_ohm: Any
    inverse: Any

    @staticmethod
    def of(word: WordDrops, bit: BitDrops, lead: tuple[int, ...] = ()) -> _Lines:
        """Of lines without gradients, for parts that differ along these axes at least."""
        rows, cols = bit.rows, word.cols
        segment, path = (
            one.expand(*(one.shape[:-1] or (1,)), cols) for one in (word.segment_ohm, word.own_ohm)
        )
        below = bit.segment_ohm.expand(rows, cols)
        shared = word.others_ohm.expand(*(word.others_ohm.shape[:-1] or (1,)), cols)
        lead = np.broadcast_shapes(lead, bit.sense_ohm.shape[:-1], shared.shape[:-2])
        return _Lines(
            lead,
            (
                on_host(segment),
                on_host(path),
                on_host(word.driver_ohm.expand(rows)),
                on_host(below),
                on_host(below.flip(0).cumsum(0).flip(0)),
            ),
            _by_part(bit.sense_ohm, lead, 1),
            _by_part(_inverse(shared), lead, 2),
        )


def _by_part(values: torch.Tensor, lead: tuple[int, ...], count: int) -> Any:
    """Values [..., count last axes] as loops take them, [1 or part, ...]."""
    own = values.shape[-count:]
    if math.prod(values.shape[:-count]) == 1:
        return on_host(values.reshape(1, *own))
    return on_host(values.expand(*lead, *own).reshape(-1, *own))


class _ClosedForm(torch.autograd.Function):
    """The closed form and its gradient by the conductances, for resistances that have none."""

    @staticmethod
    def forward(
        ctx: Any, g: torch.Tensor, held_v: torch.Tensor, model: WireModel
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `WireModel.with_held`; without a gradient by what lines are held at."""
        *own, rows, cols = g.shape
        lines, lead = model._given, tuple(own)
        if lead != lines.lead or held_v.shape[:-1] not in ((), lead):
            lead = np.broadcast_shapes(lead, lines.lead, held_v.shape[:-1])
            lines = _Lines.of(model.word, model.bit, lead)
        cells = g.expand(*lead, rows, cols)
        shape = (math.prod(lead), rows, cols)
        transfer, a, b = (torch.empty(*lead, rows, cols, dtype=g.dtype) for _ in range(3))
        held_a = torch.empty(*lead, cols, dtype=g.dtype)
        kept = np.empty((shape[0], 5, rows, cols), transfer.numpy().dtype)
        given: tuple[Any, ...] = (
            on_host(cells).reshape(shape),
            *lines.before,
            lines.sense_ohm,
            lines.inverse,
            _by_part(held_v.expand(*held_v.shape[:-1], cols), lead, 1),
            model.weights,
        )
        filled = [one.numpy().reshape(shape) for one in (transfer, a, b)]
        at_rest = held_a.numpy().reshape(-1, cols)
        closed_form(*(*given, filled[0], at_rest, *filled[1:], kept))
        ctx.given, ctx.kept, ctx.lead = given, kept, lead
        # So that torch sees when one of them was written into meanwhile.
        ctx.save_for_backward(g, transfer, a, b)
        ctx.mark_non_differentiable(a, b)
        ctx.set_materialize_grads(False)
        return transfer, held_a, a, b

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_transfer: torch.Tensor | None, of_held: torch.Tensor | None, *_: None
    ) -> tuple[torch.Tensor | None, None, None]:
        """By the conductances."""
        g, *outputs = ctx.saved_tensors
        given = ctx.given
        shape = given[0].shape
        filled = [one.detach().numpy().reshape(shape) for one in outputs]
        if of_transfer is None and of_held is None:
            return None, None, None
        by = [
            np.zeros(like, given[0].dtype) if one is None else on_host(one).reshape(like)
            for one, like in ((of_transfer, shape), (of_held, (shape[0], shape[-1])))
        ]
        found = torch.empty(shape, dtype=g.dtype)
        gradient(*(*given, *filled, ctx.kept, *by, found.numpy()))
        # Of arrays that were taken for several parts, the sum.
        return found.view(*ctx.lead, *g.shape[-2:]).sum_to_size(g.shape), None, None


def wire_model(
    rows: int,
    cols: int,
    *,
    r_wordline_ohm: Ohm,
    r_bitline_ohm: Ohm,
    r_driver_ohm: Ohm = 0.0,
    r_sense_ohm: Ohm = 0.0,
    weights: tuple[float, float, float, float] = THEORY,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> WireModel:
    """The closed form for [row, col] arrays with these wires; differentiable in all of them.

    Args:
        rows: word lines.
        cols: bit lines.
        r_wordline_ohm: word-line segment on the left of every cell; one value or [row, col].
        r_bitline_ohm: bit-line segment below every cell; one value or [row, col].
        r_driver_ohm: in series at the driver; one value or [row].
        r_sense_ohm: in series at the sense node; one value or [col].
        weights: t0 to t3.
        dtype: of conductances and transfers.
        device: where they are.

    Raises:
        InputError: what is no resistance, an open, or of another shape.
    """
    word, bit, driver, sense = (
        _ohm(name, value, shape).to(dtype=dtype, device=device)
        for name, value, shape in (
            ("r_wordline_ohm", r_wordline_ohm, (rows, cols)),
            ("r_bitline_ohm", r_bitline_ohm, (rows, cols)),
            ("r_driver_ohm", r_driver_ohm, (rows,)),
            ("r_sense_ohm", r_sense_ohm, (cols,)),
        )
    )
    return WireModel(
        WordDrops(cols, word, driver), BitDrops(rows, bit, sense.expand(cols)), weights
    )


def _ohm(name: str, value: object, shape: tuple[int, ...]) -> torch.Tensor:
    """Resistances that the closed form can take: one value, or one for each line or segment."""
    if isinstance(value, torch.Tensor):
        if value.ndim and value.shape != shape:
            raise InputError(
                f"one value, or one for every {'segment' if len(shape) == 2 else 'line'}",
                where=name,
                value=tuple(value.shape),
                allowed=str(list(shape)),
            )
        ohm = value
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(
            "not a resistance",
            where=name,
            value=value,
            allowed="a number or a torch tensor [ohm]",
            hint="torch.from_numpy makes one of a numpy array"
            if isinstance(value, np.ndarray)
            else "",
        )
    else:
        ohm = torch.tensor(float(value), dtype=torch.float64)
    right = (ohm >= 0) & torch.isfinite(ohm)
    if not bool(right.all()):
        raise InputError(
            "not a resistance",
            **first_wrong(name, ohm.detach(), right),
            allowed=">= 0 ohm and finite",
            hint="solve_transfer takes opens",
        )
    # What is not trained stays as it was given, whatever is written into the tensor later.
    return ohm if ohm.requires_grad else ohm.detach().clone()


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
