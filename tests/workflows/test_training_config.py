"""How a study says how it is trained: keys by algorithm, cells by device, layers by their path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.ohmic import ReferencedCell
from cosim.training.backprop_spec import BackpropSpec
from cosim.training.floating import initial_network
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec
from netlists.graph import LinearStage
from tests.workflows.command import names_all, refused, spiceloop
from workflows.combinations import check_combination
from workflows.config import Config, parse_config
from workflows.netlist import chip_for

IN_SITU = '[train]\nalgorithm = "pulsed_sgd"\n'
SOFT = '[device]\nname = "soft_bounds"\n'

CASES = {
    "a key of another algorithm": (
        '[train]\nupdate = "step"\n',
        ["[train] update", 'a key of algorithm = "pulsed_sgd"', 'this is "backprop"'],
    ),
    "and the other way": (
        f"{IN_SITU}programming_noise = true\n",
        ["[train] programming_noise", 'a key of algorithm = "backprop"'],
    ),
    "no such algorithm": (
        '[train]\nalgorithm = "adam"\n', ["[train] algorithm", "adam", "backprop, pulsed_sgd"]
    ),
    "who reads is no section": (
        f"{IN_SITU}[train.read]\nsigma_out = 0.1\n", ["[train]", "[train.periphery]"]
    ),
    "more pulses than a word holds": (
        f"{IN_SITU}[train.pulses]\nmax_pulses = 32\n",
        ["[train.pulses] max_pulses", "32", ">= 1 and <= 31"],
    ),
    "a slip in a section of a section": (
        f"{IN_SITU}[train.periphery]\nsigma_ou = 0.1\n",
        ["[train.periphery] sigma_ou", "'sigma_out'"],
    ),
    "more devices than a weight has room for": (
        f"{SOFT}devices_per_weight = 17\n", ["[device] devices_per_weight", "17", "<= 16"]
    ),
    "no device at all in one layer": (
        "[layer.fc2]\ndevices_per_weight = 0\n", ["[layer.fc2.device] devices_per_weight", ">= 1"]
    ),
    "whose turn where there is one": (
        f'{SOFT}pulses_reach = "in turn"\n', ["[device]", "pulses_reach", "devices_per_weight"]
    ),
    "a spread of nothing": ("[device.d2d]\ndw_min = 0.3\n", ["[device]", "d2d", "soft_bounds"]),
    "a spread below zero": (
        f"{SOFT}[device.d2d]\ndw_min = -0.3\n", ["[device.d2d] dw_min", "-0.3"]
    ),
    "no such pair": (f'{SOFT}pair = "one"\n', ["[device] pair", "reference, both"]),
    "a layer with epochs of its own": (
        "[layer.fc1]\nepochs = 3\n", ["[layer.fc1] epochs", "whole training", "[train] epochs"]
    ),
    "a layer with a key of another algorithm": (
        '[layer.fc1]\nupdate = "ode"\n', ["[layer.fc1] update", 'algorithm = "pulsed_sgd"']
    ),
    "a slip in a layer": (
        "[layer.encoder.fc1]\nlearning_rat = 1\n",
        ['[layer."encoder.fc1"] learning_rat', "'learning_rate'"],
    ),
    "beyond the bounds in a layer": (
        "[layer.fc1]\nlearning_rate = 11.0\n", ["[layer.fc1] learning_rate", "11.0", "<= 10"]
    ),
    "a slip in the device of a layer": (
        '[layer.fc1.device]\npair = "one"\n', ["[layer.fc1.device] pair", "reference, both"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), CASES.values(), ids=CASES)
def test_what_cannot_be_is_refused_where_it_stands(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        parse_config(text, where="chip.toml")
    names_all(refused.value.sentence(), "chip.toml", *words)


def test_every_algorithm_has_defaults_of_its_own() -> None:
    plain, in_situ = Config().train, parse_config(IN_SITU, where="x").train
    assert isinstance(plain, BackpropSpec)
    assert isinstance(in_situ, PulsedSgdSpec)
    assert (plain.batch_size, in_situ.batch_size) == (32, 8)
    assert (plain.max_surrogate_error, in_situ.max_surrogate_error) == (0.01, 0.002)
    assert (in_situ.update, in_situ.pulses.max_pulses) == ("step", 31)


def test_a_study_in_situ_reads_back_from_its_own_file() -> None:
    text = f"""{IN_SITU}update = "ode"
[train.pulses]
kind = "deterministic"
{SOFT}pair = "both"
[device.d2d]
dw_min = 0.3
[layer.fc2]
learning_rate = 0.1
devices_per_weight = 3
[layer.encoder.fc1.device]
parameters = "reram_sb"
"""
    config = parse_config(text, where="x")
    again = parse_config(config.to_toml(), where="y")
    assert again == config
    assert again.hash == config.hash
    assert parse_config(f"{IN_SITU}{SOFT}", where="x").hash != config.hash
    assert isinstance(again.train, PulsedSgdSpec)
    assert again.train.pulses.kind == "deterministic"
    assert again.device.d2d == {"dw_min": 0.3}
    assert list(again.layer) == ["fc2", "encoder.fc1"]


def test_a_layer_has_its_own_keys_and_else_those_of_all() -> None:
    text = f"""{IN_SITU}[train.pulses]
