"""A network whose weights live in the cells of analog arrays and are trained there."""

from __future__ import annotations

import warnings
from collections.abc import MutableMapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from compact_models.errors import InputError
from cosim.network.in_situ_layer import InSituLayer
from cosim.network.in_situ_product import Products
from cosim.periphery.converters import ends
from netlists.hardware import Hardware
from netlists.mapping import INPUT_ROUNDING
from netlists.tiles import LayerPlan

_UNTAKEN = 10  # backward passes that nobody takes: a loop, and no look at a gradient


class InSituNetwork(nn.Module):
    """A chain of layers that learn in their own cells.

    Args:
        hardware: the chip's description.
        layers: from the input on.
        refuse_clipping: inputs that the first layer's drivers would clip are refused; else they
            are clipped, as the chip does it.
    """

    def __init__(
        self, hardware: Hardware, layers: Sequence[InSituLayer], *, refuse_clipping: bool = False
    ) -> None:
        super().__init__()
        self.hardware = hardware
        self.refuse_clipping = refuse_clipping
        self._warned = False
        self.layers = nn.ModuleList(layers)
        self._chain = tuple(layers)
        for before, layer in pairwise(layers):
            if before.plan.outputs != layer.plan.inputs:
                raise InputError(
                    "layers do not follow each other",
                    where=layer.plan.source,
                    value=layer.plan.inputs,
                    allowed=f"{before.plan.outputs} inputs",
                )

    def _load_from_state_dict(
        self, state_dict: MutableMapping[str, Any], prefix: str, *more: Any
    ) -> None:
        """Of `nn.Module`: before any layer has changed, the state of others is refused.

        A state of the network before `convert`, under its names, is programmed into the cells.
        """
        self._take_names(state_dict, prefix)
        for number, layer in enumerate(self.chain):
            layer.refuse_another(state_dict, f"{prefix}layers.{number}.")
        super()._load_from_state_dict(state_dict, prefix, *more)

    def _take_names(self, state_dict: MutableMapping[str, Any], prefix: str) -> None:
        """Gives a float network's weights the names that they have here."""
        layers = list(enumerate(self.chain))
        wanted = [f"{prefix}{layer.plan.source}.weight" for _, layer in layers]
        if not all(f"{prefix}layers.{k}.array.w" not in state_dict for k, _ in layers):
            return
        if not all(name in state_dict for name in wanted):
            return
        renamed = {
            f"{prefix}layers.{k}.{part}": state_dict.pop(name)
            for k, layer in layers
            for part in ("weight", "bias")
            if (name := f"{prefix}{layer.plan.source}.{part}") in state_dict
        }
        state_dict.update(renamed)

    @property
    def short(self) -> str:
        """What the cells could not be programmed to when the network was made; or nothing."""
        return "; ".join(layer.short for layer in self.chain if layer.short)

    @property
    def plans(self) -> tuple[LayerPlan, ...]:
        """Of the layers."""
        return tuple(layer.plan for layer in self.chain)

    @property
    def chain(self) -> tuple[InSituLayer, ...]:
        """The layers in order."""
        return self._chain

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """Codes of the output converters in LSB, [..., out].

        Args:
            x: digital inputs [in] or [batch, in], 1 = full; [chip, batch, in] where chips see
                others.

        Raises:
            InputError: inputs of another shape, or beyond what drivers have.
        """
        return self._products(x, 1.0)

    def _products(self, x: torch.Tensor, times: float) -> torch.Tensor:
        first = self._chain[0]
        if torch.is_grad_enabled() and not self._warned:
            self._say_not_learnt()
        _check_shape(x, first)
        if self.refuse_clipping:
            _check_inputs(x, first.plan)
        chain = self._chain
        if tuple(self.layers) != chain:
            raise InputError(
                "the layers of a network in cells are those that it was made of",
                where="layers",
                value=", ".join(type(one).__name__ for one in self.layers),
                hint="hooks see what goes through a layer: register_forward_hook",
            )
        if _has_any_global_hook() or any(map(_hooked, chain)):
            return self._one_by_one(x) * times
        own = [parameter for layer in chain for parameter in layer.checked()]
        codes: torch.Tensor
        codes = Products.apply(x, chain, times, *own)  # type: ignore[no-untyped-call]  # torch
        return codes

    def _one_by_one(self, x: torch.Tensor) -> torch.Tensor:
        """The same by calls of the layers, for hooks of theirs."""
        chips = self._chain[0].array.chips
        values = x.unsqueeze(0) if x.ndim == 1 else x
        codes = values if x.ndim == 3 else values.expand(chips, *values.shape)
        for number, layer in enumerate(self._chain):
            codes = layer(codes)
            if number + 1 < len(self._chain):
                codes = codes / layer.code_full
        if x.ndim == 1:
            codes = codes.squeeze(1)
        return codes if x.ndim == 3 or chips > 1 else codes.squeeze(0)

    def _say_not_learnt(self) -> None:
        """Warns, once, of a loop whose optimiser does not know of pairs: nothing is learnt."""
        waiting = [one for layer in self._chain if not (one := layer.pairs).awaited]
        passes = max((one.passes for one in waiting), default=0)
        if passes >= _UNTAKEN:
            self._warned = True
            warnings.warn(
                f"{passes} backward passes have left what the cells should learn, and no optimiser"
                " takes it: PulsedSGD(model.parameters(), lr=...) of the converted model does;"
                " optimisers of torch.optim, and the parameters of the network before convert, move"
                " no cell (requires_grad_(False) where nothing is to be learnt)",
                RuntimeWarning,
                stacklevel=2,
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs in the network's own numbers; see `codes`."""
        return self._products(x, self.output_per_lsb)

    @property
    def output_per_lsb(self) -> float:
        """What one LSB of the output converters stands for, in the network's own numbers."""
        last = self.chain[-1]
        return last.plan.output_scale / last.code_full


def _hooked(layer: nn.Module) -> bool:
    """Somebody wants to see what goes through a layer, or has a way of his own through it."""
    own = "forward" in layer.__dict__ or type(layer).forward is not InSituLayer.forward
    return bool(
        own
        or layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _check_shape(x: torch.Tensor, first: InSituLayer) -> None:
    """Refuses inputs that the first layer cannot take."""
    inputs, chips, plan = first.plan.inputs, first.array.chips, first.plan
    is_tensor = isinstance(x, torch.Tensor)
    shape = tuple(x.shape) if is_tensor else ()
    if shape and len(shape) <= 3 and shape[-1] == inputs and (len(shape) < 3 or shape[0] == chips):
        return
    raise InputError(
        f"inputs do not fit layer {plan.source}, which has {inputs}",
        where="x",
        value=shape if is_tensor else type(x).__name__,
        allowed=f"a tensor [{inputs}], [batch, {inputs}] or [{chips} chip, batch, {inputs}]",
    )


def _check_inputs(x: torch.Tensor, plan: LayerPlan) -> None:
    """Refuses what drivers would clip."""
    low = -1.0 if plan.signed_input else 0.0
    least, largest = ends(x)
    if not (least >= low - INPUT_ROUNDING and largest <= 1.0 + INPUT_ROUNDING):
        raise InputError(
            "inputs beyond what the drivers of this chip put on word lines",
            where="x",
            value=least if least < low - INPUT_ROUNDING else largest,
            allowed=f"{low:g} to 1",
            hint="divide them by their largest value and give convert that as full_scale;"
            " sample_inputs with both signs give drivers of both signs",
        )
