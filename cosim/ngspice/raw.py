"""Reader for ngspice raw files: binary, real or complex, one plot or several.

A raw file is a text header followed by little-endian doubles, point after point. Own code because
only two pages are needed, and because the header cannot be trusted: a run that died says
`No. Points: 0` (ngspice 39) though its data follow, or announces more points than were written.
The reader says what it found and leaves the judgement to `checks.py`. Nothing here loops over
points: the doubles go from the file straight into an array of their own. As views of the file's
bytes they would lie askew in memory, behind a header of any length, where numpy is slower.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compact_models.errors import InputError

_DATA_MARK = b"Binary:\n"
_TITLE = b"Title: "
_HEADER_CHUNK = 1 << 20  # a header of 30,000 signals


class RawFormatError(InputError):
    """The bytes are not an ngspice raw file that can be read here."""


class MissingSignalError(InputError):
    """A signal was asked for that the simulation did not save."""


@dataclass(frozen=True)
class RawPlot:
    """One analysis of a raw file.

    Attributes:
        title: the deck's first line.
        name: the analysis in ngspice's words, e.g. "DC transfer characteristic".
        names: the signals in lower case, in the order of the file; the first is the sweep axis
            except in an operating point.
        kinds: what each signal is: voltage, current, time, frequency.
        data: the values, [point, signal], float64 or complex128, read-only.
        header_points: the number of points that the header announced.
        problem: why the plot is incomplete; empty when it is whole.
    """

    title: str
    name: str
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    data: npt.NDArray[Any]
    header_points: int
    problem: str = ""
    _column: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Indexes the names; of two equal names the first one counts."""
        last = len(self.names) - 1
        column = dict(zip(reversed(self.names), range(last, -1, -1), strict=True))
        object.__setattr__(self, "_column", column)

    @property
    def points(self) -> int:
        """The number of whole points that are there."""
        return int(self.data.shape[0])

    @property
    def axis(self) -> npt.NDArray[np.float64]:
        """The first column, [point], as real numbers: the swept value, the time, the frequency.

        The imaginary part of ngspice's frequencies is whatever was in its memory.
        """
        first: npt.NDArray[np.float64] = self.data[:, 0].real
        return first

    def has(self, name: str) -> bool:
        """True if the signal was saved."""
        return self._place(name) is not None

    def signal(self, name: str) -> npt.NDArray[Any]:
        """One signal over all points.

        Args:
            name: as in the raw file, in any case: `v(bl_3)`, `i(vsense_3)`, `@r1[i]`.

        Returns:
            The values, [point], in volt or ampere, a view.

        Raises:
            MissingSignalError: it was not saved; the closest names are listed.
        """
        return self.data[:, self._required(name)]

    def matrix(self, names: Iterable[str]) -> npt.NDArray[Any]:
        """Several signals over all points.

        Args:
            names: as in `signal`.

        Returns:
            The values, [point, signal] in the order of `names`, a copy.

        Raises:
            MissingSignalError: one of them was not saved.
        """
        places = [self._required(name) for name in names]
        # Nearly twice as fast as data[:, places].
        chosen: npt.NDArray[Any] = self.data.take(places, axis=1)
        return chosen

    def _place(self, name: str) -> int | None:
        key = name.strip().lower()
        # A saved device value such as @r1[i] comes back wrapped, as i(@r1[i]).
        for spelling in (key, f"i({key})", f"v({key})") if key.startswith("@") else (key,):
            if spelling in self._column:
                return self._column[spelling]
        return None

    def _required(self, name: str) -> int:
        place = self._place(name)
        if place is None:
            near = get_close_matches(name.lower(), self.names, n=3, cutoff=0.3)
            known = near or list(self.names[:3])
            raise MissingSignalError(
                f"the plot {self.name!r} holds no such signal",
                where=self.title,
                value=name,
                allowed=f"closest: {', '.join(known)}; {len(self.names)} signals in all",
                hint="add it to the deck's .save line",
            )
        return place


def read_raw(path: Path) -> tuple[RawPlot, ...]:
    """Reads all plots of a raw file.

    Args:
        path: the file.

    Returns:
        The plots in the order of the file. A plot that is cut short carries its whole points and
        says so in `problem`.

    Raises:
        RawFormatError: the file is missing, empty, or in another format.
    """
    try:
        with path.open("rb") as stream:
            return _plots(stream, where=str(path))
    except OSError as error:
        raise RawFormatError(
            f"cannot read the raw file ({error.strerror})", where=str(path)
        ) from error


def parse_raw(content: bytes, *, where: str = "raw file") -> tuple[RawPlot, ...]:
    """`read_raw` for bytes in memory; `where` names them in errors."""
    return _plots(io.BytesIO(content), where)


