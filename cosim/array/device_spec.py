"""What the cells of a network are: a section of a configuration, light to load."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from compact_models.spec import Spec

SEVERAL = "devices_per_weight"


class DeviceSpec(Spec):
    """What the cells are: a device by its name; without one they are ohmic ([cell])."""

    name: str = Field("", description="of `spiceloop device list`, or the path of a .py file")
    parameters: str = Field(
        "", description="its parameter set, or the path of a .toml file; empty: its first"
    )
    pair: Literal["reference", "both"] = Field(
        "reference", description="pulses move the plus cell of a pair, or both in opposite ways"
    )
    devices_per_weight: int = Field(
        1,
        ge=1,
        le=16,
        description="pairs of cells that hold a weight together, in as many arrays that are read"
        " as their sum",
    )
    pulses_reach: Literal["all", "in turn"] = Field(
        "all", description="of several devices a weight: an update moves all, or one in its turn"
    )
    d2d: dict[str, Annotated[float, Field(ge=0, le=10)]] = Field(
        {},
        description="standard deviation from cell to cell, by parameter: of dw_min, w_max and w_min"
        " as a part of it, of up_down as it is; of a compact model what moves it, as a part of it",
    )
    sigma_step: float = Field(
        0.0,
        ge=0,
        le=2,
        description="standard deviation of a step from pulse to pulse, as a part of it, where"
        " update is table, ode or spice; step has that of the parameter set",
    )

    @model_validator(mode="after")
    def _is_of_a_device(self) -> Self:
        plain = self.pair == "reference"
        for key, said in (
            ("parameters", self.parameters),
            ("d2d", self.d2d),
            ("sigma_step", self.sigma_step),
            ("pair", not plain),
        ):
            if said and not self.name:
                raise ValueError(f'{key} is of a device: name it, such as name = "soft_bounds"')
        if self.pulses_reach != "all" and self.devices_per_weight == 1:
            raise ValueError(f"pulses_reach says which of several devices move: set {SEVERAL}")
        return self

    @property
    def kind(self) -> tuple[str, str, str]:
        """What the cells are, however they differ and however many hold a weight."""
        return self.name, self.parameters, self.pair

    @property
    def factors(self) -> tuple[float, ...]:
        """Of the arrays that hold a layer together."""
        return (1.0,) * self.devices_per_weight
