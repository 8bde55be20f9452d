"""What the cells of a network are: a section of a configuration, light to load."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from compact_models.spec import Spec

SEVERAL = "devices_per_weight"
NOT_YET = f"several devices a weight are not there yet: leave {SEVERAL} out"


class DeviceSpec(Spec):
    """What the cells are: a device by its name; without one they are ohmic ([cell])."""

    name: str = Field("", description="of `spiceloop device list`, or the path of a .py file")
    parameters: str = Field(
        "", description="its parameter set, or the path of a .toml file; empty: its first"
    )
    pair: Literal["reference", "both"] = Field(
        "reference", description="pulses move the plus cell of a pair, or both in opposite ways"
    )
    d2d: dict[str, Annotated[float, Field(ge=0, le=10)]] = Field(
        {},
        description="standard deviation from cell to cell, by parameter: of dw_min, w_max and w_min"
        " as a part of it, of up_down as it is",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_device_a_weight(cls, values: Any) -> Any:
        if isinstance(values, dict) and SEVERAL in values:
            raise ValueError(NOT_YET)
        return values

    @model_validator(mode="after")
    def _is_of_a_device(self) -> Self:
        plain = self.pair == "reference"
        for key, said in (("parameters", self.parameters), ("d2d", self.d2d), ("pair", not plain)):
            if said and not self.name:
                raise ValueError(f'{key} is of a device: name it, such as name = "soft_bounds"')
        return self