max_pulses = 7
{SOFT}
[device.d2d]
dw_min = 0.3
w_max = 0.2
[layer.a]
learning_rate = 0.1
[layer.a.pulses]
kind = "deterministic"
[layer.a.device.d2d]
dw_min = 0.1
[layer.b.device]
name = "constant_step"
"""
    config = parse_config(text, where="x")
    a, b, other = (config.of_layer(name) for name in "abc")
    assert isinstance(a.train, PulsedSgdSpec)
    assert (a.train.learning_rate, a.train.pulses.max_pulses) == (0.1, 7)
    assert a.train.pulses.kind == "deterministic"
    assert a.device.name == "soft_bounds"
    assert a.device.d2d == {"dw_min": 0.1, "w_max": 0.2}
    assert b.device.name == "constant_step"
    assert b.device.d2d == {}  # of another device
    assert (other.train, other.device) == (config.train, config.device)


TOGETHER = {
    "management of trains that are not drawn": (
        f'{IN_SITU}[train.pulses]\nkind = "deterministic"\nupdate_management = false\n{SOFT}',
        ["[train.pulses] update_management", "scaled to the largest x and d", "leave it out"],
    ),
    "and in one layer": (
        f"{IN_SITU}[train.pulses]\nupdate_bl_management = false\n{SOFT}"
        '[layer.a.pulses]\nkind = "deterministic"\n',
        ["[layer.a.pulses] update_bl_management"],
    ),
    "ideal reads beside ngspice": (
        '[train]\nread = "ideal"\nspice_check_share = 0.1\n',
        ["[train] spice_check_share", "0.1", "ideal reads have no wires", "surrogate or exact"],
    ),
    "ngspice beside ngspice": (
        f'{IN_SITU}read = "spice"\nspice_check_share = 0.1\n{SOFT}',
        ["[train] spice_check_share", "every read is one of ngspice already"],
    ),
    "pulses without a device": (IN_SITU, ["ohmic cells", "[device] name"]),
    "the step of a device without one": (
        f'{IN_SITU}[device]\nname = "vteam"\n', ["vteam", "step", "table, ode or spice"]
    ),
    "in one layer alone": (
        f'{IN_SITU}{SOFT}[layer.fc1.device]\nname = "vteam"\n', ["[layer.fc1]", "vteam", "step"]
    ),
    "pulses that nothing sends": (SOFT, ["backprop", "soft_bounds", "change nothing"]),
    "no such device": (
        f'{IN_SITU}[device]\nname = "soft_bound"\n', ["[device] name", "'soft_bounds'"]
    ),
    "no such set": (f'{IN_SITU}{SOFT}parameters = "x"\n', ["[device] parameters", "reram_sb"]),
    "no such parameter": (
        f"{IN_SITU}{SOFT}[device.d2d]\ndw_mim = 0.3\n", ["[device.d2d] dw_mim", "'dw_min'"]
    ),
    "two devices": (
        f'{IN_SITU}{SOFT}[write]\ndevice = "stanford"\n',
        ["[write] device", "stanford", "soft_bounds"],
    ),
    "two compact models in one network": (
        f'{IN_SITU}update = "ode"\n[device]\nname = "vteam"\n'
        '[layer.fc1.device]\nname = "stanford"\n',
        ["[layer.fc1.device]", "stanford", "compact models all have one"],
    ),
    "a spread of another kind of device": (
        f"{IN_SITU}{SOFT}[device.d2d]\ng_max = 0.3\n", ["[device.d2d] g_max", "dw_min, w_max"]
    ),
    "conductances of a device and of [cell]": (
        f"{IN_SITU}{SOFT}[cell]\ng_on_s = 2e-4\n", ["[device] name", "[cell]", "leave [cell] out"]
    ),
    "two cells": (
        f'{IN_SITU}{SOFT}[blocks]\ncell = "a.cir:b"\n', ["[device] name", "[blocks] cell"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), TOGETHER.values(), ids=TOGETHER)
def test_what_does_not_go_together_is_refused(text: str, words: list[str]) -> None:
    config = parse_config(text, where="chip.toml")
    with pytest.raises(InputError) as refused:
        check_combination(config)
    names_all(refused.value.sentence(), *words)


def test_layers_may_have_pulse_devices_of_their_own() -> None:
    text = f"""{IN_SITU}{SOFT}devices_per_weight = 2
