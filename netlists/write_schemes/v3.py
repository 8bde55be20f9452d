"""V/3: no cell but the selected ones sees more than a third of the amplitude; all others see it."""

from __future__ import annotations

from netlists.write_schemes.scheme import WriteScheme

SCHEME = WriteScheme(
    "v3",
    "V/3: other lines at a sixth of the amplitude, in the polarity that leaves a third",
    rest_along=-1 / 6,
    rest_across=1 / 6,
)
