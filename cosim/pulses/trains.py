"""Pulse trains on the lines of an array, and where they coincide.

An outer product without arithmetic: every word line carries pulses with a probability that goes
with its x, every bit line with its d, and a cell makes one step where both have one at once. With
BL pulses the mean number of steps is BL p_x p_d = lr |x| |d| / dw_min. Gokmen, Vlasov,
"Acceleration of Deep Neural Network Training with Resistive Cross-Point Devices: Design
Considerations", Front. Neurosci. 10 (2016) 333, doi 10.3389/fnins.2016.00333; update management:
Gokmen, Onen, Haensch, Front. Neurosci. 11 (2017) 538, doi 10.3389/fnins.2017.00538; the length of
the trains: as aihwkit 1.2.0 documents it.

Deterministic trains give the same steps for the same x and d. The DeterministicImplicit pulses of
aihwkit round the product of the quantised x and d to whole steps and leave open what is on the
lines. Here a word line has its n = round(BL |x| / max|x|) pulses in the first slots of BL, as a DAC
of BL levels that codes by duration; a bit line has pulses at even distances, round(k rho) of them
in the first k slots with rho = lr max|x| |d| / (dw_min BL). So a cell makes
round(lr x_q |d| / dw_min) steps, where x_q is |x| rounded to BL parts of the largest. That is
biased: what asks for less than half a step makes none.

The update is -lr x d^T for weights [row, col]: x on the word lines, d, the gradient at the outputs,
on the bit lines. Where x and d differ in sign the weight goes up.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import Draw
from cosim.pulses.draw_trains import deterministic, stochastic
from cosim.pulses.spec import LONGEST as LONGEST
from cosim.pulses.spec import Kind
from cosim.pulses.visit import lines_by_slot

PULSES = (1 << LONGEST) - 1  # the bits of a word that are pulses
# Update management takes the largest probability to 1 by a root and a quotient, which round: so
# many times the dtype's own rounding.
_ROUNDING = 16
# Whole numbers of the same bits, and what rounding may do, by precision.
_KNOWN = {
    np.dtype(dtype).str: (pattern, float(_ROUNDING * np.finfo(dtype).eps))
    for dtype, pattern in ((np.float32, np.uint32), (np.float64, np.uint64))
}


@dataclass(frozen=True)
class UpdateRule:
    """How the pulses of the lines follow from x and d.

    Attributes:
        lr: learning rate, >= 0.
        dw_min: the step that the rule reckons with, in units of the weight, > 0.
        max_pulses: how many pulses a train has at most (BL), 1 to 31.
        update_management: scales x by sqrt(max|d| / max|x|) and d by its inverse, so that the
            largest probabilities of both sides are the same.
        update_bl_management: takes as few pulses as lr max|x| max|d| / dw_min needs.
        kind: "stochastic" draws pulses. "deterministic" trains always have `max_pulses` slots and
            are scaled to their largest values, whatever the two kinds of management say.

    Raises:
        InputError: a number that cannot be.
    """

    lr: float
    dw_min: float
    max_pulses: int = LONGEST
    update_management: bool = True
    update_bl_management: bool = True
    kind: Kind = "stochastic"

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 0 <= self.lr < math.inf:
            raise InputError("no learning rate", where="lr", value=self.lr, allowed="finite, >= 0")
        if not 0 < self.dw_min < math.inf:
            raise InputError("no step", where="dw_min", value=self.dw_min, allowed="finite, > 0")
        if self.max_pulses not in range(1, LONGEST + 1):
            raise InputError(
                "a train cannot have so many pulses",
                where="max_pulses",
                value=self.max_pulses,
                allowed=f"a whole number, 1 to {LONGEST}",
            )
        if self.kind not in get_args(Kind):
            raise InputError(
                "no kind of pulse trains",
                where="kind",
                value=self.kind,
                allowed=", ".join(get_args(Kind)),
            )


@dataclass(frozen=True, eq=False)
class PulseTrains:
    """Trains for a batch of updates, a word of 32 bits for each.

    Bit k (0 to 30) is pulse k; bit 31, the sign of the word, is that of x or d.

    Attributes:
        words: trains on the word lines, int32 [batch, row].
        bits: trains on the bit lines, int32 [batch, col].
        length: pulses of the trains, 0 where nothing is to be done, int64 [batch].
        clipped: how many probabilities would have been above 1 and are 1: the update is smaller
            than it should be.
        of: how many probabilities are above 0.
    """

    words: torch.Tensor
    bits: torch.Tensor
    length: torch.Tensor
    clipped: int
    of: int

    @cached_property
    def slots(self) -> Slots:
        """The same slot by slot: what updates and their energy are computed from."""
        words, bits = (on_host(lines).view(np.uint32) for lines in (self.words, self.bits))
        return Slots(words, bits, *lines_by_slot(words, bits))


@dataclass(frozen=True, eq=False)
class Slots:
    """Which lines have a pulse in which slot; see `cosim.pulses.visit.lines_by_slot`.

    Attributes:
        words: trains on the word lines, uint32 [batch, row].
        bits: trains on the bit lines, uint32 [batch, col].
        starts: where the bit lines of a slot begin in `lines`, [batch, 32].
        lines: bit lines with a pulse.
        of_word: pulses of each word line in all samples, int32 [row].
        of_bit: pulses of each bit line, int32 [col].
        word_pulses: of all word lines.
        coincidences: steps that cells are asked for.
        active: word lines with a pulse, counted in each sample.
    """

    words: NDArray[np.uint32]
    bits: NDArray[np.uint32]
    starts: NDArray[np.int32]
    lines: NDArray[np.int32]
    of_word: NDArray[np.int32]
    of_bit: NDArray[np.int32]
    word_pulses: int
    coincidences: int
    active: int


def pulse_trains(x: torch.Tensor, d: torch.Tensor, rule: UpdateRule, draw: Draw) -> PulseTrains:
    """As `drawn_trains`, and warns if probabilities were clipped."""
    made = drawn_trains(x, d, rule, draw)
    if made.clipped:
        warnings.warn(
            "probabilities of pulses above 1 were clipped and the update is too small: take a "
            "smaller lr, a larger max_pulses or update management; PulseTrains.clipped counts them",
            RuntimeWarning,
            stacklevel=2,
        )
    return made


def drawn_trains(x: torch.Tensor, d: torch.Tensor, rule: UpdateRule, draw: Draw) -> PulseTrains:
    """The trains of a batch; they count the probabilities that were clipped.

    They are a function of the values, the rule and the draw: the same on every machine and device.

    Args:
        x: activations [batch, row], taken in their own precision; half as single.
        d: gradients at the outputs [batch, col], likewise.
        rule: how pulses follow from them.
        draw: where the pulses are drawn from: another step in each call.

    Raises:
        InputError: a shape does not fit, or a number is not finite.
    """
    if x.ndim != 2 or d.ndim != 2 or x.shape[0] != d.shape[0]:
        raise InputError(
            "x and d are no batch of vectors",
            where="x, d",
            value=(tuple(x.shape), tuple(d.shape)),
            allowed="[batch, row] and [batch, col]",
        )
    dtype = x.dtype
    if dtype != d.dtype or dtype not in (torch.float32, torch.float64):
        dtype = torch.promote_types(torch.promote_types(dtype, d.dtype), torch.float32)
    made = trains_on_host(on_host(x, dtype), on_host(d, dtype), rule, draw)
    if x.is_cpu:
        return made
    there = PulseTrains(
        made.words.to(x.device), made.bits.to(x.device), made.length, made.clipped, made.of
    )
    there.__dict__["slots"] = made.slots
    return there


def trains_on_host(x: NDArray[Any], d: NDArray[Any], rule: UpdateRule, draw: Draw) -> PulseTrains:
    """The same of x and d of one precision, in one piece on the host; nothing is checked."""
    pattern, rounding = _KNOWN[x.dtype.str]
    rate, sides = rule.lr / rule.dw_min, (x, d)
    bits_of = sides[0].view(pattern), sides[1].view(pattern)
    if rule.kind == "stochastic":
        x_key, d_key, *_ = draw.keys()
        made = stochastic(
            *sides, *bits_of, rate, rule.max_pulses, rule.update_management,
            rule.update_bl_management, rounding, np.uint64(x_key), np.uint64(d_key),
        )  # fmt: skip
    else:
        made = deterministic(*sides, *bits_of, rate, rule.max_pulses, rounding)
    for_x, for_d, length, clipped, positive, words, bits, by_slot = made
    if not (for_x and for_d):
        where = "d" if for_x else "x"
        raise InputError("a value is not finite", where=where, allowed="finite numbers")
    on_word, on_bit = (torch.from_numpy(lines.view(np.int32)) for lines in (words, bits))
    trains = PulseTrains(on_word, on_bit, torch.from_numpy(length), clipped, positive)
    # Who moves cells by them needs it, and the words are at hand.
    trains.__dict__["slots"] = Slots(words, bits, *by_slot)
    return trains


def on_host(values: torch.Tensor, dtype: torch.dtype | None = None) -> NDArray[Any]:
    """The values on the host, in one piece: their own memory where they are so already."""
    if values.requires_grad:
        values = values.detach()
    elif values.is_cpu and dtype in (None, values.dtype) and values.is_contiguous():
        own: NDArray[Any] = values.numpy()
        return own
    if not values.is_cpu or dtype not in (None, values.dtype):
        values = values.to("cpu", dtype or values.dtype)
    found: NDArray[Any] = values.contiguous().numpy()
    return found


def packed(has: NDArray[np.bool_], negative: NDArray[np.bool_]) -> torch.Tensor:
    """Trains as words, int32 [batch, line].

    Args:
        has: where a train has a pulse, [batch, line, pulse], 31 pulses at most.
        negative: where the line's value is negative, [batch, line].
    """
    whole = np.zeros((*negative.shape, LONGEST + 1), dtype=bool)
    whole[..., : has.shape[-1]] = has
    whole[..., LONGEST] = negative
    words = np.packbits(whole, axis=-1, bitorder="little").view("<i4")[..., 0]
    return torch.from_numpy(words.astype(np.int32))


def has_pulse(words: torch.Tensor) -> torch.Tensor:
    """Which pulses there are: bool [..., 31] of words [...]."""
    places = torch.arange(LONGEST, dtype=torch.int32, device=words.device)
    return (words[..., None] >> places) & 1 == 1


def coincidence_counts(trains: PulseTrains) -> torch.Tensor:
    """How many steps every cell makes, positive for steps up, int32 [batch, row, col]."""
    words, bits = trains.words[:, :, None], trains.bits[:, None]
    return torch.where((words ^ bits) < 0, 1, -1) * ones(words & bits & PULSES)


def ones(words: torch.Tensor) -> torch.Tensor:
    """How many bits are set in words of 31 bits, int32 [...]: sums of 2, 4, 8 and 32 bits."""
    pairs = words - ((words >> 1) & 0x55555555)
    fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    return (((fours + (fours >> 4)) & 0x0F0F0F0F) * 0x01010101) >> 24
