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
do at the chip's own resistances. All sums are products with two fixed small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cosim.nodal.transfer import bitline_resistances, wordline_resistances

THEORY = (1.0, 1.0, 1.0, 1.0)
# Mean current loss up to which the form with the weights of theory was measured to be within
# one per cent, on uniform, two-level, sparse and paired arrays, wires, drivers or sense ends
# taking most of it (tests/cosim/test_wire_surrogate.py).
REGION = 0.3


@dataclass(frozen=True)
class WireModel:
    """The closed form for arrays of one shape.

    Args:
        wordline_ohm: shared word-line resistances, [col, col].
        bitline_ohm: shared bit-line resistances without the sense end, [row, row].
        sense_ohm: resistance in series at each sense node, [col].
        weights: t0 to t3.
    """

    wordline_ohm: torch.Tensor
    bitline_ohm: torch.Tensor
    sense_ohm: torch.Tensor
    weights: tuple[float, float, float, float] = THEORY

    def transfer_s(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The transfer [..., row, col] of conductances [..., row, col], both in siemens."""
        terms = self._terms(conductance_s)
        t0, t1, t2, t3 = self.weights
        second = t0 * terms.word + t1 * terms.bit + t2 * terms.mixed
        # Far beyond its region the correction may be as large as what it corrects, and negative:
        # half of the first order is the least that is left, so that currents stay bounded.
        below = torch.maximum(terms.first + second, 0.5 * terms.first)
        return (conductance_s + t3 * terms.sneak) / below

    def mean_loss(self, conductance_s: torch.Tensor) -> float:
        """Share of the current that wires take for equal inputs, to first order: the region.

        Up to `REGION` the closed form is within one per cent (Frobenius) of the exact transfer.
        """
        first = self._terms(conductance_s).first
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
        a = conductance_s @ self.wordline_ohm
        path = transfer_s * (1 + a)  # the transfer without what its own word line takes
        held = sense_v.unsqueeze(-2)
        lift = ((conductance_s * held) @ self.wordline_ohm) / (1 + a)
        return -(path * (held - lift)).sum(-2)

    def _terms(self, g: torch.Tensor) -> _Terms:
        a = g @ self.wordline_ohm
        b = self._along_bitline(g)
        first = 1 + a + b
        return _Terms(
            first=first,
            word=a * a - (g * a) @ self.wordline_ohm,
            bit=b * b - self._along_bitline(g * b),
            mixed=a * b,
            sneak=self._sneak(g, a) / first,
        )

    def _sneak(self, g: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        """C_ij = sum over k, l of R_bit,ik G_kj R_word,jl G_kl G_il, in O(cells).

        The terms that come back through the cell's own word line (k = i) or bit line (l = j) are
        taken exactly: in an array of few strong cells they are all there is. In the others the
        third cell G_kl is the mean of its word line, weighted as R_word,j weights it.
        """
        word_own = self.wordline_ohm.diagonal()
        bit_own = self.bitline_ohm.diagonal().unsqueeze(-1) + self.sense_ohm
        squares = g * g
        own_word_line = bit_own * g * (squares @ self.wordline_ohm)
        own_bit_line = word_own * g * (self._along_bitline(squares) - bit_own * squares)
        others = self.wordline_ohm.sum(0) - word_own  # 0 where there is no other, or no wire
        mean = (a - word_own * g) / others.clamp(min=torch.finfo(g.dtype).tiny)
        elsewhere = self._along_bitline(g * mean) - bit_own * g * mean
        return own_word_line + own_bit_line + (a - word_own * g) * elsewhere

    def _along_bitline(self, x: torch.Tensor) -> torch.Tensor:
        return self.bitline_ohm @ x + self.sense_ohm * x.sum(-2, keepdim=True)


@dataclass(frozen=True)
class _Terms:
    first: torch.Tensor
    word: torch.Tensor
    bit: torch.Tensor
    mixed: torch.Tensor
    sneak: torch.Tensor


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
) -> WireModel:
    """The closed form for [row, col] arrays with these wires; conventions of `solve_transfer`."""
    like = torch.zeros((), dtype=dtype)
    sense = torch.as_tensor(r_sense_ohm, dtype=dtype).expand(cols)
    return WireModel(
        wordline_resistances(cols, r_wordline_ohm, r_driver_ohm, like),
        bitline_resistances(rows, r_bitline_ohm, like),
        sense,
        weights,
    )


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
