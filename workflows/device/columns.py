"""What the columns of a user's table are: found by name or number, each in its unit.

By itself a column is found by a name that tells its quantity and its unit: `t_s`, `i_ua`, `v (mV)`,
`time_us`, `Current (A)`.
`--columns t=Time,i=4` names others, `--unit i=uA` says what their headings do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest

Array = NDArray[np.float64]

# No larger ones: a column in MA is one in mA whose heading was written in capitals.
_POWERS = {"": 0, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15,
           "\N{MICRO SIGN}": -6, "\N{GREEK SMALL LETTER MU}": -6}  # fmt: skip
_BRACKETS = re.compile(
    r"(?P<base>.*?)\s*(?:\((?P<a>[^()]*)\).*|\[(?P<b>[^\[\]]*)\].*|/\s*(?P<c>\S+))"
)


@dataclass(frozen=True)
class Quantity:
    """What a column may be.

    Attributes:
        key: what `--columns` and `--unit` call it.
        unit: its SI unit; empty for a column of signs.
        name: the column that it is without `--columns`.
        word: what a heading calls it in full.
    """

    key: str
    unit: str
    name: str
    word: str = ""


TIME = Quantity("t", "s", "t_s", "time")
VOLTAGE = Quantity("v", "V", "v_v", "voltage")
CURRENT = Quantity("i", "A", "i_a", "current")
CONDUCTANCE = Quantity("g", "S", "g_s", "conductance")
PULSE = Quantity("pulse", "", "pulse")
Layout = tuple[Quantity, ...]


@dataclass(frozen=True)
class Unit:
    """A unit as the user wrote it, and what it is in SI.

    Attributes:
        text: as it was written.
        power: of ten, by which its numbers are multiplied.
        sign: -1 turns a column round, as `-A` does.
    """

    text: str
    power: int
    sign: float = 1.0

    def in_si(self, values: Array) -> Array:
        """Numbers in this unit, in SI: the nearest to the decimal number, as if written so."""
        moved = values * 10.0**self.power if self.power >= 0 else values / 10.0**-self.power
        return np.asarray(self.sign * moved)


@dataclass(frozen=True)
class Column:
    """A column that was found.

    Attributes:
        quantity: what it is.
        place: of its cells in a row, from 0.
        name: its heading; `column 2` where there is none.
        unit: of its numbers.
        asked: the unit is the user's own word, by `--unit`.
    """

    quantity: Quantity
    place: int
    name: str
    unit: Unit
    asked: bool

    @property
    def plain(self) -> bool:
        """It is the one that is taken by default, in SI."""
        return self.name == self.quantity.name and not self.asked


@dataclass(frozen=True)
class Choice:
    """What the user says of the columns of a table.

    Attributes:
        columns: name or number, from 1, of the column of a quantity, by key.
        units: of these, by key.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)

    @property
    def numbers(self) -> bool:
        """Columns are named by their numbers alone: the table needs no heading."""
        return bool(self.columns) and all(name.isdecimal() for name in self.columns.values())


def choose(columns: str | None, units: Sequence[str], layouts: Sequence[Layout]) -> Choice:
    """The options `--columns t=Time,v=2` and `--unit i=uA`, the latter given any number of times.

    Args:
        columns: the first, None where it was not given.
        units: the others.
        layouts: the sets of quantities that a table may have.

    Raises:
        InputError: a word is no such pair, no such quantity or unit, or stands there twice; or no
            layout has all of the quantities.
    """
    named = _pairs([] if columns is None else [columns], "--columns", "t=Time,v=2", layouts)
    if len(set(named.values())) < len(named):
        raise InputError(
            "two quantities are in one column",
            where="--columns",
            value=columns,
            allowed="each column once",
        )
    asked = _pairs(units, "--unit", "i=uA", layouts)
    known = {one.key: one for layout in layouts for one in layout}
    found = {}
    for key, text in asked.items():
        unit = known[key].unit
        read = _unit(text.removeprefix("-"), unit)
        if read is None:
            raise InputError(
                f"no unit of {key}" if unit else f"{key} has no unit",
                where="--unit",
                value=f"{key}={text}",
                allowed=_units(unit) if unit else "t, v, i or g",
            )
        found[key] = Unit(text, read.power, -1.0 if text.startswith("-") else 1.0)
    for option, keys in (("--columns", set(named)), ("--unit", set(named) | set(found))):
        if not any(keys <= {one.key for one in layout} for layout in layouts):
            raise InputError(
                "these quantities are not of one table",
                where=option,
                value=", ".join(sorted(keys)),
                allowed="; or ".join(", ".join(one.key for one in layout) for layout in layouts),
            )
    return Choice(named, found)


def find(layout: Layout, heading: Sequence[str], choice: Choice) -> dict[str, list[int]]:
    """Where each quantity of a layout may be in a row, by key: no place, one, or several.

    Args:
        layout: the quantities.
        heading: the names, without blanks around them.
        choice: what the user says of them.
    """
    return {one.key: _places(one, heading, choice.columns.get(one.key)) for one in layout}


