"""1T1R: only the selected row's gates are open, and its other columns follow it.

No line is below 0 V. Where the amplitude is negative the selected row is at 0 V, its transistors
are sources at ground and their gate limits the current; where it is positive they follow their
gate, and the memristors get what that leaves.
"""

from __future__ import annotations

from netlists.write_schemes.scheme import WriteScheme

SCHEME = WriteScheme(
    "1t1r",
    "a transistor in every cell, gates along the rows",
    rest_along=0.0,
    rest_across=0.5,
    above_ground=True,
    access="transistor",
    by_rows_only=True,
)
