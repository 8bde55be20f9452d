"""1S1R: V/2 on cells whose selectors pass next to nothing at half of the amplitude."""

from __future__ import annotations

from netlists.write_schemes.scheme import WriteScheme

SCHEME = WriteScheme(
    "1s1r", "V/2 with a selector in every cell", rest_along=0.0, rest_across=0.0, access="selector"
)
