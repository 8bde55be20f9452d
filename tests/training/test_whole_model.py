"""A model in cells as a whole file, and batches that are thrown away."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from cosim.network.in_situ import InSituNetwork
from tests.training.in_situ_nets import small

RNG = np.random.default_rng(4)
X = torch.from_numpy(RNG.uniform(0.0, 1.0, (20, 6)))
Y = torch.from_numpy(RNG.integers(0, 3, 20))


def made() -> InSituNetwork:
    model = cosim.convert(small(6, 5, 3), device="soft_bounds", read="surrogate")
    assert isinstance(model, InSituNetwork)
    return model


def backward(model: nn.Module, x: torch.Tensor = X) -> None:
    nn.functional.cross_entropy(model(x), Y[: len(x)]).backward()


def states(model: nn.Module) -> list[torch.Tensor]:
    return [one.clone() for one in model.state_dict().values() if isinstance(one, torch.Tensor)]


def through_torch(model: nn.Module) -> nn.Module:
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    loaded: nn.Module = torch.load(stored, weights_only=False)
    return loaded


def through_pickle(model: nn.Module) -> nn.Module:
    loaded: nn.Module = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    return loaded


@pytest.mark.parametrize("through", [through_torch, through_pickle])
@pytest.mark.parametrize("trained", [False, True])
def test_a_model_that_was_stored_whole_goes_on_to_the_same_bits(
    trained: bool, through: Callable[[nn.Module], nn.Module]
) -> None:
    model = made()
    model.chain[1].weight.requires_grad_(False)
    if trained:
        optimiser = cosim.PulsedSGD(model.parameters(), lr=0.1)
        backward(model)
        optimiser.step()
    backward(model)  # pairs that no step has taken are stored, too
    twin = through(model)
    assert isinstance(twin, InSituNetwork)
    for layer in twin.chain:
        assert layer.bias is not None
        assert layer.weight.array is layer.bias.array is layer.array
        assert layer.weight.pairs is layer.bias.pairs
    assert not twin.chain[1].weight.requires_grad
    for one in (model, twin):
        cosim.PulsedSGD(one.parameters(), lr=0.1).step()
    assert torch.equal(twin(X), model(X))
    for a, b in zip(states(twin), states(model), strict=True):
        assert torch.equal(a, b)


class Around(nn.Module):
    """Somebody's own module with a model in cells inside."""

    def __init__(self, core: nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.core(x)
        return found


def by_hand(model: nn.Module) -> None:
    for one in model.parameters():
        one.grad = None


@pytest.mark.parametrize(
    "throw_away",
    [
        lambda model: model.zero_grad(),
        lambda model: Around(model).zero_grad(set_to_none=False),
        lambda model: torch.optim.SGD(model.parameters(), 0.1).zero_grad(),
        lambda model: cosim.PulsedSGD(model.parameters(), 0.1).zero_grad(),
        by_hand,
    ],
)
def test_a_batch_that_is_thrown_away_is_not_learnt(
    throw_away: Callable[[nn.Module], object],
) -> None:
    model, plain = made(), made()
    backward(model, X[:7])
    throw_away(model)
    for one in (model, plain):
        backward(one, X[7:])
        cosim.PulsedSGD(one.parameters(), lr=0.1).step()
    for a, b in zip(states(model), states(plain), strict=True):
        assert torch.equal(a, b)


def test_a_bias_learns_where_the_weight_alone_forgets() -> None:
    model = made()
    layer = model.chain[1]
    before = states(layer)
    backward(model)
    layer.weight.grad = None
    cosim.PulsedSGD(layer.parameters(), lr=0.1).step()
    weight, bias = (torch.equal(a, b) for a, b in zip(states(layer)[:2], before[:2], strict=True))
    assert (weight, bias) == (True, False)


def test_a_penalty_that_was_thrown_away_does_not_stop_the_training() -> None:
    model = made()
    optimiser = cosim.PulsedSGD(model.parameters(), lr=0.1)
    model.chain[0].weight.square().sum().backward()
    optimiser.zero_grad()
    backward(model)
    optimiser.step()
    assert optimiser.counts.pulses > 0


def test_a_copy_has_no_views_of_the_cells_that_it_was_copied_from() -> None:
    """They would be taken for its own where its cells came to lie at the same address."""
    model = made()
    backward(model)
    cosim.PulsedSGD(model.parameters(), lr=0.1).step()
    assert vars(model.chain[0].array.updates)["_prepared"]
    for through in (through_torch, through_pickle, copy.deepcopy):
        for layer in through(model).chain:
            assert not vars(layer.array.updates)["_prepared"]
