"""Networks that learn in compact models: every read and update in ngspice, and by surrogates."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import nn

import cosim
from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.array.analog_array import AnalogArray
from cosim.array.device_pairs import DevicePairs
from cosim.array.failed import UpdateFailedError
from cosim.array.paired_cells import Pair
from cosim.network.dynamic_device import DynamicDevice
from netlists.hardware import TileSpec
from netlists.update.spec import PulseSpec
from netlists.wires import Wires
from tests.array.test_device_updates import COARSE, trains
from tests.training.in_situ_nets import small

MODEL = find_model("vteam")
HARDWARE = cosim.Hardware(
    tile=TileSpec(max_rows=4, max_cols=4), wires=Wires(r_wordline_ohm=50.0, r_bitline_ohm=30.0)
)
X = torch.rand(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
Y = torch.tensor([0, 1, 0, 1, 1, 0])


def network(
    read: str,
    update: str,
    pair: Pair = "reference",
    sigma: Mapping[str, float] | None = None,
    sizes: tuple[int, ...] = (5, 3, 2),
) -> cosim.InSituNetwork:
    cell = CellDevice(MODEL, find_set(MODEL, "symmetric"))
    device = DynamicDevice(cell, 0.2, None, pair, COARSE, sigma or {})
    model = cosim.convert(small(*sizes), HARDWARE, device=device, read=read, update=update)
    assert isinstance(model, cosim.InSituNetwork)
    return model


def trained(model: cosim.InSituNetwork, steps: int, lr: float = 0.5) -> list[float]:
    optimiser = cosim.PulsedSGD(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(X), Y)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def moved(model: cosim.InSituNetwork, before: cosim.InSituNetwork) -> torch.Tensor:
    pairs = zip(model.chain, before.chain, strict=True)
    return torch.cat([(one.array.w - was.array.w).flatten() for one, was in pairs])


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("pair", ["reference", "both"])
def test_it_learns_through_the_surrogate_and_the_table(pair: Pair) -> None:
    model = network("surrogate", "table", pair)
    begun = copy.deepcopy(model)
    losses = trained(model, 12)
    assert min(losses[-3:]) < losses[0] - 0.02
    change = moved(model, begun)
    assert float(change.abs().max()) > 0.05
    for layer, was in zip(model.chain, begun.chain, strict=True):
        minus = layer.array.w[:, 1] - was.array.w[:, 1]
        assert bool(minus.any()) == (pair == "both")
        assert torch.equal(layer.weight.detach(), layer.array.weight()[0, :-1].mT)
    # State and back, in a network that was made anew.
    other = network("surrogate", "table", pair)
    other.load_state_dict(model.state_dict())
    assert all(
        torch.equal(one.array.w, two.array.w)
        for one, two in zip(model.chain, other.chain, strict=True)
    )
    assert torch.equal(other(X), model(X))


@pytest.mark.slow
@pytest.mark.ngspice
def test_a_step_in_ngspice_and_by_our_own_solvers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = network("exact", "ode")
    change = {}
    for read, update in (("spice", "spice"), ("surrogate", "table"), ("ideal", "ode")):
        model = network(read, update)
        trained(model, 1)
        change[read] = moved(model, begun)
    size = rms(change["spice"])
    assert size > 0.003
    assert rms(change["surrogate"] - change["spice"]) < 0.05 * size
    # Pulses behind the wires of the update, and reads without any: other trains.
    assert rms(change["ideal"] - change["spice"]) > 2 * rms(change["surrogate"] - change["spice"])
    model = network("exact", "spice")
    monkeypatch.setattr("cosim.driven.spice.timeout_for", lambda *_given, **_named: 1e-4)
    with pytest.raises(UpdateFailedError, match=r"step 0: 0, chip_0/tile_0.*timeout.*smaller"):
        trained(model, 1)


@pytest.mark.ngspice
def test_cells_that_differ_in_what_moves_them_move_as_in_ngspice() -> None:
    sigma = {"k_on": 0.45, "k_off": 0.45, "v_on": 0.05}
    change, cells = {}, []
    for update, spread in (("spice", sigma), ("ode", sigma), ("ode", {})):
        array = network("ideal", update, "both", spread, (4, 3)).chain[0].array
        assert isinstance(array, AnalogArray)
        assert isinstance(array.cells, DevicePairs)
        begun = array.w.clone()
        assert array.update([trains(3)], None).reason == ""
        change[update, bool(spread)] = array.w - begun
        cells.append(array.cells)
    known = change["spice", True]
    assert float(known.abs().max()) > 0.01
    assert rms(change["ode", True] - known) < 0.02 * rms(known)
    assert rms(change["ode", False] - known) > 3 * 0.1 * rms(known)
    # Another array of the kind has other cells, and so has another chip.
    assert not cells[2].own
    own, other = (one.own["k_on"] for one in (cells[0], cells[0].like(Stream(0), "second", 2)))
    assert float(own.std() / own.mean().abs()) == pytest.approx(0.4, abs=0.15)
    assert other.shape == (2, *own.shape[1:])
    assert not torch.equal(other[:1], own)
    assert not torch.equal(other[0], other[1])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"device": "vteam", "parameters": "symmetric"}, "step.*table, ode, spice"),
        ({"device": "vteam", "parameters": "symmetric", "update": "tabel"}, "did you mean 'table'"),
        (
            {"device": "vteam", "parameters": "symmetric", "update": "ode", "d2d": {"r_on": 0.1}},
            "reads take r_on.*alpha_off, alpha_on, k_off, k_on, v_off, v_on",
        ),
        (
            {"device": "vteam", "parameters": "symmetric", "update": "ode", "d2d": {"kon": 0.1}},
            "did you mean 'k_on'",
        ),
        (
            {"device": "vteam", "parameters": "symmetric", "update": "table", "d2d": {"k_on": 0.1}},
            "table of a pulse.*ode",
        ),
        (
            {"device": "vteam", "parameters": "sine", "update": "ode"},
            "through much of its range",
        ),
        (
            {
                "device": "vteam",
                "parameters": "symmetric",
                "update": "ode",
                "dtype": torch.float32,
            },
            "double precision",
        ),
        (
            {
                "device": "vteam",
                "parameters": "symmetric",
                "update": "ode",
                "hardware": cosim.Hardware(pulse=PulseSpec(amplitude_v=1.2, amplitude_down_v=2.4)),
            },
            "do not step|one line has a pulse|5",
        ),
        (
            {
                "device": "vteam",
                "parameters": "symmetric",
                "update": "ode",
                "hardware": cosim.Hardware(cell={"g_off_s": 1e-6, "g_on_s": 4e-5}),  # type: ignore[arg-type]
            },
            r"g_off_s.*1.25e-05 to 5e-05 S",
        ),
    ],
)
def test_what_does_not_go_together(options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        cosim.convert(small(5, 2), **{"hardware": HARDWARE, **options})  # type: ignore[arg-type]
