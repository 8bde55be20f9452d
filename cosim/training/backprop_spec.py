"""How a network is trained by backpropagation through a fidelity of its chip."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cosim.training.train_spec import TrainSpec


class BackpropSpec(TrainSpec):
    """How to train: backpropagation through the chip, with Adam and a cosine schedule."""

    algorithm: Literal["backprop"] = Field("backprop", description="how weights learn")
    learning_rate: float = Field(5e-3, gt=0, le=10, description="of Adam, at the start")
    read: Literal["ideal", "surrogate", "exact"] = Field(
        "surrogate", description="who computes the arrays while they train"
    )
    programming_noise: bool = Field(True, description="train with fresh programming errors")


SPEC = BackpropSpec
