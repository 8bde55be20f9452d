"""Stacks of tiles that a reader is held to: no two lines, ends or tiles are alike.

A wrong transpose, sign, order of lines or tile, a shared end or a padded line that takes part shows
in one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from compact_models.cell_device import CellDevice
from compact_models.library import find_model
from cosim.array.device_cells import DeviceCells, device_cells
from cosim.array.layout import TileLayout
from cosim.array.surroundings import Ends, TileWires

READ_V = 0.2


@dataclass(frozen=True, eq=False)
class Case:
    """Tiles of one or many chips, with what drives them forward and backward.

    Attributes:
        g: conductances, [chip, tile, row, col] in siemens.
        wires: segments.
        forward: ends when word lines are driven.
        backward: ends when bit lines are.
        drive_v: of word lines, [chip, tile, batch, row].
        drive_back_v: of bit lines, [chip, tile, batch, col].
        layout: whose tiles they are; None for tiles that no matrix of pairs has.
        planes: the cells of that matrix, [chip, side, row, out].
        changed: cells (side, row, out) of it that conduct more or less for one read, [cell, 3].
        by_s: by how much, [cell].
        cells: what they are; None of ohmic ones.
    """

    g: torch.Tensor
    wires: TileWires
    forward: Ends
    backward: Ends
    drive_v: torch.Tensor
    drive_back_v: torch.Tensor
    layout: TileLayout | None = None
    planes: torch.Tensor | None = None
    changed: torch.Tensor | None = None
    by_s: torch.Tensor | None = None
    cells: DeviceCells | None = None

    @property
    def bare(self) -> bool:
        """Nothing but cells."""
        return self.wires == TileWires() and self.forward == self.backward == Ends()

    @property
    def perturbed(self) -> torch.Tensor:
        """The conductances while some cells conduct more or less, as `g`."""
        assert self.layout is not None
        assert self.planes is not None
        assert self.changed is not None
        assert self.by_s is not None
        planes = self.planes.clone()
        for (side, row, out), more in zip(self.changed.tolist(), self.by_s, strict=True):
            planes[:, side, row, out] += more
        return self.layout.split_cells(planes)

    @property
    def each(self) -> list[Case]:
        """The arrays, as cases of one array; what drives them and what changes stays out."""
        assert self.layout is not None
        assert self.planes is not None
        one, found = self.layout.each, []
        for k, planes in enumerate(self.planes.chunk(self.layout.arrays, 2)):
            here = slice(k * one.tiles, (k + 1) * one.tiles)
            forward, backward = (
                replace(
                    end,
                    r_sense_ohm=_of_tiles(end.r_sense_ohm, here),
                    held_v=None if end.held_v is None else _of_tiles(end.held_v, here),
                )
                for end in (self.forward, self.backward)
            )
            g = one.split_cells(planes)
            own = replace(self, g=g, planes=planes, layout=one, forward=forward, backward=backward)
            found.append(own)
        return found

    def alone(self, chip: int, tile: int) -> Case:
        """One of the tiles."""
        here = slice(chip, chip + 1), slice(tile, tile + 1)

        def ends(of: Ends) -> Ends:
            """Those of one tile, [line]."""
            sense, held = of.r_sense_ohm, of.held_v
            assert isinstance(sense, torch.Tensor)
            assert held is not None
            sense, held = (x.expand(*self.g.shape[:2], -1)[chip, tile] for x in (sense, held))
            return replace(of, r_sense_ohm=sense, held_v=held)

        return replace(
            self,
            g=self.g[here],
            forward=ends(self.forward),
            backward=ends(self.backward),
            drive_v=self.drive_v[here],
            drive_back_v=self.drive_back_v[here],
            layout=None,
            changed=None,
        )


def _of_tiles(lines: Any, some: slice) -> Any:
    """Of some tiles, of [..., tile, line] or of one value."""
    return lines[..., some, :] if isinstance(lines, torch.Tensor) else lines


def uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape))


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng([ord(letter) for letter in name])


def _ends(
    rng: np.random.Generator, chips: int, tiles: int, rows: int, cols: int, held: float
) -> tuple[Ends, Ends]:
    def offsets(*shape: int) -> torch.Tensor | None:
        return uniform(rng, -held, held, *shape) if held else None

    forward = Ends(
        uniform(rng, 20, 60, rows),
        uniform(rng, 5, 900, chips, tiles, cols),
        offsets(chips, tiles, cols),
    )
    # Offsets of all chips alike here, so that both ways of giving them are read.
    backward = Ends(13.0, uniform(rng, 70, 1400, chips, tiles, rows), offsets(tiles, rows))
    return forward, backward


def tiles(
    name: str, shape: tuple[int, int, int, int], wires: TileWires, *, held: float = 0.02
) -> Case:
    """Tiles by their own shape, [chip, tile, row, col]."""
    rng = _rng(name)
    chips, count, rows, cols = shape
    g = uniform(rng, 1e-6, 1e-4, *shape)
    if rows * cols > 1:
        g[0, 0, rows // 2, cols // 2] = 0.0
    drive = uniform(rng, -0.2, 0.2, chips, count, 3, rows)
    drive_back = uniform(rng, -0.2, 0.2, chips, count, 4, cols)
    return Case(g, wires, *_ends(rng, *shape, held), drive, drive_back)


def matrix(
    name: str,
    layout: TileLayout,
    wires: TileWires,
    *,
    chips: int = 1,
    bare: bool = False,
) -> Case:
    """Tiles of a matrix of pairs, whose padded lines are not driven; some cells change."""
    rng = _rng(name)
    rows = layout.arrays * layout.rows
    planes = uniform(rng, 1e-6, 1e-4, chips, 2, rows, layout.outs)
    planes[0, 1, rows // 2, 0] = 1e-9
    x = uniform(rng, -0.2, 0.2, chips, 3, layout.rows)
    d = uniform(rng, -0.2, 0.2, chips, 4, layout.outs, 2)
    last = rows - 1, layout.outs - 1
    changed = torch.tensor([[0, *last], [1, 0, last[1]], [1, rows // 2, 0]])
    by_s = torch.tensor([3e-5, 4e-5, 2e-5], dtype=torch.float64)
    shape = chips, layout.tiles, layout.tile_rows, layout.tile_cols
    ends = (Ends(), Ends()) if bare else _ends(rng, *shape, 0.02)
    return Case(
        layout.split_cells(planes),
        wires,
        *ends,
        layout.split_rows(x),
        layout.split_cols(d),
        layout,
        planes,
        changed,
        by_s,
    )


def _uneven() -> Case:
    """Segments one by one, some of them shorts."""
    rng = _rng("uneven")
    word, bit = uniform(rng, 1, 800, 4, 6), uniform(rng, 1, 800, 4, 6)
    word[1, 2] = bit[3, 4] = 0.0
    return tiles("uneven", (1, 1, 4, 6), TileWires(word, bit))


def _weak() -> Case:
    """Within the region in which the closed form states its error; tiles are padded both ways."""
    return matrix("weak", TileLayout((0, 3, 8), (0, 3, 5)), TileWires(6.0, 9.0), chips=2)


MANY = "two chips of four tiles"
OHMIC: dict[str, Callable[[], Case]] = {
    MANY: _weak,
    "much lost": lambda: tiles("much", (1, 1, 5, 7), TileWires(300.0, 900.0)),
    "more rows than columns": lambda: tiles("tall", (1, 1, 9, 4), TileWires(900.0, 300.0)),
    "nothing held": lambda: tiles("free", (1, 1, 4, 6), TileWires(300.0, 90.0), held=0.0),
    "one row": lambda: matrix("row", TileLayout((0, 1), (0, 3)), TileWires(300.0, 900.0)),
    "one output": lambda: matrix("out", TileLayout((0, 6), (0, 1)), TileWires(300.0, 900.0)),
    "two arrays of two tiles": lambda: matrix(
        "sum", TileLayout((0, 2, 5), (0, 3), 2), TileWires(30.0, 90.0)
    ),
    "two rows of two arrays": lambda: matrix(
        "rows", TileLayout((0, 1), (0, 3), 2), TileWires(300.0, 900.0)
    ),
    "one column": lambda: tiles("column", (1, 2, 6, 1), TileWires(300.0, 900.0)),
    "one cell": lambda: tiles("cell", (1, 1, 1, 1), TileWires(300.0, 900.0)),
    "no word-line resistance": lambda: tiles("word", (1, 1, 4, 6), TileWires(0.0, 900.0)),
    "no bit-line resistance": lambda: tiles("bit", (1, 1, 4, 6), TileWires(300.0, 0.0)),
    "segments that differ": _uneven,
    "no resistance at all": lambda: matrix(
        "bare", TileLayout((0, 4), (0, 1, 3)), TileWires(), bare=True
    ),
}


def bent(name: str, **changed: float) -> DeviceCells:
    """A device of the package with some of its numbers changed."""
    model = find_model(name)
    numbers = model.parameter_sets[0]
    return device_cells(
        CellDevice(model, replace(numbers, values={**numbers.values, **changed})), READ_V
    )


INNER = "with an inner equation"
DEVICES: dict[str, Callable[[], DeviceCells]] = {
    "sky130": lambda: bent("stanford"),
    "a fifth bent": lambda: bent("stanford", v_0=0.19, i_0=2.5e-5),
    # Its two signs differ: an array turned over with the wrong sign reads another current.
    "not odd": lambda: bent("yakopcic", a_1=9e-5, a_2=4e-5, b=4.0),
    "a resistor": lambda: bent("vteam_exp", r_on=8e3, r_off=9e5),
    INNER: lambda: bent("jart_v1b"),
}


def of_device(name: str) -> Case:
    """Two tiles of 5 x 7 cells, the second padded."""
    rng = np.random.default_rng(3)
    cells = DEVICES[name]()
    low, high = cells.range_s
    g = uniform(rng, max(low, 1e-6), min(high, 1e-4), 1, 2, 5, 7)
    g[0, 1, :2], g[0, 1, :, 5:] = 0.0, 0.0
    drive, back = uniform(rng, -0.2, 0.2, 1, 2, 4, 5), uniform(rng, -0.2, 0.2, 1, 2, 3, 7)
    return Case(
        g,
        TileWires(uniform(rng, 5, 90, 5, 7), 70.0),
        Ends(40.0, uniform(rng, 5, 190, 2, 7), uniform(rng, -0.01, 0.01, 1, 2, 7)),
        Ends(13.0, uniform(rng, 70, 400, 1, 2, 5), uniform(rng, -0.01, 0.01, 2, 5)),
        drive,
        back,
        cells=cells,
    )
