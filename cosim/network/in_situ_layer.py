"""A layer whose weights live in the cells of an analog array.

Forward it is what its chip computes: DAC, array, amplifiers, pairs, neuron, converter. Backward,
the errors at its outputs drive the bit lines and what the word lines carry is the error at its
inputs; activations and errors are left in pairs for whoever updates the array.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Draw, Stream
from cosim.array.combined import WeightArray
from cosim.array.fingerprint import cells_told, hardware_told, plain, refuse_another
from cosim.array.parameter import AnalogParameter, Pairs
from cosim.network.in_situ_product import Products
from cosim.network.run import Periphery, code_full
from cosim.periphery.backward import BackwardPeriphery
from cosim.periphery.converters import clamped, driven
from cosim.periphery.managed import ReadRule, managed_read
from netlists.backward.scale import product_per_code
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan, augmented

_REACHED = 1e-6  # of a cell's own weight: what rounding leaves, in single precision too
_OTHER_CELLS = (
    "convert as it was converted, or load the weights alone, without array.w: cells are then"
    " programmed to them"
)


class InSituLayer(nn.Module):
    """One matrix-vector product with its neurons and converters.

    Args:
        plan: how it lies on the chip.
        hardware: the chip's description.
        array: the cells.
        periphery: what stands around them.
        stage: weights to start from.
        backward: the circuits that carry errors back; None where that is arithmetic alone.
        managed: how reads are managed digitally, forward and backward, by straight amplifiers; None
            for the chip's own converters.
        stream: of the chip; what managed reads draw is drawn from it.

    Attributes:
        short: what cells could not be programmed to when the layer was made, in words; or nothing.
            Nothing, too, of weights as torch draws them: none has been learnt that could be lost.
    """

    def __init__(
        self,
        plan: LayerPlan,
        hardware: Hardware,
        array: WeightArray,
        periphery: Periphery,
        stage: LinearStage,
        *,
        backward: BackwardPeriphery | None = None,
        managed: ReadRule | None = None,
        stream: Stream | None = None,
    ) -> None:
        super().__init__()
        self.backward = backward
        self.managed = managed
        self.stream = stream or Stream(0)
        self.reads = 0
        self.plan = plan
        self.hardware = hardware
        self.array = array
        self.periphery = periphery
        self.code_full = code_full(hardware, plan)
        self._volts = hardware.adc.v_full_scale_v / plan.span  # of a logical sum of 1
        self._amplifiers = periphery.pair_amplifiers(array.layout)
        pairs = Pairs()
        rows = augmented(stage.weight, stage.bias, plan.input_scale)
        short = self.array.program(torch.from_numpy(rows))
        self.short = "" if _as_drawn(stage) else self._short(short)
        self.weight = AnalogParameter.of(
            array, pairs, (0, plan.inputs), path=f"{plan.source}.weight", bias=False
        )
        self.bias: AnalogParameter | None = None
        if plan.has_bias:  # it lies in the array as bias / input_scale, driven with 1
            self.bias = AnalogParameter.of(
                array,
                pairs,
                (plan.inputs, plan.rows),
                path=f"{plan.source}.bias",
                bias=True,
                scale=plan.input_scale,
            )

        self.register_load_state_dict_post_hook(_refreshed)  # type: ignore[no-untyped-call]  # torch

    def get_extra_state(self) -> dict[str, Any]:
        """Of `nn.Module`: which cells of which chip the state belongs to.

        And how many reads have drawn, so that they go on where they stopped.
        """
        return {"reads": self.reads, "made": self._made()}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """See `get_extra_state`."""
        self.reads = int(state["reads"])

    def _made(self) -> dict[str, Any]:
        """What a state of these cells means anything with; not who reads them."""
        return plain(
            {
                "stream": {"seed": self.stream.seed, "sample": self.stream.sample},
                "cells": cells_told(self.array.cells),
                "plan": self.plan,
                "hardware": hardware_told(self.hardware),
            }
        )

    def refuse_another(self, state_dict: Mapping[str, Any], prefix: str) -> None:
        """Refuses the state of other cells, of another device or chip.

        Raises:
            InputError: says where they differ first.
        """
        key = f"{prefix}_extra_state"
        cells = any(one.startswith(f"{prefix}array.") for one in state_dict)
        if not cells or key not in state_dict:
            return  # weights of a float network, or no whole state, which torch refuses
        extra = state_dict[key]
        made = extra.get("made", {}) if isinstance(extra, Mapping) else extra
        refuse_another(made, self._made(), f"state of layer {self.plan.source}", hint=_OTHER_CELLS)

    def __getstate__(self) -> dict[str, Any]:
        """Of `pickle` and `copy`: without the function that is made of the periphery."""
        return {key: value for key, value in self.__dict__.items() if key != "_amplifiers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See `__getstate__`."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch
        self._amplifiers = self.periphery.pair_amplifiers(self.array.layout)

    def refresh(self) -> None:
        """Brings the parameters to what the cells hold."""
        self.weight.show()
        if self.bias is not None:
            self.bias.show()

    def _check_shape(self, name: str, given: torch.Tensor, wanted: tuple[int, ...]) -> None:
        if given.shape not in (wanted, (self.array.chips, *wanted)):
            raise InputError(
                "these are of another layer",
                where=f"{self.plan.source}.{name}",
                value=tuple(given.shape),
                allowed=f"{wanted}, or one such tensor a chip",
            )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Of `nn.Module`: float(), double() and to() of the cells, which the parameters show."""
        self.array._apply(fn)
        for one in (self.weight, self.bias):
            if one is not None:
                one.follow()
        return self

    def program(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Brings the cells to weights [out, in] and biases [out], or to one such matrix a chip.

        Returns:
            What every pair is short of its weight, [chip, row, out].

        Raises:
            InputError: weights of another layer.
        """
        outs, inputs = self.plan.outputs, self.plan.inputs
        self._check_shape("weight", weight, (outs, inputs))
        if bias is not None and self.bias is not None:
            self._check_shape("bias", bias, (outs,))
        rows = weight.mT
        if self.bias is not None:
            own = bias if bias is not None else torch.zeros_like(weight[..., 0])
            rows = torch.cat([rows, own.unsqueeze(-2) / self.plan.input_scale], -2)
        short = self.array.program(rows)
        self.refresh()
        return short

    def _load_from_state_dict(
        self,
        state_dict: MutableMapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        *more: Any,
    ) -> None:
        """Of `nn.Module`: a state without cells is written into them, as a float network's is."""
        self.refuse_another(state_dict, prefix)
        cells, weight = f"{prefix}array.", state_dict.get(f"{prefix}weight")
        if weight is not None and not any(key.startswith(cells) for key in state_dict):
            short = self._short(self.program(weight, state_dict.get(f"{prefix}bias")))
            if short:
                warnings.warn(short, RuntimeWarning, stacklevel=2)
            # What the cells have reached, and not what was asked for: parameters may be the state.
            for name, own in self.named_parameters(recurse=False):
                state_dict[prefix + name] = own.detach().clone()
            state_dict.update(self.array.state_dict(prefix=cells))  # torch loads a copy of it
            state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, *more
        )

    def _short(self, short: torch.Tensor) -> str:
        """Weights that cells do not reach, in words, of [chip, row, out]; or nothing."""
        beyond = short.abs() > _REACHED * self.array.unit
        if not bool(beyond.any()):
            return ""
        by = short.abs()
        by[:, self.plan.inputs :] *= self.plan.input_scale  # biases, as the network has them
        return (
            f"layer {self.plan.source}: {int(beyond.sum())} of {beyond.numel()} weights are beyond"
            f" their cells' bounds and stand there, by {float(by.max()):.3g} at most"
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Codes of the layer's converters, [chip, batch, out], for [chip, batch, in] digital."""
        codes: torch.Tensor
        codes = Products.apply(x, (self,), 1.0, *self.checked())  # type: ignore[no-untyped-call]  # torch
        return codes

    def checked(self) -> tuple[AnalogParameter, ...]:
        """The parameters, into which nobody has written.

        Raises:
            InputError: somebody has.
        """
        own = self._own()
        for one in own:
            one.check()
        return own

    def _own(self) -> tuple[AnalogParameter, ...]:
        """Weights, and biases where there are any, past the slow look-up of `nn.Module`."""
        held: Any = self._parameters
        bias = held.get("bias")
        return (held["weight"],) if bias is None else (held["weight"], bias)

    @property
    def trained(self) -> tuple[bool, bool]:
        """See `InCells`."""
        weight, *bias = self._own()
        return weight.requires_grad, bool(bias) and bias[0].requires_grad

    def read(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `InCells`."""
        found, dtype = self.periphery.codes(self.sums_v(x)), x.dtype
        # What is drawn of the periphery is in double precision, whatever the cells' states are in.
        return found.codes.to(dtype), found.slope.to(dtype)

    def errors(self, gradient: torch.Tensor, slope: torch.Tensor, times: float) -> torch.Tensor:
        """See `InCells`."""
        return (gradient * slope).mul_(times * self._volts)

    @property
    def pairs(self) -> Pairs:
        """What backward passes have left for the cells."""
        return self._own()[0].pairs

    def leave(self, x: torch.Tensor, d: torch.Tensor, trained: tuple[bool, bool]) -> None:
        """See `InCells`."""
        if not any(trained):
            return
        plan = self.plan
        # A bias lies in the array as bias / input_scale and is driven with 1.
        bias = (1.0 / plan.input_scale if trained[1] else 0.0) if plan.has_bias else None
        scale = plan.input_scale if trained[0] else 0.0
        lines = clamped(x, signed=plan.signed_input, scale=scale, bias=bias)
        self.pairs.put(lines, d)

    def sums_v(self, x: torch.Tensor) -> torch.Tensor:
        """What the amplifiers' outputs add up to, [chip, batch, out], for digital inputs."""
        plan = self.plan
        if self.managed is not None:
            lines = self._with_bias(x * plan.input_scale, plan.input_scale)
            y = managed_read(self._straight, lines, self.managed, self._draw("forward"))
            return y * self._volts
        drive = self.drive_v(x)
        feedback = self.periphery.straight_ohm
        if feedback is not None:
            return self.array.pair_current_a(drive, times=feedback)
        if not self.hardware.driver.differs:
            return self._amplifiers(self.array.read_blocks(drive))
        layout = self.array.layout
        lines = self.periphery.drive_v(layout.split_rows(drive))
        current = self.array.read(lines.to(self.array.w.dtype))
        return self._amplifiers(layout.col_blocks_of(current))

    def drive_v(self, x: torch.Tensor) -> torch.Tensor:
        """What the DACs put on the word lines, [chip, batch, row], for digital inputs."""
        plan = self.plan
        return driven(x, self.hardware.driver, signed=plan.signed_input, biased=plan.has_bias)

    def errors_at_inputs(self, d: torch.Tensor) -> torch.Tensor:
        """Errors at the digital inputs for errors at the outputs, by the array read backward.

        Args:
            d: gradients of the loss by the logical sums of products, [chip, batch, out].

        Returns:
            Gradients by the digital inputs, [chip, batch, in].
        """
        scale, array = self.plan.input_scale, self.array
        if self.backward is not None:
            # The largest error is driven with the full voltage; digits know by how much it was.
            size = d.abs().amax(-1, keepdim=True)
            share = torch.where(size > 0, d / size, 0.0)
            auto_zero = self.hardware.backward.auto_zero
            if auto_zero:
                share = torch.nn.functional.pad(share, (0, 0, 0, 1))  # one more, of nothing
            if self.hardware.backward.driver.differs:
                lines = self.backward.drive_v(share).to(array.w.dtype)
                codes = self.backward.codes(array.read_transposed(lines))
            else:
                current = array.read_blocks_transposed(self.backward.levels_v(share))
                codes = self.backward.codes_of_blocks(current)
            if auto_zero:
                codes = codes[:, :-1] - codes[:, -1:]
            per_code = product_per_code(self.hardware, self.plan)
            return (codes * (per_code * scale) * size).to(d.dtype)
        if self.managed is None:
            products = array.line_current_a(d, times=array.weight_per_s * scale)
            return products[..., : self.plan.inputs]
        products = managed_read(
            lambda share: array.line_current_a(share, times=array.weight_per_s),
            d,
            _backward(self.managed),
            self._draw("backward"),
        )
        return products[..., : self.plan.inputs] * scale

    def _straight(self, lines: torch.Tensor) -> torch.Tensor:
        """Weights times inputs, by straight amplifiers without offsets."""
        return self.array.pair_current_a(lines, times=self.array.weight_per_s)

    def _with_bias(self, lines: torch.Tensor, value: float) -> torch.Tensor:
        if not self.plan.has_bias:
            return lines
        return torch.cat([lines, lines.new_full((*lines.shape[:-1], 1), value)], -1)

    def _draw(self, direction: str) -> Draw | None:
        """What the next read draws from; None where it draws nothing."""
        if self.managed is None or not self.managed.draws:
            return None
        self.reads += 1
        return self.stream.at(f"{self.plan.name}/{direction}", self.reads)


@lru_cache(32)
def _backward(rule: ReadRule) -> ReadRule:
    """How errors are read: as shares of the largest, which nothing bounds."""
    return replace(rule, noise_management="abs_max", bound_management="none")


def _as_drawn(stage: LinearStage) -> bool:
    """Whether weights may be those that nn.Linear begins with: none beyond 1 / sqrt(inputs)."""
    parts = (stage.weight, *(() if stage.bias is None else (stage.bias,)))
    largest = max(float(np.abs(part).max(initial=0.0)) for part in parts)
    bound: float = (1 + _REACHED) * stage.weight.shape[1] ** -0.5
    return largest <= bound


def _refreshed(layer: nn.Module, _keys: object) -> None:
    """After `load_state_dict`: the parameters are what the cells hold."""
    if isinstance(layer, InSituLayer):
        layer.refresh()
