"""A user's own SPICE files, followed from one to the next and brought into one folder.

A deck with a block of the user stands beside copies of the files that define it, so that it runs
from anywhere. Only what the deck uses is copied: of a library file the sections that are asked
for, of those the files that they include. Every line that ngspice would read is looked at first
(`netlists.foreign_cards`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compact_models.errors import InputError, closest
from netlists.circuit import ForeignSubcircuit, SourceFiles
from netlists.foreign import check_block
from netlists.foreign_cards import INCLUDES, OURS, check_card, header_of, target_of
from netlists.foreign_lines import Line, lines_of, text_of
from netlists.foreign_names import declared, unknown, unknown_in_values

_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
# A transistor with its model's subcircuit takes the time of some ten behavioural sources.
_PER_ELEMENT = 10
# Where a parameter that no file declares is looked for.
_SPICE = frozenset((".ngspice", ".spice", ".cir", ".inc", ".lib", ".sp", ".mod", ".par"))
_LOOKED_BYTES = 10_000_000


@dataclass(frozen=True)
class BlockSource:
    """Where a block is defined.

    Args:
        path: the file.
        name: its subcircuit.
        text: the file's text where it stands on no disk.
    """

    path: Path
    name: str
    text: str | None = None


@dataclass(frozen=True)
class LibraryCard:
    """A `.lib` card, or an `.include` where there is no section."""

    path: Path
    section: str = ""


@dataclass
class _File:
    """A file that a deck needs: its lines, the name of its copy, and what of it is used.

    `parts` are its lines with the section that each stands in, in lower case; "" outside of all.
    """

    path: Path
    name: str
    parts: tuple[tuple[str, Line], ...]
    whole: bool = False
    sections: set[str] = field(default_factory=set)
    replaced: dict[int, str] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[Line, ...]:
        """All of its lines."""
        return tuple(line for _, line in self.parts)


@dataclass(frozen=True)
class ReadBlocks:
    """Blocks of a chip, and what their copies are called.

    Args:
        blocks: role -> block; all of them share one `SourceFiles`.
        sources: role -> where it stands among the copies.
        libraries: the library cards, as they name the copies.
    """

    blocks: Mapping[str, ForeignSubcircuit]
    sources: Mapping[str, BlockSource]
    libraries: tuple[LibraryCard, ...]


def read_blocks(
    blocks: Mapping[str, BlockSource], libraries: Sequence[LibraryCard], *, reserved: Sequence[str]
) -> ReadBlocks:
    """The blocks of a chip from the user's own files.

    Args:
        blocks: role -> where it is defined.
        libraries: what they need beside their own files, in the order of the deck.
        reserved: file names that a deck's folder has other uses for.

    Raises:
        InputError: a file, a section or a subcircuit is missing, does not fit its role, or holds
            what has no place in a block; the message names the file and the line.
    """
    reader = _Reader({name.lower() for name in reserved})
    copies = tuple(
        LibraryCard(
            Path(reader.section(one.path, one.section) if one.section else reader.whole(one.path)),
            one.section,
        )
        for one in libraries
    )
    mains = {role: reader.whole(one.path, one.text) for role, one in blocks.items()}
    cards = [
        *(
            f'.lib "{one.path}" {one.section}' if one.section else f'.include "{one.path}"'
            for one in copies
        ),
        *(f'.include "{name}"' for name in dict.fromkeys(mains.values())),
    ]
    others = reader.defined - {one.name.lower() for one in blocks.values()}
    files = SourceFiles(tuple(dict.fromkeys(cards)), reader.texts(), frozenset(others))
    found = {
        role: check_block(role, reader.block(role, source, files), reader.place(source))
        for role, source in blocks.items()
    }
    reader.check_values()
    for source in blocks.values():
        reader.check_names(source)
    sources = {role: BlockSource(Path(mains[role]), block.name) for role, block in found.items()}
    return ReadBlocks(found, sources, copies)


class _Reader:
    """Follows includes and library sections from file to file."""

    def __init__(self, reserved: set[str]) -> None:
        self._files: dict[Path, _File] = {}
        self._taken = set(reserved)
        self.defined: set[str] = set()  # subcircuits that the deck could call
        self._values: list[tuple[_File, Line]] = []  # of the whole deck

    def whole(self, path: Path, text: str | None = None, *, depth: int = 0) -> str:
        """Reads all of a file and what it includes; returns the name of its copy."""
        file = self._file(path, text)
        if not file.whole:
            file.whole = True
            self._follow(file, file.lines, depth)
        return file.name

    def section(self, path: Path, section: str, *, depth: int = 0) -> str:
        """Reads a section of a library file and what it includes."""
        file = self._file(path)
        wanted = section.lower()
        if wanted in file.sections:
            return file.name
        lines = [line for name, line in file.parts if name == wanted]
        if not lines:
            there = dict.fromkeys(name for name, _ in file.parts if name)
            raise InputError(
                "the library has no such section",
                where=str(file.path),
                value=section,
                allowed=", ".join(there) or "none: it has no sections; include it whole",
                hint=closest(wanted, there),
            )
        if lines[-1].card.split()[0].lower() != ".endl":
            raise InputError(
                f"the section {section} has no .endl",
                where=f"{file.path}, line {lines[0].number}",
                value=lines[0].card,
            )
        file.sections.add(wanted)
        self._follow(file, lines[1:-1], depth)  # without its own .lib and .endl
        return file.name

    def texts(self) -> dict[str, str]:
        """The copies, by name."""
        return {file.name: "\n".join([*_kept(file), ""]) for file in self._files.values()}

    def block(self, role: str, source: BlockSource, files: SourceFiles) -> ForeignSubcircuit:
        """The subcircuit of that name in a file that has been read."""
        file = self._file(source.path, source.text)
        headers = {
            words[1].lower(): words[2:]
            for line in file.lines
            if (words := line.card.split())[0].lower() == ".subckt" and len(words) > 1
        }
        name = source.name.lower()
        if name not in headers:
            raise InputError(
                "the file has no such subcircuit",
                where=str(source.path),
                value=source.name,
                allowed=", ".join(headers) or "none: there is no .subckt in it",
                hint=closest(name, headers),
            )
        ports, parameters = header_of(headers[name])
        return ForeignSubcircuit(
            name=name,
            ports=ports,
            text="",
            parameters=parameters,
            description=f"the user's own {role}, {name} of {file.name}",
            files=files,
            elements=_PER_ELEMENT * _elements(file.lines, name),
            lines=_elements(file.lines, name),
        )

    def place(self, source: BlockSource) -> str:
        """The file and the line where a block is defined."""
        file = self._file(source.path, source.text)
        first = next(_inside(file.lines, source.name.lower()))
        return f"{file.path}, line {first.number}"

    def check_names(self, source: BlockSource) -> None:
        """Holds that expressions of a block, in its own file, use names that are declared.

        Raises:
            InputError: nothing that has been read declares a name; the message says the line.
        """
        file = self._file(source.path, source.text)
        cards = [line.card for one in self._files.values() for line in one.lines]
        names = declared(cards) | frozenset(OURS)
        for line in _inside(file.lines, source.name.lower()):
            for name in unknown(line.card, names):
                raise InputError(
                    f"nobody declares the parameter {name!r}",
                    where=f"{file.path}, line {line.number}",
                    value=line.card,
                    allowed="parameters behind .subckt or .param, here or in a library",
                    hint=closest(name, names) or f"declare it behind .subckt: {name}=VALUE",
                )

    def check_values(self) -> None:
        """Holds that parameters of the whole deck are made of parameters that are declared.

        Raises:
            InputError: one that is used is declared by no file; the message says the line, and
                which file beside it declares it.
        """
        cards = [line.card for one in self._files.values() for line in one.lines]
        names = declared(cards) | frozenset(OURS)
        for file, line in self._values:
            for name in unknown_in_values(line.card, names):
                known = [one.path for one in self._files.values()]
                there = _declares(name, file.path.parent, known)
                raise InputError(
                    f"an include is missing: no file declares the parameter {name!r}",
                    where=f"{file.path}, line {line.number}",
                    value=name,
                    allowed="parameters of files in [blocks] include and lib",
                    hint=f"{there} declares it: name it in [blocks] include, in front of the others"
                    if there
                    else closest(name, names) or "find the file that sets it, and include it",
                )

    def _file(self, path: Path, text: str | None = None) -> _File:
        key = path if text is not None else path.resolve()
        if key not in self._files:
            lines = tuple(lines_of(text_of(path) if text is None else text, str(path)))
            self._files[key] = _File(path, self._name(path), tuple(_by_section(lines)))
        return self._files[key]

    def _name(self, path: Path) -> str:
        stem = _PLAIN.sub("_", path.stem).strip(".") or "file"
        suffix = _PLAIN.sub("_", path.suffix)
        name, count = f"{stem}{suffix}", 1
        while name.lower() in self._taken:
            count += 1
            name = f"{stem}_{count}{suffix}"
        self._taken.add(name.lower())
        return name

    def _follow(self, file: _File, lines: Sequence[Line], depth: int) -> None:
        inside = depth
        for line in lines:
            where = f"{file.path}, line {line.number}"
            check_card(line, where, inside)
            words = line.card.split()
            first = words[0].lower()
            if first == ".subckt" and inside == 0 and len(words) > 1:
                self.defined.add(words[1].lower())
            elif first in (".param", ".params") and inside == 0:
                self._values.append((file, line))
            inside += {".subckt": 1, ".ends": -1}.get(first, 0)
            if inside < depth:
                raise InputError("an .ends without its .subckt", where=where)
            if first in INCLUDES:
                target = target_of(line, where, 0)
                name = self.whole(_place(file.path, target[0], where), depth=inside)
                file.replaced[line.number] = f'{words[0]} "{name}"'
            elif first == ".lib" and len(words) > 2:
                target = target_of(line, where, 1)
                place = _place(file.path, target[0], where)
                name = self.section(place, target[1], depth=inside)
                file.replaced[line.number] = f'{words[0]} "{name}" {target[1]}'
        if inside > depth:
            raise InputError(
                ".ends is missing", where=str(file.path), allowed=".subckt ... .ends, in pairs"
            )


def _declares(name: str, folder: Path, known: Sequence[Path]) -> Path | None:
    """A file of a folder that gives a parameter a value, and has not been read."""
    read = {path.resolve() for path in known}
    pattern = re.compile(rf"^\s*(?:\+|\.params?\b).*?(?<![\w.]){name}\s*=(?!=)", re.I | re.M)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        plain = path.is_file() and path.suffix.lower() in _SPICE and path.resolve() not in read
        if plain and path.stat().st_size <= _LOOKED_BYTES and pattern.search(text_of(path)):
            return path
    return None


def _elements(lines: Sequence[Line], name: str) -> int:
    """Element lines of the subcircuit `name`, of those inside it too."""
    return max(1, sum(line.card[0].isalpha() for line in _inside(lines, name)))


def _inside(lines: Sequence[Line], name: str) -> Iterator[Line]:
    """The lines of the subcircuit `name`, with its header."""
    depth = 0
    for line in lines:
        words = line.card.split(maxsplit=2)
        first = words[0].lower()
        begins = first == ".subckt" and (depth > 0 or words[1].lower() == name)
        depth += 1 if begins else -1 if first == ".ends" and depth else 0
        if depth > 0:
            yield line


def _place(of: Path, target: str, where: str) -> Path:
    """A file that another one names, by its path from there."""
    path = of.parent / Path(target).expanduser()
    if not path.is_file():
        raise InputError(
            "the file that is included is not there",
            where=where,
            value=target,
            allowed=f"a file, seen from {of.parent}",
        )
    return path


def _by_section(lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
    name = ""
    for line in lines:
        words = line.card.split(maxsplit=3)
        first = words[0].lower()
        if not name and first == ".lib" and len(words) == 2:
            name = words[1].strip("\"'").lower()
        yield name, line
        if first == ".endl":
            name = ""


def _kept(file: _File) -> Iterator[str]:
    """The lines of a copy; what a file says of itself at its top (a licence) stays."""
    for count, (section, line) in enumerate(file.parts):
        used = file.whole or section in file.sections
        if used or count == 0:
            yield from line.comments
        if used:
            replaced = file.replaced.get(line.number)
            yield from line.raw if replaced is None else (replaced,)
