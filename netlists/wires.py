"""The wires of an array: one resistance per segment.

Conventions (held by tests): one word-line segment between the driver and the first cell and
between neighbours; one bit-line segment between neighbours and between the last cell (highest
row index) and the sense node. A resistance of 0 makes two nodes one.
"""

from __future__ import annotations

from pydantic import Field

from compact_models.spec import Spec


class Wires(Spec):
    """Segment resistances of an array."""

    r_wordline_ohm: float = Field(
        1.0, ge=0, le=1e9, description="resistance of one word-line segment [ohm]"
    )
    r_bitline_ohm: float = Field(
        1.0, ge=0, le=1e9, description="resistance of one bit-line segment [ohm]"
    )
