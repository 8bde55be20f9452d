"""`[device]` in a study: trained, verified and written out with the model in its cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cosim.network.held_chip import held_chip
from netlists.chip import another_chip
from tests.workflows.command import names_all, refused, spiceloop
from workflows import runfolder

STUDY = """[data]
name = "iris"
[network]
hidden = [5]
[device]
name = "stanford"
parameters = "{parameters}"
[train]
epochs = 3
[verify]
images = 20
[calibration]
arrays = 1
held_out_arrays = 1
"""
BENT = """model = "stanford"
name = "bent"
source = "sky130, another v_0, for a test"
confirmed = false
amplitude_v = 2.2
period_s = 2e-4
[values]
{values}
[initial]
gap = 1.7e-9
temperature = 300.0
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study whose cells are bent by a tenth, by a set beside it, and its run."""
    from compact_models.library import find_model

    folder = tmp_path_factory.mktemp("device")
    values = find_model("stanford").parameter_set("sky130").values | {"v_0": 0.26, "i_0": 3.7e-5}
    lines = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    (folder / "bent.toml").write_text(BENT.format(values=lines), encoding="utf-8")
    (folder / "study.toml").write_text(STUDY.format(parameters="bent.toml"), encoding="utf-8")
    made = spiceloop("train", folder / "study.toml", "-o", folder / "run", "--json")
    assert made.code == 0, made.err
    return folder


@pytest.mark.ngspice
@pytest.mark.slow
def test_it_is_verified_with_the_model_in_every_cell(study: Path) -> None:
    run = study / "run"
    done = spiceloop("verify", run, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["failed"] == 0
    assert found["logit_rmse_lsb"] <= 0.3
    assert found["exact_logit_max_lsb"] == 0
    assert found["control_logit_rmse_lsb"] > 3 * max(found["logit_rmse_lsb"], 0.3)
    assert spiceloop("report", run).code == 0
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "stanford" in page


@pytest.mark.ngspice
def test_the_run_keeps_states_and_the_deck_has_them(study: Path) -> None:
    run = study / "run"
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    stored = np.load(run / "chip.npz")
    assert np.array_equal(stored["layer_0.tile_0.state.gap"], chip.states[0][0]["gap"])
    assert set(chip.states[0][0]) == {"gap"}
    done = spiceloop("netlist", run, "-o", study / "deck")
    assert done.code == 0, done.err
    cells = sum(g.size for layer in chip.conductance_s for g in layer)
    sample = (study / "deck" / "sample.inc").read_text(encoding="utf-8")
    assert sample.count(" held_stanford gap=") == cells
    assert ".subckt held_stanford wl bl" in (study / "deck" / "network.cir").read_text()
    # States of another chip beside these conductances are no chip.
    other = held_chip(another_chip(chip, seed=0, sample=5))
    spoilt = {**stored, "layer_0.tile_0.state.gap": other.states[0][0]["gap"]}
    kept = (run / "chip.npz").read_bytes()
    np.savez(run / "chip.npz", **spoilt)
    try:
        told = refused(study, "netlist", run, "-o", study / "no_deck")
    finally:
        (run / "chip.npz").write_bytes(kept)
    names_all(told, "chip.npz", "layer_0.tile_0", "states of other conductances")


@pytest.mark.ngspice
def test_a_changed_set_is_another_chip(study: Path) -> None:
    place = study / "bent.toml"
    before = place.read_text(encoding="utf-8")
    place.write_text(before.replace("v_0 = 0.26", "v_0 = 0.3"), encoding="utf-8")
    try:
        told = refused(study, "verify", study / "run")
    finally:
        place.write_text(before, encoding="utf-8")
    names_all(told, "changed after the run")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('[device]\nname = "vteam"\n', ["[cell] g_off_s", "0.001 to 0.02 S"]),
        ('[device]\nname = "messaris_2021"\n', ["[cell] g_off_s", "messaris_2021"]),
        (
            '[device]\nname = "stanford"\n[layer.fc1.device]\nname = "vteam"\n',
            ["[layer]", "fc1", "all layers"],
        ),
        ('[device]\nname = "stanford"\n[train]\nread = "exact"\n', ["Newton", "surrogate"]),
        ('[device]\nname = "stanford"\n[write]\ndevice = "vteam"\n', ["[write] device"]),
    ],
)
def test_what_such_cells_cannot_be_is_refused(keys: str, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(keys, encoding="utf-8")
    names_all(refused(tmp_path, "train", tmp_path / "study.toml", "-o", tmp_path / "run"), *said)
