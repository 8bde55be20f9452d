"""The wires of an array: one resistance per segment.

Conventions (held by tests): one word-line segment between the driver and the first cell and
between neighbours; one bit-line segment between neighbours and between the last cell (highest
row index) and the sense node. A resistance of 0 makes two nodes one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from compact_models.spec import Spec

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


class Wires(Spec):
    """Segment resistances of an array."""

    r_wordline_ohm: SeriesOhm = Field(1.0, description="resistance of one word-line segment [ohm]")
    r_bitline_ohm: SeriesOhm = Field(1.0, description="resistance of one bit-line segment [ohm]")
