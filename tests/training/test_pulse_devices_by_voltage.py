"""Pulse devices that the voltage at every cell moves, behind wires and with spread."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from compact_models.variation import Draw, Stream
from cosim.array.analog_array import AnalogArray
from cosim.pulses.trains import coincidence_counts
from netlists.drivers.level import DriverSpec
from netlists.hardware import BackwardSpec, TileSpec
from netlists.update.spec import PulseSpec
from netlists.wires import Wires
from tests.array.test_device_updates import trains
from tests.training.in_situ_nets import small

D2D = {"dw_min": 0.3, "w_max": 0.2, "w_min": 0.2, "up_down": 0.05}


def chip(ohm: float = 8000.0) -> cosim.Hardware:
    """Of a cell of 5 to 50 uS: far from the drivers pulses arrive below the threshold."""
    return cosim.Hardware(
        tile=TileSpec(max_rows=4, max_cols=4),
        wires=Wires(r_wordline_ohm=ohm, r_bitline_ohm=0.6 * ohm),
        driver=DriverSpec(r_driver_ohm=ohm / 25),
        backward=BackwardSpec(driver=DriverSpec(r_driver_ohm=ohm / 12)),
    )


def network(hardware: cosim.Hardware, update: str, **options: Any) -> cosim.InSituNetwork:
    given: dict[str, Any] = {
        "device": "soft_bounds",
        "parameters": "reram_sb",
        "d2d": D2D,
        **options,
    }
    model = cosim.convert(small(4, 3), hardware, update=update, **given)
    assert isinstance(model, cosim.InSituNetwork)
    return model


def moved(
    hardware: cosim.Hardware,
    update: str,
    count: int = 3,
    draw: Draw | None = None,
    **options: Any,
) -> torch.Tensor:
    """Of the cells [chip, side, row, out], by some updates one after the other."""
    array = network(hardware, update, **options).chain[0].array
    assert isinstance(array, AnalogArray)
    begun = array.w.clone()
    for k in range(count):
        said = array.update([trains(k)], draw)
        assert said.reason == ""
    return array.w - begun


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.ngspice
@pytest.mark.parametrize("pair", ["reference", "both"])
def test_cells_with_spread_move_as_in_ngspice(pair: str) -> None:
    known = moved(chip(), "spice", pair=pair)
    size = rms(known)
    assert size > 1e-3
    assert bool(known[:, 1].abs().max() > 1e-3) == (pair == "both")
    assert rms(moved(chip(), "table", pair=pair) - known) < 0.01 * size
    if pair == "reference":
        assert rms(moved(chip(), "ode", 1) - moved(chip(), "table", 1)) < 1e-3 * size
    # Every coincidence a step: what is known without wires. And cells that are all alike.
    assert rms(moved(chip(), "step", pair=pair) - known) > 3 * 0.1 * size
    assert rms(moved(chip(), "table", pair=pair, d2d={}) - known) > 0.1 * size


@pytest.mark.parametrize("device", ["constant_step", "linear_step", "exp_step", "piecewise_step"])
def test_where_wires_take_little_a_coincidence_is_a_step(device: str) -> None:
    options: dict[str, Any] = {"device": device, "parameters": None, "d2d": {}}
    step, table = (moved(chip(1e-3), one, 1, **options) for one in ("step", "table"))
    # A little longer by its edges; curved laws differ by how a step ends, of order step^2.
    assert rms(table - step) < 0.02 * rms(step)
    asked = coincidence_counts(trains(0)).abs().sum(0)
    assert bool(asked.any())
    assert torch.equal(table[0, 0] != 0, asked != 0)


@pytest.mark.ngspice
def test_steps_vary_from_pulse_to_pulse_by_the_same_numbers() -> None:
    one_tile = chip(1e-3).model_copy(update={"tile": TileSpec()})
    draw = Stream(7, 0).at("noise", 3)
    calm = moved(one_tile, "table", 1, draw)
    wild = {
        update: moved(one_tile, update, 1, draw, sigma_step=0.5) for update in ("table", "spice")
    }
    assert rms(wild["spice"] - calm) > 0.2 * rms(calm)
    assert rms(wild["table"] - wild["spice"]) < 0.02 * rms(calm)
    assert torch.equal(moved(one_tile, "table", 1, None, sigma_step=0.5), calm)
    with pytest.raises(InputError, match=r"sigma_step.*table, ode or spice"):
        network(one_tile, "step", sigma_step=0.5)


@pytest.mark.slow
def test_it_learns_and_several_hold_a_weight() -> None:
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 1, 2, 0])
    model = network(chip(20.0), "table", parameters="rpu", d2d=None, devices_per_weight=2)
    assert [type(one.array).__name__ for one in model.chain] == ["Combined"]
    optimiser = cosim.PulsedSGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.02
    first, second = (one.w for one in model.chain[0].array.each)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("pulse", "update", "word"),
    [
        (PulseSpec(amplitude_v=0.7), "table", r"threshold is 0\.8 V.*0\.8 V, up to 1\.6 V.*1\.5 V"),
        (PulseSpec(amplitude_down_v=1.7), "ode", "only one line has a pulse"),
        (PulseSpec(), "tabel", "did you mean 'table'"),
    ],
)
def test_pulses_that_cannot_train_are_refused(pulse: PulseSpec, update: str, word: str) -> None:
    hardware = chip().model_copy(update={"pulse": pulse})
    with pytest.raises(InputError, match=word):
        network(hardware, update)
    if update != "tabel":
        network(hardware, "step")  # whose law knows no voltage


def test_a_pulse_of_two_widths_is_two_steps_to_the_rule() -> None:
    width_s = 3e-7  # of the set
    pulse = PulseSpec(amplitude_v=1.5, amplitude_down_v=1.5, width_s=2 * width_s, edge_s=1e-9)
    hardware = chip(1e-3).model_copy(update={"pulse": pulse})
    longer = network(hardware, "table").chain[0].array
    usual = network(chip(1e-3), "table").chain[0].array
    assert longer.cells.dw_min == pytest.approx(2 * usual.cells.dw_min, rel=0.01)
    twice, once = (moved(one, "table", 1, d2d={}) for one in (hardware, chip(1e-3)))
    assert rms(twice - 2 * once) < 0.02 * rms(twice)
