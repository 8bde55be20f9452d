"""What to change where cells are off after a write: by the reason, the option that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cosim.write.unmet import Unmet


@dataclass(frozen=True)
class Knobs:
    """Where a user sets what, each with its value.

    Attributes:
        most_pulses: for one cell in one round.
        width: of a pulse.
        amplitudes: of both pulses.
        tolerance: how far a cell may be off, and which way is more.
        quieter: a bias that disturbs less; empty where there is none.
        shaped: whether height and length of a pulse count; a pulse device steps alike at any.
    """

    most_pulses: str
    width: str
    amplitudes: str
    tolerance: str
    quieter: str
    shaped: bool


def next_action(unmet: Mapping[str, int], knobs: Knobs) -> str:
    """In words, for each reason in the order given; empty where nothing that is set would help.

    Args:
        unmet: cells that are off, by the reason (`cosim.write.unmet.counted`).
        knobs: what can be changed.
    """
    longer, shorter = (
        ([f"longer ones ({knobs.width})"], [f"shorter pulses ({knobs.width})"])
        if knobs.shaped
        else ([], [])
    )
    ways: dict[str, list[str]] = {
        Unmet.ON_ITS_WAY: [f"more pulses for a cell ({knobs.most_pulses})", *longer],
        Unmet.STAYS: [f"higher pulses ({knobs.amplitudes})", *longer] if knobs.shaped else [],
        Unmet.PASSES: [*shorter, f"a wider tolerance ({knobs.tolerance})"],
        Unmet.DISTURBED: [knobs.quieter] if knobs.quieter else shorter,
    }
    return "; ".join(" or ".join(ways[why]) for why in unmet if ways.get(why))
