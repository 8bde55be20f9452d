"""The pulse trains of one update as voltages on the lines of an array.

A line that has a pulse goes to half the voltage, word lines and bit lines to opposite signs: a cell
sees all of it where both have a pulse, and half, which is below its threshold, where one has. What
the sign of a cell's step is, both lines would have to know; so every pulse of a train has four
slots of time, one for each pair of signs, in which only the lines of these signs take part:

| slot | word lines with | go to | bit lines with | go to | the cell sees | and steps |
| --- | --- | --- | --- | --- | --- | --- |
| 0 | x > 0 | +V/2 | d < 0 | -V/2 | +V | up |
| 1 | x < 0 | +V/2 | d > 0 | -V/2 | +V | up |
| 2 | x > 0 | -V/2 | d > 0 | +V/2 | -V | down |
| 3 | x < 0 | -V/2 | d < 0 | +V/2 | -V | down |

Fewer do not do: a line has one polarity at a time, and lines of one polarity step all cells at
their crossings with lines of the other, the same way. Up is what a positive voltage from word line
to bit line does to the state: the update of the state is -lr x d^T in the mean. A slot in which no
line has a pulse is left out; one in which only word lines or only bit lines have, is not: it
disturbs the cells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.driven.pulsed_array import PulsedArray
from cosim.pulses.trains import LONGEST, PulseTrains, has_pulse
from netlists.pulse import Pulse

Array = NDArray[np.float64]

# Signs of x and of d, and of the voltage from word line to bit line.
SLOTS = ((1, -1, 1), (-1, 1, 1), (1, 1, -1), (-1, -1, -1))


def coincidence_waveforms(
    array: PulsedArray,
    trains: PulseTrains,
    pulse: Pulse,
    *,
    sample: int = 0,
    gap_s: float = 0.0,
    down_v: float | None = None,
) -> PulsedArray:
    """An array with the trains of one pair (x, d) on its lines.

    Args:
        array: the array; what is applied to it is replaced.
        trains: from `pulse_trains`, of as many lines as the array has.
        pulse: a cell at a coincidence sees it, up; its level [V] is above 0.
        sample: which pair of the batch.
        gap_s: pause between two pulses [s], >= 0.
        down_v: the size of the level of a step down [V], > 0; None for that of the pulse.

    Returns:
        The array, for `run_spice` and `run_ode`. It is at rest, for one pulse's time,
        if no line has a pulse.

    Raises:
        InputError: a number of lines does not fit, there is no such sample, or a level or pause is
            none.
    """
    up_v = pulse.amplitude_v
    down_v = up_v if down_v is None else down_v
    wanted = (trains.words.shape[1], trains.bits.shape[1])
    if array.shape != wanted:
        raise InputError(
            "wrong shape", where="array", value=array.shape, allowed=f"{wanted}, as the trains"
        )
    if not 0 <= sample < len(trains.words):
        raise InputError(
            "there is no such pair",
            where="sample",
            value=sample,
            allowed=f"0 to {len(trains.words) - 1}",
        )
    for name, value in (("pulse.amplitude_v", up_v), ("down_v", down_v)):
        if not 0 < value < np.inf:
            raise InputError("no level", where=name, value=value, allowed="a finite number, > 0")
    if not 0 <= gap_s < np.inf:
        raise InputError("no pause", where="gap_s", value=gap_s, allowed="a finite number, >= 0")
    word, bit = _levels(trains, sample, up_v, down_v)
    shape = np.array(pulse.at(1.0).corner_voltages_v())
    corners = np.array(pulse.corner_times_s())
    time_s, pieces = _times(corners, max(1, word.shape[1]), gap_s)

    def over_time(levels: Array) -> Array:
        if not levels.shape[1]:
            return np.zeros((len(levels), len(time_s)))
        whole = (levels[:, :, None] * shape).reshape(len(levels), -1)
        return np.asarray(whole[:, pieces])

    return replace(array, time_s=time_s, word_v=over_time(word), bit_v=over_time(bit))


def _levels(trains: PulseTrains, sample: int, up_v: float, down_v: float) -> tuple[Array, Array]:
    """The levels of word lines and of bit lines in every slot that is not empty, [line, slot]."""
    sides = []
    for words in (trains.words[sample], trains.bits[sample]):
        sign = torch.where(words < 0, -1, 1)
        sides.append((has_pulse(words).numpy(), sign.numpy()))
    (rows_on, row_sign), (cols_on, col_sign) = sides
    word, bit = [], []
    for k in range(LONGEST):
        for x_sign, d_sign, polarity in SLOTS:
            rows = rows_on[:, k] & (row_sign == x_sign)
            cols = cols_on[:, k] & (col_sign == d_sign)
            if rows.any() or cols.any():
                half_v = 0.5 * (up_v if polarity > 0 else -down_v)
                word.append(half_v * rows)
                bit.append(-half_v * cols)
    if not word:
        return np.zeros((len(row_sign), 0)), np.zeros((len(col_sign), 0))
    return np.array(word).T, np.array(bit).T


def _times(corners_s: Array, slots: int, gap_s: float) -> tuple[Array, NDArray[np.int64]]:
    """The corners of all pulses, and which are kept: without a pause two are at one time."""
    starts = (corners_s[-1] + gap_s) * np.arange(slots)
    times = (starts[:, None] + corners_s).ravel()
    kept = np.arange(len(times))
    if gap_s == 0.0:
        kept = kept[(kept % len(corners_s) != 0) | (kept == 0)]
    return times[kept], kept
