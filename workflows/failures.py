"""Why images of a verification have no answer, counted by reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cosim.network.whole_chip import WORTH_HALVING, SimulationRecord

# Reasons that differ in how much, or at which point, are one; names like layer_1 stay apart.
_AMOUNT = re.compile(r"(?<![\w.])[-+]?\d[\d.]*(?:e[-+]?\d+)?", re.IGNORECASE)
_MOST = 4


@dataclass(frozen=True)
class Failure:
    """Images that failed alike.

    Args:
        images: how many.
        outcome: how their simulations ended.
        reason: of the first of them.
    """

    images: int
    outcome: str
    reason: str


def failures(simulations: Sequence[SimulationRecord]) -> tuple[Failure, ...]:
    """The failed images by outcome and reason, the most frequent first.

    Args:
        simulations: of one reading. A deck of several images that was cut in two and read again
            counts for nothing: the smaller decks have its images.
    """
    counts: Counter[tuple[str, str]] = Counter()
    said: dict[tuple[str, str], str] = {}
    for one in simulations:
        if one.outcome == "ok" or (one.points > 1 and one.outcome in WORTH_HALVING):
            continue
        kind = one.outcome, _AMOUNT.sub("#", one.reason)
        counts[kind] += one.points
        said.setdefault(kind, one.reason)
    return tuple(Failure(images, kind[0], said[kind]) for kind, images in counts.most_common())


def failure_lines(found: Sequence[Failure]) -> list[str]:
    """What the command says of them; nothing where none failed."""
    lines = [f"{one.images:6d} failed: {one.outcome} ({one.reason})" for one in found[:_MOST]]
    if len(found) > _MOST:
        rest = sum(one.images for one in found[_MOST:])
        others = len(found) - _MOST
        why = "another reason" if others == 1 else f"{others} more reasons"
        lines.append(f"{rest:6d} failed for {why}: see verify.json")
    return lines
