"""Networks in cells: forward, errors backward, and the contract of their parameters with torch."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.network.in_situ import InSituNetwork
from cosim.periphery.managed import ReadRule, managed_read
from cosim.training.pulsed_optimiser import PulsedSGD
from tests.training.in_situ_nets import network, small

RNG = np.random.default_rng(4)
X = RNG.uniform(0.0, 1.0, (20, 6))
Y = torch.from_numpy(RNG.integers(0, 3, 20))


def both(**how: object) -> tuple[nn.Sequential, InSituNetwork]:
    net = small(6, 5, 3)
    return net, network(net, X, **how)  # type: ignore[arg-type]  # of any kind


@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize("pair", ["reference", "both"])
@pytest.mark.parametrize("tile", [64, 4])
def test_forward_and_errors_are_those_of_the_float_network(
    tile: int, pair: str, straight: bool
) -> None:
    net, cells = both(tile=tile, pair=pair, straight=straight)
    x = torch.from_numpy(X)
    found, wanted = cells(x), net(x)
    # Outputs beyond the range of 99.9 % are clipped, by little.
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=2e-3)
    nn.functional.cross_entropy(found, Y).backward()
    nn.functional.cross_entropy(wanted, Y).backward()
    for layer, linear in zip(cells.chain, (net[0], net[2]), strict=True):
        assert isinstance(linear, nn.Linear)
        assert layer.weight.grad is None
        pairs = layer.weight.pairs.take()
        assert pairs is not None
        product = (pairs[0][0].mT @ pairs[1][0]).mT
        assert linear.weight.grad is not None
        assert linear.bias.grad is not None
        torch.testing.assert_close(product[:, :-1], linear.weight.grad, atol=2e-4, rtol=5e-3)
        # A bias learns as a weight that is driven with 1, whatever its place in the array.
        bias = product[:, -1] * layer.plan.input_scale
        torch.testing.assert_close(bias, linear.bias.grad, atol=2e-4, rtol=5e-3)


def test_steps_move_weights_as_gradient_descent_does_in_the_mean() -> None:
    net, cells = both()
    optimiser = PulsedSGD(cells.parameters(), lr=0.05)
    before = [p.detach().clone() for p in cells.parameters()]
    x = torch.from_numpy(X)
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(cells(x), Y).backward()
        optimiser.step()
    plain = torch.optim.SGD(net.parameters(), lr=0.05)
    start = [p.detach().clone() for p in net.parameters()]
    for _ in range(20):
        plain.zero_grad()
        nn.functional.cross_entropy(net(x), Y).backward()
        plain.step()
    moved = torch.cat(
        [(p - b).detach().flatten() for p, b in zip(cells.parameters(), before, strict=True)]
    )
    wanted = torch.cat(
        [(p - s).detach().flatten() for p, s in zip(net.parameters(), start, strict=True)]
    )
    cosine = float(moved @ wanted / (moved.norm() * wanted.norm()))
    assert cosine > 0.95
    assert float(moved.norm() / wanted.norm()) == pytest.approx(1.0, abs=0.1)
    assert optimiser.counts.coincidences > 100
    for layer in cells.chain:  # data are what cells hold
        assert torch.equal(layer.weight.data, layer.array.weight()[0, : layer.plan.inputs].mT)


@pytest.mark.filterwarnings("error")
def test_too_large_a_step_is_counted_and_no_warning() -> None:
    shares = []
    for lr in (1e-4, 5.0):
        _, cells = both()
        optimiser = PulsedSGD(cells.parameters(), lr=lr, max_pulses=2)
        nn.functional.cross_entropy(cells(torch.from_numpy(X)), Y).backward()
        optimiser.step()
        shares.append(optimiser.counts.clipped_share)
    assert shares[0] == 0.0
    assert 0.1 < shares[1] < 1.0


def test_groups_frozen_parameters_and_schedules_work_as_on_any_module() -> None:
    _, cells = both()
    first, last = cells.chain
    first.weight.requires_grad_(False)
    assert last.bias is not None
    optimiser = PulsedSGD(
        [
            {"params": [first.weight, first.bias], "lr": 0.1},
            {"params": [last.weight], "lr": 0.1},
            {"params": [last.bias], "lr": 0.0},
        ],
        lr=1.0,
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.0)
    states = []
    for _ in range(4):
        optimiser.zero_grad()
        nn.functional.cross_entropy(cells(torch.from_numpy(X)), Y).backward()
        optimiser.step()
        schedule.step()
        states.append([p.detach().clone() for p in cells.parameters()])
    begun = list(both()[1].parameters())
    named = dict(zip([name for name, _ in cells.named_parameters()], states[0], strict=True))
    kept = {
        name: bool(torch.equal(now, start))
        for (name, now), start in zip(named.items(), begun, strict=True)
    }
    assert kept == {
        "layers.0.weight": True,
        "layers.0.bias": False,
        "layers.1.weight": False,
        "layers.1.bias": True,
    }
    assert all(torch.equal(a, b) for a, b in zip(states[1], states[3], strict=True))  # lr is 0


def test_a_copy_a_file_and_another_precision_are_as_of_any_module() -> None:
    net, cells = both(sigma={"dw_min": 0.3})
    twin = copy.deepcopy(cells)
    x = torch.from_numpy(X)
    for one in (cells, twin):
        optimiser = PulsedSGD(one.parameters(), lr=0.1)
        nn.functional.cross_entropy(one(x), Y).backward()
        optimiser.step()
    assert torch.equal(cells(x), twin(x))
    assert twin.chain[0].weight.array is twin.chain[0].array is not cells.chain[0].array
    stored = io.BytesIO()
    torch.save(cells.state_dict(), stored)
    stored.seek(0)
    other = both(sigma={"dw_min": 0.3})[1]
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(other(x), cells(x))
    single = copy.deepcopy(cells).float()
    assert single(x).dtype == torch.float32
    torch.testing.assert_close(single(x).double(), cells(x), atol=2e-3, rtol=1e-2)
    floats = {
        f"layers.{k}.{name}": value
        for k, linear in enumerate((net[0], net[2]))
        for name, value in linear.state_dict().items()
    }
    other.load_state_dict(floats)
    torch.testing.assert_close(other(x), net(x), atol=2e-3, rtol=2e-3)


def test_a_checkpoint_beyond_the_bounds_leaves_cells_at_them_and_says_so() -> None:
    _, cells = both()
    layer = cells.chain[0]
    floats = {"weight": torch.full((5, 6), 3.0), "bias": torch.zeros(5)}
    with pytest.warns(RuntimeWarning, match="30 of 35 weights are beyond their cells' bounds"):
        layer.load_state_dict({k: v.double() for k, v in floats.items()})
    low, high = layer.array.cells.bounds(layer.array.w)
    assert bool(((layer.array.w >= low) & (layer.array.w <= high)).all())
    assert torch.equal(layer.weight.data, layer.array.weight()[0, :6].mT)
    assert float(layer.weight.detach().max()) == pytest.approx(0.6)


@pytest.mark.parametrize("read", ["exact", "surrogate"])
def test_another_precision_drops_what_was_computed_in_the_first(read: str) -> None:
    model = cosim.convert(small(6, 5, 3), device="soft_bounds", read=read)
    x = torch.from_numpy(X)
    before = model(x).detach()
    if read == "exact":  # which loses digits in single precision, and says so
        with pytest.raises(InputError, match="double precision"):
            model.float()(x)
        return
    single = model.float()(x)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), before, atol=0.05, rtol=0.05)


def test_what_would_pass_the_cells_by_is_refused_in_words() -> None:
    _, cells = both()
    x = torch.from_numpy(X)
    optimiser = PulsedSGD(cells.parameters(), lr=0.1)
    nn.functional.cross_entropy(cells(x), Y).backward()
    with pytest.raises(InputError, match="no gradient that could be clipped"):
        nn.utils.clip_grad_norm_(cells.parameters(), 1.0)
    with torch.no_grad():
        cells.chain[1].weight.mul_(2.0)
    for use in (lambda: cells(x), optimiser.step):
        with pytest.raises(InputError, match="something was written into a weight"):
            use()
    _, cells = both()
    optimiser = PulsedSGD(cells.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy(cells(x), Y) + cells.chain[0].weight.square().sum()
    loss.backward()
    with pytest.raises(InputError, match="uses a weight in cells directly"):
        optimiser.step()
    loss = nn.functional.cross_entropy(cells(x), Y)
    cells.chain[0].program(torch.zeros(5, 6, dtype=torch.float64))
    with pytest.raises(InputError, match="moved between the forward and the backward"):
        loss.backward()
    with pytest.raises(InputError, match="lr"):
        PulsedSGD(cells.parameters(), lr=-1.0)


def test_steps_go_on_from_their_states_as_if_nothing_had_been() -> None:
    x = torch.from_numpy(X)

    def steps(cells: InSituNetwork, optimiser: PulsedSGD, count: int) -> None:
        for _ in range(count):
            optimiser.zero_grad()
            nn.functional.cross_entropy(cells(x), Y).backward()
            optimiser.step()

    rule = ReadRule("abs_max", sigma_out=0.05, bound=12.0, dac_bits=7, stochastic_rounding=True)
    whole = both(managed=rule)[1]
    steps(whole, PulsedSGD(whole.parameters(), lr=0.1), 6)
    first = both(managed=rule)[1]
    optimiser = PulsedSGD(first.parameters(), lr=0.1)
    steps(first, optimiser, 2)
    states = copy.deepcopy((first.state_dict(), optimiser.state_dict()))
    second = both(managed=rule)[1]
    again = PulsedSGD(second.parameters(), lr=0.1)
    second.load_state_dict(states[0])
    again.load_state_dict(states[1])
    steps(second, again, 4)
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_managed_reads_have_the_steps_noise_and_bounds_that_they_say() -> None:
    w = torch.from_numpy(RNG.uniform(-0.6, 0.6, (40, 3)))
    x = torch.from_numpy(RNG.uniform(-1e-3, 1e-3, (500, 40)))
    draw = Stream(0).at("read", 0)

    def read(rule: ReadRule, values: torch.Tensor = x) -> torch.Tensor:
        return managed_read(lambda lines: lines @ w, values, rule, draw)

    torch.testing.assert_close(read(ReadRule()), x @ w)
    # Small vectors drown in the noise unless they are scaled up first.
    plain = read(ReadRule(sigma_out=0.06)) - x @ w
    managed = read(ReadRule("abs_max", sigma_out=0.06)) - x @ w
    assert float(plain.std()) == pytest.approx(0.06, rel=0.1)
    assert float(managed.std()) == pytest.approx(0.06 * float(x.abs().amax(1).mean()), rel=0.1)
    # An output at its bound is read again with half of the input.
    big = torch.ones(1, 40, dtype=torch.float64)
    ones = torch.full((40, 1), 0.5, dtype=torch.float64)
    clipped = managed_read(lambda lines: lines @ ones, big, ReadRule(bound=12.0))
    right = managed_read(
        lambda lines: lines @ ones, big, ReadRule(bound_management="iterative", bound=12.0)
    )
    assert (float(clipped), float(right)) == (12.0, 20.0)
    codes = read(ReadRule(bound=1.0, adc_bits=4), 400 * x) / (2 / 14)
    torch.testing.assert_close(codes, codes.round())
    assert float(codes.abs().max()) == 7.0
    # 5 bits rounded to the nearest lose what is below half a step; by chance it stays in the mean.
    quarter = torch.full((4000, 1), 0.25 * 2 / 30, dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    nearest = managed_read(lambda v: v @ one, quarter, ReadRule(dac_bits=5))
    chance = managed_read(
        lambda v: v @ one, quarter, ReadRule(dac_bits=5, stochastic_rounding=True), draw
    )
    assert not nearest.any()
    assert float(chance.mean()) == pytest.approx(0.25 * 2 / 30, rel=0.15)
    with pytest.raises(InputError, match="bound"):
        ReadRule(adc_bits=9)
