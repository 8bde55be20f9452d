"""One row or column of an array updated in one shot: a unit vector on the lines of one side.

Tiki-Taka moves what array A has gathered into array C line by line: A is read with a unit vector,
and what comes out is written into the same line of C (Gokmen, Haensch, "Algorithm for Training
Neural Networks on Resistive Device Arrays", Front. Neurosci. 14 (2020) 103, doi
10.3389/fnins.2020.00103). Where one side's lines are 0 but for one, nothing is left to chance: the
selected line carries every pulse, a line across it as many as its value asks for, and each of them
makes a step. Only the fraction of a pulse is drawn, so that the mean is exact.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import torch

from compact_models.errors import InputError
from compact_models.variation import Draw
from cosim.pulses.trains import PulseTrains, UpdateRule, packed

Side = Literal["row", "col"]


def unit_vector_trains(
    values: torch.Tensor,
    line: torch.Tensor,
    lines: int,
    rule: UpdateRule,
    draw: Draw,
    *,
    side: Side,
) -> PulseTrains:
    """Trains that change line `line` of an array by -lr values, one sample after another.

    With `side` "col" these are the trains of x = values and the unit vector d, with "row" of the
    unit vector x and d = values; the sign is that of `pulse_trains`: a transfer that adds gives
    -values. Management does nothing here: a train is as long as its largest value needs. Warns if
    values need more pulses than `rule.max_pulses`; the result counts them.

    Args:
        values: of the lines across the selected one, [batch, across].
        line: which line is selected, whole numbers [batch].
        lines: how many there are on the selected side.
        rule: learning rate, step and the longest train.
        draw: where the fractions of pulses are drawn from: another step in each call.
        side: which side the selected line is on: "row", a word line, or "col", a bit line.

    Raises:
        InputError: a shape does not fit, a number is not finite, or there is no such line.
    """
    if values.ndim != 2 or line.shape != values.shape[:1] or side not in ("row", "col"):
        raise InputError(
            "values and lines are no batch of updates",
            where="values, line, side",
            value=(tuple(values.shape), tuple(line.shape), side),
            allowed='[batch, across], [batch] and "row" or "col"',
        )
    given, selected = values.detach().to("cpu", torch.float64).numpy(), line.cpu().numpy()
    if not np.isfinite(given).all():
        raise InputError("a value is not finite", where="values", allowed="finite numbers")
    if line.is_floating_point() or ((selected < 0) | (selected >= lines)).any():
        raise InputError(
            "there is no such line", where="line", value=selected.tolist()[:5],
            allowed=f"whole numbers, 0 to {lines - 1}",
        )  # fmt: skip
    wanted = rule.lr * np.abs(given) / rule.dw_min
    rng = draw.part("unit_vector").rng()
    whole = np.floor(wanted)
    counts = (whole + (rng.random(wanted.shape) < wanted - whole)).astype(np.int64)
    clipped = int((counts > rule.max_pulses).sum())
    if clipped:
        warnings.warn(
            f"{clipped} values need more than {rule.max_pulses} pulses and the update is too small:"
            " take a smaller lr or a larger max_pulses; PulseTrains.clipped counts them",
            RuntimeWarning,
            stacklevel=2,
        )
    counts = np.minimum(counts, rule.max_pulses)
    length = counts.max(1, initial=0)
    slot = np.arange(int(length.max(initial=0)))
    across = packed(slot < counts[..., None], given < 0)
    alone = np.arange(lines) == selected[:, None]
    one = packed(alone[..., None] & (slot < length[:, None])[:, None], np.zeros_like(alone))
    word, bit = (one, across) if side == "row" else (across, one)
    return PulseTrains(word, bit, torch.from_numpy(length), clipped, int((wanted > 0).sum()))
