"""What an update costs in cells that conduct by their weights: v^2 g t of every slot.

A pulse of a train is applied once with each polarity (`cosim.driven.train_pulses`): in one slot
its line meets those with which cells step up, in another those with which they step down, at half
the level both times. Where the other line has a pulse in the same slot the cell sees all of it.
What drivers, wires and the charging of lines take is not in it.
"""

from __future__ import annotations

import torch

from compact_models.errors import InputError
from cosim.pulses.trains import PulseTrains, has_pulse
from netlists.pulse import Pulse


def update_energy_j(
    conductance_s: torch.Tensor, trains: PulseTrains, up: Pulse, down: Pulse
) -> torch.Tensor:
    """The heat of every cell by the updates of a batch [J], [row, col].

    Args:
        conductance_s: of the cells [S], [row, col]; what a batch changes of it is left out.
        trains: words on word lines [batch, row] and on bit lines [batch, col].
        up: what a cell sees at a coincidence that steps it up; its lines carry half of it.
        down: the same of a step down.

    Raises:
        InputError: the trains are of another array.
    """
    wanted = (trains.words.shape[1], trains.bits.shape[1])
    if tuple(conductance_s.shape) != wanted:
        raise InputError(
            "wrong shape",
            where="conductance_s",
            value=tuple(conductance_s.shape),
            allowed=f"{wanted}: word lines and bit lines of the trains",
        )
    longest = int(trains.length.max()) if len(trains.length) else 0
    word, bit = (_by_sign(words, longest) for words in (trains.words, trains.bits))
    lines = word.sum((0, 1))[:, None] + bit.sum((0, 1))
    energy = torch.zeros(wanted, dtype=torch.float64)
    # Cells step up where the signs of x and d differ.
    for pulse, across in ((up, bit.flip(0)), (down, bit)):
        hits = torch.einsum("skr,skc->rc", word, across)
        half = lines - 2 * hits  # of the pulses on a cell's two lines those that came alone
        energy += pulse.amplitude_v**2 * pulse.square_s * (hits + half / 4).to(torch.float64)
    return energy * conductance_s.to(torch.float64)


def _by_sign(words: torch.Tensor, longest: int) -> torch.Tensor:
    """Pulses of values below 0 and of the others, [sign, pulse of a batch, line]; whole numbers."""
    has = has_pulse(words)[..., :longest].movedim(-1, 1)  # [batch, pulse, line]
    negative = (words < 0)[:, None]
    both = torch.stack([has & negative, has & ~negative])
    return both.flatten(1, 2).to(torch.float32)
