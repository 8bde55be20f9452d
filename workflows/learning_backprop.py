"""A study trained by backpropagation: weights in torch, programmed into cells at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from compact_models.variation import Stream
from cosim.network.chip_cells import cells_of_chip
from cosim.network.held_chip import held_chip
from cosim.network.models import exact_model, ideal_model
from cosim.network.module import CrossbarNetwork
from cosim.network.run import NetworkModel
from cosim.network.surrogate import SurrogateModel
from cosim.training.backprop import Backprop
from cosim.training.backprop_spec import BackpropSpec
from cosim.training.endurance import LearntLayer
from cosim.training.optimisers import MakeOptimiser, adam_with_cosine
from netlists.chip import Chip, program
from netlists.mapping import plan_layers
from workflows.config import Config
from workflows.learning import Array, Labels, Periphery, Plans, Stages, spice_check


class ByBackprop:
    """See `Learning`."""

    reference: MakeOptimiser = staticmethod(adam_with_cosine)

    def __init__(self, config: Config) -> None:
        self._config = config

    def plan(self, stages: Stages, trained: Stages, inputs: Array, full_scale: float) -> Plans:
        """See `Learning`."""
        return plan_layers(
            trained,
            self._config.hardware,
            inputs,
            full_scale=full_scale,
            factors=[self._config.of_layer(stage.name).device.factors for stage in trained],
        )

    def network(
        self, plans: Plans, stages: Stages, periphery: Periphery, surrogate: SurrogateModel
    ) -> CrossbarNetwork:
        """See `Learning`."""
        hardware, read = self._config.hardware, self._config.train.read
        model: NetworkModel = surrogate
        if read == "ideal":
            model = ideal_model(hardware, plans)
        elif read == "exact":
            model = exact_model(hardware, plans, periphery)
        return CrossbarNetwork(hardware, plans, stages, model)

    def begins(self, _network: nn.Module, _x: Array, _y: Labels) -> str:
        """See `Learning`: nothing, the scale of weights is that of the largest one."""
        return ""

    def algorithm(self, stages: Stages) -> Backprop:
        """See `Learning`."""
        layers = [cast(BackpropSpec, self._config.of_layer(one.name).train) for one in stages]
        stream = Stream(self._config.study.seed, self._config.study.sample)
        return Backprop(layers, stream, spice=spice_check(self._config))

    def conductance_s(self, network: nn.Module) -> list[torch.Tensor]:
        """See `Learning`."""
        return [one.detach() for one in cast(CrossbarNetwork, network).target_conductances()]

    def chip(self, network: nn.Module, periphery: Periphery) -> Chip:
        """See `Learning`: programmed with errors, as a chip is."""
        own, study = cast(CrossbarNetwork, network), self._config.study
        targets = cells_of_chip(own.plans, own.target_conductances())
        cells = program(own.hardware, own.plans, targets, seed=study.seed, sample=study.sample)
        return held_chip(Chip(own.hardware, own.plans, periphery, cells, own.weights()))

    def learnt(self, network: nn.Module, samples: int) -> Sequence[LearntLayer]:
        """See `Learning`: none."""
        return ()
