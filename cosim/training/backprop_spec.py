"""How a network is trained: a section of a configuration, which is read before torch's layers."""

from __future__ import annotations

from pydantic import Field

from compact_models.spec import Spec


class BackpropSpec(Spec):
    """How to train."""

    epochs: int = Field(40, ge=1, le=100_000, description="passes over the training samples")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="samples per step")
    learning_rate: float = Field(5e-3, gt=0, le=10, description="of Adam, at the start")
    programming_noise: bool = Field(True, description="train with fresh programming errors")
    surrogate_tolerance: float = Field(
        0.01,
        gt=0,
        le=1,
        description="how far an array's currents may be off `exact` in training (relative rms);"
        " beyond it the surrogate is anchored on the exact solution",
    )
