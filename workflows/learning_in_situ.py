"""A study whose weights learn in their own cells: the chip is what the cells have become."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from compact_models.variation import Stream
from cosim.budget.budget import Budget
from cosim.network.build_in_situ import LayerInCells, chip_of, in_situ_network, plan_in_situ
from cosim.network.in_situ import InSituNetwork
from cosim.network.learning_device import LearningDevice
from cosim.network.models import exact_model, ideal_model
from cosim.network.run import NetworkModel
from cosim.network.surrogate import SurrogateModel
from cosim.periphery.managed import ReadRule
from cosim.periphery.spec import PeripherySpec
from cosim.training.endurance import LayerCells, LearntLayer, endurance
from cosim.training.loop import accuracy
from cosim.training.optimisers import MakeOptimiser, plain_sgd
from cosim.training.pulsed_sgd import PulsedTraining
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec
from netlists.chip import Chip
from workflows.cell_device import cells_that_learn
from workflows.config import Config
from workflows.learning import Array, Labels, Periphery, Plans, Stages, spice_check


class InSitu:
    """See `Learning`."""

    reference: MakeOptimiser = staticmethod(plain_sgd)

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stream = Stream(config.study.seed, config.study.sample)

    def plan(self, stages: Stages, trained: Stages, inputs: Array, full_scale: float) -> Plans:
        """See `Learning`."""
        return plan_in_situ(
            stages,
            trained,
            self._config.hardware,
            [self._cells(stage.name) for stage in stages],
            inputs,
            full_scale=full_scale,
            factors=[self._config.of_layer(stage.name).device.factors for stage in stages],
        )

    def network(
        self, plans: Plans, stages: Stages, periphery: Periphery, surrogate: SurrogateModel
    ) -> InSituNetwork:
        """See `Learning`."""
        hardware, layers = self._config.hardware, self._layers(stages)
        reads = {one.read for one in layers}
        model: NetworkModel = surrogate
        if not reads & {"surrogate", "spice"}:  # which know the periphery by its curves
            exact = "exact" in reads
            model = (
                exact_model(hardware, plans, periphery) if exact else ideal_model(hardware, plans)
            )
        decks = Budget.of_process(self._config.simulator.jobs).decks
        return in_situ_network(
            hardware, plans, stages, model, layers, stream=self._stream, decks=decks
        )

    def _layers(self, stages: Stages) -> list[LayerInCells]:
        found = []
        for stage in stages:
            own = self._config.of_layer(stage.name)
            spec = cast(PulsedSgdSpec, own.train)
            found.append(
                LayerInCells(
                    self._cells(stage.name),
                    spec.read,
                    spec.max_surrogate_error,
                    managed(spec.periphery),
                    policy=own.device.pulses_reach,
                    update=spec.update,
                )
            )
        return found

    def _cells(self, layer: str) -> LearningDevice:
        """What the cells of a layer are."""
        config = self._config
        return cells_that_learn(config.of_layer(layer).device, config.cell, config.driver)

    def begins(self, network: nn.Module, x: Array, y: Labels) -> str:
        """See `Learning`; of a network drawn here where its weights do not fit the cells."""
        short = cast(InSituNetwork, network).short
        if not (self._config.network.module or short):
            return ""
        asked = copy.deepcopy(network)  # what its reads learn is not there when training begins
        found = accuracy(asked, torch.from_numpy(x), torch.from_numpy(y))
        said = f"programmed into its cells, the network that training starts from has {found:.4f}"
        return f"{said}; {short}" if short else said

    def algorithm(self, stages: Stages) -> PulsedTraining:
        """See `Learning`."""
        layers = [cast(PulsedSgdSpec, self._config.of_layer(one.name).train) for one in stages]
        return PulsedTraining(layers, self._stream, spice_check(self._config))

    def conductance_s(self, network: nn.Module) -> list[torch.Tensor]:
        """See `Learning`."""
        return [
            layer.array.layout.split_cells(layer.array.conductance_s()).double()
            for layer in cast(InSituNetwork, network).chain
        ]

    def chip(self, network: nn.Module, periphery: Periphery) -> Chip:
        """See `Learning`: the cells as they stand."""
        return chip_of(cast(InSituNetwork, network), periphery)

    def learnt(self, network: nn.Module, samples: int) -> Sequence[LearntLayer]:
        """See `Learning`."""
        found = []
        for layer in cast(InSituNetwork, network).chain:
            spec = cast(PulsedSgdSpec, self._config.of_layer(layer.plan.source).train)
            cells = LayerCells.of(layer)
            found.append(LearntLayer(endurance(layer, cells, spec, samples), cells))
        return found


def managed(spec: PeripherySpec) -> ReadRule | None:
    """How reads are managed digitally; None where nothing is said, for the chip's converters."""
    if not spec.model_fields_set or spec == PeripherySpec():
        return None
    return ReadRule(
        noise_management=spec.noise_management,
        bound_management=spec.bound_management,
        sigma_out=spec.sigma_out,
        bound=spec.bound or float("inf"),
        dac_bits=spec.dac_bits,
        adc_bits=spec.adc_bits,
        stochastic_rounding=spec.stochastic_rounding,
    )
