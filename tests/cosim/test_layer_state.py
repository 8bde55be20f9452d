"""States, copies and shapes of the torch layers."""

from __future__ import annotations

import copy
import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.array.layer import CrossbarArray
from cosim.network.models import exact_model, ideal_model
from cosim.network.module import CrossbarNetwork
from netlists.graph import linear_stages, network_graph
from netlists.wires import Wires
from tests.cosim.chips import chip_of, small_hardware, small_inputs, small_network


def network_of(r_ohm: float = 5.0, seed: int = 0, fidelity: str = "exact") -> CrossbarNetwork:
    network, hardware = small_network(seed=seed), small_hardware(r_ohm)
    chip = chip_of(network, hardware, small_inputs(40))
    model = (
        exact_model(hardware, chip.plans, chip.periphery)
        if fidelity == "exact"
        else ideal_model(hardware, chip.plans)
    )
    return CrossbarNetwork(hardware, chip.plans, linear_stages(network_graph(network)), model)


def array_of(**other: object) -> CrossbarArray:
    level = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    given = {"g_off_s": 1e-6, "g_on_s": 1e-4, "r_wordline_ohm": 9.0, "r_bitline_ohm": 4.0}
    return CrossbarArray(level, **{**given, **other})  # type: ignore[arg-type]


def test_a_network_is_copied_after_a_step_and_lives_on_its_own() -> None:
    network = network_of()
    x = torch.from_numpy(small_inputs(7))
    before = network(x)
    before.sum().backward()
    twin = copy.deepcopy(network)
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        twin.shares[0].mul_(-0.5)
    assert not torch.equal(twin(x), before)
    assert torch.equal(network(x), before)
    layer = array_of()
    layer(torch.full((2, 5), 0.1, dtype=torch.float64)).sum().backward()
    assert torch.equal(copy.deepcopy(layer).transfer_s(), layer.transfer_s())


@pytest.mark.parametrize("fidelity", ["exact", "ideal"])
def test_inputs_have_any_batch(fidelity: str) -> None:
    network = network_of(fidelity=fidelity)
    x = torch.from_numpy(small_inputs(12))
    wanted = network(x).detach()
    torch.testing.assert_close(network(x[3]).detach(), wanted[3], rtol=1e-12, atol=1e-15)
    cube = network(x.reshape(2, 6, 6)).detach()
    torch.testing.assert_close(cube, wanted.reshape(2, 6, 4), rtol=1e-12, atol=1e-15)
    assert network(x[:0]).shape == (0, 4)
    for wrong in (x[:, :5], torch.tensor(1.0)):
        with pytest.raises(InputError, match=r"\[\.\.\., 6\]"):
            network(wrong)
    with pytest.raises(InputError, match=r"must be a tensor.*ndarray.*from_numpy"):
        network(x.numpy())


def _saved(module: torch.nn.Module) -> dict[str, object]:
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    state: dict[str, object] = torch.load(buffer, weights_only=True)
    return state


def test_a_state_goes_back_into_a_layer_like_its_own() -> None:
    sense = torch.tensor([1.0, 2.0, 3.0, 1 / 3], dtype=torch.float64)
    one, other = array_of(r_sense_ohm=sense), array_of(r_sense_ohm=sense.clone())
    with torch.no_grad():
        one.level.mul_(0.5)
    other.load_state_dict(_saved(one))
    assert torch.equal(other.transfer_s(), one.transfer_s())
    trained, blank = network_of(), network_of()
    with torch.no_grad():
        trained.shares[1].mul_(0.25)
    blank.load_state_dict(_saved(trained))
    x = torch.from_numpy(small_inputs(5))
    assert torch.equal(blank(x), trained(x))


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({"r_wordline_ohm": 9.5}, "r_wordline_ohm"),
        ({"g_on_s": 2e-4}, "g_on_s"),
        ({"r_sense_ohm": torch.tensor([0.0, 0.0, 7.0, 0.0])}, "r_sense_ohm"),
    ],
)
def test_a_state_of_other_wires_or_cells_is_refused(other: dict[str, object], key: str) -> None:
    layer, stranger = array_of(), array_of(**other)
    with torch.no_grad():
        stranger.level.zero_()
    before = layer.level.detach().clone()
    with pytest.raises(InputError, match=f"_extra_state: {key}"):
        layer.load_state_dict(stranger.state_dict())
    assert torch.equal(layer.level, before)
    several = torch.nn.Sequential(array_of())
    with pytest.raises(InputError, match=rf"0\._extra_state: {key}"):
        several.load_state_dict(torch.nn.Sequential(stranger).state_dict())


def test_a_state_of_another_chip_is_refused() -> None:
    network = network_of()
    before = [share.detach().clone() for share in network.shares]
    with pytest.raises(InputError, match=r"hardware\.wires\.r_wordline_ohm.*6.*5"):
        network.load_state_dict(network_of(6.0).state_dict())
    with pytest.raises(InputError, match=r"plans\[0\]\.weight_scale"):
        network.load_state_dict(network_of(seed=1).state_dict())
    with pytest.raises(InputError, match="no state of such a layer"):
        network.load_state_dict({**network.state_dict(), "_extra_state": 3})
    assert all(torch.equal(a, b) for a, b in zip(network.shares, before, strict=True))
    longer = replace(network.plans[0], r_feedback_ohm=1.5 * network.plans[0].r_feedback_ohm)
    network.plans = (longer, network.plans[1])
    with pytest.raises(InputError, match=r"plans\[0\]\.r_feedback_ohm"):
        network.load_state_dict(network_of().state_dict())


def test_a_state_behind_other_segments_is_refused() -> None:
    """One segment of many is another; so is a state that was saved and read again."""
    network = network_of()
    wires = np.full((4, 6), 5.0)
    own = network.hardware.model_copy(update={"wires": Wires(wires, 0.6 * wires)})
    network.hardware = own
    state = _saved(network)
    network.load_state_dict(state)
    other = wires.copy()
    other[2, 3] = np.nextafter(5.0, 6.0)
    network.hardware = own.model_copy(update={"wires": Wires(other, 0.6 * wires)})
    with pytest.raises(InputError, match=r"hardware\.wires\.r_wordline_ohm\[2\]\[3\]"):
        network.load_state_dict(state)
