"""Words of pulse trains from x and d, in loops: what `trains.pulse_trains` is made of.

A pulse whose probability is p is there if a uniform number is below p. In short trains each slot
has a number of 31 bits, for all lines without a branch. In long ones the numbers of all slots of a
train are compared with p at once, a binary digit after the other, until each of them has differed
from p in one: of 31 slots about six digits, and so three hashes, whatever the precision of p.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.jit import loop, part
from cosim.pulses.random_numbers import L, U, hashed
from cosim.pulses.visit import lines_by_slot

_DIGITS = 62  # binary ones of a probability: with the place before the point an int64 has them
_SIGN = U(1 << 31)
_LOW, _LOW_31 = L(0xFFFFFFFF), L(0x7FFFFFFF)
_SHORT = 8  # pulses


@loop
def largest(values: NDArray[Any], patterns: NDArray[Any]) -> NDArray[Any]:
    """The largest |value| of every sample, of [batch, line]; not finite where one is not.

    Args:
        values: float32 or float64 [batch, line].
        patterns: their bits as whole numbers: without the sign, they have the order of the sizes.
    """
    found = np.zeros(patterns.shape[0], patterns.dtype)
    for k in range(patterns.shape[0]):
        size = found[k]
        for j in range(patterns.shape[1]):
            size = max(size, patterns.dtype.type(patterns[k, j] << 1))
        found[k] = size >> 1
    return found.view(values.dtype)


@loop
def manage(
    sizes: NDArray[np.float64],
    rate: float,
    max_pulses: int,
    balanced: bool,
    short: bool,
    rounding: float,
    scales: NDArray[np.float64],
    length: NDArray[np.int64],
) -> None:
    """Lengths of trains, and what makes probabilities of x and d.

    Args:
        sizes: the largest |x| and |d| of every sample [2, batch].
        rate: coincidences that a product of 1 asks for.
        max_pulses: the longest train.
        balanced: the largest probabilities of both sides are the same.
        short: trains are as short as the largest product allows.
        rounding: by what part the largest product may be above a whole number.
        scales: result [2, batch].
        length: result [batch].
    """
    for k in range(sizes.shape[1]):
        wanted = rate * sizes[0, k] * sizes[1, k]
        length[k] = 0
        scales[0, k] = scales[1, k] = 0.0
        if wanted > 0.0:
            needed = np.ceil(wanted * (1.0 - rounding))
            length[k] = int(min(max(needed, 1.0), max_pulses)) if short else max_pulses
            root = np.sqrt(rate / length[k])
            balance = np.sqrt(sizes[1, k] / sizes[0, k]) if balanced else 1.0
            scales[0, k], scales[1, k] = root * balance, root / balance


@part
def _drawn(chance: float, slots: np.uint32, key: np.uint64, train: int) -> np.uint32:
    """A word that has each of `slots` with probability `chance`, 0 to 1."""
    digits = L(int(chance * float(1 << _DIGITS)))
    found, open_ = U(0), slots
    counter = L(train) << L(5)
    bits = L(0)
    digit = _DIGITS
    while open_ != U(0) and digit > 0:
        if digit % 2 == 0:
            bits = hashed(key, counter)
            counter += L(1)
        else:
            bits >>= L(32)
        digit -= 1
        word = U(bits & _LOW)
        if (digits >> L(digit)) & L(1):
            found = U(found | U(open_ & ~word))
            open_ = U(open_ & word)
        else:
            open_ = U(open_ & ~word)
    return found


@loop
def draw_words(
    values: NDArray[Any],
    scale: NDArray[np.float64],
    length: NDArray[np.int64],
    tolerance: float,
    key: np.uint64,
    words: NDArray[np.uint32],
) -> tuple[int, int]:
    """Words with a pulse in each slot of the train with probability scale |value|.

    Args:
        values: of the lines [batch, line].
        scale: from them to probabilities [batch].
        length: how many slots there are, up to 31 [batch].
        tolerance: by what a probability may be above 1 and is not counted.
        key: of the random numbers.
        words: what is drawn [batch, line]; the uppermost bit is the sign of the value.

    Returns:
        How many probabilities were above 1, and how many above 0.
    """
    clipped = positive = 0
    lines = values.shape[1]
    chance = np.empty(lines, np.float64)
    for k in range(values.shape[0]):
        for j in range(lines):
            chance[j] = scale[k] * abs(float(values[k, j]))
            clipped += int(chance[j] > 1.0 + tolerance)
            positive += int(chance[j] > 0.0)
            words[k, j] = _SIGN if values[k, j] < 0 else U(0)
        if length[k] <= _SHORT:
            for slot in range(0, length[k], 2):
                second = U(2) if slot + 1 < length[k] else U(0)
                for j in range(lines):  # without branches: many lines at once
                    counter = (L(k * lines + j) << L(5)) + L(slot)
                    bits = hashed(key, counter)
                    below = chance[j] * 2147483648.0
                    one = U(1) if float(np.int32(bits >> L(33))) < below else U(0)
                    two = second if float(np.int32(bits & _LOW_31)) < below else U(0)
                    words[k, j] = U(words[k, j] | U(U(one | two) << U(slot)))
        else:
            slots = U((L(1) << L(length[k])) - L(1))
            for j in range(lines):
                if chance[j] >= 1.0:
                    words[k, j] |= slots
                elif chance[j] > 0.0:
                    words[k, j] |= _drawn(chance[j], slots, key, k * lines + j)
    return clipped, positive


@loop
def first_slots(
    values: NDArray[Any], scale: NDArray[np.float64], slots: int, words: NDArray[np.uint32]
) -> int:
    """Words whose first round(scale |value|) slots have a pulse; gives how many values are not 0.

    Args:
        values: of the lines [batch, line].
        scale: from them to numbers of pulses [batch].
        slots: how many pulses there may be.
        words: the result [batch, line]; the uppermost bit is the sign of the value.
    """
    positive = 0
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = float(values[k, j])
            count = min(slots, int(np.floor(scale[k] * abs(value) + 0.5)))
            positive += scale[k] * abs(value) > 0
            words[k, j] = U((L(1) << L(count)) - L(1)) | (_SIGN if value < 0 else U(0))
    return positive


@loop
def even_slots(
    values: NDArray[Any],
    scale: NDArray[np.float64],
    slots: int,
    tolerance: float,
    words: NDArray[np.uint32],
) -> tuple[int, int]:
    """Words with pulses at even distances: round(n scale |value|) of them in any first n slots.

    Args:
        values: of the lines [batch, line].
        scale: from them to pulses per slot [batch].
        slots: how many there are.
        tolerance: by what the pulses per slot may be above 1 and are not counted.
        words: the result [batch, line]; the uppermost bit is the sign of the value.

    Returns:
        How many would need more than a pulse per slot, and how many need any.
    """
    clipped = positive = 0
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = float(values[k, j])
            density = scale[k] * abs(value)
            word = _SIGN if value < 0 else U(0)
            positive += density > 0
            clipped += density > 1.0 + tolerance
            density = min(1.0, density)
            before = 0
            for slot in range(slots):
                after = int(np.floor((slot + 1) * density + 0.5))
                if after > before:
                    word = U(word | U(U(1) << U(slot)))
                before = after
            words[k, j] = word
    return clipped, positive


@loop
def stochastic(
    x: NDArray[Any],
    d: NDArray[Any],
    x_patterns: NDArray[Any],
    d_patterns: NDArray[Any],
    rate: float,
    max_pulses: int,
    balanced: bool,
    short: bool,
    rounding: float,
    x_key: np.uint64,
    d_key: np.uint64,
) -> tuple[Any, ...]:
    """The trains of a batch: see `largest`, `manage` and `draw_words` for the arguments.

    Returns:
        Whether all of x and all of d are finite: without that the rest means nothing. Lengths, how
        many probabilities were above 1 and above 0; words of both sides, and what `lines_by_slot`
        gives for them.
    """
    batch = x.shape[0]
    sizes, scales = np.empty((2, batch)), np.empty((2, batch))
    length = np.zeros(batch, np.int64)
    words, bits = np.empty(x.shape, np.uint32), np.empty(d.shape, np.uint32)
    sizes[0], sizes[1] = largest(x, x_patterns), largest(d, d_patterns)
    for_x, for_d = bool(np.isfinite(sizes[0]).all()), bool(np.isfinite(sizes[1]).all())
    clipped = positive = 0
    if for_x and for_d:
        manage(sizes, rate, max_pulses, balanced, short, rounding, scales, length)
        clipped, positive = draw_words(x, scales[0], length, rounding, x_key, words)
        more = draw_words(d, scales[1], length, rounding, d_key, bits)
        clipped, positive = clipped + more[0], positive + more[1]
    else:
        words[:], bits[:] = U(0), U(0)
    return for_x, for_d, length, clipped, positive, words, bits, lines_by_slot(words, bits)


@loop
def deterministic(
    x: NDArray[Any],
    d: NDArray[Any],
    x_patterns: NDArray[Any],
    d_patterns: NDArray[Any],
    rate: float,
    max_pulses: int,
    rounding: float,
) -> tuple[Any, ...]:
    """As `stochastic`, by `first_slots` and `even_slots`."""
    batch = x.shape[0]
    words, bits = np.empty(x.shape, np.uint32), np.empty(d.shape, np.uint32)
    length = np.zeros(batch, np.int64)
    levels, density = np.zeros(batch), np.zeros(batch)
    of_x, of_d = largest(x, x_patterns), largest(d, d_patterns)
    for_x, for_d = bool(np.isfinite(of_x).all()), bool(np.isfinite(of_d).all())
    clipped = positive = 0
    if for_x and for_d:
        for k in range(batch):
            if rate * of_x[k] * of_d[k] > 0:
                length[k] = max_pulses
                levels[k] = max_pulses / float(of_x[k])
                density[k] = rate * float(of_x[k]) / max_pulses
        positive = first_slots(x, levels, max_pulses, words)
        clipped, more = even_slots(d, density, max_pulses, rounding, bits)
        positive += more
    else:
        words[:], bits[:] = U(0), U(0)
    return for_x, for_d, length, clipped, positive, words, bits, lines_by_slot(words, bits)
