"""A chip: the plans of a network with programmed conductances and the drawn periphery.

One sample of a study. The same object is emitted as a netlist, solved exactly and read by the
surrogate, so that all of them see the same components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import normal
from netlists.drivers.level import DriverSpec
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.mapping import plan_layers
from netlists.readout.tia import TiaSpec
from netlists.tiles import LayerPlan, augmented, tile_targets

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TilePeriphery:
    """The amplifiers at the sensed lines and the drivers of a tile.

    Args:
        r_feedback_ohm: [sensed line]; forward these are the bit lines, backward the word lines.
        v_offset_v: likewise.
        driver_gain: [driven line], about 1.
        driver_offset_v: likewise.
    """

    r_feedback_ohm: Array
    v_offset_v: Array
    driver_gain: Array
    driver_offset_v: Array


@dataclass(frozen=True, eq=False)
class LayerPeriphery:
    """Everything of a layer that is drawn and is not a cell.

    Args:
        tiles: amplifiers and drivers, tile by tile.
        neuron_offset_v: [out].
        neuron_gain: [out], about 1.
        adc_offset_v: [out].
        adc_gain: [out], about 1.
    """

    tiles: tuple[TilePeriphery, ...]
    neuron_offset_v: Array
    neuron_gain: Array
    adc_offset_v: Array
    adc_gain: Array


@dataclass(frozen=True, eq=False)
class Chip:
    """One programmed chip.

    Args:
        hardware: the description that all chips share.
        plans: the layers.
        periphery: the drawn periphery, layer by layer.
        conductance_s: programmed conductances [layer][tile] -> [row, col] in siemens.
        weights: the weights that the cells stand for, [layer] -> [row, out], for comments.
        states: of cells that are devices (`hardware.device`): the states that programming has left,
            by name, [layer][tile] -> [row, col] in their units. `conductance_s` is then what they
            conduct at the read voltage.
    """

    hardware: Hardware
    plans: tuple[LayerPlan, ...]
    periphery: tuple[LayerPeriphery, ...]
    conductance_s: tuple[tuple[Array, ...], ...]
    weights: tuple[Array, ...] = ()
    states: tuple[tuple[Mapping[str, Array], ...], ...] = ()

    def __post_init__(self) -> None:
        """Checks that every tile has conductances and states of its shape."""
        states = self.states or tuple(tuple({} for _ in layer) for layer in self.conductance_s)
        for plan, layer, of_layer in zip(self.plans, self.conductance_s, states, strict=True):
            for tile, conductance, held in zip(plan.tiles, layer, of_layer, strict=True):
                for name, values in {"": conductance, **held}.items():
                    if values.shape != (tile.rows, tile.cols):
                        raise InputError(
                            "wrong shape",
                            where=f"{plan.name}.{tile.name}{'.' if name else ''}{name}",
                            value=values.shape,
                            allowed=f"[row, col] = ({tile.rows}, {tile.cols})",
                        )

    def held(self, layer: int, tile: int) -> Mapping[str, Array]:
        """The states of a tile's cells by name, each [row, col]; nothing where cells are ohmic.

        Raises:
            InputError: cells are devices, and nobody has said in which states.
        """
        if self.hardware.device is None:
            return {}
        if not self.states:
            raise InputError(
                "cells that are devices are in some state",
                where="Chip.states",
                hint="cosim.network.held_chip.held_chip finds the states of conductances",
            )
        return self.states[layer][tile]


def map_network(
    stages: Sequence[LinearStage],
    hardware: Hardware,
    sample_inputs: Array,
    *,
    seed: int,
    sample: int,
    full_scale: float = 1.0,
) -> Chip:
    """A chip programmed with the weights of a network, as one sample of a study.

    Args:
        stages: the network.
        hardware: the chip's description.
        sample_inputs: typical inputs [batch, in], which set the ranges; shares of the read voltage.
        seed: the study's seed.
        sample: which chip of the study.
        full_scale: the network's input that a share of 1 stands for.
    """
    plans = plan_layers(stages, hardware, sample_inputs, full_scale=full_scale)
    return programmed_chip(stages, hardware, plans, seed=seed, sample=sample)


def programmed_chip(
    stages: Sequence[LinearStage],
    hardware: Hardware,
    plans: Sequence[LayerPlan],
    *,
    seed: int,
    sample: int,
) -> Chip:
    """A chip programmed with the weights of a network that is planned; see `map_network`."""
    weights = [
        augmented(stage.weight, stage.bias, plan.input_scale)
        for stage, plan in zip(stages, plans, strict=True)
    ]
    targets = [
        [
            target.numpy()
            for target in tile_targets(
                plan, torch.from_numpy(layer / plan.weight_scale), hardware.cell_of(plan.source)
            )
        ]
        for layer, plan in zip(weights, plans, strict=True)
    ]
    return Chip(
        hardware,
        tuple(plans),
        draw_periphery(hardware, plans, seed=seed, sample=sample),
        program(hardware, plans, targets, seed=seed, sample=sample),
        tuple(weights),
    )


def draw_periphery(
    hardware: Hardware, plans: Sequence[LayerPlan], *, seed: int, sample: int
) -> tuple[LayerPeriphery, ...]:
    """Draws drivers, amplifiers, neurons and converters of one sample."""
    adc, neuron, draws = hardware.adc, hardware.neuron, Draws(seed, sample)
    layers: list[LayerPeriphery] = []
    for plan in plans:
        tiles = tuple(
            draws.tile(
                f"{plan.name}/{tile.name}",
                (hardware.driver, tile.rows),
                (hardware.tia, tile.cols),
                plan.r_feedback_ohm * plan.factor_of(number),
            )
            for number, tile in enumerate(plan.tiles)
        )
        outs, at = plan.outputs, plan.name
        layers.append(
            LayerPeriphery(
                tiles,
                draws.normal(f"{at}/neuron/vos", neuron.sigma_offset_v, outs),
                draws.factor(f"{at}/neuron/gain", neuron.sigma_gain, outs),
                draws.normal(f"{at}/adc/vos", adc.sigma_offset_v, outs),
                draws.factor(f"{at}/adc/gain", adc.sigma_gain, outs),
            )
        )
    return tuple(layers)


@dataclass(frozen=True)
class Draws:
    """What the components of one sample draw.

    Args:
        seed: the study's seed.
        sample: which chip of the study.
    """

    seed: int
    sample: int

    def normal(self, path: str, sigma: float, count: int) -> Array:
        """Errors about 0 with a standard deviation, [count]."""
        return normal(self.seed, self.sample, path, sigma, (count,))

    def factor(self, path: str, sigma: float, count: int) -> Array:
        """Factors about 1 with a standard deviation, [count]."""
        # Bounded below: a normal draw must never make a resistor negative, or a sign another.
        return np.maximum(1 + self.normal(path, sigma, count), 0.1)

    def tile(
        self,
        path: str,
        drivers: tuple[DriverSpec, int],
        amplifiers: tuple[TiaSpec, int],
        r_feedback_ohm: float,
    ) -> TilePeriphery:
        """The amplifiers and drivers of a tile.

        Args:
            path: of the tile.
            drivers: what they are, and how many.
            amplifiers: likewise.
            r_feedback_ohm: of an amplifier without errors.
        """
        (driver, driven), (tia, sensed) = drivers, amplifiers
        return TilePeriphery(
            r_feedback_ohm * self.factor(f"{path}/tia/rf", tia.sigma_feedback, sensed),
            self.normal(f"{path}/tia/vos", tia.sigma_offset_v, sensed),
            self.factor(f"{path}/driver/gain", driver.sigma_gain, driven),
            self.normal(f"{path}/driver/vos", driver.sigma_offset_v, driven),
        )


def program(
    hardware: Hardware,
    plans: Sequence[LayerPlan],
    targets: Sequence[Sequence[Array]],
    *,
    seed: int,
    sample: int,
) -> tuple[tuple[Array, ...], ...]:
    """Programs target conductances, [layer][tile] -> [row, col], with the cells' errors."""
    return tuple(
        tuple(
            hardware.cell_of(plan.source).program(
                target, seed=seed, sample=sample, path=f"{plan.name}/{tile.name}/cells"
            )
            for tile, target in zip(plan.tiles, layer, strict=True)
        )
        for plan, layer in zip(plans, targets, strict=True)
    )


def chip_targets(chip: Chip) -> list[list[Array]]:
    """The conductances that a chip's weights stand for, [layer][tile] -> [row, col]."""
    return [
        [
            target.numpy()
            for target in tile_targets(
                plan,
                torch.from_numpy(layer / plan.weight_scale),
                chip.hardware.cell_of(plan.source),
            )
        ]
        for layer, plan in zip(chip.weights, chip.plans, strict=True)
    ]


def another_chip(chip: Chip, *, seed: int, sample: int) -> Chip:
    """Another sample of the study: the same weights, cells and periphery drawn anew.

    Args:
        chip: one sample, with its weights.
        seed: the study's seed.
        sample: which chip of the study; that of `chip` gives it back.
    """
    return replace(
        chip,
        periphery=draw_periphery(chip.hardware, chip.plans, seed=seed, sample=sample),
        conductance_s=program(
            chip.hardware, chip.plans, chip_targets(chip), seed=seed, sample=sample
        ),
        states=(),  # they were those of the other sample
    )
