"""The wires of an array: resistances of their segments, all alike or one by one.

Conventions (held by tests): one word-line segment between the driver and the first cell and
between neighbours, and it belongs to the cell at its right end; one bit-line segment between
neighbours and between the last cell (highest row index) and the sense node, and it belongs to the
cell above it. A resistance of 0 makes two nodes one, an infinite one is an open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from compact_models.errors import InputError

Array = NDArray[np.float64]

# 0.2 V differ from the next double by 3e-17 V: over a smaller resistance that is a current that
# shows beside a cell's, in any simulator.
LEAST_OHM = 1e-6
MOST_OHM = 1e9
ALLOWED_OHM = f"0 (two nodes become one), or {LEAST_OHM:g} to {MOST_OHM:g} ohm"


def zero_or_buildable(resistance_ohm: float) -> float:
    """Returns a series resistance that is 0 or large enough to be computed with.

    Raises:
        ValueError: it lies between, or outside the range.
    """
    if resistance_ohm != 0 and not LEAST_OHM <= resistance_ohm <= MOST_OHM:
        raise ValueError("a series resistance that nobody can compute with")
    return resistance_ohm


# `allowed` is what messages and the reference say; bounds alone cannot say it.
SeriesOhm = Annotated[
    float,
    Field(ge=0, le=MOST_OHM, json_schema_extra={"allowed": ALLOWED_OHM}),
    AfterValidator(zero_or_buildable),
]


ALLOWED_EACH = f"{ALLOWED_OHM}; infinite for an open"


@dataclass(frozen=True, eq=False)
class Wires:
    """Segment resistances of an array.

    Args:
        r_wordline_ohm: of the word-line segment on the left of every cell, the one next to the
            driver included; one value, or one for every segment, [row, col].
        r_bitline_ohm: of the bit-line segment below every cell, the one next to the sense node
            included; likewise.

    Raises:
        InputError: a value that is no resistance of a wire; the message names it.
    """

    r_wordline_ohm: float | Array = 1.0
    r_bitline_ohm: float | Array = 1.0

    def __post_init__(self) -> None:
        """Checks the resistances, and keeps arrays as they are now."""
        for name in ("r_wordline_ohm", "r_bitline_ohm"):
            object.__setattr__(self, name, checked_ohm(getattr(self, name), name, 2))

    @property
    def equal(self) -> bool:
        """All segments of a kind are."""
        return isinstance(self.r_wordline_ohm, float) and isinstance(self.r_bitline_ohm, float)

    @property
    def has_opens(self) -> bool:
        """A segment is open."""
        return bool(np.isinf(self.r_wordline_ohm).any() or np.isinf(self.r_bitline_ohm).any())

    def segments(self, rows: int, cols: int) -> int:
        """How many resistors they are in an array: 0 ohm and an open are none."""
        both = (self.r_wordline_ohm, self.r_bitline_ohm)
        there = (np.broadcast_to(one, (rows, cols)) for one in both)
        return sum(int(((one > 0) & np.isfinite(one)).sum()) for one in there)

    def check_shape(self, rows: int, cols: int) -> None:
        """Refuses segments of another array.

        Raises:
            InputError: they are.
        """
        for name in ("r_wordline_ohm", "r_bitline_ohm"):
            value = getattr(self, name)
            if not isinstance(value, float) and value.shape != (rows, cols):
                raise InputError(
                    "one value, or one for every segment",
                    where=name,
                    value=value.shape,
                    allowed=f"[row, col] = ({rows}, {cols})",
                )

    def near_ends(self, rows: int, cols: int) -> Wires:
        """Those of a smaller array: of the cells nearest to the drivers and the sense nodes.

        That is the last rows and the first columns, so that the segments next to drivers and sense
        nodes stay these.

        Raises:
            InputError: the array is not smaller.
        """

        def part(name: str) -> float | Array:
            value = getattr(self, name)
            if isinstance(value, float):
                return value
            if value.shape[0] < rows or value.shape[1] < cols:
                raise InputError(
                    "a tile is larger than the array whose wires are given",
                    where=name,
                    value=value.shape,
                    allowed=f"[row, col], at least ({rows}, {cols})",
                )
            return np.asarray(value[value.shape[0] - rows :, :cols])

        return Wires(part("r_wordline_ohm"), part("r_bitline_ohm"))

    def equal_ohm(self, what: str) -> tuple[float, float]:
        """The resistances of a word-line and of a bit-line segment, where these are all alike.

        Args:
            what: what knows such wires only, for the message.

        Raises:
            InputError: they are not alike.
        """
        word, bit = self.r_wordline_ohm, self.r_bitline_ohm
        if isinstance(word, float) and isinstance(bit, float):
            return word, bit
        raise InputError(
            f"{what} knows one resistance for all segments of a kind",
            where="r_bitline_ohm" if isinstance(word, float) else "r_wordline_ohm",
            value="an array of segments",
            allowed=f"one value: {ALLOWED_OHM}",
            hint="give their mean for this",
        )


def checked_ohm(value: object, name: str, axes: int, where: str = "") -> float | Array:
    """A resistance, or an array of `axes` dimensions of them: read-only doubles.

    One value is no open: nothing would be left of the array.

    Raises:
        InputError: something else, or a resistance that nobody can compute with.
    """
    place = f"{where}: {name}" if where else name
    if isinstance(value, np.ndarray) and value.ndim:
        if value.ndim != axes or not np.issubdtype(value.dtype, np.number):
            raise InputError(
                "not resistances",
                where=place,
                value=f"{value.shape} of {value.dtype}",
                allowed="one value, or real numbers "
                + ("[row, col], one for every segment" if axes == 2 else "of every line"),
            )
        each = np.array(value, dtype=np.float64)
        right = (each == 0) | ((each >= LEAST_OHM) & (each <= MOST_OHM)) | (each == np.inf)
        if not right.all():
            at = tuple(int(k) for k in np.argwhere(~right)[0])
            raise InputError(
                f"{int((~right).sum())} of {each.size} resistances cannot be built",
                where=f"{place}[{', '.join(map(str, at))}]",
                value=float(each[at]),
                allowed=ALLOWED_EACH,
            )
        each.flags.writeable = False
        return each
    single = value.item() if isinstance(value, np.ndarray | np.generic) else value
    try:
        if isinstance(single, bool) or not isinstance(single, Real):
            raise ValueError
        return zero_or_buildable(float(single))
    except ValueError:
        raise InputError(
            "a resistance cannot be built",
            where=place,
            value=single if isinstance(single, Real | str | None) else type(single).__name__,
            allowed=ALLOWED_OHM,
            hint=(
                "infinity in an array, one for every "
                + ("segment [row, col]" if axes == 2 else "line")
                + ", is an open; of all of them nothing would be left"
                if single == math.inf
                else ""
            ),
        ) from None
