"""The training loop: stopped after any epoch it goes on to the same bits; what is given to it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.network.module import CrossbarNetwork
from cosim.training import loop
from cosim.training.backprop import Backprop, train
from cosim.training.backprop_spec import BackpropSpec
from cosim.training.loop import Task, TrainState
from cosim.training.optimisers import adam_with_cosine
from cosim.training.torch_bytes import torch_bytes
from tests.cosim.test_training import _network, _task
from tests.cosim.test_watch import samples, wide

EPOCHS = 3


class StoppedError(Exception):
    """The training was stopped."""


def _anchored() -> tuple[CrossbarNetwork, Backprop, Task]:
    """Behind wires of 20 ohm a segment every array is anchored, and its anchor moves."""
    _, network = wide(20.0)
    spec = BackpropSpec(epochs=EPOCHS, batch_size=16, learning_rate=0.02, max_surrogate_error=2e-3)
    algorithm = Backprop([spec] * 2, Stream(5, 1))
    train_set, test_set = samples(64), samples(40, seed=2)
    task = Task.of(train_set, test_set, batch_size=16, epochs=EPOCHS)
    return network, algorithm, task


def _run(state: TrainState, algorithm: Backprop, task: Task, *, stop_after: int) -> list[bytes]:
    """Trains on; the saved states after each epoch, as long as it was not stopped."""
    kept: list[bytes] = []

    def keep(at: TrainState) -> None:
        kept.append(torch_bytes(loop.saved(at, algorithm)))
        if at.epoch == stop_after:
            raise StoppedError

    try:
        loop.train(
            state, algorithm, task, stream=algorithm.stream, say=lambda _: None, on_epoch=keep
        )
    except StoppedError:
        assert stop_after < EPOCHS
    return kept


def test_stopped_after_any_epoch_it_goes_on_to_the_same_bytes() -> None:
    network, algorithm, task = _anchored()
    whole = _run(algorithm.init(network, task), algorithm, task, stop_after=EPOCHS + 1)
    last = torch.load(io.BytesIO(whole[-1]), weights_only=True)
    anchors = [line["anchors"] for line in last["history"]]
    assert anchors[-1] > anchors[0] >= 1  # anchors move on the way: their state matters
    assert len(last["algorithm"]) >= 1
    for stop_after in (1, 2):
        network, algorithm, task = _anchored()
        first = _run(algorithm.init(network, task), algorithm, task, stop_after=stop_after)
        assert len(first) == stop_after
        fresh, algorithm, task = _anchored()
        kept = torch.load(io.BytesIO(first[-1]), weights_only=True)
        state = loop.restored(algorithm.init(fresh, task), algorithm, kept)
        assert (state.epoch, state.step) == (stop_after, 4 * stop_after)
        rest = _run(state, algorithm, task, stop_after=EPOCHS + 1)
        assert [*first, *rest] == whole
    # What this would not see if anchors did not matter.
    fresh, algorithm, task = _anchored()
    kept = torch.load(io.BytesIO(whole[0]), weights_only=True) | {"algorithm": {}}
    state = loop.restored(algorithm.init(fresh, task), algorithm, kept)
    assert _run(state, algorithm, task, stop_after=EPOCHS + 1)[-1] != whole[-1]


def test_a_state_of_another_network_is_refused() -> None:
    network, algorithm, task = _anchored()
    state = algorithm.init(network, task)
    with pytest.raises(InputError, match=r"of another training .*optimiser"):
        loop.restored(state, algorithm, {"network": network.state_dict()})


def test_loss_and_optimiser_are_the_callers() -> None:
    """One step of plain gradient descent on a loss of one's own, beside autograd by hand."""
    x, y = _task(20, 0)
    network, other = _network("ideal"), _network("ideal")
    spec = BackpropSpec(epochs=1, batch_size=20, learning_rate=0.3, programming_noise=False)

    def loss(out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (out - nn.functional.one_hot(labels, out.shape[-1])).square().sum()

    train(
        network, x, y, x, y, spec, stream=Stream(0), loss=loss,
        optimiser=lambda parameters, rates, _steps: (
            made := torch.optim.SGD(parameters, rates[0]),
            torch.optim.lr_scheduler.ConstantLR(made, factor=1.0),
        ),
    )  # fmt: skip
    order = Stream(0).at("training/order", 0).rng().permutation(20)
    found = loss(other(torch.from_numpy(x[order])), torch.from_numpy(y[order]))
    gradients = torch.autograd.grad(found, list(other.shares))
    for after, before, gradient in zip(network.shares, other.shares, gradients, strict=True):
        wanted = (before - 0.3 * gradient).clamp(-1, 1)
        np.testing.assert_allclose(after.detach(), wanted.detach(), rtol=1e-12, atol=1e-14)
        assert float((after - before).detach().abs().max()) > 1e-3


def test_every_layer_has_its_own_learning_rate() -> None:
    x, y = _task(64, 0)
    network = _network("ideal")
    before = [share.detach().clone() for share in network.shares]
    specs = [BackpropSpec(epochs=1, learning_rate=rate) for rate in (1e-9, 0.01)]
    task = Task.of((x, y), (x, y), batch_size=16, epochs=1)
    algorithm = Backprop(specs, Stream(0))
    loop.train(algorithm.init(network, task), algorithm, task, stream=Stream(0), say=lambda _: None)
    pairs = zip(network.shares, before, strict=True)
    moved = [float((now - was).detach().abs().max()) for now, was in pairs]
    assert moved[0] < 1e-8
    assert moved[1] > 1e-3


def test_the_same_content_has_the_same_bytes() -> None:
    """Whichever objects it is made of, and whatever they were cut from."""
    base = torch.arange(12.0)
    key = "".join(["lr", "_of"])  # another object than the literal
    first = {"lr_of": base[3:6].clone(), "again": ["lr_of"], "n": (1, 2.5)}
    second = {key: base[3:6], "again": ["".join(["lr", "_of"])], "n": (1, 2.5)}
    assert torch_bytes(first) == torch_bytes(second)
    assert len(torch_bytes(second)) < len(torch_bytes({"lr_of": torch.arange(2000.0)}))
    loaded = torch.load(io.BytesIO(torch_bytes(second)), weights_only=True)
    assert torch.equal(loaded["lr_of"], base[3:6])
    assert torch_bytes(loaded) == torch_bytes(second)
    linear = nn.Linear(2, 1)
    state = torch.load(io.BytesIO(torch_bytes(linear.state_dict())), weights_only=True)
    assert state._metadata == linear.state_dict()._metadata


def test_optimisers_are_torchs_own_bit_by_bit() -> None:
    """Over a saved and a restored state too; two groups with rates of their own."""

    def begun() -> list[nn.Parameter]:
        generator = torch.Generator().manual_seed(1)
        return [nn.Parameter(torch.randn(3, 2, generator=generator)) for _ in range(2)]

    ours, theirs = begun(), begun()
    optimiser, _ = adam_with_cosine(iter(ours), [0.1, 0.02], 10)
    plain = torch.optim.Adam(
        [{"params": [p], "lr": rate} for p, rate in zip(theirs, (0.1, 0.02), strict=True)]
    )
    for step in range(4):
        if step == 2:
            kept = optimiser.state_dict()
            optimiser, _ = adam_with_cosine(iter(ours), [0.1, 0.02], 10)
            optimiser.load_state_dict(kept)
        for of, parameters in ((optimiser, ours), (plain, theirs)):
            of.zero_grad()
            assert parameters[0].grad is None
            sum((p**2).sum() for p in parameters).backward()
            of.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
