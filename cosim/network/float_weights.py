"""The way back: weights that were trained on a chip, for the torch module that they came from."""

from __future__ import annotations

import torch

from compact_models.errors import InputError
from cosim.network.in_situ import InSituNetwork
from cosim.network.module import CrossbarNetwork


def float_state_dict(
    model: InSituNetwork | CrossbarNetwork, *, chip: int = 0
) -> dict[str, torch.Tensor]:
    """The weights as the chip has them now, under the names of the network before `convert`.

    What is around the arrays, wires and converters, is not in them. A BatchNorm that was folded
    into its Linear stays folded: its own names are not there.

    Args:
        model: of `convert`.
        chip: whose, where many were made.

    Returns:
        `NAME.weight` [out, in] and `NAME.bias` [out], copies.

    Raises:
        InputError: it is no network of `convert`, or has no such chip.
    """
    if isinstance(model, InSituNetwork):
        if not 0 <= chip < model.chain[0].array.chips:
            raise InputError(
                "there is no such chip",
                where="chip",
                value=chip,
                allowed=f"0 to {model.chain[0].array.chips - 1}",
            )
        rows = [layer.array.weight()[chip] for layer in model.chain]
    elif isinstance(model, CrossbarNetwork):
        rows = [
            share.detach() * plan.weight_scale
            for share, plan in zip(model.shares, model.plans, strict=True)
        ]
    else:
        raise InputError(
            "no network on a chip",
            where="model",
            value=type(model).__name__,
            allowed="what convert gives",
        )
    found = {}
    for plan, own in zip(model.plans, rows, strict=True):
        found[f"{plan.source}.weight"] = own[: plan.inputs].mT.clone()
        if plan.has_bias:  # it stands in the array as bias / input_scale
            found[f"{plan.source}.bias"] = own[plan.inputs] * plan.input_scale
    return found
