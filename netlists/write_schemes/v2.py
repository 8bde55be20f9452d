"""V/2: cells on a selected line see half of the amplitude, all others nothing."""

from __future__ import annotations

from netlists.write_schemes.scheme import WriteScheme

SCHEME = WriteScheme("v2", "V/2: other lines at 0 V", rest_along=0.0, rest_across=0.0)
