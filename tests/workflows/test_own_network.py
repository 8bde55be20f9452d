"""A network of the user's own: mapped as it is, trained through the surrogate, or only drawn."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.preprocessing import StandardScaler
from torch import nn

from compact_models.ohmic import OhmicCell
from cosim.network.models import ideal_model
from cosim.network.module import CrossbarNetwork
from cosim.training.floating import network_of
from netlists.adcs.quantiser import AdcSpec
from netlists.drivers.level import DriverSpec
from netlists.graph import LinearStage, linear_stages, network_graph
from netlists.hardware import Hardware
from netlists.mapping import plan_layers
from netlists.readout.tia import TiaSpec
from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.test_own_data import NAMES, iris_csv
from workflows.config import DataSpec
from workflows.data import load_split
from workflows.map import better_order, better_scale, drawn_anew
from workflows.study_network import load_module

IRIS = datasets.load_iris()
NET = """\
import torch
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))

def make():
    net = Net()
    net.load_state_dict(torch.load(Path(__file__).with_name("net.pt")))
    return net

net = Net()
one_output = nn.Sequential(nn.Linear(4, 1))

def sized(width):
    return nn.Sequential(nn.Linear(4, width))

def uncalled():
    return Net

def astray():
    return torch.load("net.pt")

def lost():
    return torch.load("weights.pt")

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("m", torch.ones(4))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last((x - self.m) / 2)

normed = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))

def quantised():
    plain = nn.Sequential(nn.Linear(4, 3))
    return torch.ao.quantization.quantize_dynamic(plain, {nn.Linear}, dtype=torch.qint8)
