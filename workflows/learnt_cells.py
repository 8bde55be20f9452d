"""What a training in cells leaves of them in a run: `cells` of run.json, and cells.npz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.training.endurance import LayerCells, LayerEndurance, LearntLayer
from workflows.runfolder import Stored, write_npz

FILE = "cells.npz"


def write_learnt(folder: Path, layers: Sequence[LearntLayer]) -> None:
    """Writes the cells of all layers; nothing where there are none."""
    if not layers:
        return
    arrays: dict[str, NDArray[np.float64]] = {}
    for one in layers:
        for part in fields(LayerCells):
            arrays[f"{one.says.layer}.{part.name}"] = getattr(one.cells, part.name)
    write_npz(folder / FILE, arrays)


def read_learnt(run: Path, said: Sequence[LayerEndurance]) -> tuple[LearntLayer, ...]:
    """What `write_learnt` has written.

    Args:
        run: the run folder.
        said: of the record of the run.

    Raises:
        InputError: the file is missing or is not of this run.
    """
    if not said:
        return ()
    stored = Stored(run / FILE)
    return tuple(
        LearntLayer(
            one,
            LayerCells(
                *(stored[f"{one.layer}.{part.name}", (-1, -1, -1)] for part in fields(LayerCells))
            ),
        )
        for one in said
    )
