"""A chip in its backward phase in ngspice: signs, order of inputs, tiles; the cells of forward."""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.errors import InputError
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from netlists.adcs.quantiser import AdcSpec
from netlists.backward.circuit import backward_circuit, backward_ports, layer_ports
from netlists.backward.drawn import draw_backward
from netlists.backward.scale import product_at_full_code
from netlists.backward.spec import BackwardSpec
from netlists.chip import Chip, map_network
from netlists.dialects.ngspice import render
from netlists.drivers.level import DriverSpec
from netlists.graph import LinearStage
from netlists.hardware import Hardware, TileSpec
from netlists.network import network_circuit
from netlists.readout.tia import TiaSpec
from tests.netlists.decks import assert_only_known_cards, subcircuits
from tests.netlists.test_network_deck import BIAS, PERFECT, WEIGHT, X

# Backward circuits without any error, so fine that a code is the product that they compute.
FLAWLESS = BackwardSpec(
    driver=DriverSpec(r_driver_ohm=0, dac_bits=16),
    tia=TiaSpec(open_loop_gain=1e9, v_rail_v=100, sigma_offset_v=0, sigma_feedback=0),
    adc=AdcSpec(bits=16, sigma_offset_v=0, sigma_gain=0),
)
SECOND = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]])
D = np.array([[1, 0], [0, 1], [-1, 0.5], [0.25, -1], [0, 0]], dtype=float)
D_SECOND = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-0.5, 1, 0.25], [1, 1, -1]], dtype=float)


def chip_of(hardware: Hardware, bias: np.ndarray | None = BIAS) -> Chip:
    """3-2-3, no matrix symmetric."""
    stages = (
        LinearStage("one", WEIGHT, bias, "tanh"),
        LinearStage("two", SECOND, None, "identity"),
    )
    return map_network(stages, hardware, np.repeat(X, 100, axis=0), seed=0, sample=0)


def codes_of(chip: Chip, d: np.ndarray, ngspice: Ngspice) -> list[np.ndarray]:
    """The codes of every layer's inputs, [vector, in], for errors [vector, out] side by side."""
    drawn = draw_backward(chip.hardware, chip.plans, seed=0, sample=0)
    circuit = backward_circuit(chip, drawn, title="backward")
    deck = sweep_deck(circuit, backward_ports(chip)[0], d, name="backward")
    plot = run_deck(deck, ngspice, timeout_s=60).plot
    return [
        plot.matrix([f"v({name})" for name in layer_ports(plan, k)[1]])
        for k, plan in enumerate(chip.plans)
    ]


@pytest.mark.ngspice
@pytest.mark.parametrize("bias", [BIAS, None], ids=["bias", "no bias"])
@pytest.mark.parametrize("tile", [TileSpec(), TileSpec(max_rows=1, max_cols=2),
                                  TileSpec(max_rows=2, max_cols=4)])  # fmt: skip
def test_codes_are_the_products_with_the_errors(
    bias: np.ndarray | None, tile: TileSpec, ngspice: Ngspice
) -> None:
    hardware = PERFECT.hardware.model_copy(update={"tile": tile, "backward": FLAWLESS})
    chip = chip_of(hardware, bias)
    found = codes_of(chip, np.concatenate([D, D_SECOND], axis=1), ngspice)
    for layer, d, weight in ((0, D, WEIGHT), (1, D_SECOND, SECOND)):
        lsb = product_at_full_code(hardware, chip.plans[layer]) / (2**15 - 1)
        assert found[layer] * lsb == pytest.approx(d @ weight, abs=2 * abs(lsb))


def test_cells_and_wires_are_the_blocks_of_the_forward_circuit() -> None:
    hardware = Hardware(tile=TileSpec(max_rows=2, max_cols=4))
    chip = chip_of(hardware)
    drawn = draw_backward(hardware, chip.plans, seed=0, sample=0)
    back = render(backward_circuit(chip, drawn, title="t"))
    forward, backward = subcircuits(render(network_circuit(chip, title="t"))), subcircuits(back)
    tiles = [name for name in forward if "_tile_" in name]
    assert len(tiles) == 2 * 1 + 1 * 2
    assert all(backward[name] == forward[name] for name in (*tiles, "cell"))
    assert {name for name in backward if "_tile_" in name} == set(tiles)
    inputs = [f"d{k}_{out}" for k, count in ((0, 2), (1, 3)) for out in range(count)]
    assert_only_known_cards(
        sweep_deck(
            backward_circuit(chip, drawn, title="t"), inputs, np.zeros((2, 5)), name="t"
        ).text
    )


def test_what_is_drawn_backward_is_drawn_apart_and_again_for_another_chip() -> None:
    spec = BackwardSpec(driver=DriverSpec(sigma_gain=0.1, sigma_offset_v=0.01))
    hardware = Hardware(backward=spec, driver=spec.driver)
    chip = chip_of(hardware)
    one, again, other = (
        draw_backward(hardware, chip.plans, seed=0, sample=sample)[0] for sample in (0, 0, 1)
    )
    tile, forward = one.tiles[0], chip.periphery[0].tiles[0]
    assert tile.r_feedback_ohm.shape == tile.v_offset_v.shape == (4,)  # word lines, with the bias
    assert tile.driver_gain.shape == tile.driver_offset_v.shape == (4,)  # bit lines
    assert one.adc_gain.shape == one.adc_offset_v.shape == (3,)
    for name in ("v_offset_v", "driver_gain", "driver_offset_v"):
        assert np.array_equal(getattr(tile, name), getattr(again.tiles[0], name))
        assert not np.isin(getattr(tile, name), getattr(other.tiles[0], name)).any()
        assert not np.isin(getattr(tile, name), getattr(forward, name)).any()


def test_ranges_that_ask_for_amplifiers_nobody_builds_are_refused() -> None:
    hardware = Hardware(backward=BackwardSpec(adc=AdcSpec(v_full_scale_v=1e-12)))
    plans = chip_of(hardware).plans
    with pytest.raises(InputError, match=r"layer_0 .one., backward.*feedback that nobody builds"):
        draw_backward(hardware, plans, seed=0, sample=0)
