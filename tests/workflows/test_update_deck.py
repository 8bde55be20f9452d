"""`netlist --phase update`: decks whose cells end where the equations say, and the right way."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.cell_device import CellDevice
from compact_models.library import find_model, find_set
from cosim.array.device_cells import device_cells
from cosim.array.device_spread import draw_cells
from cosim.array.updates.layer import tile_trains
from cosim.driven.ode import run_ode
from cosim.driven.spice import units_of_states
from cosim.driven.train_pulses import TrainPulses, train_slots
from cosim.driven.train_waveforms import train_waveforms
from cosim.network.chip_updates import raising_sign, writable_tile
from cosim.network.held_chip import held_chip
from cosim.ngspice import Ngspice
from cosim.pulses.trains import PulseTrains, packed
from netlists.backward.spec import BackwardSpec
from netlists.chip import Chip
from netlists.drivers.level import DriverSpec
from netlists.hardware import TileSpec
from netlists.tiles import TilePlan
from netlists.update.drawn import draw_pulses
from netlists.update.spec import PulseSpec
from tests.cosim.chips import chip_of, small_hardware, small_inputs
from tests.workflows.command import spiceloop
from workflows.update_deck import write_update_decks

PULSE = PulseSpec(
    amplitude_v=0.27, amplitude_down_v=1.5, width_s=1e-9, edge_s=1e-10, gap_s=5e-10,
    sigma_amplitude=0.1, sigma_width=0.2,
)  # fmt: skip


@pytest.fixture(scope="module")
def chip() -> Chip:
    """3-2 in vteam cells, cut between its outputs; generators differ from line to line."""
    model = find_model("vteam")
    device = CellDevice(model, find_set(model, None))
    low, high = device_cells(device, 0.2).range_s
    cell = small_hardware().cell.model_copy(
        update={"g_off_s": low + 0.2 * (high - low), "g_on_s": low + 0.7 * (high - low)}
    )
    tile = TileSpec(max_rows=4, max_cols=2)
    hardware = small_hardware(r_ohm=0.5).model_copy(
        update={
            "cell": cell,
            "device": device,
            "pulse": PULSE,
            "tile": tile,
            "driver": DriverSpec(r_driver_ohm=1.0),
            "backward": BackwardSpec(driver=DriverSpec(r_driver_ohm=4.0)),
        }
    )
    network = nn.Sequential(nn.Linear(3, 2, bias=False)).double()
    return held_chip(chip_of(network, hardware, small_inputs(9)[:, :3]))


def trains_of(table: str, layer: str, tile: TilePlan) -> PulseTrains:
    """The trains of a tile's own lines, read back from trains.csv; lines of one another's word."""
    rows = [line.split(",") for line in table.splitlines() if line.startswith(f"{layer},")]
    found = []
    for kind in ("word", "bit"):
        own = [row for row in rows if row[1] == kind]
        has = np.array([[[mark == "1" for mark in row[4]] for row in own]])
        found.append(packed(has, np.array([[float(row[3]) < 0 for row in own]])))
    length = torch.tensor([8])
    rows, outs = slice(tile.row_start, tile.row_stop), slice(tile.out_start, tile.out_stop)
    return tile_trains(PulseTrains(found[0], found[1], length, 0, 0), rows, outs, "both")


@pytest.mark.ngspice
def test_cells_end_where_the_equations_say(chip: Chip, tmp_path: Path, ngspice: Ngspice) -> None:
    sigma = {"k_on": 0.4, "k_off": 0.4, "v_on": 0.05}
    told = write_update_decks(
        tmp_path / "deck",
        chip,
        "both",
        sigma=[sigma] * len(chip.plans),
        seed=4,
        sample=1,
        origin=("here",),
    )
    assert told["tiles"] == sum(len(plan.tiles) for plan in chip.plans)
    tile = chip.plans[0].tiles[1]
    done = subprocess.run(
        [ngspice.path, "-b", "layer_0_tile_1.cir"],
        cwd=tmp_path / "deck", capture_output=True, text=True, check=True,
    )  # fmt: skip
    printed = dict(re.findall(r"^(w_\d+_\d+)\s+=\s+(\S+)", done.stdout, re.MULTILINE))
    found = np.array(
        [[float(printed[f"w_{row}_{col}"]) for col in range(tile.cols)] for row in range(tile.rows)]
    )
    drawn = draw_pulses(PULSE, chip.plans, seed=4, sample=1)
    trains = trains_of((tmp_path / "deck" / "trains.csv").read_text(), "layer_0", tile)
    plan, device = chip.plans[0], chip.hardware.device
    assert device is not None
    own = draw_cells(
        device, sigma, (plan.rows, plan.outputs), seed=4, samples=(1,), path=f"{plan.name}/cells"
    )
    array = writable_tile(chip, 0, 1, own)
    assert array.values["k_on"].std() > 0.2 * np.abs(array.values["k_on"].mean())
    pulses = TrainPulses.of(PULSE, up_sign=raising_sign(chip.hardware.device), lines=drawn[0][1])
    after = run_ode(train_waveforms(array.at_rest(), train_slots(trains, 0), pulses))
    assert after.ok
    span = array.parameter_set.values["w_off"]  # from 0
    fraction, before = after.states["w"] / span, array.states["w"] / span
    moved = np.abs(fraction - before).max()
    assert moved > 0.05
    assert np.abs(found - fraction).max() < 0.01 * moved
    begins = dict(re.findall(r"^(w_\d+_\d+)_start\s+=\s+(\S+)", done.stdout, re.MULTILINE))
    text = (tmp_path / "deck" / "layer_0_tile_1.cir").read_text()
    assert "\n* w_<row>_<col>: as a fraction of its range" in text
    started = [[float(begins[f"w_{r}_{c}"]) for c in range(tile.cols)] for r in range(tile.rows)]
    assert np.abs(np.array(started) - before).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vteam", ["w_<row>_<col>: as a fraction of its range, where 0 is 0 m and 1 is 3e-09 m"]),
        ("jart_v1b", ["as a fraction of the logarithm of its range, where 0 is"]),
        ("stanford", ["as a fraction of its range", "temperature_<row>_<col>: in units of 100 K"]),
    ],
)
def test_what_the_printed_states_are_is_said_for_each(name: str, words: list[str]) -> None:
    model = find_model(name)
    for said, word in zip(units_of_states(model, find_set(model, None)), words, strict=True):
        assert word in said


def test_cells_that_are_resistors_are_not_moved(small_config: Path, tmp_path: Path) -> None:
    done = spiceloop("netlist", small_config, "-o", tmp_path / "deck", "--phase", "update")
    assert done.code == 2
    assert "the cells of this chip are resistors, as pulse devices are" in done.sentence
    assert "none" not in done.sentence
    assert 'put name = "vteam" into [device]' in done.sentence
    assert not (tmp_path / "deck").exists()


SEVERAL = """
[data]
name = "iris"
[network]
hidden = [3]
[device]
name = "vteam"
parameters = "symmetric"
devices_per_weight = 2
[device.d2d]
k_off = 0.3
[train]
algorithm = "pulsed_sgd"
update = "ode"
[layer.fc2.device.d2d]
k_off = 0.0
"""


def test_cells_of_every_array_and_every_layer_have_their_own_spread(tmp_path: Path) -> None:
    """As those have that learn: drawn array by array, by what each layer says."""
    (tmp_path / "study.toml").write_text(SEVERAL)
    deck = tmp_path / "deck"
    done = spiceloop("netlist", tmp_path / "study.toml", "-o", deck, "--phase", "update")
    assert done.code == 0, done.err
    first, second, *last = (
        set(re.findall(r"xcell\S* .*k_off=(\S+)", (deck / f"layer_{k}_tile_{n}.cir").read_text()))
        for k in (0, 1)
        for n in (0, 1)
    )
    # The very cells that learn in Python: another route to the same draws.
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)).double()
    cells = cosim.convert(
        net, device="vteam", parameters="symmetric", d2d={"k_off": 0.3}, devices_per_weight=2,
        update="ode", stream=cosim.Stream(0),
    )  # fmt: skip
    assert isinstance(cells, cosim.InSituNetwork)
    one, other = (part.cells.own["k_off"] for part in cells.chain[0].array.each)
    for found, own in ((first, one), (second, other)):
        assert own.shape == (1, 2, 5, 3)
        assert sorted(map(float, found)) == pytest.approx(sorted(own.flatten().tolist()))
    assert [len(one) for one in last] in ([0, 0], [1, 1])
