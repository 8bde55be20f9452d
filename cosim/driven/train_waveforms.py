"""The pulse trains of one update as voltages on the lines of an array, in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.train_pulses import TrainPulses, TrainSlots
from netlists.pulse import Pulse

Array = NDArray[np.float64]

_APART = 1e-9  # of a slot: corners of different lines that are nearer to each other are one


def train_waveforms(array: PulsedArray, slots: TrainSlots, pulses: TrainPulses) -> PulsedArray:
    """An array with the slots of an update on its lines, one after the other.

    A slot lasts as long as the line whose pulses are longest needs.

    Args:
        array: the array; what is applied to its lines is replaced.
        slots: from `train_slots`, of as many lines as the array has.
        pulses: what a line carries.

    Returns:
        The array, for any engine. It is at rest, for the time of one pulse, without a slot.

    Raises:
        InputError: a number of lines does not fit.
    """
    wanted = (slots.rows.shape[1], slots.cols.shape[1])
    if array.shape != wanted:
        raise InputError(
            "wrong shape", where="array", value=array.shape, allowed=f"{wanted}, as the trains"
        )
    pulses.check_lines(array.shape)
    times, words, bits = [], [], []
    start_s = 0.0
    word_v, bit_v = pulses.levels_v(slots)
    widths = pulses.widths(array.shape)
    shapes = {up: _shapes(pulses.pulse(up=up), *widths) for up in (True, False)}
    for k, up in enumerate(slots.up.tolist()):
        corners_s, word, bit = shapes[up]
        first = 1 if k and pulses.gap_s == 0 else 0  # it begins where the one before it ended
        times.append(start_s + corners_s[first:])
        words.append((word_v[k, :, None] * word)[:, first:])
        bits.append((bit_v[k, :, None] * bit)[:, first:])
        start_s += float(corners_s[-1]) + pulses.gap_s
    if not times:
        corners_s, word, bit = shapes[True]
        times, words, bits = [corners_s], [0.0 * word], [0.0 * bit]
    return replace(
        array,
        time_s=np.concatenate(times),
        word_v=np.concatenate(words, axis=1),
        bit_v=np.concatenate(bits, axis=1),
    )


def _shapes(pulse: Pulse, word_width: Array, bit_width: Array) -> tuple[Array, Array, Array]:
    """The corners of a slot [s], and what share of its level each line has at them."""
    unit = pulse.at(1.0)
    own = [replace(unit, width_s=pulse.width_s * f) for f in (*word_width, *bit_width)]
    corners = np.unique(np.array([one.corner_times_s() for one in own]))
    kept = np.append(np.diff(corners) > _APART * corners[-1], True)
    kept[0] = True
    corners = corners[kept]
    shares = np.array(
        [np.interp(corners, one.corner_times_s(), one.corner_voltages_v()) for one in own]
    )
    return corners, shares[: len(word_width)], shares[len(word_width) :]
