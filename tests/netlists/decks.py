"""Reading a deck as ngspice does: lines joined to cards, comments taken off."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ELEMENT = re.compile(r"[rvbex][a-z0-9_]*\Z")
DIRECTIVES = {".subckt", ".ends", ".option", ".dc", ".print", ".end"}
# What all elements share, at the top of a deck.
SHARED = re.compile(
    r"\.param [a-z_]+=[0-9.e+-]+\Z|\.model (word|bit)line_segment r r=\{r_(word|bit)line\}\Z"
)
_SECTION = re.compile(r'^\.lib "sample\.inc" ([a-z0-9_]+)$', re.MULTILINE)


def whole_deck(folder: Path) -> str:
    """`network.cir` with the sections of `sample.inc` in their places, every one once."""
    sample = (folder / "sample.inc").read_text()
    sections = dict(re.findall(r"^\.lib (\S+)\n(.*?)^\.endl \1$", sample, re.MULTILINE | re.DOTALL))
    left = re.sub(r"^\.lib (\S+)\n(.*?)^\.endl \1$", "", sample, flags=re.MULTILINE | re.DOTALL)
    assert all(not line or line.startswith("* ") for line in left.split("\n"))
    text = (folder / "network.cir").read_text()
    assert sorted(_SECTION.findall(text)) == sorted(sections)
    return _SECTION.sub(lambda found: sections[found[1]].removesuffix("\n"), text)


def cards(text: str) -> list[str]:
    """The cards of a deck, continuation lines joined; the title and comments are left out."""
    found: list[str] = []
    for line in text.splitlines()[1:]:
        if not line.strip() or line.startswith("*"):
            continue
        line = line.partition(";")[0].rstrip()
        if line.startswith("+"):
            found[-1] += f" {line[1:].strip()}"
        else:
            found.append(line)
    return found


def assert_only_known_cards(text: str) -> None:
    """Holds that a deck has nothing but elements and the analyses that we write."""
    lines = text.split("\n")
    assert text.isascii()
    assert all(line.isprintable() for line in lines)
    assert lines == [*text.splitlines(), ""]
    assert lines[0].startswith("* ")
    for line in lines:
        # `*#` is a command of a control block, and `*ng_script` makes the whole file one.
        assert not line.startswith("*") or line.startswith("* "), line
        # Two backslashes at the end would take the next line in.
        assert not line.rstrip().endswith("\\") or line.startswith("*"), line
    for card in cards(text):
        first = card.split()[0]
        assert first in DIRECTIVES or ELEMENT.match(first) or SHARED.match(card), card
    assert cards(text)[-1] == ".end"
    assert [card.split()[0] for card in cards(text)].count(".end") == 1


def subcircuits(text: str) -> dict[str, list[str]]:
    """The cards of every subcircuit, the first being its `.subckt`; the rest under `""`."""
    found: dict[str, list[str]] = {"": []}
    inside = ""
    for card in cards(text):
        words = card.split()
        if words[0] == ".subckt":
            inside = words[1]
            found[inside] = [card]
        elif words[0] == ".ends":
            inside = ""
        else:
            found[inside].append(card)
    return found


def printed(folder: Path, program: Path) -> NDArray[np.float64]:
    """Runs `ngspice -b network.cir` as a designer would; the printed table, [vector, column]."""
    done = subprocess.run(
        [program, "-b", "network.cir"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "error" not in (done.stdout + done.stderr).lower(), done
    columns: dict[int, list[float]] = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words and words[0].isdigit() and len(words) > 2:
            columns.setdefault(int(words[0]), []).extend(float(word) for word in words[2:])
    return np.array([columns[k] for k in sorted(columns)])
