"""Whether a training ended before its loss did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

_FELL = 0.03  # of the loss, from one quarter of the epochs to the next
_MUCH = 0.1  # of the loss of a guess: what is below has little left to fall
_QUARTER = 4


def still_falling(losses: Sequence[float], classes: int) -> str:
    """In words, that more epochs would help; empty where that does not show.

    The mean loss of the last quarter of the epochs is more than 3 % below that of the quarter
    before, and more than a tenth of ln(classes), which is the loss of a guess. By then the cosine
    schedule has brought the steps down, so that a loss that still falls then began to do so late.

    Args:
        losses: mean cross entropy of every epoch.
        classes: how many there are.
    """
    quarter = max(1, len(losses) // _QUARTER)
    if len(losses) < 2 * quarter:
        return ""
    before, last = fmean(losses[-2 * quarter : -quarter]), fmean(losses[-quarter:])
    if not (last < (1 - _FELL) * before and last > _MUCH * math.log(classes)):
        return ""
    return (
        f"the training loss was still falling, {before:.3g} to {last:.3g} in the last quarter of"
        f" the {len(losses)} epochs: more epochs ([train] epochs)"
    )
