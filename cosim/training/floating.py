"""Ordinary floating-point training: the reference that a chip is measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.variation import Stream
from cosim.training.optimisers import MakeOptimiser, adam_with_cosine
from cosim.training.train_spec import TrainSpec
from netlists.graph import LinearStage
from netlists.neurons.spec import neuron_by_name

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def initial_network(
    features: int,
    hidden: tuple[int, ...],
    classes: int,
    activation: type[nn.Module],
    *,
    bias: bool,
    seed: int,
) -> nn.Sequential:
    """A network of Linear layers with torch's own initial weights, in double precision."""
    sizes = (features, *hidden, classes)
    own = torch.Generator().manual_seed(seed)  # torch's own state belongs to the whole process
    network = nn.Sequential()
    for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        if index > 1:
            network.add_module(f"act{index - 1}", activation())
        linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias, dtype=torch.float64)
        with torch.no_grad():
            # As nn.Linear draws them: uniform, both up to one over the root of the inputs.
            for values in (linear.weight, linear.bias) if bias else (linear.weight,):
                values.uniform_(-(inputs**-0.5), inputs**-0.5, generator=own)
        network.add_module(f"fc{index}", linear)
    return network


def network_of(stages: Sequence[LinearStage]) -> nn.Sequential:
    """A chain of stages as a torch module in double precision, named like `initial_network`."""
    network = nn.Sequential()
    for index, stage in enumerate(stages, start=1):
        outputs, inputs = stage.weight.shape
        linear = nn.utils.skip_init(
            nn.Linear, inputs, outputs, bias=stage.bias is not None, dtype=torch.float64
        )
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(stage.weight))
            if stage.bias is not None:
                linear.bias.copy_(torch.from_numpy(stage.bias))
        network.add_module(f"fc{index}", linear)
        if stage.activation != "identity":
            network.add_module(f"act{index}", neuron_by_name(stage.activation).module())
    return network


def train_floating(
    network: nn.Module,
    train_x: Array,
    train_y: Labels,
    spec: TrainSpec,
    *,
    seed: int,
    make_optimiser: MakeOptimiser = adam_with_cosine,
    on_epoch: Callable[[int], None] | None = None,
) -> None:
    """Trains a network in place with the same batches as the chip of sample 0.

    Args:
        network: in double precision.
        train_x: inputs [image, in].
        train_y: class labels [image].
        spec: epochs, batch size and learning rate.
        seed: of the study.
        make_optimiser: makes what moves the parameters.
        on_epoch: called after each epoch.
    """
    x, y = torch.from_numpy(train_x), torch.from_numpy(train_y)
    steps = -(-len(x) // spec.batch_size) * spec.epochs
    rates = [spec.learning_rate] * len(list(network.parameters()))
    optimiser, schedule = make_optimiser(network.parameters(), rates, steps)
    for epoch in range(spec.epochs):
        order = torch.from_numpy(Stream(seed).at("training/order", epoch).rng().permutation(len(x)))
        for batch in order.split(spec.batch_size):
            loss = nn.functional.cross_entropy(network(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if on_epoch is not None:
            on_epoch(epoch)


def accuracy(network: nn.Module, x: Array, y: Labels) -> float:
    """Share of inputs whose largest output is their label."""
    with torch.no_grad():
        output = network(torch.from_numpy(x))
    return float((output.argmax(1).numpy() == y).mean())
