"""Random configurations end in a chip or in one sentence, and in nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings

from compact_models.errors import InputError
from cosim.ngspice.bench import sweep_deck
from netlists.chip import map_network
from netlists.graph import LinearStage
from netlists.network import network_circuit
from tests.netlists.decks import assert_only_known_cards
from tests.workflows.command import spiceloop
from tests.workflows.drawn import NOT_BUILDABLE, documents
from workflows.config import parse_config

quiet = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

RNG = np.random.default_rng(5)
STAGES = (
    LinearStage("a", RNG.normal(size=(2, 3)), RNG.normal(size=2), "relu"),
    LinearStage("b", RNG.normal(size=(2, 2)), None, "identity"),
)
INPUTS = RNG.uniform(0, 1, (5, 3))


def build(document: dict[str, Any]) -> str:
    """`no` where a sentence refuses the configuration, else `yes` after a whole deck was built."""
    try:
        config = parse_config(tomli_w.dumps(document), where="drawn.toml")
    except InputError as error:
        return "no" if error.sentence().startswith("drawn.toml: ") else "no file named"
    assert parse_config(config.to_toml(), where="again.toml") == config
    try:
        chip = map_network(
            STAGES, config.hardware, INPUTS, seed=config.study.seed, sample=config.study.sample
        )
        circuit = network_circuit(chip, title="drawn")
        text = sweep_deck(circuit, ["in_0", "in_1", "in_2"], INPUTS, name="drawn").text
    except InputError as error:
        return "refused later" if error.what in NOT_BUILDABLE else error.what
    assert_only_known_cards(text)
    return "yes"


@settings(quiet, max_examples=500)
@given(documents(valid=False))
def test_any_configuration_builds_or_is_refused(document: dict[str, Any]) -> None:
    assert build(document) in ("yes", "no", "refused later")


@settings(quiet, max_examples=500)
@given(documents(valid=True))
def test_values_inside_their_bounds_build(document: dict[str, Any]) -> None:
    answer = build(document)
    cell = document.get("cell", {})
    ordered = cell.get("g_on_s", 1e-4) > cell.get("g_off_s", 1e-6)
    ohms = [
        value
        for section in (
            document.get("wires", {}),
            document.get("driver", {}),
            document.get("backward", {}).get("driver", {}),
        )
        for key, value in section.items()
        if key.endswith("_ohm")
    ]
    buildable = all(ohm == 0 or ohm >= 1e-6 for ohm in ohms)
    data = document.get("data", {})
    paired = data.get("name", "digits") != "file"  # what is drawn names no file
    cells = document.get("device", {})  # whose name is drawn empty
    spread = cells.get("d2d") or cells.get("sigma_step")
    named = cells.get("pair", "reference") == "reference" and not spread
    one = cells.get("devices_per_weight", 1) == 1
    counted = not one or cells.get("pulses_reach", "all") == "all"
    good = ordered and buildable and paired and named and counted
    assert answer in (("yes", "refused later") if good else ("no",))


SOME_IMAGES_FAIL = {4}
"""Chips of which ngspice, or the checks of what it gives, refuse an image."""


@pytest.mark.slow
@pytest.mark.ngspice
@pytest.mark.parametrize("number", range(10))
def test_a_random_chip_trains_and_verifies(number: int, tmp_path: Path) -> None:
    rng = np.random.default_rng([7, number])
    document = chip(rng)
    config = tmp_path / "chip.toml"
    config.write_text(tomli_w.dumps(document))
    trained = spiceloop("train", config, "-o", tmp_path / "run", "--json")
    assert trained.code == 0, (document, trained.err)
    verified = spiceloop("verify", tmp_path / "run", "--json")
    answer = json.loads(verified.out)
    if number in SOME_IMAGES_FAIL:
        assert verified.code == 1
        assert answer["failed"] > 0
        return
    assert verified.code == 0, (document, answer)
    assert answer["agreement"] == 1
    assert answer["exact_logit_max_lsb"] <= 1  # a code may fall on the edge of a step


def chip(rng: np.random.Generator) -> dict[str, Any]:
    """A chip that could be meant: every hardware key in the plausible part of its range."""

    def log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def integer(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    off_s = log(1e-9, 1e-5)
    return {
        "study": {"seed": integer(0, 2**40), "sample": integer(0, 100)},
        "data": {"name": str(rng.choice(["iris", "wine"]))},
        "network": {
            "hidden": [integer(1, 6) for _ in range(integer(0, 2))],
            "activation": str(rng.choice(["relu", "tanh", "sigmoid"])),
            "bias": bool(rng.integers(2)),
        },
        "cell": {
            "g_off_s": off_s, "g_on_s": off_s * log(1.1, 1e4), "sigma_program": rng.uniform(0, 0.5)
        },
        "wires": {
            "r_wordline_ohm": float(rng.choice([0.0, log(1e-3, 1e3)])),
            "r_bitline_ohm": float(rng.choice([0.0, log(1e-3, 1e3)])),
        },
        "tile": {"max_rows": integer(1, 20), "max_cols": integer(2, 20)},
        "driver": {
            "v_read_v": log(1e-3, 2), "r_driver_ohm": float(rng.choice([0.0, log(0.1, 1e4)])),
            "dac_bits": integer(1, 16),
        },
        "tia": {
            "open_loop_gain": log(10, 1e8), "v_rail_v": log(0.1, 10),
            "sigma_offset_v": rng.uniform(0, 0.02), "sigma_feedback": rng.uniform(0, 0.2),
        },
        "neuron": {"v_knee_v": log(1e-5, 0.1), "sigma_offset_v": rng.uniform(0, 0.02)},
        "adc": {
            "bits": integer(2, 16), "v_full_scale_v": log(0.05, 2),
            "sigma_offset_v": rng.uniform(0, 0.01), "sigma_gain": rng.uniform(0, 0.1),
        },
        "calibration": {"arrays": 1, "held_out_arrays": 1},
        "train": {"epochs": integer(1, 2), "batch_size": integer(1, 64) + 15},
        "verify": {"images": 3},
        "simulator": {"jobs": 1},
    }  # fmt: skip
