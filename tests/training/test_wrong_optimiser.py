"""A loop whose optimiser does not know of cells is told so, and fills no memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from cosim.array.parameter import Pairs
from cosim.network.in_situ import InSituNetwork
from tests.training.in_situ_nets import network, small

RNG = np.random.default_rng(4)
X = RNG.uniform(0.0, 1.0, (20, 6))
Y = torch.from_numpy(RNG.integers(0, 3, 20))


def loop(model: nn.Module, optimiser: torch.optim.Optimizer | None, count: int) -> list[str]:
    """What is said in some steps."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(count):
            if optimiser:
                optimiser.zero_grad()
            nn.functional.cross_entropy(model(torch.from_numpy(X)), Y).backward()
            if optimiser:
                optimiser.step()
    return [str(one.message) for one in said]


def made() -> tuple[nn.Sequential, InSituNetwork]:
    net = small(6, 5, 3)
    return net, network(net, X)


@pytest.mark.parametrize("of_the_net_before", [False, True])
@pytest.mark.parametrize(
    "optimiser",
    [lambda p: torch.optim.SGD(p, 0.1), torch.optim.Adam, lambda _: None],
)
def test_an_optimiser_that_moves_no_cell_is_named_once(
    optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer | None],
    of_the_net_before: bool,
) -> None:
    net, model = made()
    said = loop(model, optimiser((net if of_the_net_before else model).parameters()), 25)
    assert len(said) == 1
    assert "10 backward passes" in said[0]
    assert "PulsedSGD(model.parameters()" in said[0]


def test_pulsed_sgd_of_the_network_before_convert_is_named_too() -> None:
    net, model = made()
    assert len(loop(model, cosim.PulsedSGD(net.parameters(), lr=0.1), 12)) == 1


def test_who_knows_of_pairs_is_not_warned_of() -> None:
    _, model = made()
    assert loop(model, cosim.PulsedSGD(model.parameters(), lr=0.1), 12) == []
    assert loop(model, None, 40) == []  # accumulates


def test_a_queue_has_an_end_and_a_step_does_not_learn_a_part_of_it() -> None:
    pairs = Pairs(max_numbers=100)
    x, d = torch.ones(1, 4, 6), torch.ones(1, 4, 5)  # 44 numbers
    for _ in range(50):
        pairs.put(x, d)
    assert len(pairs.x) == 2
    with pytest.raises(InputError, match=r"oldest is gone; got '50 batches.*zero_grad"):
        pairs.take()
    pairs.clear()
    pairs.put(x, d)
    assert pairs.take() is not None
    pairs.put(x.expand(1, 4, 6).repeat(1, 9, 1), d.repeat(1, 9, 1))  # one batch is always kept
    assert pairs.take() is not None
