"""Cells in another precision: they go on learning, and what they cannot hold is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from cosim.network.in_situ import InSituNetwork
from tests.training.in_situ_nets import small

X = torch.from_numpy(np.random.default_rng(4).uniform(0.0, 1.0, (20, 6)))
Y = torch.from_numpy(np.random.default_rng(5).integers(0, 3, 20))


def made(unit: float = 1.0) -> InSituNetwork:
    """With `unit` > 0.6 weights do not fit cells of +-0.6 as they are: they are shown scaled."""
    net = small(6, 5, 3)
    with torch.no_grad():
        net[0].weight.mul_(unit / net[0].weight.abs().max())
    model = cosim.convert(net, device="constant_step", d2d={})
    assert isinstance(model, InSituNetwork)
    return model


def steps(model: nn.Module, optimiser: cosim.PulsedSGD, count: int) -> None:
    for _ in range(count):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(X), Y).backward()
        optimiser.step()


@pytest.mark.parametrize("unit", [0.5, 1.7])
def test_cells_learn_on_in_another_precision(unit: float) -> None:
    model = made(unit)
    optimiser = cosim.PulsedSGD(model.parameters(), lr=0.1)
    parameters = list(model.parameters())
    for dtype in (torch.float32, torch.float64, torch.float32):
        before = copy.deepcopy(model)
        model.to(dtype)
        torch.testing.assert_close(model(X).double(), before(X).double(), atol=0.05, rtol=0.05)
        assert [p.dtype for p in model.parameters()] == [dtype] * 4
        assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
        steps(model, optimiser, 2)
        for layer, old in zip(model.chain, before.chain, strict=True):
            held = layer.array.weight()[0, : layer.plan.inputs].mT
            assert torch.equal(layer.weight.detach(), held)  # what cells have learnt is shown
            assert bool((held.double() != old.weight.detach().double()).any())


def test_a_precision_that_cells_do_not_have_is_refused_and_changes_nothing() -> None:
    model = made()
    before = model(X).detach()
    for wrong in (torch.float16, torch.bfloat16):
        with pytest.raises(InputError, match=r"precision.*float16'; allowed: torch.float32"):
            model.to(wrong)
        with pytest.raises(InputError, match=r"precision.*float16'; allowed: torch.float32"):
            cosim.convert(small(6, 3), device="constant_step", dtype=wrong)
    assert torch.equal(model(X), before)
    steps(model, cosim.PulsedSGD(model.parameters(), lr=0.1), 2)
