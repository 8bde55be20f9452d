"""Training by backpropagation through a fidelity of the chip, with Adam and a cosine schedule.

Every step sees fresh programming errors, drawn like those of a chip but from the training's own
stream, so that the weights found are good on average over what programming does to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from compact_models.spec import Spec
from compact_models.variation import Stream
from cosim.layers.crossbar_network import CrossbarNetwork

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


class BackpropSpec(Spec):
    """How to train."""

    epochs: int = Field(40, ge=1, le=100_000, description="passes over the training samples")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="samples per step")
    learning_rate: float = Field(5e-3, gt=0, le=10, description="of Adam, at the start")
    programming_noise: bool = Field(True, description="train with fresh programming errors")


@dataclass(frozen=True)
class Epoch:
    """One line of the training history; accuracies are shares."""

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float


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
) -> list[Epoch]:
    """Trains a network in place by cross entropy and returns its history.

    Args:
        network: the network; its model says through which fidelity gradients go.
        train_x: digital inputs [image, in].
        train_y: class labels [image].
        test_x: inputs that only measure.
        test_y: their labels.
        spec: how to train.
        stream: of the chip's sample; batches and programming errors are drawn from it.
        on_epoch: called after each epoch.
    """
    x, y = torch.from_numpy(train_x), torch.from_numpy(train_y)
    steps = -(-len(x) // spec.batch_size) * spec.epochs
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history: list[Epoch] = []
    step = 0
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
        line = Epoch(epoch, total / len(x), right / len(x), accuracy(network, test_x, test_y))
        history.append(line)
        if on_epoch is not None:
            on_epoch(line)
    return history


def programming_factors(
    network: CrossbarNetwork, stream: Stream, step: int
) -> list[list[torch.Tensor]]:
    """Programming errors of one training step, [layer][tile] -> [row, col]."""
    sigma = network.hardware.cell.sigma_program

    def factors(path: str, shape: tuple[int, int]) -> torch.Tensor:
        rng = stream.at(f"training/{path}/cells", step).rng()
        return torch.from_numpy(np.exp(sigma * rng.standard_normal(shape)))

    return [
        [factors(f"{plan.name}/{tile.name}", (tile.rows, tile.cols)) for tile in plan.tiles]
        for plan in network.plans
    ]


def accuracy(network: CrossbarNetwork, x: Array, y: Labels) -> float:
    """Share of inputs whose largest output is their label, without programming errors."""
    with torch.no_grad():
        output = network(torch.from_numpy(x))
    return float((output.argmax(1).numpy() == y).mean())
