"""How the network of a study learns: what a training asks of an algorithm, and which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cosim.budget.budget import Budget
from cosim.network.in_situ import InSituNetwork
from cosim.network.module import CrossbarNetwork
from cosim.network.spice_check import SpiceCheck
from cosim.network.surrogate import SurrogateModel
from cosim.ngspice import find_ngspice
from cosim.training.endurance import LearntLayer
from cosim.training.loop import Algorithm
from cosim.training.optimisers import MakeOptimiser
from netlists.chip import Chip, LayerPeriphery
from netlists.graph import LinearStage
from netlists.tiles import LayerPlan
from workflows.config import Config

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Stages = tuple[LinearStage, ...]
Plans = tuple[LayerPlan, ...]
Periphery = tuple[LayerPeriphery, ...]


class Learning(Protocol):
    """One algorithm on the chip of a study.

    Attributes:
        reference: how the network is trained in floating point, to compare with and for ranges.
    """

    reference: MakeOptimiser

    def plan(self, stages: Stages, trained: Stages, inputs: Array, full_scale: float) -> Plans:
        """How the layers lie on the chip.

        Args:
            stages: what training starts from, or what is programmed.
            trained: the same in floating point, trained; they set the ranges.
            inputs: typical ones [batch, in], as shares of the read voltage.
            full_scale: the network's input that a share of 1 stands for.
        """
        ...

    def network(
        self, plans: Plans, stages: Stages, periphery: Periphery, surrogate: SurrogateModel
    ) -> CrossbarNetwork | InSituNetwork:
        """The network on its chip, before it learns."""
        ...

    def begins(self, network: nn.Module, x: Array, y: Labels) -> str:
        """What its cells have made of a network of the user's, before they learn, in words.

        Args:
            network: before it learns.
            x: held-out inputs [sample, in], as shares of the read voltage.
            y: their labels.
        """
        ...

    def algorithm(self, stages: Stages) -> Algorithm:
        """What trains it."""
        ...

    def conductance_s(self, network: nn.Module) -> list[torch.Tensor]:
        """What its cells are meant to conduct, [layer] -> [chip, tile, row, col]."""
        ...

    def chip(self, network: nn.Module, periphery: Periphery) -> Chip:
        """The chip in the end."""
        ...

    def learnt(self, network: nn.Module, samples: int) -> Sequence[LearntLayer]:
        """The cells that have learnt, layer by layer; none where weights move by arithmetic.

        Args:
            network: in the end.
            samples: that it was trained with, all epochs together.
        """
        ...


def learning(config: Config) -> Learning:
    """The algorithm that a study is trained by."""
    if config.train.algorithm == "pulsed_sgd":
        from workflows.learning_in_situ import InSitu  # which loads devices

        return InSitu(config)
    from workflows.learning_backprop import ByBackprop

    return ByBackprop(config)


def spice_check(config: Config) -> SpiceCheck | None:
    """What ngspice reads as well while a study trains; None of nothing.

    Raises:
        InputError: there is no ngspice.
    """
    share = config.train.spice_check_share
    if not share:
        return None
    decks = Budget.of_process(config.simulator.jobs).decks
    return SpiceCheck(share, find_ngspice(), decks)


def check_layers(config: Config, stages: Sequence[LinearStage]) -> None:
    """Refuses `[layer.NAME]` of layers that the network does not have.

    Raises:
        InputError: there is one.
    """
    from compact_models.errors import InputError, closest

    known = [stage.name for stage in stages]
    for name in config.layer:
        if name not in known:
            raise InputError(
                "the network has no such layer",
                where="[layer]",
                value=name,
                allowed=", ".join(known),
                hint=closest(name, known),
            )
