"""Decks that diff: a shared value is one line, a sample is one file, and both compute the same."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from compact_models.ohmic import OhmicCell
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from netlists.chip import Chip, map_network
from netlists.drivers.level import DriverSpec
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware, TileSpec
from netlists.readout.tia import TiaSpec
from netlists.wires import Wires
from tests.cosim.chips import small_inputs, small_network
from tests.netlists.decks import printed
from tests.workflows.command import spiceloop
from workflows.deck import write_chip_deck

INPUTS = small_inputs(4)


def chip(sample: int = 0, **hardware: object) -> Chip:
    """6-5-4, every layer cut both ways."""
    return map_network(
        linear_stages(network_graph(small_network(nn.Tanh))),
        Hardware(tile=TileSpec(max_rows=4, max_cols=6)).model_copy(update=hardware),
        small_inputs(60),
        seed=3,
        sample=sample,
    )


def write(folder: Path, made: Chip) -> dict[str, str]:
    """The files of its deck."""
    write_chip_deck(folder, made, INPUTS, title="t", origin=("here",), ngspice=None)
    return {path.name: path.read_text() for path in folder.iterdir()}


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went and those that came."""
    lines = list(difflib.ndiff(before.split("\n"), after.split("\n")))
    return [x[2:] for x in lines if x[0] == "-"], [x[2:] for x in lines if x[0] == "+"]


@pytest.mark.parametrize(
    ("hardware", "line"),
    [
        ({"wires": Wires(r_bitline_ohm=2.5)},
         ".param r_bitline=2.5 ; a segment of a bit line [ohm]"),
        ({"wires": Wires(r_wordline_ohm=3)},
         ".param r_wordline=3.0 ; a segment of a word line [ohm]"),
        ({"driver": DriverSpec(r_driver_ohm=70)},
         ".param r_driver=70.0 ; output resistance of a driver [ohm]"),
        ({"tia": TiaSpec(v_rail_v=1.8)},
         ".param v_rail=1.8 ; supply of the amplifiers, both signs [V]"),
        ({"tia": TiaSpec(open_loop_gain=2e4)},
         ".param open_loop_gain=20000.0 ; of an amplifier's op-amp"),
    ],
)  # fmt: skip
def test_a_shared_value_is_one_line_of_the_deck(
    hardware: dict[str, object], line: str, tmp_path: Path
) -> None:
    before, after = write(tmp_path / "a", chip()), write(tmp_path / "b", chip(**hardware))
    gone, come = changed(before["network.cir"], after["network.cir"])
    assert (len(gone), come) == (1, [line])
    assert before["sample.inc"] == after["sample.inc"]
    assert len(before["network.cir"].split("\n")) > 100


def test_a_sample_is_one_file(tmp_path: Path) -> None:
    before, after = write(tmp_path / "a", chip()), write(tmp_path / "b", chip(sample=1))
    assert before["network.cir"] == after["network.cir"]
    gone, come = changed(before["sample.inc"], after["sample.inc"])
    cells = sum(g.size for layer in chip().conductance_s for g in layer)
    assert len(gone) == len(come) >= cells
    assert {line.split()[0][:5] for line in gone} == {"xcell", "xtia_", "xneur", "xadc_"}


@pytest.mark.ngspice
def test_the_command_keeps_its_word(small_config: Path, tmp_path: Path) -> None:
    """The hash of the configuration is beside the deck, not in it."""
    texts = {}
    for name, more in (("a", ""), ("b", "[wires]\nr_bitline_ohm = 2.0\n")):
        config = tmp_path / f"{name}.toml"
        config.write_text(small_config.read_text() + more)
        assert spiceloop("netlist", config, "-o", tmp_path / name).code == 0
        texts[name] = {path.name: path.read_text() for path in (tmp_path / name).iterdir()}
    gone, come = changed(texts["a"]["network.cir"], texts["b"]["network.cir"])
    assert [len(gone), len(come)] == [1, 1]
    assert texts["a"]["sample.inc"] == texts["b"]["sample.inc"]
    assert texts["a"]["origin.txt"] != texts["b"]["origin.txt"]
    assert "config " in texts["a"]["origin.txt"]


@pytest.mark.ngspice
@pytest.mark.parametrize("wordline", [0.0, 5.0])
def test_the_deck_in_two_files_computes_what_the_one_of_verify_does(
    wordline: float, tmp_path: Path, ngspice: Ngspice
) -> None:
    """Open cells, and wires of one direction only, among them."""
    made = chip(
        wires=Wires(r_wordline_ohm=wordline, r_bitline_ohm=3),
        cell=OhmicCell(g_off_s=0) if wordline else OhmicCell(),
    )
    files = write(tmp_path / "deck", made)
    assert ("is open (0 S)" in files["sample.inc"]) == (wordline > 0)
    codes = read_chip(made, INPUTS, ngspice, jobs=1).codes
    assert np.ptp(codes) > 50
    there = printed(tmp_path / "deck", ngspice.path)
    assert np.array_equal(there, codes)
    expected = np.loadtxt(tmp_path / "deck" / "expected.csv", delimiter=",", skiprows=1)
    assert np.array_equal(there, expected[:, 1:])