def _plots(stream: io.BufferedIOBase, where: str) -> tuple[RawPlot, ...]:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    beginning = stream.read(20)
    if not beginning.startswith(_TITLE):
        raise RawFormatError(
            "this is not an ngspice raw file",
            where=where,
            value=beginning,
            allowed="a file that begins with 'Title: '",
        )
    plots: list[RawPlot] = []
    start = 0
    while start < size:
        plot, start = _one_plot(stream, start, size, where)
        plots.append(plot)
    return tuple(plots)


def _one_plot(stream: io.BufferedIOBase, start: int, size: int, where: str) -> tuple[RawPlot, int]:
    """The plot whose header begins at byte `start`, and the byte after its data."""
    top = _up_to_data(stream, start)
    mark = top.find(_DATA_MARK)
    following = _next_title(top[:mark] if mark >= 0 else top, len(_TITLE))
    if mark < 0 or following >= 0:
        # A failed analysis leaves a header without data.
        block = top[:following] if following >= 0 else top
        if b"\nValues:" in block:
            raise RawFormatError(
                "the raw file is in text form",
                where=where,
                allowed="binary raw files",
                hint="remove 'set filetype=ascii' from the deck",
            )
        header = _header(block, where)
        empty = np.empty((0, len(header.names)), dtype=header.dtype)
        return header.plot(empty, "the raw file holds a header but no data"), start + len(block)
    header = _header(top[:mark], where)
    begin = start + mark + len(_DATA_MARK)
    stride = len(header.names) * header.dtype.itemsize
    if stride == 0:
        raise RawFormatError("a plot has data but no variables", where=where)
    stream.seek(begin)
    if header.points > 0:
        announced = header.points * stride
        buffer = np.empty(min(announced, size - begin), dtype=np.uint8)
        available = stream.readinto(buffer.data)
        problem = (
            f"the raw file is cut short: {available // stride} of {header.points} points"
            if available < announced
            else ""
        )
    else:
        # The count is written last, so a run that died leaves 0 there although data follow.
        rest = stream.read()
        after = _next_title(rest, 0)
        available = after if after >= 0 else len(rest)
        buffer = np.frombuffer(rest, dtype=np.uint8)
        problem = (
            f"the run stopped before its end: the raw file announces 0 points and holds "
            f"{available // stride}"
        )
    whole = available // stride
    values = buffer[: whole * stride].view(header.dtype).reshape(whole, len(header.names))
    values.setflags(write=False)
    return header.plot(values, problem), begin + available


def _up_to_data(stream: io.BufferedIOBase, start: int) -> bytes:
    """The bytes from `start` on, at least up to the mark before the data or the file's end."""
    stream.seek(start)
    top = b""
    while _DATA_MARK not in top and (more := stream.read(len(top) or _HEADER_CHUNK)):
        top += more
    return top


@dataclass(frozen=True)
class _Header:
    title: str
    plot_name: str
    points: int
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    dtype: np.dtype[Any]

    def plot(self, data: npt.NDArray[Any], problem: str) -> RawPlot:
        return RawPlot(
            self.title, self.plot_name, self.names, self.kinds, data, self.points, problem
        )


def _header(block: bytes, where: str) -> _Header:
    top, _, variables = block.decode("utf-8", errors="replace").partition("\nVariables:")
    fields: dict[str, str] = {}
    for line in top.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    try:
        points = int(fields.get("no. points", "0"))
        count = int(fields["no. variables"])
        names, kinds = _variables(variables.lower(), count)
    except (KeyError, ValueError, IndexError) as error:
        raise RawFormatError("the raw file's header is damaged", where=where) from error
    if names and len(names) != count:
        raise RawFormatError(
            f"the raw file's header announces {count} variables and lists {len(names)}",
            where=where,
        )
    is_complex = "complex" in fields.get("flags", "real").lower()
    return _Header(
        title=fields.get("title", ""),
        plot_name=fields.get("plotname", ""),
        points=points,
        names=names,
        kinds=kinds,
        dtype=np.dtype("<c16" if is_complex else "<f8"),
    )


def _variables(text: str, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and kinds from the lines `<number> <name> <kind>`, behind which more may stand."""
    words = text.split()
    if len(words) == 3 * count and words[::3] == [str(place) for place in range(count)]:
        # Nothing more stands anywhere. Thousands of lines at once are half the cost of a header.
        return tuple(words[1::3]), tuple(words[2::3])
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return tuple(row[1] for row in rows), tuple(row[2] for row in rows)


def _next_title(content: bytes, begin: int) -> int:
    """The byte at which the next plot's header begins, or -1; data bytes cannot look like one."""
    place = content.find(_TITLE, begin)
    while place >= 0:
        line_end = content.find(b"\n", place)
        if line_end >= 0 and content.startswith(b"Date: ", line_end + 1):
            return place
        place = content.find(_TITLE, place + 1)
    return -1
