"""How far the surrogate of a run is off the exact solution: what is recorded of it, and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cosim.calibration.evidence import HeldOutError
from cosim.network.surrogate import SurrogateModel
from cosim.network.watch import anchored, can_be_watched, tile_errors
from cosim.training.loop import INPUTS, Epoch
from netlists.hardware import Hardware


@dataclass(frozen=True)
class Watched:
    """The surrogate beside the exact solution; errors of currents are relative and rms.

    Attributes:
        tolerance: what was allowed; arrays that were further off were anchored.
        error: of the array that is furthest off, of the surrogate as it was used; None where the
            exact solution of the cells is not known.
        closed_form_error: the same without anchors; None likewise, or where nobody asked.
        array: which array is furthest off.
        anchored: how many arrays are anchored on their exact solution.
    """

    tolerance: float
    error: float | None
    closed_form_error: float | None
    array: str
    anchored: int

    def sentence(self) -> str:
        """What a user is told."""
        if self.error is None:
            return (
                "the surrogate could not be compared with exact: of cells of your own only the"
                " held-out error of the calibration is known"
            )
        text = f"the surrogate's currents are within {percent(self.error)} of exact"
        if self.closed_form_error is None:
            return f"{text} ({self.array}, the array that is furthest off, anchored as it moves)"
        if not self.anchored:
            return f"{text} ({self.array}, the array that is furthest off)"
        arrays = "array is" if self.anchored == 1 else "arrays are"
        return (
            f"{text}: {self.anchored} {arrays} anchored on the exact solution, without which the"
            f" closed form is off by {percent(self.closed_form_error)}, more than"
            f" max_surrogate_error ({percent(self.tolerance)})"
        )


def percent(share: float) -> str:
    """A share with two digits; what rounding alone leaves is nothing."""
    return "0 %" if share < 1e-12 else f"{100 * share:.2g} %"


def in_training(history: Sequence[Epoch], tolerance: float) -> Watched:
    """The worst that was seen at the end of an epoch."""
    known = [line for line in history if line.surrogate_error is not None]
    if not known:
        return Watched(tolerance, None, None, "", 0)
    worst = max(known, key=lambda line: line.surrogate_error or 0.0)
    closed = [line.closed_form_error for line in known if line.closed_form_error is not None]
    return Watched(
        tolerance,
        worst.surrogate_error,
        max(closed, default=None),
        worst.worst_array,
        history[-1].anchored,
    )


def in_ngspice(history: Sequence[Epoch], tolerance: float) -> list[str]:
    """What is said of the reads in ngspice of a whole training, if there were any."""
    read = [line for line in history if line.spice_inputs]
    if not read:
        return []
    inputs = sum(line.spice_inputs for line in read)
    known = [line for line in read if line.spice_error is not None]
    failed = [line for line in read if line.spice_error is None]
    said = []
    if known:
        worst = max(known, key=lambda line: line.spice_error or 0.0)
        off = worst.spice_error or 0.0
        than = "" if off <= tolerance else f", more than max_surrogate_error ({percent(tolerance)})"
        said.append(
            f"{inputs} inputs of {len(read)} epochs were read in ngspice as well: currents within"
            f" {percent(off)} of it ({worst.spice_array}, epoch {worst.epoch + 1}){than}"
        )
    if failed:
        said.append(
            f"ngspice did not end well in {len(failed)} of {len(read)} epochs"
            f" ({failed[0].spice_outcome}): nothing is known of these"
        )
    return said


def of_chip(
    model: SurrogateModel,
    conductance_s: Sequence[torch.Tensor],
    x: torch.Tensor,
    tolerance: float,
) -> tuple[SurrogateModel, Watched]:
    """The surrogate for given arrays: anchored where its closed form does not hold.

    Args:
        model: as it was calibrated.
        conductance_s: [layer] -> [chip, tile, row, col] in siemens.
        x: inputs that are typical [batch, in]; some of them are taken.
        tolerance: largest error of an array's currents.
    """
    some = x[:INPUTS]
    before = tile_errors(model, conductance_s, some)
    better, passed = anchored(model, before, [tolerance] * len(model.plans))
    after = tile_errors(better, conductance_s, some) if passed else before
    if not after:
        return better, Watched(tolerance, None, None, "", 0)
    worst = max(after, key=lambda one: one.used)
    closed = max(one.closed for one in after)
    return better, Watched(tolerance, worst.used, closed, worst.name, len(better.anchored))


_MOST_LSB = 0.5  # what rounding brings anyway


def held_out_sentences(
    errors: Sequence[HeldOutError], tolerance: float, hardware: Hardware
) -> list[str]:
    """What is said of a calibration that is too far off on what it was not fitted to."""
    then = (
        "arrays that turn out as far off are anchored on their exact solution"
        if can_be_watched(hardware)
        else "no exact solution of your cells is known, so believe spice and not the surrogate"
    )
    wires = [
        f"{row.quantity}: off by up to {row.worst:.2g} % on arrays that it was not fitted to, more"
        f" than max_surrogate_error ({percent(tolerance)}): {then}"
        for row in errors
        if row.held_out == "arrays" and row.unit == "%" and not row.worst <= 100 * tolerance
    ]
    blocks = [
        f"{row.quantity}: off by more than {row.median:.2g} LSB of the converter in half of its"
        " points; training sees another block than the circuit has, so believe spice and not the"
        " surrogate"
        for row in errors
        if row.unit == "LSB" and "wires" not in row.quantity and not row.median <= _MOST_LSB
    ]
    cells = [
        f"{row.quantity}: up to {row.worst:.2g} %; your cell has a third way for its current, which"
        " the surrogate does not have: believe spice"
        for row in errors
        if row.held_out == "vectors" and row.unit == "%" and not row.worst <= 100 * tolerance
    ]
    return [*wires, *blocks, *cells]
