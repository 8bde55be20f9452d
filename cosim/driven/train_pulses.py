"""What pulse trains put on the lines of an array: which lines, in which slot, and how high.

A line that has a pulse goes to half the voltage, word lines and bit lines to opposite signs: a cell
sees all of it where both have a pulse, and half, which is below its threshold, where one has. What
the sign of a cell's step is, both lines would have to know; so every pulse of a train has four
slots of time, one for each pair of signs, in which only the lines of these signs take part:

| slot | word lines with | bit lines with | the cell steps |
| --- | --- | --- | --- |
| 0 | x > 0 | d < 0 | up |
| 1 | x < 0 | d > 0 | up |
| 2 | x > 0 | d > 0 | down |
| 3 | x < 0 | d < 0 | down |

Fewer do not do: a line has one polarity at a time, and lines of one polarity step all cells at
their crossings with lines of the other, the same way. Up is what the pulse `up` does: the update of
the state that it raises is -lr x d^T in the mean. A slot in which no line has a pulse is left out;
one in which only word lines or only bit lines have, is not: it disturbs the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.pulses.trains import LONGEST, PulseTrains, has_pulse
from netlists.pulse import Pulse
from netlists.update.drawn import TilePulses
from netlists.update.spec import PulseSpec

Array = NDArray[np.float64]

# Signs of x and of d, and whether cells step up.
SLOTS = ((1, -1, True), (-1, 1, True), (1, 1, False), (-1, -1, False))


@dataclass(frozen=True, eq=False)
class TrainPulses:
    """The pulses of an array's trains.

    Attributes:
        up: what a cell sees at a coincidence that steps it up; its level has the sign that does so,
            from word line to bit line. A line carries half of it.
        down: the same of a step down, of the other sign.
        gap_s: pause between two slots [s], >= 0.
        lines: by what amplitudes and widths of lines differ, factors > 0; None for 1.

    Raises:
        InputError: levels of one sign or of none, a pause or a factor that is none.
    """

    up: Pulse
    down: Pulse
    gap_s: float = 0.0
    lines: TilePulses | None = None

    @staticmethod
    def of(spec: PulseSpec, *, up_sign: int, lines: TilePulses | None = None) -> TrainPulses:
        """Those of a chip.

        Args:
            spec: its pulses.
            up_sign: 1 or -1, the polarity from word line to bit line that steps cells up.
            lines: the generators of a tile, as a sample draws them.
        """
        up = spec.nominal.at(up_sign * spec.amplitude_v)
        return TrainPulses(up, up.at(-up_sign * spec.amplitude_down_v), spec.gap_s, lines)

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not self.up.amplitude_v * self.down.amplitude_v < 0:
            raise InputError(
                "steps up and down need levels of opposite signs",
                where="up.amplitude_v, down.amplitude_v",
                value=(self.up.amplitude_v, self.down.amplitude_v),
                allowed="one above 0 V, one below",
            )
        if not 0 <= self.gap_s < np.inf:
            raise InputError(
                "no pause", where="gap_s", value=self.gap_s, allowed="a finite number, >= 0"
            )
        for name, factors in self._factors.items():
            if not (factors.ndim == 1 and bool(((factors > 0) & (factors < np.inf)).all())):
                raise InputError(
                    "no factors of lines",
                    where=f"lines.{name}",
                    allowed="finite numbers > 0, one a line",
                )

    @property
    def _factors(self) -> dict[str, Array]:
        return {} if self.lines is None else dict(vars(self.lines))

    def pulse(self, *, up: bool) -> Pulse:
        """That of a step up or down."""
        return self.up if up else self.down

    def check_lines(self, shape: tuple[int, int]) -> None:
        """Refuses factors of another array.

        Raises:
            InputError: they are.
        """
        for name, factors in self._factors.items():
            lines = shape[name.startswith("bit")]
            if len(factors) != lines:
                raise InputError(
                    "one factor for every line",
                    where=f"lines.{name}",
                    value=len(factors),
                    allowed=str(lines),
                )

    def widths(self, shape: tuple[int, int]) -> tuple[Array, Array]:
        """How long the levels of word lines [row] and of bit lines [col] last, over the pulse's."""
        if self.lines is None:
            return np.ones(shape[0]), np.ones(shape[1])
        return self.lines.word_width, self.lines.bit_width

    def levels_v(self, slots: TrainSlots) -> tuple[Array, Array]:
        """The levels of word lines [slot, row] and of bit lines [slot, col], in V."""
        half_v = 0.5 * np.where(slots.up, self.up.amplitude_v, self.down.amplitude_v)[:, None]
        word, bit = half_v * slots.rows, -half_v * slots.cols
        if self.lines is None:
            return word, bit
        return word * self.lines.word_amplitude, bit * self.lines.bit_amplitude

    def highest_v(self, *, up: bool) -> float:
        """The highest level of a cell at a coincidence, with its sign [V]."""
        level_v = self.pulse(up=up).amplitude_v
        if self.lines is None:
            return level_v
        word, bit = self.lines.word_amplitude.max(), self.lines.bit_amplitude.max()
        return float(0.5 * level_v * (word + bit))


@dataclass(frozen=True, eq=False)
class TrainSlots:
    """Which lines have a pulse in the slots of an update, empty slots left out.

    Attributes:
        up: whether cells step up in it, [slot].
        rows: which word lines take part, [slot, row].
        cols: which bit lines take part, [slot, col].
    """

    up: NDArray[np.bool_]
    rows: NDArray[np.bool_]
    cols: NDArray[np.bool_]

    def __len__(self) -> int:
        """How many slots there are."""
        return len(self.up)

    @property
    def pulses(self) -> int:
        """Pulses on lines."""
        return int(self.rows.sum() + self.cols.sum())

    @property
    def coincidences(self) -> int:
        """Steps that cells are asked for."""
        return int((self.rows.sum(1) * self.cols.sum(1)).sum())

    def part(self, first: int, last: int) -> TrainSlots:
        """The slots from `first` on, before `last`."""
        return TrainSlots(self.up[first:last], self.rows[first:last], self.cols[first:last])


def train_slots(trains: PulseTrains, sample: int) -> TrainSlots:
    """The slots of one update of a batch.

    Args:
        trains: from `pulse_trains`.
        sample: which pair (x, d) of the batch.

    Raises:
        InputError: there is no such pair.
    """
    if not 0 <= sample < len(trains.words):
        raise InputError(
            "there is no such pair",
            where="sample",
            value=sample,
            allowed=f"0 to {len(trains.words) - 1}",
        )
    (row_on, row_sign), (col_on, col_sign) = (
        (has_pulse(words).numpy(), torch.where(words < 0, -1, 1).numpy())
        for words in (trains.words[sample], trains.bits[sample])
    )
    kinds = np.array(SLOTS)
    # [pulse, kind, line]: pulse by pulse, the kinds in their order.
    rows = row_on.T[:, None] & (row_sign == kinds[:, :1])
    cols = col_on.T[:, None] & (col_sign == kinds[:, 1:2])
    taken = rows.any(-1) | cols.any(-1)
    up = np.broadcast_to(kinds[:, 2].astype(bool), (LONGEST, len(SLOTS)))
    return TrainSlots(up[taken], rows[taken], cols[taken])
