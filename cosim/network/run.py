"""How a network is read, stage by stage, whatever computes the stages.

Digital values drive the word lines through DACs; tiles give currents, amplifiers voltages; pairs
are subtracted and tiles summed; the neuron acts, the converter gives codes, and the codes are
the next layer's digital values. A fidelity says how each stage is computed (`LayerModel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from compact_models.errors import InputError
from cosim.laws.passive import impossible_current
from netlists.adcs import quantiser
from netlists.drivers import level
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan


class LayerModel(Protocol):
    """The analogue stages of every layer; tensors are [batch, ...] in SI units."""

    name: str

    def tile_current_a(
        self, layer: int, tile: int, drive_v: torch.Tensor, conductance_s: torch.Tensor
    ) -> torch.Tensor:
        """Bit-line currents [batch, col] of a tile for DAC voltages [batch, row]."""
        ...

    def amplify_v(self, layer: int, tile: int, current_a: torch.Tensor) -> torch.Tensor:
        """Amplifier outputs [batch, col]."""
        ...

    def activate_v(self, layer: int, sum_v: torch.Tensor) -> torch.Tensor:
        """Neuron outputs [batch, out]."""
        ...

    def continuous_code(self, layer: int, v: torch.Tensor) -> torch.Tensor:
        """Converter codes before rounding and clipping, [batch, out]."""
        ...


def forward(
    hardware: Hardware,
    plans: Sequence[LayerPlan],
    conductance_s: Sequence[Sequence[torch.Tensor]],
    model: LayerModel,
    x: torch.Tensor,
) -> torch.Tensor:
    """Codes of the last layer for digital inputs.

    Rounding steps pass gradients straight through, clipping passes none, so that the result can
    be trained through; everything between them is differentiated as it is.

    Args:
        hardware: the chip's description.
        plans: the layers.
        conductance_s: [layer][tile] -> [row, col] in siemens.
        model: the fidelity.
        x: digital inputs [batch, in], 1 = full.

    Returns:
        [batch, out], in LSB of the last converter.

    Raises:
        InputError: without gradients: a tile gives currents that no circuit can give.
    """
    codes = x
    for index, plan in enumerate(plans):
        drive = drive_voltages(hardware, plan, x if index == 0 else codes)
        total = x.new_zeros(len(x), plan.outputs)
        for number, tile in enumerate(plan.tiles):
            rows = drive[:, tile.row_start : tile.row_stop]
            current = model.tile_current_a(index, number, rows, conductance_s[index][number])
            if not torch.is_grad_enabled():  # training's own loop has no time for it
                place = f"{plan.name}.{tile.name}, {model.name}"
                _refuse_impossible(hardware, current, rows, conductance_s[index][number], place)
            volts = model.amplify_v(index, number, current)
            pair = volts[:, 1::2] - volts[:, 0::2]  # amplifiers invert: minus less plus
            total = total + torch.nn.functional.pad(
                pair, (tile.out_start, plan.outputs - tile.out_stop)
            )
        continuous = model.continuous_code(index, model.activate_v(index, total))
        low, high = quantiser.code_range(hardware.adc, signed=plan.signed_output)
        rounded = quantiser.quantise(continuous.detach(), hardware.adc, signed=plan.signed_output)
        inside = continuous.clamp(low, high)
        codes = inside + (rounded - inside).detach()
        if index + 1 < len(plans):
            codes = codes / high
    return codes


def _refuse_impossible(
    hardware: Hardware,
    current_a: torch.Tensor,
    drive_v: torch.Tensor,
    conductance_s: torch.Tensor,
    place: str,
) -> None:
    """Refuses currents that no passive array can give.

    Amplifiers hold their bit lines within their rails. Of cells and amplifiers of the user's own
    nothing is known but that currents are finite.
    """
    if {"cell", "tia"} & hardware.blocks.keys():
        wrong = "" if bool(torch.isfinite(current_a).all()) else "a current is not finite"
    else:
        none = conductance_s.new_zeros(())
        wrong = impossible_current(
            current_a,
            drive_v,
            conductance_s,
            r_first_ohm=none,
            r_last_ohm=none,
            held_v=hardware.tia.v_rail_v,
        )
    if wrong:
        raise InputError(
            f"these are not the currents of a circuit: {wrong}",
            where=place,
            hint="compare with the exact fidelity, and calibrate again",
        )


def drive_voltages(hardware: Hardware, plan: LayerPlan, x: torch.Tensor) -> torch.Tensor:
    """DAC voltages of a layer's word lines, [batch, row], for digital values [batch, in]."""
    levels = level.level(x.detach(), hardware.driver, signed=plan.signed_input)
    low = -1.0 if plan.signed_input else 0.0
    straight = hardware.driver.v_read_v * x.clamp(low, 1.0)
    drive = straight + (levels - straight).detach()
    if not plan.has_bias:
        return drive
    one = torch.full((len(x), 1), hardware.driver.v_read_v, dtype=x.dtype, device=x.device)
    return torch.cat([drive, one], dim=1)
