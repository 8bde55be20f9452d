"""From a torch module to one on a chip: an existing loop changes in two lines.

With a device the weights live in its cells and learn by pulses (`InSituNetwork`, `PulsedSGD`);
without one they are trained by any torch optimiser through what the chip does to them
(`CrossbarNetwork`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from compact_models.errors import InputError, closest
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.array.combined import Policy
from cosim.array.paired_cells import Pair
from cosim.budget.budget import Budget
from cosim.network.build_in_situ import (
    READS,
    LayerInCells,
    in_situ_network,
    learning_device,
    plan_in_situ,
    units,
)
from cosim.network.in_situ import InSituNetwork
from cosim.network.learning_device import LearningDevice
from cosim.network.models import exact_model, ideal_model
from cosim.network.module import CrossbarNetwork
from cosim.network.run import NetworkModel
from cosim.periphery.managed import ReadRule
from netlists.chip import draw_periphery
from netlists.graph import LinearStage, linear_stages, network_graph
from netlists.hardware import Hardware
from netlists.mapping import INPUT_ROUNDING, plan_layers
from netlists.tiles import LayerPlan

# Without inputs of the user's own a layer's ranges are those of so many, evenly distributed.
_INPUTS = 256
# Share of the largest weight that all cells of an output may come to with one sign.
_AGREEING = 0.7


def convert(
    net: nn.Module,
    hardware: Hardware | None = None,
    *,
    device: str | LearningDevice | None = None,
    parameters: str | None = None,
    d2d: Mapping[str, float] | None = None,
    pair: Pair = "reference",
    read: str = "ideal",
    update: str = "step",
    max_surrogate_error: float = 0.002,
    sample_inputs: torch.Tensor | None = None,
    full_scale: float = 1.0,
    managed: ReadRule | None = None,
    stream: Stream | None = None,
    dtype: torch.dtype = torch.float64,
    budget: Budget | None = None,
    devices_per_weight: int = 1,
    pulses_reach: Policy = "all",
    sigma_step: float = 0.0,
) -> InSituNetwork | CrossbarNetwork:
    """A network on a chip from a network in torch; the original stays as it is.

    Args:
        net: a chain of Linear layers and activations.
        hardware: the chip; None for the default one. A device brings its own cells.
        device: what the cells are, by name or whole; None for ohmic cells that are programmed
            after training.
        parameters: the device's parameter set, by name; None for its first.
        d2d: standard deviation from cell to cell, by parameter; None for that of the set. Of a
            compact model that of what moves it alone.
        pair: which cells of a pair pulses reach.
        read: who computes the arrays: ideal, surrogate, exact or spice; `surrogate` and `spice`
            need a device. Wires are in all but `ideal`; `spiceloop train` reads by `surrogate`
            where nothing is said.
        update: for a device: who computes what pulses do: step, the law of a pulse device; or
            behind the wires table, ode or spice, for any device.
        max_surrogate_error: for `surrogate`: largest error of a tile's transfer, relative.
        sample_inputs: typical inputs [batch, in] within [-1, 1], which set the ranges of amplifiers
            and converters; None for numbers between 0 and 1. The chip has inputs in this range
            alone: others are refused, and clipped where `spiceloop train` meets them.
        full_scale: what an input of 1 stands for in the network's own numbers: of a network made
            for inputs up to 6, the model with 6 takes them divided by 6.
        managed: for a device: how reads are managed digitally; None for the chip's converters.
        stream: of the chip; cells, offsets, noise and pulses are drawn from it. None for that of
            seed 0.
        dtype: for a device: of the cells' states.
        budget: decks at a time; None for all that the process may have.
        devices_per_weight: pairs of cells that hold a weight together, in as many arrays that are
            read as their sum.
        pulses_reach: of several: an update moves "all", or one "in turn".
        sigma_step: for update table, ode or spice: standard deviation of a step from pulse to
            pulse, as a part of it.

    Raises:
        InputError: a module that has no circuit, an unknown device or fidelity, or options that do
            not go together.
    """
    _check_module(net)
    if not 0 < full_scale < math.inf:
        raise InputError(
            "no scale of inputs", where="full_scale", value=full_scale, allowed="> 0, finite"
        )
    own = stream or Stream(0)
    chip = hardware or Hardware()
    stages = linear_stages(network_graph(net))
    inputs = _inputs(stages, sample_inputs, own)
    if read not in READS:
        raise InputError(
            "no such fidelity of reads",
            where="read",
            value=read,
            allowed=", ".join(READS),
            hint=closest(read, READS),
        )
    if devices_per_weight < 1:
        raise InputError(
            "a weight is held by cells",
            where="devices_per_weight",
            value=devices_per_weight,
            allowed="a whole number >= 1",
        )
    factors = [(1.0,) * devices_per_weight] * len(stages)
    if device is None:
        for name, given in (
            ("parameters", parameters),
            ("d2d", d2d),
            ("managed", managed),
            ("sigma_step", sigma_step or None),
        ):
            if given is not None:
                raise InputError(
                    f"{name} is of a device", where=name, value=given, hint='device = "soft_bounds"'
                )
        if read == "surrogate":
            raise InputError(
                "a surrogate for training by gradients is calibrated first",
                where="read",
                value=read,
                allowed="ideal, exact",
                hint="spiceloop train calibrates one in ngspice; or give a device",
            )
        if read == "spice":
            raise InputError(
                "no gradient comes out of ngspice", where="read", value=read, allowed="ideal, exact"
            )
        plans = plan_layers(stages, chip, inputs, full_scale=full_scale, factors=factors)
        return CrossbarNetwork(chip, plans, stages, _model(chip, plans, read, own))
    if isinstance(device, str):
        model, nominal = find_model(device), find_set(find_model(device), parameters)
        cells = learning_device(
            model, nominal, cell=chip.cell, read_v=chip.driver.v_read_v, d2d=d2d, pair=pair,
            sigma_step=sigma_step,
        )  # fmt: skip
    else:
        for name, given, usual in (
            ("parameters", parameters, None),
            ("d2d", d2d, None),
            ("pair", pair, "reference"),
            ("sigma_step", sigma_step, 0.0),
        ):
            if given != usual:
                raise InputError(
                    f"the device that is given has a {name} of its own",
                    where=name,
                    value=given,
                    hint="make the device with it, or name the device by a string",
                )
        cells = device
    chip = cells.chip(chip)
    typical = _as_they_may_become(stages, cells)
    plans = plan_in_situ(
        stages,
        typical,
        chip,
        [cells] * len(stages),
        inputs,
        full_scale=full_scale,
        factors=factors,
    )
    layer = LayerInCells(cells, read, max_surrogate_error, managed, pulses_reach, update)
    network = in_situ_network(
        chip,
        plans,
        stages,
        _model(chip, plans, read, own),
        [layer] * len(stages),
        stream=own,
        dtype=dtype,
        refuse_clipping=True,
        decks=(budget or Budget.of_process()).decks,
    )
    if network.short:
        warnings.warn(network.short, RuntimeWarning, stacklevel=2)
    return network


def _check_module(net: object) -> None:
    if isinstance(net, nn.Module):
        return
    is_class = isinstance(net, type) and issubclass(net, nn.Module)
    raise InputError(
        "a class is no network yet" if is_class else "no torch module",
        where="net",
        value=net.__name__ if isinstance(net, type) else type(net).__name__,
        allowed="a torch.nn.Module",
        hint=f"call it: convert({net.__name__}(), ...)" if isinstance(net, type) else "",
    )


def _model(
    hardware: Hardware, plans: Sequence[LayerPlan], read: str, stream: Stream
) -> NetworkModel:
    """What stands around the arrays: nothing but numbers for `ideal`, else what was drawn."""
    if read == "ideal":
        return ideal_model(hardware, plans)
    drawn = draw_periphery(hardware, plans, seed=stream.seed, sample=stream.sample)
    return exact_model(hardware, plans, drawn)


def _inputs(
    stages: Sequence[LinearStage], given: torch.Tensor | None, stream: Stream
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if given is not None:
        found = np.asarray(given.detach().cpu().double().numpy())
        largest = float(np.abs(found).max(initial=0.0))
        if largest > 1 + INPUT_ROUNDING:
            raise InputError(
                "inputs must lie in [-1, 1]",
                where="sample_inputs",
                value=largest,
                hint="divide them by their largest value and give convert that as full_scale",
            )
        return found
    rng = stream.at("ranges", 0).rng()
    return rng.random((_INPUTS, stages[0].weight.shape[1]))


def _as_they_may_become(
    stages: Sequence[LinearStage], device: LearningDevice
) -> tuple[LinearStage, ...]:
    """Layers whose sums are nearly the largest that cells can make of the inputs.

    Training begins with small weights of mixed signs and ends with large ones that agree: a sum
    that is clipped by its converter has no gradient, and the layer stops to learn.
    """
    found = []
    for stage, unit in zip(stages, units(stages, [device] * len(stages)), strict=True):
        weight = np.full_like(stage.weight, _AGREEING * device.reach * unit)
        bias = None if stage.bias is None else np.zeros_like(stage.bias)
        found.append(replace(stage, weight=weight, bias=bias))
    return tuple(found)
