"""Training through the surrogate: gradients, bounds, repeatability, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.variation import Stream
from cosim.array.layout import TileLayout
from cosim.calibration.calibrate import calibrate
from cosim.network.models import exact_model, ideal_model
from cosim.network.module import CrossbarNetwork
from cosim.network.run import forward
from cosim.ngspice import Ngspice
from cosim.training.backprop import BackpropSpec, accuracy, programming_factors, train
from cosim.training.floating import initial_network, train_floating
from netlists.adcs.quantiser import AdcSpec
from netlists.chip import draw_periphery
from netlists.graph import linear_stages, network_graph
from netlists.mapping import plan_layers
from tests.cosim.chips import chip_of, conductances, small_hardware, small_inputs, small_network


def _network(model_name: str = "exact", seed: int = 0) -> CrossbarNetwork:
    hardware = small_hardware()
    stages = linear_stages(network_graph(small_network(seed=seed)))
    plans = plan_layers(stages, hardware, small_inputs(20))
    periphery = draw_periphery(hardware, plans, seed=0, sample=0)
    model = (
        exact_model(hardware, plans, periphery)
        if model_name == "exact"
        else ideal_model(hardware, plans)
    )
    return CrossbarNetwork(hardware, plans, stages, model)


def _task(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four classes by the largest of four sums of inputs: learnable, not trivial."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (count, 6))
    sums = x @ np.array(
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0.5]]
    )
    return x, (sums - sums.mean(0)).argmax(1).astype(np.int64)


def test_training_learns_and_keeps_cells_in_range() -> None:
    x, y = _task(300, 0)
    test_x, test_y = _task(200, 1)
    spec = BackpropSpec(epochs=12, learning_rate=0.03)
    reference = small_network()
    train_floating(reference, x, y, spec, seed=0)  # sets the ranges
    hardware = small_hardware()
    plans = plan_layers(linear_stages(network_graph(reference)), hardware, x)
    model = exact_model(hardware, plans, draw_periphery(hardware, plans, seed=0, sample=0))
    fresh = linear_stages(network_graph(small_network(seed=5)))
    network = CrossbarNetwork(hardware, plans, fresh, model)
    before = accuracy(network, test_x, test_y)
    history = train(network, x, y, test_x, test_y, spec, stream=Stream(0))
    assert [line.epoch for line in history] == list(range(12))
    assert history[-1].loss < 0.7 * history[0].loss
    assert history[-1].test_accuracy > before + 0.2
    cell = network.hardware.cell
    for layer in network.target_conductances():
        g = layer.detach()
        g = g[g > 0]  # without padding
        assert cell.g_off_s <= float(g.min()) <= float(g.max()) <= cell.g_on_s


def test_the_same_seed_and_sample_train_the_same_weights_and_others_do_not() -> None:
    x, y = _task(64, 0)
    trained = []
    for address in ((3, 1), (3, 1), (4, 1), (3, 2)):
        network = _network("ideal")
        train(network, x, y, x, y, BackpropSpec(epochs=1), stream=Stream(*address))
        trained.append(network.weights()[0])
    np.testing.assert_array_equal(trained[0], trained[1])
    for other in trained[2:]:
        assert np.abs(trained[0] - other).max() > 1e-6


def test_programming_errors_are_fresh_every_step_and_have_the_cells_spread() -> None:
    network = _network()
    chip = Stream(0, 5)
    first, again, later = (programming_factors(network, chip, step) for step in (0, 0, 1))
    torch.testing.assert_close(first[0], again[0], rtol=0, atol=0)
    assert not torch.equal(first[0], later[0])
    other = programming_factors(network, Stream(0, 6), 0)  # another chip of the study
    assert not torch.equal(first[0], other[0])
    last = [programming_factors(network, chip, k)[0][0, -1].flatten() for k in range(300)]
    many = torch.cat(last)  # of minus cells
    sigma = network.hardware.cell.sigma_program
    assert float(many.log().std()) == pytest.approx(sigma, rel=0.05)
    assert float(many.log().mean()) == pytest.approx(0, abs=0.05 * sigma)


def test_weights_survive_the_way_into_the_module() -> None:
    """Asymmetric shapes: weights leave as they came in, bias last, inputs as rows."""
    source = small_network()
    weights = _network().weights()
    first = source[0]
    np.testing.assert_allclose(weights[0][:6], first.weight.detach().numpy().T, rtol=1e-12)
    np.testing.assert_allclose(weights[0][6], first.bias.detach().numpy(), rtol=1e-12)


@pytest.mark.ngspice
def test_the_surrogates_gradient_is_the_slope_of_its_output(ngspice: Ngspice) -> None:
    """Through wires, amplifiers and neurons, with converters too fine to be felt.

    Finite differences of the whole forward pass are the second route; 16-bit steps are averaged
    by a step that spans thousands of codes.
    """
    hardware = small_hardware().model_copy(
        update={
            "adc": AdcSpec(bits=16),
            "driver": small_hardware().driver.model_copy(update={"dac_bits": 16}),
        }
    )
    x = small_inputs(1)
    chip = chip_of(small_network(nn.Tanh), hardware, small_inputs(30))
    model = calibrate(chip, ngspice, arrays=1, held_out=1, seed=0, jobs=2).model
    states = [g.clone().requires_grad_() for g in conductances(chip)]
    out = forward(hardware, chip.plans, states, model, torch.from_numpy(x))
    out[0, 0, 1].backward()
    for layer, tile, row, col in [(0, 0, 1, 3), (0, 3, 0, 0), (1, 0, 2, 2), (1, 1, 1, 1)]:
        g = states[layer]
        above = TileLayout.of(chip.plans[layer]).live(tile)[0].start
        place = (0, tile, above + row, col)
        step = 5e-6
        ends = []
        for sign in (1, -1):
            moved = [s.detach().clone() for s in states]
            moved[layer][place] += sign * step
            with torch.no_grad():
                ends.append(
                    float(forward(hardware, chip.plans, moved, model, torch.from_numpy(x))[0, 0, 1])
                )
        slope = (ends[0] - ends[1]) / (2 * step)
        assert g.grad is not None
        measured = float(g.grad[place])
        assert measured == pytest.approx(slope, rel=0.05, abs=2 / step), (layer, tile, row, col)


def test_initial_networks_leave_the_callers_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    network = initial_network(4, (3,), 2, nn.ReLU, bias=True, seed=0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    other = initial_network(4, (3,), 2, nn.ReLU, bias=True, seed=1)
    assert not torch.equal(network[0].weight, other[0].weight)


@pytest.mark.parametrize("bias", [True, False])
def test_initial_weights_are_those_of_torch(bias: bool) -> None:
    """Layer by layer what nn.Linear draws from the same seed, in single threads or several."""
    network = initial_network(7, (5, 3), 2, nn.Tanh, bias=bias, seed=11)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for name, inputs, outputs in (("fc1", 7, 5), ("fc2", 5, 3), ("fc3", 3, 2)):
            wanted = nn.Linear(inputs, outputs, bias=bias, dtype=torch.float64)
            ours = network.get_submodule(name)
            assert isinstance(ours, nn.Linear)
            torch.testing.assert_close(ours.weight, wanted.weight, rtol=1e-12, atol=0)
            if bias:
                torch.testing.assert_close(ours.bias, wanted.bias, rtol=1e-12, atol=0)
