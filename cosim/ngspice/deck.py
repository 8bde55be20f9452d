"""A deck: the netlist text with what its results must look like to be believed.

What a deck promises stands beside its text, so that one run can be judged without knowledge of the
circuit: the number of points, the signals, the measures, and a limit for every value. The limit is
how ngspice's silent overflows show: a division by zero is 1e32 in its results, an exp of 5000 is
1e99, and both leave with exit code 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from compact_models.errors import InputError

DECK_FILE = "deck.cir"
RAW_FILE = "out.raw"
LOG_FILE = "ngspice.log"
_OUR_FILES = (DECK_FILE, RAW_FILE, LOG_FILE)

# They begin with a plain character, which `re` looks for ten times as fast as for line beginnings.
_END = re.compile(r"\.end[ \t]*$", re.IGNORECASE | re.MULTILINE)
_CONTROL = re.compile(r"\.control\b", re.IGNORECASE)

# ngspice evaluates no .meas line while `-r` writes the raw file. So the analyses are run from a
# control block, which then writes every plot but the built-in one named const.
_MEASURE_CONTROL = f"""\
.control
run
set appendwrite
foreach plotname $plots
  strcmp differs $plotname const
  if $differs <> 0
    setplot $plotname
    write {RAW_FILE}
  end
end
quit 0
.endc
"""


@dataclass(frozen=True)
class Deck:
    """A netlist that can be run as it stands.

    Attributes:
        text: the whole netlist; its first line is the title.
        name: what messages call it.
        expected_points: how many points the first plot must have; None where only the simulator
            can know (a transient).
        expected_signals: signals that the first plot must hold, in any case.
        expected_measures: names of `.meas` results that must come out as numbers. ngspice 46 and
            39 compute them only without `-r`, so such a deck is run from a control block of ours,
            unless it brings its own.
        files: text or bytes of further files, by plain file name, put beside the deck.
        value_limit: a result whose magnitude is above this makes the run invalid; in the unit of
            the signal (V, A). Sweep axes are exempt.
        tolerated: pieces of log lines that would make the run invalid and that this deck accepts,
            e.g. "gmin stepping failed".
        holds: what of the user's own stands in it, for messages: "my_tia of my_tia.cir".
    """

    text: str
    name: str = "deck"
    expected_points: int | None = None
    expected_signals: tuple[str, ...] = ()
    expected_measures: tuple[str, ...] = ()
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    value_limit: float = 1e9
    tolerated: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()

    @property
    def lines(self) -> int:
        """Its lines and those of its text files: what loading takes time for."""
        texts = [text for text in self.files.values() if isinstance(text, str)]
        return sum(text.count("\n") for text in (self.text, *texts))

    def __post_init__(self) -> None:
        """Refuses a deck that could not be run or judged.

        Raises:
            InputError: a side file's name is a path or one of ours, a limit makes no sense, or the
                text is empty.
        """
        if not self.text.strip():
            raise InputError("the deck is empty", where=self.name, hint="give a netlist")
        if self.expected_points is not None and self.expected_points < 1:
            raise InputError(
                "a deck must expect at least one point",
                where=self.name,
                value=self.expected_points,
                allowed=">= 1, or None",
            )
        if not (self.value_limit > 0 and math.isfinite(self.value_limit)):
            raise InputError(
                "the value limit must be a positive number",
                where=self.name,
                value=self.value_limit,
                allowed="> 0 and finite",
            )
        for file_name in self.files:
            plain = PurePath(file_name).name == file_name and file_name not in ("", "..")
            if not plain or file_name in _OUR_FILES:
                raise InputError(
                    "a side file cannot have this name",
                    where=self.name,
                    value=file_name,
                    allowed=f"a plain file name other than {', '.join(_OUR_FILES)}",
                )


def measures_from_control(deck: Deck) -> bool:
    """True where our control block has to run the analyses, for the sake of the measures."""
    return bool(deck.expected_measures) and next(_lines_with(_CONTROL, deck.text), None) is None


def text_to_run(deck: Deck) -> str:
    """The text of the deck file: the deck's own, with our control block where measures need it.

    The block goes before the last `.end`, so line numbers stay those of the deck.
    """
    text = deck.text if deck.text.endswith("\n") else deck.text + "\n"
    if not measures_from_control(deck):
        return text
    place = max(_lines_with(_END, text), default=len(text))
    return text[:place] + _MEASURE_CONTROL + text[place:]


def _lines_with(word: re.Pattern[str], text: str) -> Iterator[int]:
    """Where the lines begin that have `word` as their first word."""
    for hit in word.finditer(text):
        start = text.rfind("\n", 0, hit.start()) + 1
        if not text[start : hit.start()].strip(" \t"):
            yield start
