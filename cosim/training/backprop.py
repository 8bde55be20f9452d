"""Training by backpropagation through a fidelity of the chip, with Adam and a cosine schedule.

Every step sees fresh programming errors, drawn like those of a chip but from the training's own
stream, so that the weights found are good on average over what programming does to them.

A surrogate is watched: before the first and after each epoch its currents are compared with the
exact ones, array by array, and what is off by more than a tolerance is anchored.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.variation import Stream
from cosim.network.module import CrossbarNetwork
from cosim.network.run import NetworkModel
from cosim.network.surrogate import SurrogateModel
from cosim.network.watch import INPUTS, TileError, anchored, can_be_watched, tile_errors
from cosim.training.backprop_spec import BackpropSpec

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Epoch:
    """One line of the training history; accuracies are shares.

    Errors are those of the array's currents that is furthest off its exact solution, relative and
    rms, on inputs of the epoch and with the weights at its end; None where nothing was compared.

    Attributes:
        surrogate_error: of the surrogate as the epoch used it.
        closed_form_error: of its closed form without anchors.
        worst_array: which array the first is of.
        anchored: how many arrays were anchored in the epoch.
        anchors: how often arrays have been solved exactly for that, since the training began.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    surrogate_error: float | None = None
    closed_form_error: float | None = None
    worst_array: str = ""
    anchored: int = 0
    anchors: int = 0


def train(
    network: CrossbarNetwork,
    train_x: Array,
    train_y: Labels,
    test_x: Array,
    test_y: Labels,
    spec: BackpropSpec,
    *,
    stream: Stream,
    on_epoch: Callable[[Epoch], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Epoch]:
    """Trains a network in place by cross entropy and returns its history.

    Args:
        network: the network; its model says through which fidelity gradients go. A surrogate is
            replaced by one that is anchored where it must be.
        train_x: digital inputs [image, in].
        train_y: class labels [image].
        test_x: inputs that only measure.
        test_y: their labels.
        spec: how to train.
        stream: of the chip's sample; batches and programming errors are drawn from it.
        on_epoch: called after each epoch.
        say: is told in words where arrays are anchored, and where nothing can be compared. Without
            it that is a warning.
    """
    say = say or _warn
    x, y = torch.from_numpy(train_x), torch.from_numpy(train_y)
    steps = -(-len(x) // spec.batch_size) * spec.epochs
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history: list[Epoch] = []
    step = 0
    watch(network, x[:INPUTS], spec.max_surrogate_error, say)
    for epoch in range(spec.epochs):
        order = torch.from_numpy(stream.at("training/order", epoch).rng().permutation(len(x)))
        total, right = 0.0, 0
        for batch in order.split(spec.batch_size):
            factors = programming_factors(network, stream, step) if spec.programming_noise else None
            output = network(x[batch], factors)
            loss = nn.functional.cross_entropy(output, y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            network.clip_weights()
            total += float(loss.detach()) * len(batch)
            right += int((output.detach().argmax(1) == y[batch]).sum())
            step += 1
        used = network.model
        errors = watch(network, x[order[:INPUTS]], spec.max_surrogate_error, say)
        right_at_test = accuracy(network, test_x, test_y)  # by what is anchored where it must be
        line = Epoch(epoch, total / len(x), right / len(x), right_at_test, **_watched(errors, used))
        history.append(line)
        if on_epoch is not None:
            on_epoch(line)
    return history


def watch(
    network: CrossbarNetwork, x: torch.Tensor, tolerance: float, say: Callable[[str], None]
) -> tuple[TileError, ...]:
    """Compares the arrays with their exact solutions, and anchors what is off by too much.

    Args:
        network: its surrogate is replaced where tiles are anchored; other fidelities are left.
        x: inputs of the moment [batch, in].
        tolerance: largest error of an array's currents.
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
    network.model, passed = anchored(model, errors, tolerance)
    if passed:
        worst = max(passed, key=lambda one: _rank(one.used))
        say(
            f"{worst.name}: currents of the surrogate are off exact by {100 * worst.used:.2g} %,"
            f" more than max_surrogate_error ({100 * tolerance:.2g} %):"
            f" {len(passed)} of {len(errors)} arrays are anchored on their exact solution"
            + (" again, more often" if worst.tile in model.anchored else "")
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
        "anchors": sum(tile.anchors for tile in model.anchored.values()),
    }


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)


def programming_factors(network: CrossbarNetwork, stream: Stream, step: int) -> list[torch.Tensor]:
    """Programming errors of one training step, [layer] -> [1, tile, row, col]."""
    sigma = network.hardware.cell.sigma_program

    def scores(path: str, shape: tuple[int, int]) -> torch.Tensor:
        rng = stream.at(f"training/{path}/cells", step).rng()
        return torch.from_numpy(rng.standard_normal(shape))

    return [
        layout.stack_cells(
            [scores(f"{plan.name}/{tile.name}", (tile.rows, tile.cols)) for tile in plan.tiles]
        )
        .mul_(sigma)
        .exp_()
        .unsqueeze(0)
        for plan, layout in zip(network.plans, network.layouts, strict=True)
    ]


def accuracy(network: CrossbarNetwork, x: Array, y: Labels) -> float:
    """Share of inputs whose largest output is their label, without programming errors."""
    with torch.no_grad():
        output = network(torch.from_numpy(x))
    return float((output.argmax(1).numpy() == y).mean())
