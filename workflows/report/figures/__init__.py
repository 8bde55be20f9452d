"""The figures of the report, one file each, found by looking into this folder.

A figure is a module with
    ORDER: int            place in the page, smaller first
    TITLE: str            heading
    CAPTION: str          what it shows and how to read it, for a circuit designer
    absent(data) -> str   why there is nothing to draw; empty when there is
    note(data) -> str     what the caption must add for these data; may be empty
    figure(data) -> Figure
    table(data) -> (header, rows)   the plotted numbers, units in the header
The module's name is the file name of its SVG and CSV. To add a figure, copy one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol, cast

from matplotlib.figure import Figure

from workflows.report.data import ReportData

Table = tuple[Sequence[str], Iterable[Sequence[object]]]
"""Column names, with units, and rows."""


class FigureModule(Protocol):
    """What a module of this package offers."""

    ORDER: int
    TITLE: str
    CAPTION: str

    def absent(self, data: ReportData) -> str:
        """Why there is nothing to draw, or an empty string."""

    def note(self, data: ReportData) -> str:
        """What these data add to the caption, or an empty string."""

    def figure(self, data: ReportData) -> Figure:
        """The drawing."""

    def table(self, data: ReportData) -> Table:
        """The plotted numbers."""


@dataclass(frozen=True)
class Entry:
    """A figure that was found, under the name of its file."""

    name: str
    module: FigureModule


def find_figures() -> tuple[Entry, ...]:
    """All figures of this package, in reading order.

    Raises:
        TypeError: a file in this folder lacks a part of the interface.
    """
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found.append(Entry(info.name, _checked(module)))
    return tuple(sorted(found, key=lambda entry: (entry.module.ORDER, entry.name)))


def _checked(module: ModuleType) -> FigureModule:
    wanted = ("ORDER", "TITLE", "CAPTION", "absent", "note", "figure", "table")
    missing = [part for part in wanted if not hasattr(module, part)]
    if missing:
        raise TypeError(f"{module.__name__}: a figure needs {', '.join(missing)}")
    return cast(FigureModule, module)
