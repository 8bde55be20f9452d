"""Training in situ from the command line: trained, stopped and resumed, verified in ngspice."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cosim.array.cell_pulses import cell_pulses
from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.stopped_run import SAME, trained_and_stopped
from workflows.cell_device import found_device
from workflows.config import parse_config
from workflows.runfolder import read_config

pytestmark = pytest.mark.ngspice

STUDY = """\
[data]
name = "iris"
[network]
hidden = [8]
activation = "tanh"
[device]
name = "constant_step"
parameters = "gokmen_vlasov"
[device.d2d]
dw_min = 0.2
[wires]
r_wordline_ohm = 20e3
r_bitline_ohm = 20e3
[train]
algorithm = "pulsed_sgd"
epochs = 15
learning_rate = 0.2
spice_check_share = 0.02
[train.pulses]
max_pulses = 30
[calibration]
arrays = 1
held_out_arrays = 1
[verify]
images = 20
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and beside it a copy from after its second epoch."""
    return trained_and_stopped(tmp_path_factory.mktemp("in cells"), STUDY, epoch=2)


def test_it_learns_and_says_how(run: Path) -> None:
    answer = json.loads((run.parent / "answer.json").read_text())
    assert answer["accuracy_surrogate"] > 0.8
    assert (answer["algorithm"], answer["device"]) == ("pulsed_sgd", "constant_step")
    assert len(answer["surrogate_error"]) == 15
    assert all(0 < error <= 0.002 for error in answer["surrogate_error"])
    assert answer["anchors"] > 0
    # Three of 112 inputs after each epoch in ngspice, which does not share our equations.
    assert len(answer["spice_error"]) == 15
    assert all(0 < error <= 0.002 for error in answer["spice_error"])
    assert answer["pulses"] > 1000
    assert answer["coincidences"] > 100
    assert len(answer["clipped"]) == 15
    assert ("clipped" in answer["clipped_pulses"]) == any(answer["clipped"])
    # 15 epochs of 112 samples; the arrays have counted by cell what updates counted in all.
    cells = answer["cells"]
    assert [one["cells"] for one in cells] == [5 * 8, 9 * 3]
    in_all = sum(one["mean_coincidences"] * one["cells"] * 15 * 112 for one in cells)
    assert in_all == pytest.approx(answer["coincidences"], rel=1e-9)
    for one in cells:
        assert one["steps_max"] > one["steps_median"] > 0
        assert 0 <= one["never"] < 1
        assert (one["dw_min"], one["max_pulses"], one["learning_rate"]) == (0.001, 30, 0.2)
    # A pulse is twice half of 1 V for 1 ns in each of 5 to 16 cells of a line, of 10 to 80 nS; a
    # step, of which it makes 8 at most, is as much again.
    half_j = 2 * 0.25 * 1e-9
    assert 5 * half_j * 1e-8 < answer["energy_j"] / answer["pulses"] < 24 * half_j * 8e-8
    assert "Warning" not in (run.parent / "errors.txt").read_text()
    # The way back to torch: under the names of the network before it was on a chip.
    state = torch.load(run / "model.pt", weights_only=True)
    back = torch.load(run / "weights.pt", weights_only=True)
    assert list(back) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    for name, value in back.items():
        layer, part = name.removeprefix("fc").split(".")
        torch.testing.assert_close(value, state[f"layers.{int(layer) - 1}.{part}"])
    history = json.loads((run / "training.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"]
    assert {(line["spice_inputs"], line["spice_outcome"]) for line in history} == {(3, "ok")}
    said = (run.parent / "errors.txt").read_text()
    assert "45 inputs of 15 epochs were read in ngspice as well: currents within" in said


@pytest.fixture(scope="module")
def verified(run: Path) -> dict[str, Any]:
    """What `verify` answers, with chips that got the weights."""
    ran = spiceloop("verify", run, "--chips", "3", "--spice-chips", "0", "--json")
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def test_the_chip_is_what_ngspice_says_of_it(run: Path, verified: dict[str, Any]) -> None:
    found = verified
    assert found["failed"] == 0
    assert found["fresh"]["learnt_in_cells"] is True
    assert found["agreement"] == 1.0
    assert found["logit_rmse_lsb"] <= 0.5
    with np.load(run / "chip.npz") as chip:
        cells = np.concatenate([chip[name].ravel() for name in chip if "conductance" in name])
    # The minus cells of pairs stand at the conductance of a weight of 0; the plus cells moved.
    at_reference = np.isclose(cells, 4.5e-8, rtol=1e-12)
    assert 0.4 < at_reference.mean() < 0.6


@pytest.fixture(scope="module")
def whole_page(run: Path, verified: dict[str, Any]) -> str:
    """Its report."""
    assert len(verified["fresh"]["samples"]) == 3
    assert spiceloop("report", run).code == 0
    return (run / "report" / "index.html").read_text()


@pytest.fixture(scope="module")
def page(whole_page: str) -> str:
    """The text of its report."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", whole_page)).split())


