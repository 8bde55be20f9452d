"""How a network is trained in its own cells, by pulses."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from cosim.periphery.spec import PeripherySpec
from cosim.pulses.spec import PulsesSpec
from cosim.training.train_spec import TrainSpec


class PulsedSgdSpec(TrainSpec):
    """How to train: in the cells themselves, whose weights pulses move."""

    OF_A_LAYER: ClassVar[tuple[str, ...]] = (
        *TrainSpec.OF_A_LAYER,
        "read",
        "update",
        "periphery",
        "pulses",
    )

    algorithm: Literal["pulsed_sgd"] = Field("pulsed_sgd", description="how weights learn")
    epochs: int = Field(15, ge=1, le=100_000, description="passes over the training samples")
    batch_size: int = Field(8, ge=1, le=1_000_000, description="samples per step")
    learning_rate: float = Field(
        0.1, gt=0, le=10, description="of the update -lr x d, d of the mean loss of a batch"
    )
    read: Literal["ideal", "surrogate", "exact", "spice"] = Field(
        "surrogate", description="who computes the arrays, forward and backward"
    )
    update: Literal["step", "table", "ode", "spice"] = Field(
        "step",
        description="who computes what pulses do to cells: the law of a pulse device, one step a"
        " coincidence; or behind the wires a table of one pulse, the equations, or ngspice",
    )
    max_surrogate_error: float = Field(
        0.002,
        gt=0,
        le=1,
        description="how far an array's currents may be off `exact` in training (Frobenius,"
        " relative); beyond it the surrogate is anchored on the exact solution",
    )
    periphery: PeripherySpec = Field(PeripherySpec(), description="what stands around a read")
    pulses: PulsesSpec = Field(PulsesSpec(), description="how an update becomes pulses")

    @model_validator(mode="before")
    @classmethod
    def _read_is_a_word(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("read"), dict):
            raise ValueError(
                'read = "surrogate" says who computes; what stands around a read is'
                " [train.periphery]"
            )
        return values


SPEC = PulsedSgdSpec
