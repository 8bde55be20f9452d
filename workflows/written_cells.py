"""Every cell of a written network, one row a cell: `write.npz`, and `write.csv` for other tools."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_models.files import write_text_atomic
from cosim.write.unmet import WORDS, Unmet
from cosim.write.verify import Written
from netlists.chip import Chip
from workflows import runfolder

Array = NDArray[np.float64]
Cells = dict[str, NDArray[Any]]


def cell_table(
    chip: Chip, targets: Sequence[Sequence[Array]], written: Sequence[Sequence[Written]]
) -> Cells:
    """Columns of all cells, tile after tile and row after row, each [cell].

    `layer`, `tile`, `row` and `col` say where a cell is; `input`, `output` and `sign` which weight
    it serves and on which side of the pair (1 plus, -1 minus; the bias is the input after the
    last); `weight` that weight as it stands in the array, of which the cell holds its sign's part;
    `target_s`, `achieved_s` [S]; `pulses` that were meant for it; `energy_j` its heat by all pulses
    [J]; `unmet` a value of `Unmet`, empty where it is within the tolerance.

    Args:
        chip: with its weights.
        targets: conductances [S], [layer][tile] -> [row, col].
        written: the tiles after they were written.
    """
    parts: list[Cells] = []
    for k, (plan, layer) in enumerate(zip(chip.plans, written, strict=True)):
        for t, (tile, one) in enumerate(zip(plan.tiles, layer, strict=True)):
            rows, cols = np.indices((tile.rows, tile.cols)).reshape(2, -1)
            inputs, outputs = tile.row_start + rows, tile.out_start + cols // 2
            parts.append(
                {
                    "layer": np.full(rows.size, k),
                    "tile": np.full(rows.size, t),
                    "row": rows,
                    "col": cols,
                    "input": inputs,
                    "output": outputs,
                    "sign": 1 - 2 * (cols % 2),
                    "weight": chip.weights[k][inputs, outputs],
                    "target_s": targets[k][t].ravel(),
                    "achieved_s": one.conductance_s.ravel(),
                    "pulses": one.ledger.pulses.ravel(),
                    "energy_j": one.ledger.energy_j.ravel(),
                    "unmet": one.unmet.ravel(),
                }
            )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write_cells(run: Path, cells: Cells) -> str:
    """Writes `write.npz` and `write.csv` into a run; returns the sha256 of the first.

    Args:
        run: a run folder.
        cells: of `cell_table`.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*cells, "reason"])
    columns = [column.tolist() for column in cells.values()]
    for row in zip(*columns, strict=True):
        table.writerow([*row, reason(row[-1])])
    write_text_atomic(run / "write.csv", text.getvalue())
    return runfolder.write_npz(run / "write.npz", cells)


def reason(code: str) -> str:
    """Why a cell is not within its tolerance, in words; empty for an empty code."""
    return WORDS[Unmet(code)] if code else ""
