"""Blocks of the user's own in a study: read from their files, kept with the run.

A run keeps copies of the files in its folder `blocks` and its configuration names these, so that
it stands alone. The hash of a study covers what the files say and not where they lie.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from compact_models.errors import InputError
from compact_models.files import write_text_atomic
from compact_models.spec import Spec
from netlists.circuit import ForeignSubcircuit
from netlists.foreign_files import BlockSource, LibraryCard, read_blocks
from netlists.pyspice import from_pyspice
from workflows.user_code import call_factory

FOLDER = "blocks"
# What else stands in the folder of a deck, the user's or the simulator's.
RESERVED = (
    "network.cir", "expected.csv", "sample.inc", "origin.txt", "deck.cir", "out.raw", "ngspice.log"
)  # fmt: skip

# One card or a list of them.
_Cards = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda value: (
            (value,)
            if isinstance(value, str)
            else tuple(value)
            if isinstance(value, list)
            else value
        )
    ),
]
_A_BLOCK = 'a subcircuit, "my.cir:name", or a factory of a PySpice one, "my.py:make"'


class BlocksSpec(Spec):
    """Blocks of the user's own in place of ours; docs/own_blocks.md says what they must be."""

    cell: str = Field("", description=f"{_A_BLOCK}; empty is ours")
    neuron: str = Field("", description="likewise, for activations")
    tia: str = Field("", description="likewise, at the end of each bit line")
    lib: _Cards = Field(
        (), description='`.lib` cards for them, "models.lib typical": file and section, or a list'
    )
    include: _Cards = Field((), description="files to `.include` for them, one or a list")

    @property
    def roles(self) -> dict[str, str]:
        """Role -> what stands there, without those that are ours."""
        named = {"cell": self.cell, "neuron": self.neuron, "tia": self.tia}
        return {role: target for role, target in named.items() if target}


@dataclass(frozen=True)
class OwnBlocks:
    """Blocks that have been read.

    Args:
        blocks: role -> block.
        kept: the section of a configuration that names the copies in the folder `blocks`.
    """

    blocks: Mapping[str, ForeignSubcircuit]
    kept: BlocksSpec

    @property
    def texts(self) -> Mapping[str, str]:
        """The copies, by file name."""
        return {
            name: text
            for block in self.blocks.values()
            if block.files is not None
            for name, text in block.files.texts.items()
        }

    def digest(self) -> str:
        """Changes with every character of what a deck is made of."""
        parts = [self.kept.model_dump_json(), *(f"{k}\n{v}" for k, v in self.texts.items())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Writes the copies into the folder `blocks` of a run."""
        (folder / FOLDER).mkdir()
        for name, text in self.texts.items():
            write_text_atomic(folder / FOLDER / name, text)


def load_blocks(spec: BlocksSpec, folder: Path, where: str) -> OwnBlocks | None:
    """Reads the blocks of a configuration; None where there are none.

    Args:
        spec: the section.
        folder: what its paths are relative to.
        where: the configuration, for messages.

    Raises:
        InputError: a block cannot be used; the message names its key or its file.
    """
    if not spec.roles:
        if spec.lib or spec.include:
            raise InputError(
                "a library without a block that uses it",
                where=f"{where}: [blocks]",
                hint='name a block too: tia = "my_tia.cir:my_tia"',
            )
        return None
    sources = {
        role: _source(target, role, folder, f"{where}: [blocks] {role}")
        for role, target in spec.roles.items()
    }
    libraries = [
        *(LibraryCard(_path(one, folder)) for one in spec.include),
        *(_library(one, folder, f"{where}: [blocks] lib") for one in spec.lib),
    ]
    read = read_blocks(sources, libraries, reserved=RESERVED)
    kept = BlocksSpec(
        **{role: f"{FOLDER}/{one.path}:{one.name}" for role, one in read.sources.items()},
        lib=tuple(f"{FOLDER}/{one.path} {one.section}" for one in read.libraries if one.section),
        include=tuple(f"{FOLDER}/{one.path}" for one in read.libraries if not one.section),
    )
    return OwnBlocks(read.blocks, kept)


def _path(text: str, folder: Path) -> Path:
    return folder / Path(os.path.expandvars(text)).expanduser()


def _library(card: str, folder: Path, where: str) -> LibraryCard:
    file, _, section = card.strip().rpartition(" ")
    if not file:
        raise InputError(
            "a library card names a file and a section",
            where=where,
            value=card,
            allowed='"models.lib typical"',
            hint="a file without sections goes into include",
        )
    return LibraryCard(_path(file.strip().strip("\"'"), folder), section)


def _source(target: str, role: str, folder: Path, where: str) -> BlockSource:
    file, _, name = target.rpartition(":")
    path = _path(file, folder)
    if not file or not name or not path.is_file():
        raise InputError(
            "there is no such file" if file and name else "this names no block",
            where=where,
            value=target,
            allowed=_A_BLOCK,
            hint=f"looked for {path}" if file and name else "",
        )
    if path.suffix != ".py":
        return BlockSource(path, name)
    block = from_pyspice(call_factory(f"{path}:{name}"), role=role)
    return BlockSource(path.with_name(f"{block.name}.cir"), block.name, f"{block.text}\n")
