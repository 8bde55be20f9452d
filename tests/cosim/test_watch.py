"""Training through a surrogate that is compared with the exact solution, and anchored on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.ohmic import OhmicCell
from compact_models.variation import Stream
from cosim.network.models import exact_model
from cosim.network.module import CrossbarNetwork
from cosim.network.run import forward
from cosim.network.surrogate import SurrogateModel
from cosim.network.watch import anchored, tile_errors
from cosim.training.backprop import BackpropSpec, train
from netlists.chip import Chip
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware
from netlists.wires import Wires
from tests.cosim.chips import chip_of, conductances, surrogate_of

INPUTS, CLASSES = 63, 4


def wide(r_ohm: float) -> tuple[Chip, CrossbarNetwork]:
    """63-32-4: a first tile of 64 x 64 cells of 50 to 100 uS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(INPUTS, 32), nn.ReLU(), nn.Linear(32, CLASSES)
        network = nn.Sequential(*layers).double()
    hardware = Hardware(
        cell=OhmicCell(g_off_s=5e-5, g_on_s=1e-4),
        wires=Wires(r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm),
    )
    chip = chip_of(network, hardware, samples(50)[0])
    assert chip.conductance_s[0][0].shape == (64, 64)
    stages = linear_stages(network_graph(network))
    return chip, CrossbarNetwork(hardware, chip.plans, stages, surrogate_of(chip))


def samples(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Which quarter of the inputs is largest in the mean."""
    x = np.random.default_rng(seed).uniform(0, 1, (count, INPUTS))
    quarters = np.stack([part.mean(1) for part in np.array_split(x, CLASSES, 1)], 1)
    return x, quarters.argmax(1).astype(np.int64)


def test_outside_the_region_training_is_anchored_and_says_so() -> None:
    chip, network = wide(20.0)
    x, y = samples(128)
    said: list[str] = []
    spec = BackpropSpec(epochs=3, learning_rate=0.02, max_surrogate_error=0.01)
    history = train(network, x, y, x, y, spec, stream=Stream(0), say=said.append)
    assert "layer_0.tile_0: currents of the surrogate are off exact by" in said[0]
    assert "more than max_surrogate_error (1 %)" in said[0]
    for line in history:
        assert line.closed_form_error is not None
        assert line.closed_form_error > 0.2
        assert line.surrogate_error is not None
        assert line.surrogate_error <= 0.01
        assert line.anchored >= 1
    assert history[-1].anchors >= history[0].anchors >= 1
    # The other route: the chip's own equations, which know no closed form.
    exact = exact_model(chip.hardware, chip.plans, chip.periphery)
    targets = [g.detach() for g in network.target_conductances()]
    with torch.no_grad():
        inputs = torch.from_numpy(x[:40])
        (ours,) = forward(chip.hardware, chip.plans, targets, network.model, inputs)
        (known,) = forward(chip.hardware, chip.plans, targets, exact, inputs)
    assert float((ours - known).norm() / known.norm()) < 0.05
    assert float((ours.argmax(1) == known.argmax(1)).double().mean()) > 0.9


def test_inside_the_region_nothing_is_anchored_and_nothing_said() -> None:
    _, network = wide(0.2)
    x, y = samples(64)
    said: list[str] = []
    spec = BackpropSpec(epochs=2)
    history = train(network, x, y, x, y, spec, stream=Stream(0), say=said.append)
    assert said == []
    for line in history:
        assert line.anchored == line.anchors == 0
        assert line.surrogate_error == line.closed_form_error
        assert 0 < (line.surrogate_error or 0) < 0.01


def test_errors_are_those_of_the_currents() -> None:
    """Of single tiles: an error of the first layer is not counted again in the second."""
    chip, network = wide(20.0)
    model = network.model
    assert isinstance(model, SurrogateModel)
    x = torch.from_numpy(samples(20)[0])
    g = conductances(chip)
    errors = tile_errors(model, g, x)
    assert [one.name for one in errors] == ["layer_0.tile_0", "layer_1.tile_0"]
    exact = exact_model(chip.hardware, chip.plans, chip.periphery)
    drive = chip.hardware.driver.v_read_v * torch.cat([x, torch.ones(len(x), 1)], 1).double()
    known = exact.layers[0].reads.transfer(g[0]).current_a(drive)
    found = model.as_watched().reads[0].transfer(g[0]).current_a(drive)
    rough = float((found - known).norm() / known.norm())  # without the DAC's rounding
    assert errors[0].used == errors[0].closed == pytest.approx(rough, rel=0.02)
    assert errors[1].used < 0.3 * errors[0].used
    better, passed = anchored(model, errors, [0.01, 0.01])
    assert passed[0].tile == (0, 0)
    after = tile_errors(better, g, x)
    assert after[0].used < 1e-9
    assert after[0].closed == errors[0].closed


def test_an_anchored_tile_that_strays_is_anchored_more_often() -> None:
    chip, network = wide(20.0)
    model = network.model
    assert isinstance(model, SurrogateModel)
    errors = tile_errors(model, conductances(chip), torch.from_numpy(samples(20)[0]))
    once, _ = anchored(model, errors, [0.01, 0.01])
    twice, _ = anchored(once, errors, [0.01, 0.01])
    assert once.anchored[0, 0].tolerance == 0.01
    assert twice.anchored[0, 0].tolerance == 0.005


def test_who_uses_the_surrogate_alone_is_warned_once() -> None:
    _, network = wide(20.0)
    x = torch.from_numpy(samples(20)[0])
    with pytest.warns(RuntimeWarning, match=r"wires take about .* `solve_transfer`") as told:
        network(x)
    assert [str(one.message).partition(":")[0] for one in told] == [
        "layer_0.tile_0",
        "layer_1.tile_0",
    ]
    network(x)  # warnings are errors here
    _, network = wide(20.0)
    train_x, train_y = samples(32)
    with pytest.warns(RuntimeWarning, match=r"max_surrogate_error .*anchored on their exact"):
        train(network, train_x, train_y, train_x, train_y, BackpropSpec(epochs=1), stream=Stream(0))
