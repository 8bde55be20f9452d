"""Resistances of single lines and segments from an .npz file, for one array or for a chip's tiles.

A chip's file describes a whole tile, `max_rows` x `max_cols`, as extracted from its layout: a
smaller tile is built of the cells nearest to drivers and sense nodes, so the segments next to these
stay what they are. A run keeps a copy, and the hash of a study covers the numbers, not the place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from compact_models.errors import InputError, closest
from compact_models.spec import Spec
from netlists.hardware import TileSpec
from netlists.wires import SeriesOhm, Wires, checked_ohm
from workflows.npz import npz_bytes, numeric, read_npz

Array = NDArray[np.float64]

FILE = "wires.npz"  # the copy in a run folder
SEGMENTS = ("r_wordline_ohm", "r_bitline_ohm")


class WiresSpec(Spec):
    """Segment resistances of an array."""

    r_wordline_ohm: SeriesOhm = Field(1.0, description="resistance of one word-line segment [ohm]")
    r_bitline_ohm: SeriesOhm = Field(1.0, description="resistance of one bit-line segment [ohm]")
    file: str = Field(
        "",
        description="for segments that differ: an .npz beside the configuration with one of"
        " these keys or both, of a whole tile, [max_rows, max_cols] or one a line; see exact.md",
    )


@dataclass(frozen=True, eq=False)
class ReadWires:
    """The wires of a chip whose file has been read.

    Args:
        wires: of a whole tile.
        stored: what the file has, by key.
    """

    wires: Wires
    stored: Mapping[str, Array]

    def digest(self) -> str:
        """Changes with every number of the file."""
        digest = hashlib.sha256()
        for name, array in sorted(self.stored.items()):
            digest.update(f"{name} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def copy(self) -> bytes:
        """The file for a run folder."""
        return npz_bytes(self.stored)


def load_wires(spec: WiresSpec, tile: TileSpec, folder: Path, where: str) -> ReadWires | None:
    """Reads the file of [wires]; None where there is none.

    Args:
        spec: the section.
        tile: the tile that the file describes.
        folder: what its path is relative to.
        where: the configuration, for messages.

    Raises:
        InputError: the file does not hold the wires of such a tile, or a key stands in both.
    """
    if not spec.file:
        return None
    path = folder / spec.file
    stored = {k: numeric(v, f"{path}: {k}") for k, v in read_npz(path).items()}
    for name in stored:
        if name not in SEGMENTS:
            raise InputError(
                f"unknown key {name!r}",
                where=str(path),
                allowed=", ".join(SEGMENTS),
                hint=closest(name, SEGMENTS),
            )
        if name in spec.model_fields_set:
            raise InputError(
                f"{name} stands in the configuration and in its file of wires",
                where=f"{where}: [wires] {name}",
                hint=f"leave it out, or take it out of {spec.file}",
            )
    if not stored:
        raise InputError("it has no wires", where=str(path), allowed=", ".join(SEGMENTS))
    shape = tile.max_rows, tile.max_cols
    found = {k: segments(v, k, str(path), shape) for k, v in stored.items()}
    wires = Wires(**{k: found.get(k, getattr(spec, k)) for k in SEGMENTS})
    if wires.has_opens:
        raise InputError(
            "a chip's surrogate knows no open segment",
            where=str(path),
            value=float("inf"),
            allowed="finite resistances",
            hint="give 1e9 ohm, or solve single arrays with opens: spiceloop solve",
        )
    return ReadWires(wires, stored)


def segments(given: Array, name: str, where: str, shape: tuple[int, int]) -> float | Array:
    """Resistances of segments: of one value, one for every line, or one for every segment.

    Args:
        given: what a file has.
        name: its key, one of `SEGMENTS`.
        where: the file, for messages.
        shape: rows and columns of the array.

    Raises:
        InputError: they are of another array, or a resistance cannot be built.
    """
    if given.size == 1:
        return checked_ohm(given.reshape(()), name, 2, where)
    of_words = name == "r_wordline_ohm"
    if given.shape == (shape[0 if of_words else 1],):
        given = np.broadcast_to(given[:, None] if of_words else given, shape)
    if given.shape != shape:
        line, axis = ("word", "row") if of_words else ("bit", "col")
        raise InputError(
            "resistances of another array",
            where=f"{where}: {name}",
            value=given.shape,
            allowed=f"one value, [{axis}] for every {line} line, or [row, col] = {shape}",
        )
    return checked_ohm(given, name, 2, where)


def ends(given: Array, name: str, where: str, lines: int) -> float | Array:
    """Resistances of drivers or sense nodes: of one value, or of one for every line."""
    if given.size == 1:
        return checked_ohm(given.reshape(()), name, 1, where)
    if given.shape != (lines,):
        raise InputError(
            "resistances of another array",
            where=f"{where}: {name}",
            value=given.shape,
            allowed=f"one value, or [{'row' if name == 'r_driver_ohm' else 'col'}] = ({lines},)",
        )
    return checked_ohm(given, name, 1, where)
