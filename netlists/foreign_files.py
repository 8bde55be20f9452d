"""A user's own SPICE files: read, found harmless, and brought into one folder.

A deck with a block of the user stands beside copies of the files that define it, so that it runs
from anywhere. Only what the deck uses is copied: of a library file the sections that are asked
for, of those the files that they include. Every line that ngspice would read is looked at first:
nothing in it may run a command, start a program or act on the rest of the deck.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compact_models.errors import InputError, closest
from netlists.circuit import ForeignSubcircuit, SourceFiles
from netlists.foreign import check_block
from netlists.foreign_names import declared, unknown
from netlists.names import in_ascii

_CARDS = (
    ".subckt", ".ends", ".model", ".param", ".params", ".func", ".global", ".nodeset",
    ".if", ".elseif", ".else", ".endif", ".lib", ".endl", ".include", ".inc", ".incl",
    ".option", ".options", ".temp",
)  # fmt: skip
_INCLUDES = (".include", ".inc", ".incl")
# What changes the devices of a library and not the accuracy of the deck.
_OPTIONS = ("scale", "tnom", "temp", "parser")  # the last is for another simulator
_CONTROL = (".control", ".endc", ".exec", ".shell", "shell", "system")
# Code models of ngspice that start a program, and those that read a file which would be left behind
_PROGRAMS = ("d_process", "d_cosim")
_READERS = ("filesource", "d_source", "d_state", "table2d", "table3d")
# Parameters of the whole deck that our blocks and `design_deck` name: a second value would win.
OURS = ("r_wordline", "r_bitline", "r_driver", "v_read", "v_rail", "open_loop_gain")
_DECORATION = re.compile(r"\*[*#=\-_ ]*\Z")
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_ASSIGNMENT = re.compile(r"\s*=\s*")
# A transistor with its model's subcircuit takes the time of some ten behavioural sources.
_PER_ELEMENT = 10
_LARGEST_BYTES = 500_000_000


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


@dataclass(frozen=True)
class _Line:
    """A line with the comments before it and what continues it, and all of it as one card."""

    number: int
    comments: tuple[str, ...]
    raw: tuple[str, ...]
    card: str


@dataclass
class _File:
    """A file that a deck needs: its lines, the name of its copy, and what of it is used.

    `parts` are its lines with the section that each stands in, in lower case; "" outside of all.
    """

    path: Path
    name: str
    parts: tuple[tuple[str, _Line], ...]
    whole: bool = False
    sections: set[str] = field(default_factory=set)
    replaced: dict[int, str] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[_Line, ...]:
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
        role: check_block(role, reader.block(role, source, files))
        for role, source in blocks.items()
    }
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
        ports, parameters = _header(headers[name])
        return ForeignSubcircuit(
            name=name,
            ports=ports,
            text="",
            parameters=parameters,
            description=f"the user's own {role}, {name} of {file.name}",
            files=files,
            elements=_PER_ELEMENT * _elements(file.lines, name),
        )

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

    def _file(self, path: Path, text: str | None = None) -> _File:
        key = path if text is not None else path.resolve()
        if key not in self._files:
            lines = tuple(_cards(_text(path) if text is None else text, str(path)))
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

    def _follow(self, file: _File, lines: Sequence[_Line], depth: int) -> None:
        inside = depth
        for line in lines:
            where = f"{file.path}, line {line.number}"
            _check(line, where, inside)
            words = line.card.split()
            first = words[0].lower()
            if first == ".subckt" and inside == 0 and len(words) > 1:
                self.defined.add(words[1].lower())
            inside += {".subckt": 1, ".ends": -1}.get(first, 0)
            if inside < depth:
                raise InputError("an .ends without its .subckt", where=where)
            if first in _INCLUDES:
                target = _target(line, where, 0)
                name = self.whole(_place(file.path, target[0], where), depth=inside)
                file.replaced[line.number] = f'{words[0]} "{name}"'
            elif first == ".lib" and len(words) > 2:
                target = _target(line, where, 1)
                place = _place(file.path, target[0], where)
                name = self.section(place, target[1], depth=inside)
                file.replaced[line.number] = f'{words[0]} "{name}" {target[1]}'
        if inside > depth:
            raise InputError(
                ".ends is missing", where=str(file.path), allowed=".subckt ... .ends, in pairs"
            )


def _elements(lines: Sequence[_Line], name: str) -> int:
    """Element lines of the subcircuit `name`, of those inside it too."""
    return max(1, sum(line.card[0].isalpha() for line in _inside(lines, name)))


def _inside(lines: Sequence[_Line], name: str) -> Iterator[_Line]:
    """The lines of the subcircuit `name`, with its header."""
    depth = 0
    for line in lines:
        words = line.card.split(maxsplit=2)
        first = words[0].lower()
        begins = first == ".subckt" and (depth > 0 or words[1].lower() == name)
        depth += 1 if begins else -1 if first == ".ends" and depth else 0
        if depth > 0:
            yield line


def _text(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_BYTES:
            raise InputError(
                "this file is too large for a netlist",
                where=str(path),
                value=f"{path.stat().st_size} bytes",
                allowed=f"up to {_LARGEST_BYTES}",
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"this file cannot be read ({reason})", where=str(path)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # As Windows writes it; only comments may hold such characters.
        text = data.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _cards(text: str, where: str) -> Iterator[_Line]:
    """The lines of a file, continuation lines with the line they belong to."""
    number = 0
    raw: list[str] = []
    before: list[str] = []
    after: list[str] = []
    for count, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if not bare or bare[0] in "*$;" or bare.startswith("//"):
            after.append(_comment(bare, f"{where}, line {count}"))
            continue
        _check_characters(line, f"{where}, line {count}")
        if bare[0] == "+" and raw:
            raw += [*after, line]
            after = []
            continue
        if raw:
            yield _line(number, before, raw)
        number, raw, before, after = count, [line], after, []
    if raw:
        yield _line(number, before, raw)


def _line(number: int, before: list[str], raw: list[str]) -> _Line:
    parts = (part.strip().removeprefix("+") for part in raw if not part.startswith("*"))
    return _Line(number, tuple(before), tuple(raw), " ".join(parts))


def _comment(bare: str, where: str) -> str:
    """A comment, or an empty line, as it may stand in a copy."""
    text = in_ascii(bare)  # before it is judged: a wide # becomes one
    if text.startswith("*#") and _DECORATION.match(text):
        return f"* {text[1:]}"
    if text.startswith("*#") or text.lower().startswith("*ng_script"):
        raise InputError(
            "ngspice runs what stands behind *# as a command",
            where=where,
            value=bare,
            hint="begin the comment with '* #' if it is one",
        )
    return text if not text or text.startswith("*") else f"* {text}"


def _check_characters(line: str, where: str) -> None:
    if line.isascii() and line.isprintable() and "`" not in line and "\\" not in line:
        return
    visible = re.split(r"[;$]", line, maxsplit=1)[0]
    if any(ord(c) < 32 and c != "\t" for c in line) or not visible.isascii():
        raise InputError(
            "there are characters that a netlist cannot hold",
            where=where,
            value=line,
            allowed="printable ASCII; anything in comments",
            hint="give values as plain numbers, without signs such as the ohm or the micro",
        )
    if "`" in visible or visible.rstrip().endswith("\\"):
        raise InputError(
            "a backquote or a backslash at the end has no place in a block",
            where=where,
            value=line,
            hint="continue a line with + at the beginning of the next",
        )


def _check(line: _Line, where: str, inside: int) -> None:
    """Holds that a card only describes a circuit."""
    words = line.card.split()
    first = words[0].lower()
    if first in _CONTROL or not (first[0].isalpha() or first[0] == "."):
        raise InputError("a block cannot run commands", where=where, value=line.card)
    if first.startswith(".") and first not in _CARDS:
        raise InputError(
            f"{first} has no place in a block",
            where=where,
            value=line.card,
            allowed=f"elements and {', '.join(_CARDS)}",
            hint="analyses and outputs belong to the deck",
        )
    if first[0].isalpha() and inside == 0:
        raise InputError(
            "an element outside of a subcircuit would stand beside the whole chip",
            where=where,
            value=line.card,
            hint="put it between .subckt and .ends",
        )
    if first in (".param", ".params") and inside == 0:
        for name in re.findall(r"([A-Za-z_]\w*)\s*=(?!=)", line.card):
            if name.lower() in OURS:
                raise InputError(
                    "the deck has a parameter of this name for all of its blocks",
                    where=where,
                    value=name,
                    hint="give it another name, or put it inside the subcircuit",
                )
    if first in (".option", ".options"):
        for word in _ASSIGNMENT.sub("=", line.card).split()[1:]:
            if word.partition("=")[0].lower() not in _OPTIONS:
                raise InputError(
                    "this option would change how the whole deck is solved",
                    where=where,
                    value=word,
                    allowed=", ".join(_OPTIONS),
                )
    if first == ".model" and len(words) > 2:
        kind = words[2].partition("(")[0].lower()
        if kind in (*_PROGRAMS, *_READERS):
            does = "starts a program" if kind in _PROGRAMS else "reads a file of its own"
            raise InputError(f"the model {kind} {does}", where=where, value=line.card)


def _target(line: _Line, where: str, more: int) -> list[str]:
    """What an `.include` or `.lib` card names: the file, and `more` words behind it."""
    rest = re.split(r"\s[;$]", line.card.split(maxsplit=1)[-1], maxsplit=1)[0].strip()
    quoted = re.fullmatch(r"""(?:"([^"]+)"|'([^']+)'|([^\s"']+))((?:\s+[^\s"']+)*)""", rest)
    words = [] if quoted is None else quoted[4].split()
    if quoted is None or len(line.card.split()) < 2 or len(words) != more or len(line.raw) > 1:
        raise InputError(
            "this names no file",
            where=where,
            value=line.card,
            allowed='.include "file" or .lib "file" section, on one line',
        )
    return [next(part for part in quoted.groups()[:3] if part), *words]


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


def _by_section(lines: Sequence[_Line]) -> Iterator[tuple[str, _Line]]:
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


def _header(words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, float | str]]:
    """Ports and parameters of a `.subckt` line, behind its name."""
    text = _ASSIGNMENT.sub("=", re.split(r"\s[;$]", f" {' '.join(words)}", maxsplit=1)[0])
    # Expressions in braces or quotes may hold white space.
    parts = re.findall(r"""[^\s="'{}]+=(?:\{[^}]*\}|'[^']*'|"[^"]*"|\S+)|\S+""", text)
    ports = [part.lower() for part in parts if "=" not in part and part.lower() != "params:"]
    assigned = dict(part.split("=", maxsplit=1) for part in parts if "=" in part)
    return tuple(ports), {
        name.lower().removeprefix("params:"): spice_number(value)
        for name, value in assigned.items()
    }


_NUMBER = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(t|g|meg|k|mil|m|u|n|p|f|a)?[a-z]*\Z"
)
_SUFFIX = {
    "": 1.0, "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3, "u": 1e-6,
    "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18,
}  # fmt: skip


def spice_number(text: str) -> float | str:
    """A number as SPICE writes it (`10k`, `2meg`, `1e-6`), or the text of an expression."""
    found = _NUMBER.match(text.strip().lower())
    return float(found[1]) * _SUFFIX[found[2] or ""] if found else text