[layer.fc1.device]
name = "linear_step"
pair = "both"
[layer.fc2]
devices_per_weight = 3
[layer.fc3.device.d2d]
dw_min = 0.0
"""
    config = parse_config(text, where="x")
    check_combination(config)
    hardware = config.hardware
    assert list(hardware.cells) == ["fc1"]  # others have those of [device], however many
    assert hardware.cell_of("fc1") != hardware.cell_of("fc2") == hardware.cell
    assert isinstance(hardware.cell_of("fc1"), ReferencedCell)
    several = [config.of_layer(name).device.devices_per_weight for name in ("fc1", "fc2", "fc4")]
    assert several == [1, 3, 2]  # a device of another name takes nothing over


def test_what_is_written_into_is_the_device_of_the_cells() -> None:
    def written(text: str) -> tuple[str, str]:
        spec = parse_config(text, where="x").writing
        return spec.device, spec.parameters

    assert written("") == ("stanford", "sky130")
    assert written(SOFT) == ("soft_bounds", "")
    assert written(f'{SOFT}parameters = "reram_sb"\n') == ("soft_bounds", "reram_sb")
    assert written('[write]\ndevice = "vteam"\nparameters = "sine"\n') == ("vteam", "sine")
    kept = parse_config(parse_config(SOFT, where="x").to_toml(), where="y")
    check = kept.writing
    assert check.device == "soft_bounds"  # also where every key is written out


@pytest.mark.parametrize(
    ("device", "write", "levels"),
    [
        ("vteam", "", (-1.6, 1.6)),  # less current flows through a wider gap, which opens above 0 V
        ("stanford", "", (1.6, -1.6)),
        ("soft_bounds", "", (1.6, -1.6)),
        ("vteam", "[write]\namplitude_v = 1.2\namplitude_down_v = -1.2\n", (1.2, -1.2)),
        ("vteam", '[write]\ndevice = "stanford"\n', (1.6, -1.6)),
    ],
)
def test_pulses_that_nobody_named_write_the_cells_of_the_device(
    device: str, write: str, levels: tuple[float, float]
) -> None:
    config = parse_config(f'[device]\nname = "{device}"\n{write}', where="x")
    for one in (config, parse_config(config.to_toml(), where="y")):
        assert (one.writing.amplitude_v, one.writing.amplitude_down_v) == levels


def test_a_configuration_is_read_before_torch_is(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f"{IN_SITU}{SOFT}")
    script = (
        "import sys; from pathlib import Path; from workflows.config import load_config;"
        f"load_config(Path({str(tmp_path / 'study.toml')!r}));"
        "sys.exit(len({'torch', 'sympy', 'sklearn'} & sys.modules.keys()))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0


SMALL = """\
[data]
name = "iris"
[network]
hidden = [3]
[calibration]
arrays = 1
held_out_arrays = 1
"""


@pytest.mark.ngspice
def test_layers_train_through_the_exact_solution_each_at_its_own_rate(tmp_path: Path) -> None:
    study = f"""{SMALL}[train]
epochs = 2
read = "exact"
[layer.fc2]
learning_rate = 1e-9
"""
    (tmp_path / "study.toml").write_text(study)
    ran = spiceloop("train", tmp_path / "study.toml", "-o", tmp_path / "run", "--json")
    assert ran.code == 0, ran.err
    names_all(ran.err, "training through the exact solution")
    answer = json.loads(ran.out)
    assert answer["surrogate_error"] == [None, None]  # no surrogate played a part
    assert answer["surrogate"]["error"] < 1e-6  # and this is how far it is off on what was trained
    initial = initial_network(4, (3,), 3, torch.nn.ReLU, bias=True, seed=0)
    with np.load(tmp_path / "run" / "chip.npz") as chip:
        moved = [
            float(
                np.abs(chip[f"layer_{k}.weights"][:-1] - initial[n].weight.detach().numpy().T).max()
            )
            for k, n in ((0, 0), (1, 2))
        ]
    assert moved[0] > 0.01
    assert moved[1] < 1e-6


@pytest.mark.parametrize("pair", ["reference", "both"])
def test_a_pulse_device_holds_programmed_weights_larger_than_its_own(pair: str) -> None:
    """The difference of a pair, by its conductances, is the weight: none is cut off."""
    text = f"""{IN_SITU}[device]
name = "constant_step"
parameters = "gokmen_vlasov"
pair = "{pair}"
"""
    config = parse_config(text, where="x")
    rng = np.random.default_rng(2)
    stage = LinearStage("fc1", rng.uniform(-3, 3, (2, 5)), rng.uniform(-1, 1, 2), "identity")
    chip = chip_for(config, (stage,), rng.uniform(0, 1, (20, 5)), 1.0)
    (plan,), cell = chip.plans, config.hardware.cell
    (tile,) = chip.conductance_s[0]
    per_s = plan.weight_scale / (cell.g_on_s - cell.g_off_s)
    held = (tile[:, 0::2] - tile[:, 1::2]) * per_s
    np.testing.assert_allclose(held[:5], stage.weight.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(held[5], stage.bias, rtol=1e-9, atol=1e-9)


@pytest.mark.ngspice
def test_a_layer_that_the_network_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f"{SMALL}[layer.fc3]\nlearning_rate = 0.1\n")
    sentence = refused(tmp_path, "train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(sentence, "[layer]", "fc3", "fc1, fc2")
