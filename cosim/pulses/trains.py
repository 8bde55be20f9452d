"""Stochastic pulse trains on the lines of an array, and where they coincide.

An outer product without arithmetic: every word line carries pulses with a probability that goes
with its x, every bit line with its d, and a cell makes one step where both have one at once. With
BL pulses the mean number of steps is BL p_x p_d = lr |x| |d| / dw_min. Gokmen, Vlasov,
"Acceleration of Deep Neural Network Training with Resistive Cross-Point Devices: Design
Considerations", Front. Neurosci. 10 (2016) 333, doi 10.3389/fnins.2016.00333; update management:
Gokmen, Onen, Haensch, Front. Neurosci. 11 (2017) 538, doi 10.3389/fnins.2017.00538; the length of
the trains: as aihwkit 1.2.0 documents it.

The update is -lr x d^T for weights [row, col]: x on the word lines, d, the gradient at the outputs,
on the bit lines. Where x and d differ in sign the weight goes up.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import Draw
from cosim.pulses.spec import LONGEST as LONGEST

PULSES = (1 << LONGEST) - 1  # the bits of a word that are pulses
# Update management takes the largest probability to 1 by a root and a quotient, which round: so
# many times the dtype's own rounding.
_ROUNDING = 16


@dataclass(frozen=True)
class UpdateRule:
    """How the lines' probabilities follow from x and d.

    Attributes:
        lr: learning rate, >= 0.
        dw_min: the step that the rule reckons with, in units of the weight, > 0.
        desired_bl: how many pulses a train has at most, 1 to 31.
        update_management: scales x by sqrt(max|d| / max|x|) and d by its inverse, so that the
            largest probabilities of both sides are the same.
        update_bl_management: takes as few pulses as lr max|x| max|d| / dw_min needs.

    Raises:
        InputError: a number that cannot be.
    """

    lr: float
    dw_min: float
    desired_bl: int = LONGEST
    update_management: bool = True
    update_bl_management: bool = True

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 0 <= self.lr < math.inf:
            raise InputError("no learning rate", where="lr", value=self.lr, allowed="finite, >= 0")
        if not 0 < self.dw_min < math.inf:
            raise InputError("no step", where="dw_min", value=self.dw_min, allowed="finite, > 0")
        if self.desired_bl not in range(1, LONGEST + 1):
            raise InputError(
                "a train cannot have so many pulses",
                where="desired_bl",
                value=self.desired_bl,
                allowed=f"a whole number, 1 to {LONGEST}",
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


def pulse_trains(x: torch.Tensor, d: torch.Tensor, rule: UpdateRule, draw: Draw) -> PulseTrains:
    """Draws the trains of a batch. Warns if probabilities were clipped; the result counts them.

    Args:
        x: activations [batch, row].
        d: gradients at the outputs [batch, col].
        rule: how the probabilities follow from them.
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
    # In the caller's own precision and on its device; what is shorter than single is no product.
    dtype = torch.promote_types(torch.promote_types(x.dtype, d.dtype), torch.float32)
    rounding = _ROUNDING * torch.finfo(dtype).eps
    sides = [given.detach().to(dtype) for given in (x, d)]
    for name, values in zip("xd", sides, strict=True):
        if not bool(values.isfinite().all()):
            raise InputError("a value is not finite", where=name, allowed="finite numbers")
    size_x, size_d = (
        values.abs().amax(1) if values.shape[1] else values.new_zeros(len(values))
        for values in sides
    )
    wanted = rule.lr * size_x * size_d / rule.dw_min  # coincidences at the largest x and d
    length = torch.full_like(wanted, rule.desired_bl)
    if rule.update_bl_management:
        length = torch.clamp(torch.ceil(wanted * (1 - rounding)), 1, rule.desired_bl)
    length = torch.where(wanted > 0, length, 0.0)
    alive = length > 0
    root = torch.sqrt(rule.lr / (rule.dw_min * length.where(alive, torch.ones_like(length))))
    balance = torch.ones_like(root)
    if rule.update_management:
        balance = torch.where(alive, torch.sqrt(size_d / size_x), balance)
    clipped = positive = 0
    found = []
    for values, scale, line in zip(
        sides, (root * balance, root / balance), ("word_lines", "bit_lines"), strict=True
    ):
        chance = torch.where(alive, scale, 0.0)[:, None] * values.abs()
        clipped += int((chance > 1 + rounding).sum())
        positive += int((chance > 0).sum())
        rng = draw.part(line).rng()
        found.append(_draw(rng, chance, values < 0, length))
    if clipped:
        warnings.warn(
            "probabilities of pulses above 1 were clipped and the update is too small: take a "
            "smaller lr, a larger desired_bl or update management; PulseTrains.clipped counts them",
            RuntimeWarning,
            stacklevel=2,
        )
    return PulseTrains(found[0], found[1], length.to(torch.int64), clipped, positive)


def _draw(
    rng: np.random.Generator, chance: torch.Tensor, negative: torch.Tensor, length: torch.Tensor
) -> torch.Tensor:
    """Words with pulses of the given probability [batch, line], on their device.

    The numbers are numpy's wherever the probabilities are: the same trains on every device.
    """
    longest = int(length.max()) if length.numel() else 0
    drawn = rng.random((*chance.shape, longest), dtype=np.float32)
    has = drawn < chance.to("cpu", torch.float32).numpy()[..., None]
    within = np.arange(longest) < length.cpu().numpy()[:, None]
    if not within.all():
        has &= within[:, None]
    return packed(has, negative.cpu().numpy()).to(chance.device)


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
