"""The base of every parameter set: frozen, closed to unknown keys, never NaN or infinite."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Parameters of a device or a block, with unit in the name and bounds in the field.

    The same classes are the sections of a configuration file, so a bound is written once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
