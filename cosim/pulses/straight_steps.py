"""Many pulses of one sign as one affine map, for every cell of an array, sample after sample.

A step that is straight in the weight, b + s w, has a = 1 + s: n of them are w + (b + s w) G_n with
G_n = 1 + a + ... + a^(n-1). Noise of the same size e at every pulse adds up to the variance
e^2 (1 + a^2 + ... + a^(2n-2)) = e^2 G_n (1 + a^n) / (1 + a). Noise that is a part e of the step
itself gives (b + s w)^2 e^2 D_n with D_n = sum of A^i a^(2(n-1-i)) over i = 0 to n-1 and
A = a^2 + (s e)^2. Both sums are exact; they are built from the bits of n, highest first, so that a
step that does not depend on the weight (s = 0) is no special case. One normal number stands for
the noise of n pulses, and the bounds clip after the last of them instead of after each: the
difference is of the order of the noise of one pulse, at a bound.

Memory is what limits this: as one loop the sums, the noise and the weight of a few samples stay in
registers. The noise of a cell is a function of its index and of two keys per sample (a hash of
32 bits after Wellons' search, then Box and Muller, Ann. Math. Stat. 29 (1958) 610), the same
operation by operation or compiled, in any order and with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from compact_models.errors import InputError
from cosim.budget.in_threads import in_threads
from cosim.devices.kernels import find_compiler
from cosim.pulses.trains import PULSES, ones

TOGETHER = 4  # samples in one loop, even: a pair shares a hash. Twice as many compile for a minute
_BLOCK = 1 << 14  # cells whose temporaries stay in the cache, where operations come one by one
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - (1 << 32)


@dataclass(frozen=True, eq=False)
class StraightCells:
    """Cells whose steps are straight in the weight, each tensor [row, col] of the weights' dtype.

    Attributes:
        up_at_0: the step up at weight 0.
        up_slope: how it changes with the weight, > -1.
        up_noise: its standard deviation: with `relative` as a part of it, else over the root of
            2 + slope, by which the sum of many would have to be divided.
        down_at_0: the step down at weight 0.
        down_slope: how it changes with the weight, > -1.
        down_noise: its standard deviation, likewise.
        low: least weight.
        high: largest weight.
        relative: the noise goes with the step.
    """

    up_at_0: torch.Tensor
    up_slope: torch.Tensor
    up_noise: torch.Tensor
    down_at_0: torch.Tensor
    down_slope: torch.Tensor
    down_noise: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    relative: bool

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The tensors in the order above."""
        return (
            *(self.up_at_0, self.up_slope, self.up_noise),
            *(self.down_at_0, self.down_slope, self.down_noise, self.low, self.high),
        )


