"""Why a cell of a write-verify loop is not within its tolerance, for every cell and in words."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_STILL = 2e-4  # of the range: a smaller move is none, as the rules of amplitudes have it


class Unmet(StrEnum):
    """How the last round of a cell ended that is off its target. `MET` where it is not off."""

    MET = ""
    ENDED_EARLY = "ended_early"
    ONE_PULSE = "one_pulse"
    DISTURBED = "disturbed"
    PASSES = "passes"
    STAYS = "stays"
    ON_ITS_WAY = "on_its_way"


WORDS = {
    Unmet.ENDED_EARLY: "not tried to the end: the write ended early",
    Unmet.ONE_PULSE: "off after its one pulse",
    Unmet.DISTURBED: "met in its turn, then moved away by pulses for other cells",
    Unmet.PASSES: "its pulses go past the target from both sides",
    Unmet.STAYS: "its last pulse that was read moved it by less than 0.02 % of its range",
    Unmet.ON_ITS_WAY: "all its pulses were used up on its way",
}
_CODES = NDArray[np.str_]


def no_codes(size: int) -> _CODES:
    """Of cells that the loop has not come to [cell]."""
    return np.full(size, Unmet.ENDED_EARLY.value, dtype="<U12")


def codes_of_round(
    off: NDArray[np.bool_],
    turned: NDArray[np.bool_],
    moved: NDArray[np.float64],
    *,
    one_pulse: bool,
) -> _CODES:
    """How a round ended for cells of a group, each argument [cell].

    Args:
        off: their last reading was not within the tolerance.
        turned: they were pulsed in both directions.
        moved: how far their last pulse but one moved them, as a fraction of the range; NaN where
            there was none.
        one_pulse: each cell has one pulse and no second try.
    """
    found = np.where(moved < _STILL, Unmet.STAYS.value, Unmet.ON_ITS_WAY.value)
    found = np.where(turned, Unmet.PASSES.value, found)
    if one_pulse:
        found = np.full(off.shape, Unmet.ONE_PULSE.value)
    # What was within at its last reading and is off at the end was moved by others.
    return np.where(off, found, Unmet.DISTURBED.value).astype("<U12")


def counted(codes: _CODES) -> dict[str, int]:
    """How many cells are off for which reason, the most frequent first.

    Args:
        codes: of any shape.
    """
    names, counts = np.unique(codes[codes != Unmet.MET.value], return_counts=True)
    order = sorted(zip(counts.tolist(), names.tolist(), strict=True), key=lambda one: -one[0])
    return {str(name): int(count) for count, name in order}


def in_words(counts: dict[str, int]) -> str:
    """What `counted` found, in one line; empty where every cell is met."""
    return "; ".join(f"{count}: {WORDS[Unmet(name)]}" for name, count in counts.items())