def column(quantity: Quantity, place: int, name: str, choice: Choice, line: str) -> Column:
    """A column with its unit: the user's word, what its heading says, or SI.

    Args:
        quantity: what it is.
        place: of its cells in a row.
        name: its heading; empty where there is none.
        choice: what the user says.
        line: where the heading is, for the message.

    Raises:
        InputError: brackets in its heading have no unit of the quantity in them.
    """
    named = name or f"column {place + 1}"
    asked = choice.units.get(quantity.key)
    if asked is not None:
        return Column(quantity, place, named, asked, True)
    said = _parted(name, quantity.unit)[1]
    if said is None and quantity.unit:
        raise InputError(
            f"no unit of {quantity.key} in the heading {name!r}",
            where=line,
            allowed=_units(quantity.unit),
            hint=f"say it with --unit {quantity.key}={quantity.unit}",
        )
    return Column(quantity, place, named, said or Unit(quantity.unit, 0), False)


def unit_row(cells: Sequence[str], columns: Sequence[Column]) -> list[Column] | None:
    """The columns with the units of a row that has nothing else, below a heading; else None."""
    found = []
    for one in columns:
        text = cells[one.place].strip().strip("()[]").strip() if one.place < len(cells) else ""
        read = _unit(text, one.quantity.unit) if one.quantity.unit else Unit("", 0)
        if read is None or (one.quantity.unit and not text):
            return None
        kept = one.asked or not one.quantity.unit
        found.append(one if kept else Column(one.quantity, one.place, one.name, read, False))
    return found


def _places(quantity: Quantity, heading: Sequence[str], wanted: str | None) -> list[int]:
    if wanted is None:
        exact = [k for k, name in enumerate(heading) if name == quantity.name]
        return exact or [k for k, name in enumerate(heading) if _tells(name, quantity)]
    exact = [k for k, name in enumerate(heading) if name == wanted]
    if exact:
        return exact
    bare = [k for k, name in enumerate(heading) if _base(name, quantity.unit) == wanted]
    if bare:
        return bare
    return [int(wanted) - 1] if wanted.isdecimal() and 1 <= int(wanted) <= len(heading) else []


def _tells(name: str, quantity: Quantity) -> bool:
    """Whether a heading says both a quantity and its unit."""
    if not quantity.unit:
        return False
    base, said = _parted(name, quantity.unit)
    called = base.strip().lower() in (quantity.key, quantity.word)
    return called and said is not None and base != name


def _base(name: str, unit: str) -> str:
    """A heading without its unit, if brackets have one."""
    found = _BRACKETS.fullmatch(name)
    return found["base"] if found is not None else _parted(name, unit)[0]


def _parted(name: str, unit: str) -> tuple[str, Unit | None]:
    """A heading as what it names and its unit: SI where it says none, None where it is no unit."""
    found = _BRACKETS.fullmatch(name)
    if found is not None:
        text = next(part for part in (found["a"], found["b"], found["c"]) if part is not None)
        return found["base"], _unit(text.strip(), unit)
    base, line, end = name.rpartition("_")
    read = _unit(end, unit) or _unit(end.lower(), unit.lower(), unit)
    if line and base and read is not None:
        return base, read
    return name, Unit(unit, 0)


def _unit(text: str, unit: str, shown: str = "") -> Unit | None:
    """The unit, with its prefix; None where it is none of this quantity."""
    if not unit or not text.endswith(unit):
        return None
    power = _POWERS.get(text.removesuffix(unit))
    if power is None:
        return None
    return Unit(text.removesuffix(unit) + (shown or unit), power)


def _units(unit: str) -> str:
    return ", ".join(f"{prefix}{unit}" for prefix in ("", "m", "u", "n", "p", "f"))


def _pairs(
    texts: Sequence[str], option: str, example: str, layouts: Sequence[Layout]
) -> dict[str, str]:
    known = {name: one.key for layout in layouts for one in layout for name in (one.key, one.name)}
    keys = list(dict.fromkeys(known.values()))
    found: dict[str, str] = {}
    for piece in [piece for text in texts for piece in text.split(",")]:
        name, equals, value = (part.strip() for part in piece.partition("="))
        if not (equals and name and value):
            raise InputError(
                "this is no quantity with its column"
                if option == "--columns"
                else "this is no quantity with its unit",
                where=option,
                value=piece,
                allowed=f"pairs such as {example}, of {', '.join(keys)}",
                hint="a column whose name has a comma goes by its number"
                if option == "--columns"
                else "",
            )
        if name not in known:
            raise InputError(
                "no such quantity",
                where=option,
                value=name,
                allowed=", ".join(keys),
                hint=closest(name, known),
            )
        if known[name] in found:
            raise InputError(f"{known[name]} stands there twice", where=option, value=piece)
        found[known[name]] = value
    return found
