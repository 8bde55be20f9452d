"""How an update becomes pulses: a section of a configuration, light to load."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compact_models.spec import Spec

Kind = Literal["stochastic", "deterministic"]
LONGEST = 31
"""Pulses of a train: with the sign it is one word of 32 bits."""


class PulsesSpec(Spec):
    """How an update becomes pulses."""

    max_pulses: int = Field(LONGEST, ge=1, le=LONGEST, description="of a train (BL)")
    update_management: bool = Field(
        True, description="x and d are scaled so that the largest of both are as likely to pulse"
    )
    update_bl_management: bool = Field(
        True, description="trains have as few pulses as the largest x and d need"
    )
    kind: Kind = Field(
        "stochastic",
        description="pulses by chance, or as many coincidences as x d says, rounded; trains then"
        " have max_pulses slots and no management",
    )
