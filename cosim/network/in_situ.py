"""A network whose weights live in the cells of analog arrays and are trained there.

Forward, a layer is what its chip computes: DAC, array, amplifiers, pairs, neuron, converter.
Backward, the errors at its outputs drive the bit lines and what the word lines carry is the error
at its inputs; activations and errors are left in pairs for whoever updates the array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from compact_models.errors import InputError
from cosim.array.analog_array import AnalogArray
from cosim.array.parameter import AnalogParameter, Pairs
from netlists.adcs import quantiser
from netlists.drivers import level
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan, augmented


class Periphery(Protocol):
    """What stands around the arrays of a layer, stacked over chips and tiles."""

    def amplify_v(self, layer: int, current_a: torch.Tensor) -> torch.Tensor:
        """Amplifier outputs [chip, tile, batch, col] for currents of that shape."""
        ...

    def activate_v(self, layer: int, sum_v: torch.Tensor) -> torch.Tensor:
        """Neuron outputs [chip, batch, out]."""
        ...

    def continuous_code(self, layer: int, v: torch.Tensor) -> torch.Tensor:
        """Converter codes before rounding and clipping, [chip, batch, out]."""
        ...


class InSituLayer(nn.Module):
    """One matrix-vector product with its neurons and converters.

    Args:
        index: which layer of the chip.
        plan: how it lies on the chip.
        hardware: the chip's description.
        array: the cells.
        periphery: what stands around them.
        stage: weights to start from.
    """

    def __init__(
        self,
        index: int,
        plan: LayerPlan,
        hardware: Hardware,
        array: AnalogArray,
        periphery: Periphery,
        stage: LinearStage,
    ) -> None:
        super().__init__()
        self.index = index
        self.plan = plan
        self.hardware = hardware
        self.array = array
        self.periphery = periphery
        pairs = Pairs()
        rows = augmented(stage.weight, stage.bias, plan.input_scale)
        self.array.program(torch.from_numpy(rows))
        self.weight = AnalogParameter.of(array, pairs, (0, plan.inputs), bias=False)
        self.bias: AnalogParameter | None = None
        if plan.has_bias:  # it lies in the array as bias / input_scale, driven with 1
            self.bias = AnalogParameter.of(
                array, pairs, (plan.inputs, plan.rows), bias=True, scale=plan.input_scale
            )

    def refresh(self) -> None:
        """Brings the parameters to what the cells hold."""
        self.weight.show()
        if self.bias is not None:
            self.bias.show()

    def program(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Brings the cells to weights [out, in] and biases [out], or to one such matrix a chip.

        Returns:
            What every pair is short of its weight, [chip, row, out].
        """
        rows = weight.mT
        if self.bias is not None:
            own = bias if bias is not None else torch.zeros_like(weight[..., 0])
            rows = torch.cat([rows, own.unsqueeze(-2) / self.plan.input_scale], -2)
        short = self.array.program(rows)
        self.refresh()
        return short

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        *more: Any,
    ) -> None:
        """Of `nn.Module`: a state without cells is written into them, as a float network's is."""
        weight = state_dict.get(f"{prefix}weight")
        if f"{prefix}array.w" in state_dict or weight is None:
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, *more
            )
        else:
            self.program(weight, state_dict.get(f"{prefix}bias"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Codes of the layer's converters, [chip, batch, out], for [chip, batch, in] digital."""
        for name, own in (("weight", self.weight), ("bias", self.bias)):
            if own is not None:
                own.check(f"{self.plan.source}.{name}")
        total: torch.Tensor
        total = _Product.apply(x, self.weight, self.bias, self)  # type: ignore[no-untyped-call]  # torch
        v = self.periphery.activate_v(self.index, total)
        continuous = self.periphery.continuous_code(self.index, v)
        adc, signed = self.hardware.adc, self.plan.signed_output
        low, high = quantiser.code_range(adc, signed=signed)
        rounded = quantiser.quantise(continuous.detach(), adc, signed=signed)
        inside = continuous.clamp(low, high)
        return inside + (rounded - inside).detach()

    def sums_v(self, x: torch.Tensor) -> torch.Tensor:
        """What the amplifiers' outputs add up to, [chip, batch, out], for digital inputs."""
        hardware, plan, layout = self.hardware, self.plan, self.array.layout
        drive = level.level(x, hardware.driver, signed=plan.signed_input)
        if plan.has_bias:
            one = drive.new_full((*drive.shape[:-1], 1), hardware.driver.v_read_v)
            drive = torch.cat([drive, one], -1)
        current = self.array.read(layout.split_rows(drive))
        volts = layout.sum_rows(self.periphery.amplify_v(self.index, current))
        return volts[..., 1] - volts[..., 0]  # amplifiers invert: minus less plus

    def errors_at_inputs(self, d: torch.Tensor) -> torch.Tensor:
        """Errors at the digital inputs for errors at the outputs, by the array read backward.

        Args:
            d: gradients of the loss by the logical sums of products, [chip, batch, out].

        Returns:
            Gradients by the digital inputs, [chip, batch, in].
        """
        array, layout = self.array, self.array.layout
        v_read = self.hardware.driver.v_read_v
        size = d.abs().amax(-1, keepdim=True)  # the largest error is driven with the full voltage
        share = torch.where(size > 0, d / size, 0.0)
        drive = layout.split_cols(v_read * torch.stack([share, -share], -1))
        current = layout.sum_cols(array.read_transposed(drive))
        products = current * (array.weight_per_s / v_read) * size
        return products[..., : self.plan.inputs] * self.plan.input_scale


class _Product(torch.autograd.Function):
    """The product of an array, with the backward read in the place of a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: AnalogParameter,
        bias: AnalogParameter | None,
        layer: InSituLayer,
    ) -> torch.Tensor:
        """Sums of the amplifiers' outputs, [chip, batch, out]."""
        ctx.layer = layer
        ctx.version = layer.array.version
        ctx.save_for_backward(x)
        ctx.trained = (
            weight.requires_grad,
            bias is not None and bias.requires_grad,
        )
        return layer.sums_v(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None]:
        """Leaves a pair, and reads the array backward where errors are wanted below."""
        layer: InSituLayer = ctx.layer
        if ctx.version != layer.array.version:
            raise InputError(
                "the cells have moved between the forward and the backward read",
                where=layer.plan.source,
                hint="call backward before the optimiser's step",
            )
        (x,) = ctx.saved_tensors
        plan, hardware = layer.plan, layer.hardware
        d = gradient * (hardware.adc.v_full_scale_v / plan.span)  # by the sums in logical units
        if any(ctx.trained):
            low = -1.0 if plan.signed_input else 0.0
            lines = x.clamp(low, 1.0) * plan.input_scale
            if not ctx.trained[0]:
                lines = torch.zeros_like(lines)
            if plan.has_bias:
                # A bias lies in the array as bias / input_scale and is driven with 1.
                value = 1.0 / plan.input_scale if ctx.trained[1] else 0.0
                lines = torch.cat([lines, lines.new_full((*lines.shape[:-1], 1), value)], -1)
            layer.weight.pairs.put(lines, d)
        below = layer.errors_at_inputs(d) if ctx.needs_input_grad[0] else None
        return below, None, None, None


class InSituNetwork(nn.Module):
    """A chain of layers that learn in their own cells.

    Args:
        hardware: the chip's description.
        layers: from the input on.
    """

    def __init__(self, hardware: Hardware, layers: Sequence[InSituLayer]) -> None:
        super().__init__()
        self.hardware = hardware
        self.layers = nn.ModuleList(layers)

    @property
    def plans(self) -> tuple[LayerPlan, ...]:
        """Of the layers."""
        return tuple(layer.plan for layer in self.chain)

    @property
    def chain(self) -> tuple[InSituLayer, ...]:
        """The layers in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, InSituLayer))

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """Codes of the output converters in LSB, [..., out].

        Args:
            x: digital inputs [batch, in], 1 = full; [chip, batch, in] where chips see others.
        """
        first = self.chain[0]
        chips = first.array.chips
        values = x.to(first.array.w.dtype)
        codes = values if x.ndim == 3 else values.expand(chips, *values.shape)
        for number, layer in enumerate(self.chain):
            codes = layer(codes)
            if number + 1 < len(self.chain):
                adc, signed = self.hardware.adc, layer.plan.signed_output
                codes = codes / quantiser.code_range(adc, signed=signed)[1]
        return codes if x.ndim == 3 or chips > 1 else codes[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs in the network's own numbers; see `codes`."""
        return self.codes(x) * self.output_per_lsb

    @property
    def output_per_lsb(self) -> float:
        """What one LSB of the output converters stands for, in the network's own numbers."""
        last = self.plans[-1]
        full = quantiser.code_range(self.hardware.adc, signed=last.signed_output)[1]
        return last.output_scale / full
