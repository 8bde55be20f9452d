"""A whole chip in ngspice: signs, order of outputs, bias and tiles, no matrix symmetric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compact_models.ohmic import OhmicCell
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from cosim.ngspice.bench import sweep_deck
from netlists.adcs.quantiser import AdcSpec
from netlists.chip import map_network
from netlists.drivers.level import DriverSpec
from netlists.graph import LinearStage
from netlists.hardware import TileSpec
from netlists.network import network_circuit
from netlists.neurons.spec import NeuronSpec
from netlists.readout.tia import TiaSpec
from tests.netlists.decks import assert_only_known_cards, cards, subcircuits
from workflows.config import Config
from workflows.wires_file import WiresSpec

GOLDEN = Path(__file__).parent / "golden" / "two_by_two.cir"

# A chip without any error, so fine that a code is the number that the network computes.
PERFECT = Config(
    cell=OhmicCell(sigma_program=0),
    wires=WiresSpec(r_wordline_ohm=0, r_bitline_ohm=0),
    driver=DriverSpec(r_driver_ohm=0, dac_bits=16),
    tia=TiaSpec(open_loop_gain=1e9, v_rail_v=100, sigma_offset_v=0, sigma_feedback=0),
    neuron=NeuronSpec(v_knee_v=1e-6, sigma_offset_v=0),
    adc=AdcSpec(bits=16, sigma_offset_v=0, sigma_gain=0),
)
WEIGHT = np.array([[1.0, 0.0, -0.5], [0.25, 2.0, -1.0]])
BIAS = np.array([0.5, -0.25])
X = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1], [0.25, 0.5, 1]], dtype=float)


def logits(
    config: Config, stages: tuple[LinearStage, ...], x: np.ndarray, ngspice: Ngspice
) -> tuple[np.ndarray, float]:
    """What ngspice's codes say in the network's own numbers, and what one code stands for."""
    # Repeated, so that the range is planned for the largest value itself: nothing is clipped.
    chip = map_network(
        stages,
        config.hardware,
        np.repeat(x, 400, axis=0),
        seed=config.study.seed,
        sample=config.study.sample,
    )
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [record.outcome for record in read.simulations] == ["ok"]
    last = chip.plans[-1]
    lsb = last.output_scale / (2 ** (config.adc.bits - 1) - 1)
    return read.codes * lsb, lsb


@pytest.mark.ngspice
@pytest.mark.parametrize("bias", [BIAS, None], ids=["bias", "no bias"])
@pytest.mark.parametrize("tile", [TileSpec(), TileSpec(max_rows=1, max_cols=2),
                                  TileSpec(max_rows=3, max_cols=3)])  # fmt: skip
def test_codes_are_the_product_with_its_signs_and_its_order(
    bias: np.ndarray | None, tile: TileSpec, ngspice: Ngspice
) -> None:
    config = PERFECT.model_copy(update={"tile": tile})
    stages = (LinearStage("net", WEIGHT, bias, "identity"),)
    found, lsb = logits(config, stages, X, ngspice)
    assert found == pytest.approx(X @ WEIGHT.T + (0 if bias is None else bias), abs=2 * lsb)


@pytest.mark.ngspice
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_two_layers_compute_the_network(activation: str, ngspice: Ngspice) -> None:
    second = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]])
    stages = (
        LinearStage("one", WEIGHT, BIAS, activation),
        LinearStage("two", second, np.array([0.1, -0.2, 0.3]), "identity"),
    )
    found, lsb = logits(PERFECT, stages, X, ngspice)
    hidden = X @ WEIGHT.T + BIAS
    hidden = {
        "relu": np.maximum(hidden, 0), "tanh": np.tanh(hidden), "sigmoid": 1 / (1 + np.exp(-hidden))
    }[activation]  # fmt: skip
    assert found == pytest.approx(hidden @ second.T + [0.1, -0.2, 0.3], abs=20 * lsb)


@pytest.mark.ngspice
def test_inputs_of_both_signs_keep_their_signs(ngspice: Ngspice) -> None:
    stages = (LinearStage("net", WEIGHT, BIAS, "identity"),)
    found, lsb = logits(PERFECT, stages, X * [1, -1, 0.5], ngspice)
    assert found == pytest.approx((X * [1, -1, 0.5]) @ WEIGHT.T + BIAS, abs=4 * lsb)


def golden_text() -> str:
    """The deck of a 2-2 network, small enough to be reviewed line by line."""
    exact = PERFECT.model_copy(
        update={
            "wires": WiresSpec(r_wordline_ohm=2, r_bitline_ohm=0.5),
            "driver": DriverSpec(),
            "tia": TiaSpec(sigma_offset_v=0, sigma_feedback=0),
            "adc": AdcSpec(bits=8, sigma_offset_v=0, sigma_gain=0),
        }
    )
    weight, x = np.array([[1.0, 0.0], [0.25, -0.5]]), np.array([[0.0, 1.0], [0.5, 1.0]])
    chip = map_network(
        (LinearStage("fc", weight, np.array([0.0, 0.5]), "relu"),),
        exact.hardware,
        x,
        seed=exact.study.seed,
        sample=exact.study.sample,
    )
    circuit = network_circuit(chip, title="golden: 2-2", header=("reviewed by hand",))
    return sweep_deck(circuit, ["in_0", "in_1"], x, name="golden").text


def test_the_deck_of_a_tiny_network_is_the_reviewed_one() -> None:
    """After an intended change: write `golden_text()` to the file and review the difference."""
    assert golden_text() == GOLDEN.read_text()


def test_the_pair_of_a_weight_and_the_bias_row_stand_where_they_should() -> None:
    """Read from the reviewed deck: w = weight scale (G+ - G-)/(g_on - g_off), plus first."""
    tile = subcircuits(GOLDEN.read_text())["layer_0_tile_0"]
    cells = {
        card.split()[0]: float(card.partition("g=")[2]) for card in tile if card.startswith("x")
    }
    weights = [
        [(cells[f"xcell_{row}_{2 * out}"] - cells[f"xcell_{row}_{2 * out + 1}"]) / 99e-6
         for out in range(2)] for row in range(3)
    ]  # fmt: skip
    assert np.array(weights) == pytest.approx(np.array([[1, 0.25], [0, -0.5], [0, 0.5]]), abs=1e-12)
    layer = subcircuits(GOLDEN.read_text())["layer_0"]
    assert [card for card in layer if card.startswith("bsum")] == [
        "bsum_0 sum_0 0 V=V(v_0_1)-V(v_0_0)", "bsum_1 sum_1 0 V=V(v_0_3)-V(v_0_2)",
    ]  # fmt: skip
    assert any(card.startswith("xdriver_0_2 one wl_0_2 ") for card in layer)


def test_no_resistor_of_the_deck_is_zero_where_wires_and_drivers_are() -> None:
    chip = map_network(
        (LinearStage("fc", WEIGHT, BIAS, "relu"),),
        PERFECT.hardware,
        X,
        seed=PERFECT.study.seed,
        sample=PERFECT.study.sample,
    )
    text = sweep_deck(network_circuit(chip, title="t"), ["in_0", "in_1", "in_2"], X, name="t").text
    assert_only_known_cards(text)
    resistors = [card.split() for card in cards(text) if card.startswith("r")]
    assert "r_driver" not in text
    assert {words[0] for words in resistors} == {"rcell", "rin"}