"""
CHIP = "[calibration]\narrays = 1\nheld_out_arrays = 1\n"


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data in centimetres, and a network trained on them standardised."""
    folder = tmp_path_factory.mktemp("own")
    iris_csv(folder / "train.csv", slice(0, None, 2))
    iris_csv(folder / "test.csv", slice(1, None, 2))
    (folder / "my_net.py").write_text(NET)
    (folder / "chip.toml").write_text(CHIP)
    scope: dict[str, Any] = {}
    exec(NET.partition("\ndef make")[0], scope)  # noqa: S102 - our own text above
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = scope["Net"]()
        x = torch.from_numpy(StandardScaler().fit_transform(IRIS.data[::2])).float()
        y = torch.from_numpy(IRIS.target[::2])
        optimiser = torch.optim.Adam(net.parameters(), lr=0.03)
        for _ in range(150):
            loss = nn.functional.cross_entropy(net(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    torch.save(net.state_dict(), folder / "net.pt")
    return folder


# Far beyond every flower: what it is depends on whether the drivers clip it.
OUTLIER = [6.0, 3.0, -30.0, 2.3]


def float_answers(folder: Path, clip: float) -> list[int]:
    """Of the network in torch on the held-out flowers and the outlier, without anything of ours."""
    scope: dict[str, Any] = {"__file__": str(folder / "my_net.py")}
    exec(NET, scope)  # noqa: S102 - our own text above
    net = scope["make"]().eval()
    x = np.vstack([IRIS.data[1::2], OUTLIER])
    z = StandardScaler().fit(IRIS.data[::2]).transform(x).clip(-clip, clip)
    with torch.no_grad():
        answers: list[int] = net(torch.from_numpy(z).float()).argmax(1).tolist()
    return answers


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_a_trained_network_is_mapped_verified_and_reported_without_its_file(
    own: Path, tmp_path: Path
) -> None:
    run, folder = tmp_path / "run", Path(shutil.copytree(own, tmp_path / "own"))
    with (folder / "test.csv").open("a") as stream:
        stream.write("6,3,versicolor,-30,2.3\n")
    kinds = np.append(IRIS.target[1::2], 1)
    ran = spiceloop(
        "map", folder / "my_net.py:make", "--data", folder / "train.csv", "--test",
        folder / "test.csv", "--label", "kind", "--scale", "standard", "--config",
        folder / "chip.toml", "-o", run, "--images", "all", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    verified = found["verify"]
    assert verified["images"] == found["test_images"] == 76
    # The trained network itself, not what is left of it, is the reference.
    clipped = np.array(float_answers(own, found["data"]["full_scale"])) == kinds
    free = np.array(float_answers(own, np.inf)) == kinds
    assert (clipped[-1], free[-1]) == (True, False)
    for of in (found, verified):
        assert of["accuracy_float"] == clipped.mean() > 0.9
        assert of["accuracy_float_unclipped"] == free.mean()
    assert found["right_float"] == clipped.sum()
    # Samples are shuffled: each says where it stands in the user's file.
    arrays = np.load(run / "verify.npz")
    assert sorted(arrays["row"]) == list(range(76)) != arrays["row"].tolist()
    np.testing.assert_array_equal(arrays["labels"], kinds[arrays["row"]])
    deck = np.genfromtxt(run / "netlist" / "expected.csv", delimiter=",", names=True)
    assert deck.dtype.names == ("index", "row", "code_0", "code_1", "code_2")
    assert deck["row"].tolist() == arrays["row"][:4].tolist()
    np.testing.assert_array_equal(deck["code_1"], arrays["codes_exact"][:4, 1])
    assert found["accuracy_surrogate"] > 0.9
    for fidelity in ("ideal", "surrogate", "exact", "spice"):
        assert verified[f"accuracy_{fidelity}"] > 0.9, fidelity
    assert verified["exact_logit_max_lsb"] == 0
    assert found["warnings"] == []
    plans = json.loads((run / "plans.json").read_text())
    assert [(p["source"], p["neuron"]) for p in plans] == [("first", "relu"), ("last", "identity")]
    assert plans[0]["signed_input"]
    assert plans[0]["input_scale"] == found["data"]["full_scale"] > 1

    record = json.loads((run / "run.json").read_text())
    assert record["made_by"] == "map"
    assert record["module"] == f"{folder}/my_net.py:make"
    assert len(record["module_sha256"]) == 64
    assert record["class_names"] == NAMES
    # Stopped before its verification it is there, and the same command says how to go on.
    bare = Path(shutil.copytree(run, tmp_path / "bare"))
    (bare / "verify.json").unlink()
    again_words = refused(
        tmp_path, "map", folder / "my_net.py:make", "--data", folder / "train.csv", "--label",
        "kind", "--scale", "standard", "-o", bare,
    )  # fmt: skip
    names_all(again_words, f"{bare}: this exists already", f"spiceloop verify {bare}")
    assert "verify" not in refused(
        tmp_path, "map", folder / "my_net.py:make", "--data", folder / "train.csv", "--label",
        "kind", "--scale", "standard", "-o", run,
    )  # fmt: skip
    for name in ("my_net.py", "net.pt"):
        (folder / name).unlink()
    again = spiceloop("verify", run, "--images", "5", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["images"] == 5
    words = spiceloop("verify", run, "--images", "76").out
    names_all(
        words,
        f"(floating point {clipped.mean():.4f} with inputs clipped as the chip's,"
        f" {free.mean():.4f} without)",
    )
    page = spiceloop("report", run)
    assert page.code == 0, page.err
    text = (run / "report" / "index.html").read_text()
    assert f"spiceloop map {folder}/my_net.py:make --config" in text
    assert record["title"] == "my_net.py:make on train.csv, 4-6-3"
    assert f"without clipping it has {100 * free.mean():.1f} % of these rows" in text
    assert "max_surrogate_error" in text  # of the training; nothing else of it played a part
    assert not re.search("^(hidden|activation|epochs|learning_rate) = ", text, re.MULTILINE)
    assert "virginica" in text
    assert spiceloop("netlist", run, "-o", tmp_path / "deck").code == 0


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_a_users_architecture_is_trained_from_its_own_weights(own: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(own, tmp_path / "own"))
    (folder / "study.toml").write_text(
        '[data]\nfile = "train.csv"\nlabel = "kind"\nscale = "standard"\n'
        f'[network]\nmodule = "my_net.py:make"\n[train]\nepochs = 1\n[verify]\nimages = 3\n{CHIP}'
    )
    run = tmp_path / "run"
    ran = spiceloop("train", folder / "study.toml", "-o", run, "--json")
    assert ran.code == 0, ran.err
    # From weights that were drawn anew one epoch of 57 flowers would teach next to nothing.
    summary = json.loads(ran.out)
    assert summary["accuracy_surrogate"] > 0.8
    names_all(ran.err, "BatchNorm1d is folded into the Linear before it")
    record = json.loads((run / "run.json").read_text())
    # What it was before the training is said, by another route: torch alone on what is held out.
    split = load_split(DataSpec(file=f"{folder}/train.csv", label="kind", scale="standard"), seed=0)
    net = load_module(f"{folder}/my_net.py:make", seed=0).eval()
    with torch.no_grad():
        answers = net(torch.from_numpy(split.network_test_x).float()).argmax(1).numpy()
    assert summary["accuracy_given"] == (answers == split.test_y).mean() > 0.8
    names_all(" ".join(record["notes"]), "as my_net.py:make gives it", "without a chip")
    assert (record["made_by"], record["module"]) == ("train", f"{folder}/my_net.py:make")
    (folder / "my_net.py").unlink()
    verified = spiceloop("verify", run, "--json")
    assert verified.code == 0, verified.err
    sentence = refused(tmp_path, "train", run / "config.toml", "-o", tmp_path / "again")
    names_all(sentence, "my_net.py", "no such file")


def test_a_chip_without_errors_computes_what_the_network_does_in_its_own_numbers() -> None:
    """Inputs in standard deviations, beyond [-1, 1]: full drive stands for 3.7 of them."""
    rng = np.random.default_rng(6)
    stages = (
        LinearStage("a", rng.normal(size=(5, 3)), rng.normal(size=5), "relu"),
        LinearStage("b", rng.normal(size=(2, 5)), rng.normal(size=2), "identity"),
    )
    fine = Hardware(
        driver=DriverSpec(dac_bits=16),
        adc=AdcSpec(bits=16),
        cell=OhmicCell(g_off_s=0.0),
        tia=TiaSpec(v_rail_v=100.0),
    )
    seen = rng.uniform(-3.7, 3.7, (400, 3))
    plans = plan_layers(stages, fine, seen / 3.7, full_scale=3.7)
    assert plans[0].signed_input
    network = CrossbarNetwork(fine, plans, stages, ideal_model(fine, plans))
    hidden = np.maximum(seen @ stages[0].weight.T + stages[0].bias, 0)
    wanted = hidden @ stages[1].weight.T + stages[1].bias
    with torch.no_grad():
        found = network(torch.from_numpy(seen / 3.7)).numpy()
    # The ranges hold 99.9 % of what the layers give; the rest clips.
    far = np.abs(found - wanted).max(axis=1) > 2e-3 * np.abs(wanted).max()
    assert far.sum() <= 2


def span_of(deck: Path) -> tuple[str, str]:
    """The full scales of both layers, as the deck's comments have them."""
    found = re.findall(r"full scale ([0-9.e+-]+)", (deck / "network.cir").read_text())
    return found[0], found[1]


def test_the_ranges_of_a_module_come_from_the_data_that_are_named(
    own: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(
        f'[data]\nfile = "{own}/train.csv"\nlabel = "kind"\nscale = "standard"\n'
    )
    module = own / "my_net.py:make"
    by_config = spiceloop(
        "netlist", module, "--config", tmp_path / "own.toml", "-o", tmp_path / "a", "--json"
    )
    by_option = spiceloop(
        "netlist", module, "--data", own / "train.csv", "--label", "kind", "--scale", "standard",
        "-o", tmp_path / "b", "--json",
    )  # fmt: skip
    without = spiceloop("netlist", module, "-o", tmp_path / "c", "--json")
    for ran in (by_config, by_option, without):
        assert ran.code == 0, ran.err
    assert span_of(tmp_path / "a") == span_of(tmp_path / "b") != span_of(tmp_path / "c")
    origin = (tmp_path / "a" / "origin.txt").read_text()
    assert "ranges from the training share of train.csv" in origin
    assert ".subckt driver_signed" in (tmp_path / "a" / "network.cir").read_text()
    assert json.loads(by_config.out)["warning"] == ""
    # Without data it is said in all three places.
    words = "ranges come from uniform random inputs in [0, 1]"
    names_all(without.err, words, "--data")
    assert words in json.loads(without.out)["warning"]
    plain = " ".join((tmp_path / "c" / "network.cir").read_text().split("\n* "))
    assert "WARNING: no data are named" in plain
    assert ".subckt driver_signed" not in plain


def test_a_module_that_stands_in_its_file_is_taken(own: Path, tmp_path: Path) -> None:
    ran = spiceloop("netlist", own / "my_net.py:net", "-o", tmp_path / "deck", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["layers"] == 2


def test_fresh_weights_come_from_the_studys_seed(own: Path) -> None:
    before = torch.get_rng_state()

    def first(seed: int) -> torch.Tensor:
        return load_module(f"{own}/my_net.py:Net", seed=seed).get_parameter("first.weight")

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))
    assert torch.equal(torch.get_rng_state(), before)


DATA = ["--data", "{own}/train.csv", "--label", "kind"]
REFUSED: dict[str, tuple[str, list[str], list[str]]] = {
    "no data": ("map {own}/my_net.py:make", [], ["--data", "--label COLUMN"]),
    "raw units": ("map {own}/my_net.py:make", DATA, ["train.csv:2", "5.1", '"standard"']),
    "raw units for a deck": ("netlist {own}/my_net.py:make", DATA, ["train.csv:2", "5.1"]),
    "no such scale": ("map {own}/my_net.py:make", [*DATA, "--scale", "log"],
                      ["--scale: ", "'log'", "minmax, standard, range"]),
    "one output": ("map {own}/my_net.py:one_output", [*DATA, "--scale", "range"],
                   ["one_output", "4 inputs, 1 outputs", "3 outputs", "setosa, versicolor"]),
    "other features": ("netlist {own}/my_net.py:make",
                       ["--data", "{own}/train.csv", "--label", "0", "--scale", "range"],
                       ["column 'kind'", "text", "'setosa'"]),
    "too many images": ("map {own}/my_net.py:make",
                        [*DATA, "--scale", "standard", "--images", "20"],
                        ["--images", "20", "1 to 19"]),
    "a factory that is not there": ("netlist {own}/my_net.py:mke", [],
                                    ["'mke'", "allowed: make, net, one_output, uncalled, astray,"
                                     " lost, normed, quantised, Net, Scaled"]),
    "a path from elsewhere": ("netlist {own}/my_net.py:astray", [],
                              ["FileNotFoundError", 'with_name("net.pt") lies there']),
    "a file that is nowhere": ("netlist {own}/my_net.py:lost", [],
                               ["FileNotFoundError", '"weights.pt") is weights.pt beside']),
    "inputs scaled by itself": ("netlist {own}/my_net.py:Scaled", [],
                                ["'m'", "[data] scale or --scale", "subtracts its mean"]),
    "inputs normalised by itself": ("netlist {own}/my_net.py:normed", [],
                                    ["here is none", "[data] scale or --scale"]),
    "quantised": ("netlist {own}/my_net.py:quantised", [], ["before its quantisation"]),
    "a label and no data": ("netlist {own}/my_net.py:make", ["--label", "kind"], ["--data FILE"]),
    "data for a configuration": ("netlist {own}/chip.toml", DATA, ["MODULE.py:FACTORY"]),
    "a file without its factory": ("map {own}/my_net.py", DATA, ["my_net.py:NAME"]),
    "a configuration": ("map {own}/chip.toml", DATA, ["MODULE.py:NAME"]),
    "weights": ("map {own}/net.pt", DATA, ["net.pt", "weights", "load_state_dict", "def make()"]),
    "weights for a deck": ("netlist {own}/net.pt", [], ["net.pt", "weights", "load_state_dict"]),
    "pickled under a name of its own": ("netlist {own}/model", [], ["pickled", "def make()"]),
    "ONNX": ("netlist {own}/model.onnx", [], [".onnx is not read", "torch.from_numpy"]),
    "bad writing": ("netlist {own}/my_net.py:make", ["--config", "{own}/write.toml"],
                    ["[write] device", "stanfort"]),
    "two networks": ("netlist {own}/two.toml", [], ["[network]", "hidden and module"]),
    "a factory of arguments": ("netlist {own}/my_net.py:sized", [],
                               ["wants arguments (width)", "def make(): return sized(..)"]),
    "a class": ("netlist {own}/my_net.py:uncalled", [], ["the class Net", "return Net()"]),
    "one width": ("netlist {own}/width.toml", [], ["[network] hidden", "write hidden = [5]"]),
    "no factory": ("netlist {own}/nameless.toml", [], ["[network] module", "my_net.py:make"]),
}  # fmt: skip


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
@pytest.mark.parametrize(("call", "more", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_mapped_is_refused(
    call: str, more: list[str], words: list[str], own: Path, tmp_path: Path
) -> None:
    shutil.copy(own / "net.pt", own / "model")
    (own / "model.onnx").write_bytes(b"\x08\x07\x12")
    (own / "write.toml").write_text('[write]\ndevice = "stanfort"\n')
    (own / "two.toml").write_text('[network]\nmodule = "my_net.py:make"\nhidden = [4]\n')
    (own / "width.toml").write_text("[network]\nhidden = 5\n")
    (own / "nameless.toml").write_text('[network]\nmodule = "my_net.py"\n')
    command, target = call.split(" ")
    filled = [word.format(own=own) for word in (target, *more)]
    names_all(refused(tmp_path, command, *filled, "-o", tmp_path / "out"), *words)


@pytest.mark.parametrize(
    ("scale", "better"), [("range", "standard"), ("minmax", "standard"), ("standard", "")]
)
def test_another_scale_that_suits_the_network_clearly_better_is_named(
    scale: Literal["range", "minmax", "standard"], better: str, own: Path
) -> None:
    data = DataSpec(file=str(own / "train.csv"), label="kind", scale=scale)
    split = load_split(data, seed=0)
    reference = network_of(
        linear_stages(network_graph(load_module(f"{own}/my_net.py:make", seed=0)))
    )
    said = better_scale(reference, split)
    if not better:
        assert said == ""
    else:
        names_all(said, f'scale "{scale}"', "of 56 training samples", f"--scale {better}")


def test_another_order_of_the_classes_that_suits_the_network_is_named(own: Path) -> None:
    data = DataSpec(file=str(own / "train.csv"), label="kind", scale="standard")
    split = load_split(data, seed=0)
    stages = linear_stages(network_graph(load_module(f"{own}/my_net.py:make", seed=0)))
    assert better_order(network_of(stages), split) == ""
    last = stages[-1]
    turned = replace(last, weight=last.weight[[1, 2, 0]], bias=np.asarray(last.bias)[[1, 2, 0]])
    said = better_order(network_of((*stages[:-1], turned)), split)
    # Output 0 is now that of the second class, and so on.
    names_all(said, "setosa, versicolor, virginica", "in the order (versicolor, virginica, setosa)")


@pytest.mark.slow
@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_a_network_that_knows_nothing_of_its_data_is_doubted(own: Path, tmp_path: Path) -> None:
    """Its weights fit features in standard deviations; here it is given something else."""
    x = np.abs(np.random.default_rng(2).normal(size=(60, 4)))
    np.savez(tmp_path / "noise.npz", x=x, y=np.repeat([0, 1, 2], 20))
    ran = spiceloop(
        "map", own / "my_net.py:net", "--data", tmp_path / "noise.npz", "--scale", "range",
        "--config", own / "chip.toml", "-o", tmp_path / "run", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    drawn, seen, doubt = json.loads(ran.out)["warnings"]
    names_all(drawn, "weights of net (first, last)", "was it trained?")
    names_all(seen, "15 held-out samples are a part of noise.npz", "--test")
    names_all(doubt, "of the 15 held-out samples right", "most frequent class (5, 33.3 %)")
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert notes[:3] == [drawn, seen, doubt]
    names_all(ran.err, "in this order (0, 1, 2)", "range")


def test_weights_that_are_drawn_anew_are_said(own: Path) -> None:
    def said(name: str) -> list[str]:
        target = f"{own}/my_net.py:{name}"
        stages = linear_stages(network_graph(load_module(target, seed=0)))
        return drawn_anew(target, stages, seed=0)

    assert said("make") == []
    (words,) = said("Net")
    names_all(words, "Net (first, last)", "drawn anew", "was it trained?", "load_state_dict")
