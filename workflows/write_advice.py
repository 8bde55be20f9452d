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
        shorter_s: how long a pulse may be that would do; None where nobody knows.
    """

    most_pulses: str
    width: str
    amplitudes: str
    tolerance: str
    quieter: str
    shaped: bool
    shorter_s: float | None = None


def shorter_s(width_s: float, tolerance_s: float, worst_error_s: float) -> float | None:
    """How long a pulse may be that moves cells by half of what they may be off.

    What a pulse does to its own cell and to others goes about with its length.

    Args:
        width_s: how long pulses are.
        tolerance_s: how far a cell may be off [S].
        worst_error_s: how far the furthest is [S].
    """
    if not worst_error_s > tolerance_s > 0:
        return None
    return width_s * tolerance_s / (2 * worst_error_s)


def next_action(unmet: Mapping[str, int], knobs: Knobs) -> str:
    """In words, for each reason in the order given; empty where nothing that is set would help.

    Args:
        unmet: cells that are off, by the reason (`cosim.write.unmet.counted`).
        knobs: what can be changed.
    """
    about = "" if knobs.shorter_s is None else f"; about {knobs.shorter_s:.2g} s"
    longer, shorter = (
        ([f"longer ones ({knobs.width})"], [f"shorter pulses ({knobs.width}{about})"])
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