def test_the_report_names_the_device_and_every_spread(page: str) -> None:
    """The study's own spread of dw_min, those of the set for all else; what it moves and how."""
    hardware = page[page.rindex("Hardware") : page.rindex("Versions")]
    names_all(hardware, "constant_step, set gokmen_vlasov", "the minus cell stays", "10 to 80 nS")
    names_all(hardware, "dw_min 20 %", "w_min 30 %", "w_max 30 %", "up_down 0.01", "20 kΩ")
    names_all(hardware, "30 % of a step", "none: the cells learnt", "1 V up, 1 V down, 993.3 ps")
    assert "ln G" not in hardware


def test_the_report_says_what_chips_are_that_got_the_weights(page: str) -> None:
    names_all(page, "3 fresh chips to which the weights were moved", "would be trained itself")
    for words in ("what the network is worth", "errors, offsets and gains are drawn", "before the"):
        assert words not in page


def test_the_report_draws_what_ngspice_said_of_every_epoch(run: Path, page: str) -> None:
    table = (run / "report" / "figures" / "training.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    told = [line["spice_error"] for line in json.loads((run / "training.json").read_text())]
    assert [float(row["spice_error_share"]) for row in rows] == told
    names_all(page, "what training used, off SPICE", "surrogate as it was used, off exact")
    names_all(page, "inputs of which SPICE read as well")


def test_the_reports_histogram_says_where_references_stand(page: str) -> None:
    names_all(page, "crowded at 45 nS are the minus cells", "references of a weight of 0")
    assert "lower end are the unused halves" not in page


def test_the_reports_configuration_is_the_one_that_was_used(run: Path, whole_page: str) -> None:
    """Once, and as a study it is the same chip, cells and training: nothing is left to a set."""
    (toml,) = re.findall(r"<pre[^>]*>(\[study\].*?)</pre>", whole_page, re.DOTALL)
    text = html.unescape(toml)
    told, used = tomllib.loads(text), parse_config(text, where="report")
    wanted = read_config(run)
    assert told["device"]["d2d"] == {"dw_min": 0.2, "w_min": 0.3, "w_max": 0.3, "up_down": 0.01}
    assert not {"cell", "write", "blocks", "layer"} & set(told)
    assert (used.train, used.data, used.network) == (wanted.train, wanted.data, wanted.network)
    for part in ("cell", "tile", "driver", "tia", "neuron", "adc", "backward"):
        assert getattr(used.hardware, part) == getattr(wanted.hardware, part), part
    assert used.wires == wanted.wires
    _, nominal = found_device(wanted.device)
    assert cell_pulses(nominal, used.pulse) == cell_pulses(nominal, wanted.pulse)
    assert told["pulse"]["amplitude_v"] == 1


def test_as_a_pyspice_script_it_prints_the_codes_of_its_deck(run: Path, tmp_path: Path) -> None:
    assert spiceloop("netlist", run, "--pyspice", tmp_path / "chip.py").code == 0
    command = [sys.executable, tmp_path / "chip.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = np.array([line.split(",")[1:] for line in done.stdout.split("\n")[1:5]], dtype=float)
    expected = np.loadtxt(run / "netlist" / "expected.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(told, expected[:, 2:])
    assert len(np.unique(told)) > 4


def test_stopped_after_an_epoch_it_ends_in_the_same_bytes(run: Path, tmp_path: Path) -> None:
    stopped = shutil.copytree(run.parent / "stopped", tmp_path / "run")
    ran = spiceloop("train", "--resume", stopped)
    assert ran.code == 0, ran.err
    for name in SAME:
        assert (stopped / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'name = "constant_step"\nparameters = "gokmen_vlasov"',
            "",
            ["ohmic cells", "soft_bounds"],
        ),
        ("[device.d2d]", "sigma_step = 0.1\n[device.d2d]", ["sigma_step", "dw_min_std"]),
        ("dw_min = 0.2", "w_mim = 0.2", ["differ in this parameter", "w_min"]),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    old: str, new: str, words: list[str], tmp_path: Path
) -> None:
    text = STUDY.replace(old, new)
    if "device" not in new and "gokmen" in old:
        text = text.replace("[device]\n", "").replace("[device.d2d]\ndw_min = 0.2\n", "")
    (tmp_path / "study.toml").write_text(text)
    said = refused(tmp_path, "train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(said, *words)


def test_a_trained_network_is_told_what_its_cells_make_of_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "def make():\n"
        "    net = torch.nn.Sequential(torch.nn.Linear(4, 3))\n"
        "    with torch.no_grad():\n"
        "        net[0].weight[:] = 1.2 * (torch.eye(3, 4) + torch.eye(3, 4).flip(1)) - 0.6\n"
        "    return net\n"
    )
    study = STUDY.replace('hidden = [8]\nactivation = "tanh"', f'module = "{tmp_path}/net.py:make"')
    study = study.replace("dw_min = 0.2\n", "w_min = 0.3\n").replace("epochs = 15", "epochs = 1")
    study = study.replace("learning_rate = 0.2", "learning_rate = 1e-12")  # no cell moves
    (tmp_path / "study.toml").write_text(study)
    ran = spiceloop("train", tmp_path / "study.toml", "-o", tmp_path / "run", "--json")
    assert ran.code == 0, ran.err
    (epoch,) = json.loads((tmp_path / "run" / "training.json").read_text())
    said = json.loads(ran.out)["begun_in_cells"]
    assert f"training starts from has {epoch['test_accuracy']:.4f}; layer 0: " in said
    assert "weights are beyond their cells' bounds" in said
    assert said in ran.err
    assert said in json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