def run_samples(
    cells: StraightCells,
    w: torch.Tensor,
    words: torch.Tensor,
    bits: torch.Tensor,
    keys: torch.Tensor | None,
    *,
    compiled: bool,
) -> torch.Tensor:
    """The weights after a batch of updates, one after another.

    Args:
        cells: what a pulse does.
        w: weights before [row, col], float32 or float64.
        words: trains on the word lines, int32 [batch, row].
        bits: trains on the bit lines, int32 [batch, col].
        keys: random words for the noise, int32 [batch, 2] with the batch rounded up to whole
            `TOGETHER`; None for the mean device.
        compiled: as one loop, after half a minute or more of compilation that is kept on disk.

    Raises:
        InputError: `compiled`, and there is no C++ compiler.
    """
    if compiled and not find_compiler():
        raise InputError(
            "compiled updates need a C++ compiler and Python's headers, and one is missing",
            where="compiled",
            value=True,
            hint="install g++ and python3-dev, name a compiler in the variable CXX, or use "
            "compiled=False",
        )
    short = -len(words) % TOGETHER
    words, bits = (torch.nn.functional.pad(one, (0, 0, 0, short)) for one in (words, bits))
    noisy = keys is not None
    keys = torch.zeros(len(words), 2, dtype=torch.int32) if keys is None else keys
    rows, cols = w.shape
    first = (torch.arange(rows, dtype=torch.int32) * cols)[:, None]
    within = torch.arange(cols, dtype=torch.int32)[None]
    step = _compiled() if compiled else _samples
    # A compiled call holds Python's lock: torch's own threads share its loop.
    parts = 1 if compiled else -(-rows * cols // _BLOCK)
    height = max(1, -(-rows // max(1, parts)))

    def run(top: int) -> torch.Tensor:
        part = slice(top, top + height)
        tensors = [one[part] for one in cells.tensors()]
        now = w[part].clone()  # what is compiled for a view is not for what comes after
        for k in range(0, len(words), TOGETHER):
            some = slice(k, k + TOGETHER)
            now = step(
                now, first[part], within, tensors, words[some, part, None], bits[some, None],
                keys[some], relative=cells.relative, noisy=noisy,
            )  # fmt: skip
        return now

    with torch.no_grad():
        tops = list(range(0, rows, height))
        return torch.cat(in_threads(run, tops)) if tops else w.clone()


def _samples(
    w: torch.Tensor,
    first: torch.Tensor,
    within: torch.Tensor,
    cells: list[torch.Tensor],
    words: torch.Tensor,
    bits: torch.Tensor,
    keys: torch.Tensor,
    *,
    relative: bool,
    noisy: bool,
) -> torch.Tensor:
    """`TOGETHER` samples; words [sample, row, 1], bits [sample, 1, col]."""
    up_b, up_s, up_e, down_b, down_s, down_e, low, high = cells
    index = _mixed((first + within) ^ keys[0, 0]) if noisy else None
    for pair in range(0, TOGETHER, 2):
        normals: tuple[torch.Tensor | None, ...] = (None, None)
        if index is not None:
            radius2, *turns = _polar(index ^ keys[pair, 1], index ^ keys[pair + 1, 1], w.dtype)
            normals = tuple(turns)
        for k, turn in zip((pair, pair + 1), normals, strict=True):
            up = (words[k] ^ bits[k]) < 0
            count = ones(words[k] & bits[k] & PULSES)
            b, s = torch.where(up, up_b, down_b), torch.where(up, up_s, down_s)
            step = b + s * w
            if turn is None:
                moved = step * _sums(count, s, w.dtype)
            else:
                e = torch.where(up, up_e, down_e)
                if relative:
                    total, variance = _sums_of_squares(count, s, e, w.dtype)
                    e = e * step
                else:
                    total = _sums(count, s, w.dtype)
                    variance = total * (2 + s * total)  # times what e is divided by
                # One root for the size of the noise and for the radius of the normal number.
                moved = step * total + e * torch.sqrt(variance * radius2) * turn
            w = torch.minimum(torch.maximum(w + moved, low), high)
    return w


def _sums(count: torch.Tensor, s: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """1 + a + ... + a^(count - 1), a = 1 + s, of counts up to 31."""
    total = ((count & 16) != 0).to(dtype)
    for bit in (8, 4, 2, 1):
        total = total * (2 + s * total)
        total = torch.where((count & bit) != 0, 1 + (1 + s) * total, total)
    return total


def _sums_of_squares(
    count: torch.Tensor, s: torch.Tensor, e: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """`_sums`, and the sum D of the module's head for noise that is a part e of the step."""
    a, extra = 1 + s, (s * e).square()
    larger = a * a + extra
    total = ((count & 16) != 0).to(dtype)
    spread = total
    for bit in (8, 4, 2, 1):
        power = (1 + s * total).square()
        spread = spread * (2 * power + extra * spread)
        total = total * (2 + s * total)
        odd = (count & bit) != 0
        power = (1 + s * total).square()
        spread = torch.where(odd, larger * spread + power, spread)
        total = torch.where(odd, 1 + a * total, total)
    return total, spread


def _mixed(word: torch.Tensor) -> torch.Tensor:
    """A hash of 32 bits, one to one; shifts fill with the sign, which the masks take away."""
    word = (word ^ ((word >> 16) & 0xFFFF)) * _FIRST
    word = (word ^ ((word >> 15) & 0x1FFFF)) * _SECOND
    return word ^ ((word >> 16) & 0xFFFF)


def _polar(
    first: torch.Tensor, second: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two normal numbers as the square of their radius and the cosine and sine of their angle."""
    share = ((_mixed(first) >> 8) & 0xFFFFFF).to(dtype) * 2.0**-24 + 2.0**-25
    half_turn = (_mixed(second) >> 8).to(dtype) * 2.0**-24  # -1/2 to 1/2, as its half angle
    # Series of the half angle: they end within 1e-7, and a call of sin would empty the registers.
    x = (math.pi * half_turn).square()
    sine = (math.pi * half_turn) * _series(x, 3)
    cosine = _series(x, 2)
    return -2 * torch.log(share), 1 - 2 * sine * sine, 2 * sine * cosine


def _series(x: torch.Tensor, second: int) -> torch.Tensor:
    """1 - x / ((second - 1) second) (1 - x / ((second + 1)(second + 2)) (...)), six terms."""
    value = 1 - x * (1 / ((second + 9) * (second + 10)))
    for k in (second + 8, second + 6, second + 4, second + 2, second):
        value = 1 - x * value * (1 / ((k - 1) * k))
    return value


@cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(_samples, dynamic=True)
