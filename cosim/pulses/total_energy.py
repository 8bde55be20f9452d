"""What an update costs in all cells of a matrix together: cheap enough to be known at every step.

A cell turns v^2 g t into heat. As `cosim.driven.train_pulses` puts trains on lines, every pulse of
a train is applied twice, at half the level: in a slot that steps cells up and in one that steps
them down. Where the other line has a pulse in the same slot the cell sees the whole level, in every
other slot a half: half-selected. A cell whose word line has n pulses, whose bit line m, and that
was asked for a steps up and b down takes

    g [ (n + m + 2 a) E_up + (n + m + 2 b) E_down ] / 4,    E = v^2 t of one pulse,

which is summed over cells without their coincidences being written down. Cells only, by what they
conduct before the update; what drivers, wires and the charging of lines take is not in it. The
scheme of half levels: Gokmen, Vlasov, Front. Neurosci. 10 (2016) 333, doi 10.3389/fnins.2016.00333.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.pulses.bit_counts import set_bits
from cosim.pulses.jit import loop
from cosim.pulses.random_numbers import U
from cosim.pulses.trains import PulseTrains, on_host
from cosim.pulses.visit import lines_by_slot
from netlists.pulse import Pulse

_PULSES = U((1 << 31) - 1)


@dataclass(frozen=True)
class StraightCells:
    """Cells that conduct g = zero_s + slope_s w."""

    zero_s: float
    slope_s: float


def total_energy_j(
    w: torch.Tensor, cells: StraightCells, trains: PulseTrains, up: Pulse, down: Pulse
) -> float:
    """The heat of all cells of a matrix by the updates of a batch [J].

    Args:
        w: weights before the update [row, col].
        cells: what they conduct.
        trains: of the batch.
        up: what a cell sees at a coincidence that steps it up; its lines carry half of it.
        down: the same of a step down.
    """
    words, bits = (on_host(lines).view(np.uint32) for lines in (trains.words, trains.bits))
    starts, lines, *_ = lines_by_slot(words, bits)
    weighted, counted = _sums(on_host(w), words, bits, starts, lines)
    on_lines, ups, downs = cells.zero_s * counted + cells.slope_s * weighted
    return _heat_j(on_lines, ups, downs, up, down)


def half_selected_energy_j(
    w: torch.Tensor, cells: StraightCells, words: torch.Tensor, up: Pulse, down: Pulse
) -> float:
    """The heat of cells whose bit lines have no pulses, such as the minus cells of a reference [J].

    Args:
        w: their weights [row, col].
        cells: what they conduct.
        words: trains on the word lines, int32 [batch, row].
        up: see `total_energy_j`.
        down: likewise.
    """
    nothing = np.zeros((len(words), w.shape[1]), np.uint32)
    on_word = on_host(words).view(np.uint32)
    starts, lines, *_ = lines_by_slot(on_word, nothing)
    weighted, counted = _sums(on_host(w), on_word, nothing, starts, lines)
    on_lines, ups, downs = cells.zero_s * counted + cells.slope_s * weighted
    return _heat_j(on_lines, ups, downs, up, down)


def _heat_j(on_lines: float, ups: float, downs: float, up: Pulse, down: Pulse) -> float:
    of_up, of_down = (one.amplitude_v**2 * one.square_s for one in (up, down))
    return float((on_lines + 2 * ups) * of_up + (on_lines + 2 * downs) * of_down) / 4


@loop
def _sums(
    w: NDArray[Any],
    words: NDArray[np.uint32],
    bits: NDArray[np.uint32],
    starts: NDArray[np.int32],
    lines: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pulses on the two lines of a cell, steps up and steps down, of all cells.

    Args:
        w: weights [row, col].
        words: trains on the word lines [batch, row].
        bits: trains on the bit lines [batch, col].
        starts: of `lines_by_slot`.
        lines: likewise.

    Returns:
        The three, each cell's times its weight; and the three as they are.
    """
    batch, rows = words.shape
    cols = bits.shape[1]
    of_bit, plain, by_word = np.zeros(cols), np.zeros(cols), np.zeros(cols)
    weighted, counted = np.zeros(3), np.zeros(3)
    bit_pulses = 0
    for k in range(batch):
        for col in range(cols):
            pulses = int(set_bits(U(bits[k, col] & _PULSES)))
            of_bit[col] += pulses
            bit_pulses += pulses
    for row in range(rows):
        word_pulses = 0
        for k in range(batch):
            rest = U(words[k, row] & _PULSES)
            word_pulses += int(set_bits(rest))
            negative = int(words[k, row] >> U(31))
            while rest != U(0):
                last = U(rest & U(~rest + U(1)))
                slot = int(set_bits(U(last - U(1))))
                rest = U(rest & ~last)
                for place in range(starts[k, slot], starts[k, slot + 1]):
                    one = lines[place]
                    kind = 1 if (one & 1) != negative else 2
                    weighted[kind] += w[row, one >> 1]
                    counted[kind] += 1.0
        counted[0] += float(word_pulses * cols)
        for col in range(cols):  # sums by columns: many at once
            value = float(w[row, col])
            plain[col] += value
            by_word[col] += word_pulses * value
    counted[0] += float(bit_pulses * rows)
    for col in range(cols):
        weighted[0] += by_word[col] + of_bit[col] * plain[col]
    return weighted, counted
