"""How a network is read, layer by layer, whatever computes the layers.

Digital values drive the word lines through DACs; tiles give currents, amplifiers voltages; pairs
are subtracted and tiles summed; the neuron acts, the converter gives codes, and the codes are
the next layer's digital values. All tiles of a layer and all chips are computed at once. A fidelity
says how (`NetworkModel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from compact_models.errors import InputError
from cosim.array.layout import TileLayout
from cosim.array.reads.kept import Transfers
from cosim.laws.passive import impossible_array
from cosim.periphery.converters import Codes, PairAmplifiers, driven
from netlists.adcs import quantiser
from netlists.drivers.level import DriverSpec
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan


class Periphery(Protocol):
    """What stands around the tiles of a layer: a file in `cosim.periphery`."""

    @property
    def straight_ohm(self) -> float | None:
        """The feedback of amplifiers that are straight and all alike; None of others."""
        ...

    def drive_v(self, level_v: torch.Tensor) -> torch.Tensor:
        """What drivers put out for the levels of their DACs, [chip, tile, batch, row] both."""
        ...

    def pair_sums_v(self, layout: TileLayout, current_a: torch.Tensor) -> torch.Tensor:
        """What pairs of amplifiers add up to over all tiles, [chip, batch, out] in volts.

        Args:
            layout: the tiles.
            current_a: of their bit lines, [chip, tile, batch, col].
        """
        ...

    def pair_amplifiers(self, layout: TileLayout) -> PairAmplifiers:
        """The amplifiers for reads by row blocks; see `PairAmplifiers`."""
        ...

    def codes(self, total_v: torch.Tensor) -> Codes:
        """What neurons and converters make of sums, [chip, batch, out]; without a graph."""
        ...


@dataclass(frozen=True, eq=False)
class LayerModel:
    """Who computes a layer.

    Attributes:
        layout: how its matrix lies in tiles.
        reads: who computes its tiles.
        periphery: what stands around them.
    """

    layout: TileLayout
    reads: Transfers
    periphery: Periphery


class NetworkModel(Protocol):
    """Who computes a network: a fidelity."""

    @property
    def name(self) -> str:
        """The fidelity."""
        ...

    @property
    def layers(self) -> Sequence[LayerModel]:
        """Its layers."""
        ...


def forward(
    hardware: Hardware,
    plans: Sequence[LayerPlan],
    conductance_s: Sequence[torch.Tensor],
    model: NetworkModel,
    x: torch.Tensor,
) -> torch.Tensor:
    """Codes of the last layer for digital inputs.

    Rounding steps pass gradients straight through, clipping passes none, so that the result can
    be trained through; everything between them is differentiated as it is.

    Args:
        hardware: the chip's description.
        plans: the layers.
        conductance_s: [layer] -> [chip, tile, row, col] in siemens; tiles as `TileLayout` pads them
            (`cosim.network.chip_cells`).
        model: the fidelity.
        x: digital inputs [batch, in], the same for all chips, or [chip, batch, in]; 1 = full.

    Returns:
        [chip, batch, out], in LSB of the last converter.

    Raises:
        InputError: without gradients: a tile gives currents that no circuit can give.
    """
    values = x if x.ndim == 3 else x.unsqueeze(0)
    codes = values
    for plan, layer, cells in zip(plans, model.layers, conductance_s, strict=True):
        drive_v = drive_voltages(hardware, plan, layer, values)
        current_a = layer.reads.transfer(cells).current_a(drive_v)
        if not torch.is_grad_enabled():  # training's own loop has no time for it
            _refuse_impossible(hardware, plan, current_a, drive_v, cells, model.name)
        codes = converter_codes(layer, current_a)
        values = codes / code_full(hardware, plan)
    return codes


def drive_voltages(
    hardware: Hardware, plan: LayerPlan, layer: LayerModel, x: torch.Tensor
) -> torch.Tensor:
    """Voltages of the drivers of every tile, [chip, tile, batch, row].

    Args:
        hardware: the chip's description.
        plan: the layer.
        layer: who computes it.
        x: digital values [chip, batch, in].
    """
    drive_v: torch.Tensor
    drive_v = _Driven.apply(x, hardware.driver, plan)  # type: ignore[no-untyped-call]  # torch
    return layer.periphery.drive_v(layer.layout.split_rows(drive_v))


class _Driven(torch.autograd.Function):
    """Levels of the DACs; gradients pass as if there were no steps, and not where it is clipped."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, driver: DriverSpec, plan: LayerPlan) -> torch.Tensor:
        """Of digital values [chip, batch, in], [chip, batch, row]."""
        ctx.signed, ctx.v_read_v = plan.signed_input, driver.v_read_v
        ctx.save_for_backward(x)
        return driven(x, driver, signed=plan.signed_input, biased=plan.has_bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """By the values."""
        (x,) = ctx.saved_tensors
        reached = (x <= 1.0) & (x >= (-1.0 if ctx.signed else 0.0))
        return gradient[..., : x.shape[-1]] * reached * ctx.v_read_v, None, None


def converter_codes(layer: LayerModel, current_a: torch.Tensor) -> torch.Tensor:
    """What the converters of a layer make of the currents of its tiles, [chip, batch, out].

    Args:
        layer: who computes it.
        current_a: out of the bit lines, [chip, tile, batch, col].
    """
    total_v = layer.periphery.pair_sums_v(layer.layout, current_a)
    return codes_of_sums(layer.periphery, total_v)


def codes_of_sums(periphery: Periphery, total_v: torch.Tensor) -> torch.Tensor:
    """What neurons and converters make of sums, [chip, batch, out] both; differentiable."""
    codes: torch.Tensor
    codes = _Codes.apply(total_v, periphery)  # type: ignore[no-untyped-call]  # torch
    return codes


class _Codes(torch.autograd.Function):
    """Codes, with the slope of what was rounded in the place of a gradient."""

    @staticmethod
    def forward(ctx: Any, total_v: torch.Tensor, periphery: Periphery) -> torch.Tensor:
        """[chip, batch, out] both."""
        found = periphery.codes(total_v)
        ctx.save_for_backward(found.slope)
        return found.codes

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """By the sums."""
        (slope,) = ctx.saved_tensors
        return gradient * slope, None


def code_full(hardware: Hardware, plan: LayerPlan) -> float:
    """The code of a layer's converters that is the digital value 1 of the next layer."""
    return float(quantiser.code_range(hardware.adc, signed=plan.signed_output)[1])


def _refuse_impossible(
    hardware: Hardware,
    plan: LayerPlan,
    current_a: torch.Tensor,
    drive_v: torch.Tensor,
    conductance_s: torch.Tensor,
    name: str,
) -> None:
    """Refuses currents that no passive array can give.

    Amplifiers hold their bit lines within their rails. Of cells and amplifiers of the user's own
    nothing is known but that currents are finite.
    """
    if {"cell", "tia"} & hardware.blocks.keys():
        broken = ~torch.isfinite(current_a).all(-1).all(-1)
        wrong = None
        if bool(broken.any()):
            wrong = tuple(int(k) for k in broken.nonzero()[0]), "a current is not finite"
    else:
        wrong = impossible_array(current_a, drive_v, conductance_s, held_v=hardware.tia.v_rail_v)
    if wrong is None:
        return
    (chip, tile), why = wrong
    which = f" of chip {chip}" if len(current_a) > 1 else ""
    raise InputError(
        f"these are not the currents of a circuit: {why}",
        where=f"{plan.name}.{plan.tiles[tile].name}{which}, {name}",
        hint="compare with the exact fidelity, and calibrate again",
    )
