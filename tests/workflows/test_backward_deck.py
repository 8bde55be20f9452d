"""`netlist --phase backward`: the deck of a run's backward phase says what it is told to say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from compact_models.errors import InputError
from cosim.ngspice import Ngspice
from netlists.circuit import ForeignSubcircuit
from tests.cosim.chips import chip_of, small_hardware, small_inputs, small_network
from tests.netlists.decks import assert_only_known_cards, printed, subcircuits, whole_deck
from tests.workflows.command import spiceloop
from workflows.backward_deck import step_backward
from workflows.deck import write_stepped
from workflows.runfolder import read_chip, read_config

SPREAD = "[backward.driver]\nsigma_gain = 0.1\nsigma_offset_v = 0.01\n"
TEXT = ".subckt own_cell wl bl params: g=1e-6\nr1 wl bl {1/g}\n.ends"
CELL = ForeignSubcircuit("own_cell", ("wl", "bl"), TEXT, {"g": 1e-6})


@pytest.mark.ngspice
def test_ngspice_prints_what_is_expected_and_cells_are_those_of_the_forward_deck(
    trained: Path, tmp_path: Path, ngspice: Ngspice
) -> None:
    done = spiceloop("netlist", trained, "-o", tmp_path / "back", "--phase", "backward", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["phase"], said["expected_from"]) == ("backward", "the exact solver")
    expected = np.loadtxt(tmp_path / "back" / "expected.csv", delimiter=",", skiprows=1)
    told = printed(tmp_path / "back", ngspice.path)
    np.testing.assert_array_equal(told, expected[:, 1:])
    chip = read_chip(trained, read_config(trained))
    assert told.shape == (4, sum(plan.inputs for plan in chip.plans))
    assert len(np.unique(told)) > 10
    assert spiceloop("netlist", trained, "-o", tmp_path / "fore").code == 0
    back, fore = (subcircuits(whole_deck(tmp_path / name)) for name in ("back", "fore"))
    tiles = [name for name in fore if "_tile_" in name]
    assert tiles
    assert all(back[name] == fore[name] for name in (*tiles, "cell"))
    text = whole_deck(tmp_path / "back")
    assert_only_known_cards(text.replace('.lib "sample.inc"', "* .lib"))
    assert "uniform random shares" in (tmp_path / "back" / "origin.txt").read_text()


@pytest.mark.ngspice
def test_a_configuration_has_drivers_of_its_own_backward(
    small_config: Path, tmp_path: Path, ngspice: Ngspice
) -> None:
    config = tmp_path / "spread.toml"
    config.write_text(small_config.read_text() + SPREAD)
    assert spiceloop("netlist", config, "-o", tmp_path / "deck", "--phase", "backward").code == 0
    sample = (tmp_path / "deck" / "sample.inc").read_text()
    assert "_backward_drivers" in sample  # what a sample draws is in its file
    assert "xdriver_0_1 d_0 bl_0_1 driver_signed gain=-" in sample  # a minus line
    expected = np.loadtxt(tmp_path / "deck" / "expected.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(printed(tmp_path / "deck", ngspice.path), expected[:, 1:])


def test_a_phase_that_there_is_not_is_refused(small_config: Path, tmp_path: Path) -> None:
    done = spiceloop("netlist", small_config, "-o", tmp_path / "deck", "--phase", "backwards")
    assert done.code == 2
    assert "forward, backward" in done.sentence
    assert not (tmp_path / "deck").exists()


def write(folder: Path, cell: ForeignSubcircuit, ngspice: Ngspice) -> dict[str, object]:
    hardware = small_hardware().model_copy(update={"blocks": {"cell": cell}})
    chip = chip_of(small_network(nn.Tanh), hardware, small_inputs(9))
    stepped = step_backward(chip, vectors=3, seed=0, sample=0, title="t", ngspice=ngspice)
    return write_stepped(folder, chip, stepped, ())


@pytest.mark.ngspice
def test_cells_of_the_users_own_are_read_by_ngspice(tmp_path: Path, ngspice: Ngspice) -> None:
    """An ohmic cell by another name: what ngspice says of it is what the equations say of ours."""
    told = write(tmp_path / "own", CELL, ngspice)
    assert str(told["expected_from"]).startswith("ngspice")
    ours = small_hardware()
    chip = chip_of(small_network(nn.Tanh), ours, small_inputs(9))
    stepped = step_backward(chip, vectors=3, seed=0, sample=0, title="t", ngspice=None)
    write_stepped(tmp_path / "ours", chip, stepped, ())
    own, exact = ((tmp_path / name / "expected.csv").read_text() for name in ("own", "ours"))
    assert own.split("\n")[0].startswith("# exact has no equations for the user's own cell")
    assert own.split("\n")[1:] == exact.split("\n")


@pytest.mark.ngspice
def test_a_cell_on_which_ngspice_fails_is_refused(tmp_path: Path, ngspice: Ngspice) -> None:
    broken = replace(CELL, text=TEXT.replace("1/g", "1/(g-g)"))
    with pytest.raises(InputError, match="ngspice fails on the user's own cell"):
        write(tmp_path / "own", broken, ngspice)
