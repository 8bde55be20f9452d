"""Wires of a layout: a file of segments in the configuration, and what sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cosim.nodal.transfer import solve_transfer
from tests.netlists.decks import subcircuits
from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.conftest import SMALL
from workflows import runfolder
from workflows.calibration_store import read_calibration
from workflows.config import load_config

TILE = "[tile]\nmax_rows = 6\nmax_cols = 8\n"
WIRES = '[wires]\nfile = "layout.npz"\n'
# Every segment of its own, rows and columns unlike; strong enough that another corner shows.
SEGMENTS: dict[str, Any] = {
    "r_wordline_ohm": 100.0 + 10.0 * np.arange(48.0).reshape(6, 8),
    "r_bitline_ohm": 500.0 - 7.0 * np.arange(48.0).reshape(6, 8),
}


def study(folder: Path, text: str = WIRES, **wires: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "layout.npz", **(wires or SEGMENTS))
    config = folder / "study.toml"
    config.write_text(SMALL + TILE + text)
    return config


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained with such wires, whose sources are gone."""
    folder = tmp_path_factory.mktemp("wires")
    done = spiceloop("train", study(folder / "sources"), "-o", folder / "run")
    assert done.code == 0, done.err
    shutil.rmtree(folder / "sources")
    return folder / "run"


@pytest.mark.ngspice
def test_the_deck_has_the_corner_at_drivers_and_sense_nodes(road: Path) -> None:
    """4 or 5 rows of 6, and 6 columns of 8: the last rows and the first columns."""
    tiles = subcircuits((road / "netlist" / "network.cir").read_text())
    word, bit = SEGMENTS["r_wordline_ohm"], SEGMENTS["r_bitline_ohm"]
    for layer, rows in ((0, 5), (1, 4)):
        cards = {card.split()[0]: card for card in tiles[f"layer_{layer}_tile_0"]}
        for row in range(rows):
            for col in range(6):
                at = 6 - rows + row, col
                left = f"w_{row}_{col - 1}" if col else f"wl_{row}"
                below = f"b_{row + 1}_{col}" if row < rows - 1 else f"bl_{col}"
                assert cards[f"rw_{row}_{col}"] == (
                    f"rw_{row}_{col} {left} w_{row}_{col} {float(word[at])!r}"
                )
                assert cards[f"rb_{row}_{col}"] == (
                    f"rb_{row}_{col} b_{row}_{col} {below} {float(bit[at])!r}"
                )


@pytest.mark.ngspice
def test_every_fidelity_sees_them(road: Path, tmp_path: Path) -> None:
    """ngspice and the exact solver give the same codes; the surrogate is near them."""
    run = Path(shutil.copytree(road, tmp_path / "run"))
    assert spiceloop("verify", run, "--images", "8").code == 0
    found = json.loads((run / "verify.json").read_text())
    assert found["failed"] == 0
    assert found["accuracy_exact"] == found["accuracy_spice"]
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    calibration = read_calibration(run, chip)
    for layer, rows in ((0, 5), (1, 4)):
        g = torch.from_numpy(chip.conductance_s[layer][0])
        tile, _ = calibration.model.reads[layer].of_tile(0)
        exact = solve_transfer(
            g,
            r_wordline_ohm=torch.from_numpy(SEGMENTS["r_wordline_ohm"][-rows:, :6].copy()),
            r_bitline_ohm=torch.from_numpy(SEGMENTS["r_bitline_ohm"][-rows:, :6].copy()),
            r_driver_ohm=config.driver.r_driver_ohm,
            r_sense_ohm=tile.bit.sense_ohm,
        ).transfer_s
        near = float((tile.transfer_s(g) - exact).norm() / exact.norm())
        far = float((g - exact).norm() / exact.norm())
        assert near < 0.01
        assert far > 10 * near
    names_all(refused(run, "write-network", run), "[wires] file", "writing knows one resistance")


@pytest.mark.slow
@pytest.mark.ngspice
def test_the_report_says_where_the_wires_are_from(road: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(road, tmp_path / "run"))
    for words in (["verify", run, "--images", "4"], ["report", run]):
        done = spiceloop(*words)
        assert done.code == 0, done.err
    text = (run / "report" / "index.html").read_text()
    assert "100 to 570 Ω, 335 Ω in the mean, from a file" in text


@pytest.mark.ngspice
def test_a_run_keeps_them_and_its_hash_covers_their_numbers(road: Path, tmp_path: Path) -> None:
    elsewhere = load_config(study(tmp_path / "elsewhere"))
    assert elsewhere.hash == runfolder.read_config(road).hash
    one_more = SEGMENTS["r_bitline_ohm"].copy()
    one_more[0, 7] += 1e-9  # of the corner that no tile of this network has
    changed = study(tmp_path / "changed", **{**SEGMENTS, "r_bitline_ohm": one_more})
    assert load_config(changed).hash != elsewhere.hash
    run = Path(shutil.copytree(road, tmp_path / "run"))
    np.savez(run / "wires.npz", **{**SEGMENTS, "r_bitline_ohm": one_more})
    names_all(refused(run, "verify", run), "was changed after the run", str(run / "config.toml"))
    (run / "wires.npz").unlink()
    names_all(refused(run, "verify", run), "wires.npz", "cannot read")
    assert load_config(road / "config.toml").hash == elsewhere.hash


def test_one_a_line_and_one_kind_alone(tmp_path: Path) -> None:
    lines = np.arange(1.0, 7.0)
    config = load_config(
        study(tmp_path, r_wordline_ohm=lines, text=f"{WIRES}r_bitline_ohm = 3.5\n")
    )
    wires = config.hardware.wires
    assert np.array_equal(wires.r_wordline_ohm, np.repeat(lines[:, None], 8, axis=1))
    assert wires.r_bitline_ohm == 3.5
    assert np.array_equal(wires.near_ends(2, 3).r_wordline_ohm, [[5, 5, 5], [6, 6, 6]])


REFUSED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "no file": (WIRES.replace("layout", "other"), {}, ["other.npz", "cannot read"]),
    "another tile": (WIRES, {"r_bitline_ohm": np.ones((8, 6))}, ["(8, 6)", "(6, 8)"]),
    "an open": (WIRES, {"r_bitline_ohm": np.full((6, 8), np.inf)}, ["open", "1e9 ohm"]),
    "unknown key": (WIRES, {"r_bitlin_ohm": 1.0}, ["'r_bitlin_ohm'", "did you mean"]),
    "drivers": (WIRES, {"r_driver_ohm": np.ones(6)}, ["'r_driver_ohm'", "r_wordline_ohm"]),
    "in both": (f"{WIRES}r_bitline_ohm = 1.0\n", SEGMENTS, ["r_bitline_ohm", "leave it out"]),
    "too small": (WIRES, {"r_wordline_ohm": np.full(6, 1e-9)}, ["r_wordline_ohm[0, 0]", "1e-09"]),
}


@pytest.mark.parametrize(("text", "wires", "words"), REFUSED.values(), ids=REFUSED)
def test_wires_of_no_tile_are_refused(
    text: str, wires: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    config = study(tmp_path, text, **wires)
    names_all(refused(tmp_path, "train", config, "-o", tmp_path / "run"), *words)
