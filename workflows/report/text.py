"""Words and numbers as a reader sees them: percentages, LSB, seconds, safe labels."""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime

NOT_MEASURED = "not measured"


def known(value: float | None) -> bool:
    """Whether there is a number to show: neither absent nor NaN."""
    return value is not None and not math.isnan(value)


def percent(share: float | None, digits: int = 1) -> str:
    """A share (0..1) in percent, or `not measured`."""
    if share is None or math.isnan(share):
        return NOT_MEASURED
    return f"{100 * share:.{digits}f} %"


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent where that is readable."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 6:
        return f"{value:.{digits - 1}e}"
    rounded = round(value, digits - 1 - magnitude)
    return f"{rounded:.{max(digits - 1 - magnitude, 0)}f}"


_SIZES = (1e6, 1e3, 1.0, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15)
_PREFIXES = tuple(zip(_SIZES, ("M", "k", "", "m", "µ", "n", "p", "f"), strict=True))


def prefixed(largest: float) -> tuple[float, str]:
    """The prefix of a unit in which a number up to 1000 reads easily: what it stands for, and it.

    Args:
        largest: of the numbers that are shown.
    """
    for size, prefix in _PREFIXES:
        if abs(largest) >= size:
            return size, prefix
    return _PREFIXES[-1] if largest else (1.0, "")


def quantity(value: float, unit: str) -> str:
    """A setting with its unit and the prefix in which it reads easily: `6.123 MΩ`, `27.5 µS`."""
    size, prefix = prefixed(value)
    return f"{value / size:.4g} {prefix}{unit}"


def quantity_range(low: float, high: float, unit: str) -> str:
    """Two settings with one prefix, that of the larger: `5 to 50 µS`."""
    size, prefix = prefixed(max(abs(low), abs(high)))
    return f"{low / size:.4g} to {high / size:.4g} {prefix}{unit}"


def lsb(value: float | None) -> str:
    """A size in LSB with its unit, or `not measured`."""
    return f"{significant(value)} LSB" if known(value) else NOT_MEASURED


def seconds(value: float) -> str:
    """A wall time that reads easily: `85 ms`, `4.6 s`, `3 min 20 s`, `2 h 05 min`."""
    if math.isnan(value):
        return NOT_MEASURED
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(created_utc: str) -> str:
    """An ISO 8601 time as `22 November 2026, 13:25 UTC`; anything else as it is."""
    try:
        when = datetime.fromisoformat(created_utc)
    except ValueError:
        return created_utc
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def count(n: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 image`, `200 images`, `12,000 images`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def grid(shape: tuple[int, ...]) -> str:
    """The size of an array of cells: rows, then columns."""
    return " \N{MULTIPLICATION SIGN} ".join(str(n) for n in shape)


def printable(text: str) -> str:
    """The text without control characters, which SVG and HTML cannot hold, on one line."""
    return " ".join(
        "".join(
            " " if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} else c for c in text
        ).split()
    )


def label(text: str, longest: int = 24) -> str:
    """A name for a figure: printable and, where too long, cut in its middle.

    The two ends of a generated name tell it from its neighbours; the middle rarely does.
    """
    clean = printable(text)
    if len(clean) <= longest:
        return clean
    tail = (longest - 1) // 2
    return f"{clean[: longest - 1 - tail]}…{clean[len(clean) - tail :]}"
