"""Training by backpropagation through a fidelity of the chip, with Adam and a cosine schedule.

Every step sees fresh programming errors, drawn like those of a chip but from the training's own
stream, so that the weights found are good on average over what programming does to them.

A surrogate is watched: before the first and after each epoch its currents are compared with the
exact ones, array by array, and what is off by more than a tolerance is anchored.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.variation import Stream
from cosim.network.module import CrossbarNetwork
from cosim.network.run import NetworkModel
from cosim.network.spice_check import SpiceCheck, checked
from cosim.network.surrogate import SurrogateModel
from cosim.network.watch import (
    TileError,
    anchored,
    anchors_of,
    can_be_watched,
    tile_errors,
    with_anchors,
)
from cosim.ngspice import find_ngspice
from cosim.training import loop
from cosim.training.backprop_spec import BackpropSpec
from cosim.training.loop import Epoch, Loss, Saved, Say, Task, TrainState
from cosim.training.optimisers import MakeOptimiser, adam_with_cosine
from netlists.tiles import LayerPlan

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Backprop:
    """The algorithm, for `cosim.training.loop`.

    Attributes:
        layers: how each layer is trained; what only a whole network has is that of the first.
        stream: of the chip's sample; programming errors are drawn from it.
        optimiser: makes the optimiser and its schedule.
        spice: what ngspice reads as well, after each epoch; None of nothing.
    """

    layers: Sequence[BackpropSpec]
    stream: Stream
    optimiser: MakeOptimiser = adam_with_cosine
    spice: SpiceCheck | None = None

    def init(self, network: nn.Module, task: Task) -> TrainState:
        """See `Algorithm`."""
        rates = [layer.learning_rate for layer in self.layers]
        return TrainState(network, *self.optimiser(network.parameters(), rates, task.steps))

    def output(self, network: nn.Module, x: torch.Tensor, step: int) -> torch.Tensor:
        """See `Algorithm`."""
        chip = cast(CrossbarNetwork, network)
        noisy = self.layers[0].programming_noise
        return chip(x, programming_factors(chip, self.stream, step) if noisy else None)  # type: ignore[no-any-return]  # torch

    def after_step(self, network: nn.Module) -> None:
        """See `Algorithm`."""
        cast(CrossbarNetwork, network).clip_weights()

    def watch(self, network: nn.Module, x: torch.Tensor, say: Say) -> Mapping[str, Any]:
        """See `Algorithm`."""
        chip = cast(CrossbarNetwork, network)
        used = chip.model
        errors = watch(chip, x, [layer.max_surrogate_error for layer in self.layers], say)
        return _watched(errors, used)

    def check(
        self, network: nn.Module, x: torch.Tensor, order: torch.Tensor, say: Say
    ) -> Mapping[str, Any]:
        """See `Algorithm`."""
        chip = cast(CrossbarNetwork, network)
        limits = [layer.max_surrogate_error for layer in self.layers]
        return checked(chip, x, order, self.spice, limits, say)

    def saved(self, network: nn.Module) -> Saved:
        """See `Algorithm`."""
        model = cast(CrossbarNetwork, network).model
        return anchors_of(model) if isinstance(model, SurrogateModel) else {}

    def restore(self, network: nn.Module, saved: Saved) -> None:
        """See `Algorithm`."""
        chip = cast(CrossbarNetwork, network)
        if isinstance(chip.model, SurrogateModel):
            chip.model = with_anchors(chip.model, saved)


def train(
    network: CrossbarNetwork,
    train_x: Array,
    train_y: Labels,
    test_x: Array,
    test_y: Labels,
    spec: BackpropSpec,
    *,
    stream: Stream,
    loss: Loss = nn.functional.cross_entropy,
    optimiser: MakeOptimiser = adam_with_cosine,
    on_epoch: Callable[[Epoch], None] | None = None,
    say: Say | None = None,
) -> list[Epoch]:
    """Trains a network in place and returns its history.

    Args:
        network: the network; its model says through which fidelity gradients go. A surrogate is
            replaced by one that is anchored where it must be.
        train_x: digital inputs [image, in].
        train_y: class labels [image].
        test_x: inputs that only measure.
        test_y: their labels.
        spec: how to train.
        stream: of the chip's sample; batches and programming errors are drawn from it.
        loss: what is made small.
        optimiser: makes the optimiser and its schedule.
        on_epoch: called after each epoch.
        say: is told in words where arrays are anchored, and where nothing can be compared. Without
            it that is a warning.
    """
    spice = None
    if spec.spice_check_share:
        spice = SpiceCheck(spec.spice_check_share, find_ngspice())
    algorithm = Backprop([spec] * len(network.plans), stream, optimiser, spice)
    task = Task.of(
        (train_x, train_y),
        (test_x, test_y),
        batch_size=spec.batch_size,
        epochs=spec.epochs,
        loss=loss,
    )
    ended = loop.train(
        algorithm.init(network, task),
        algorithm,
        task,
        stream=stream,
        say=say or _warn,
        on_epoch=None if on_epoch is None else lambda state: on_epoch(state.history[-1]),
    )
    return list(ended.history)


def watch(
    network: CrossbarNetwork, x: torch.Tensor, tolerances: Sequence[float], say: Say
) -> tuple[TileError, ...]:
    """Compares the arrays with their exact solutions, and anchors what is off by too much.

    Args:
        network: its surrogate is replaced where tiles are anchored; other fidelities are left.
        x: inputs of the moment [batch, in].
        tolerances: largest error of an array's currents, of each layer.
        say: is told what was found and done.

    Returns:
        What was found, with the surrogate as it was.
    """
    model = network.model
    if not isinstance(model, SurrogateModel):
        return ()
    if not can_be_watched(model.hardware):
        if not model.watched:
            say(
                "the surrogate is not compared with exact while it trains: of cells of your own"
                " only the held-out error of the calibration is known"
            )
            network.model = model.as_watched()
        return ()
    with torch.no_grad():
        errors = tile_errors(model, network.target_conductances(), x)
    network.model, passed = anchored(model, errors, tolerances)
    if passed:
        worst = max(passed, key=lambda one: _rank(one.used))
        tolerance = tolerances[worst.tile[0]]
        done = "anchored on their exact solution"
        done += " again, more often" if worst.tile in model.anchored else ""
        if model.devices:
            done = "calibrated anew, for the currents of their devices"
        say(
            f"{worst.name}: currents of the surrogate are off exact by {100 * worst.used:.2g} %,"
            f" more than max_surrogate_error ({100 * tolerance:.2g} %):"
            f" {len(passed)} of {len(errors)} arrays are {done}"
        )
    return errors


def _rank(error: float) -> float:
    return error if math.isfinite(error) else math.inf


def _watched(errors: Sequence[TileError], model: NetworkModel) -> dict[str, Any]:
    """What an epoch's line says of the arrays."""
    if not errors or not isinstance(model, SurrogateModel):
        return {}
    worst = max(errors, key=lambda one: _rank(one.used))
    return {
        "surrogate_error": worst.used,
        "closed_form_error": max((one.closed for one in errors), key=_rank),
        "worst_array": worst.name,
        "anchored": len(model.anchored),
        "anchors": sum(tile.anchors for tile in model.anchored.values())
        + sum(layer.calibrations for layer in model.devices),
    }


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=6)


def programming_factors(network: CrossbarNetwork, stream: Stream, step: int) -> list[torch.Tensor]:
    """Programming errors of one training step, [layer] -> [1, side, row, out]."""
    sigma = network.hardware.cell.sigma_program

    def scores(plan: LayerPlan) -> torch.Tensor:
        rng = stream.at(f"training/{plan.name}/cells", step).rng()
        return torch.from_numpy(rng.standard_normal((1, 2, plan.arrays * plan.rows, plan.outputs)))

    return [scores(plan).mul_(sigma).exp_() for plan in network.plans]


def accuracy(network: CrossbarNetwork, x: Array, y: Labels) -> float:
    """Share of inputs whose largest output is their label, without programming errors."""
    return loop.accuracy(network, torch.from_numpy(x), torch.from_numpy(y))
