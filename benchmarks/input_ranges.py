"""What it costs to take a network's ranges from inputs that are not its data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

from cosim.budget.in_threads import with_threads
from cosim.network.models import exact_codes
from cosim.training import floating
from cosim.training.backprop_spec import BackpropSpec
from netlists.chip import Chip, map_network
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware
from netlists.neurons.spec import neuron_by_name
from workflows.config import Config, StudySpec
from workflows.netlist import random_inputs

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

TITLE = "Ranges from data, and from random inputs"
TEXT = """
A network of a user's own, mapped as `netlist` and `map` do it: the digits pooled to 4 x 4,
16-24-16-10, ReLU, trained in floating point on three quarters of them. Its ranges (full scales of
the converters, feedback resistances) come from its training share (`--data`), or from uniform
random inputs, which is what `netlist MODULE.py:FACTORY` has where no data are named. Accuracies on
the 450 held-out digits by the exact solver, for three networks on five chips of the default
hardware each.
"""
_CHIPS = range(5)
_SEEDS = range(3)


def rows() -> tuple[list[str], list[list[str]]]:
    """A row for each source of the ranges and each network."""
    header = ["ranges from", "seed", "floating point", *(f"chip {k}" for k in _CHIPS), "mean"]
    return header, [row for seed in _SEEDS for row in _of_seed(seed)]


def _of_seed(seed: int) -> list[list[str]]:
    images = datasets.load_digits()
    pooled = images.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / 16
    train_x, test_x, train_y, test_y = train_test_split(
        pooled, images.target, test_size=450, random_state=seed, stratify=images.target
    )
    network = floating.initial_network(
        16, (24, 16), 10, neuron_by_name("relu").module, bias=True, seed=seed
    )
    with with_threads(1):
        floating.train_floating(network, train_x, train_y, BackpropSpec(epochs=100), seed=seed)
    right = floating.accuracy(network, test_x, test_y)
    stages = linear_stages(network_graph(network))
    random = random_inputs(Config(study=StudySpec(seed=seed)), 16)
    found = []
    for name, inputs in (("random inputs", random), ("the training share", train_x)):
        chips = [
            map_network(stages, Hardware(), inputs, seed=seed, sample=sample) for sample in _CHIPS
        ]
        shares = [_accuracy(chip, test_x, test_y) for chip in chips]
        found.append([name, str(seed), *(f"{a:.3f}" for a in (right, *shares, np.mean(shares)))])
    return found


def _accuracy(chip: Chip, x: Array, y: Labels) -> float:
    return float((exact_codes(chip, x).argmax(1) == y).mean())
