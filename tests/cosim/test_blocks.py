"""Blocks of the periphery in ngspice, against the physics that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from netlists.adcs import quantiser
from netlists.adcs.quantiser import AdcSpec
from netlists.circuit import BehaviouralCurrent, Circuit, Instance
from netlists.drivers import level
from netlists.drivers.level import DriverSpec
from netlists.readout import tia
from netlists.readout.tia import TiaSpec

pytestmark = pytest.mark.ngspice


def _sweep(
    circuit: Circuit, values: np.ndarray, signals: list[str], ngspice: Ngspice
) -> np.ndarray:
    deck = sweep_deck(circuit, ["drive"], values[:, None], name="bench")
    return run_deck(deck, ngspice, timeout_s=60).plot.matrix(signals)


def test_the_closed_form_amplifier_is_the_op_amp_loop(ngspice: Ngspice) -> None:
    """Currents, offsets and low gains; rails far away, where the two are the same circuit."""
    spec = TiaSpec(open_loop_gain=1e4, v_rail_v=100)
    parameters = {"rf": 5e3, "vos": 3e-3}
    blocks = (tia.subcircuit(spec), tia.loop_subcircuit(spec))
    items = []
    for k, block in enumerate(blocks):
        items.append(BehaviouralCurrent(f"bin{k}", "0", f"in{k}", "V(drive)*1e-4"))
        items.append(Instance(f"x{k}", block.name, (f"in{k}", f"out{k}"), parameters))
    circuit = Circuit("two amplifiers", blocks, tuple(items))
    drive = np.linspace(-1, 1, 21)
    out = _sweep(circuit, drive, ["v(in0)", "v(in1)", "v(out0)", "v(out1)"], ngspice)
    np.testing.assert_allclose(out[:, 0], out[:, 1], rtol=1e-9, atol=1e-12)
    # tanh at half a per cent of its rails bends by 8e-6.
    np.testing.assert_allclose(out[:, 2], out[:, 3], rtol=1e-5, atol=1e-9)
    # Inverting: current into the input pulls the output down, by Rf per ampere.
    slope = np.polyfit(drive * 1e-4, out[:, 3], 1)[0]
    assert slope == pytest.approx(-5e3, rel=1e-3)


def test_an_amplifier_stays_between_its_rails(ngspice: Ngspice) -> None:
    spec = TiaSpec(v_rail_v=1.2)
    items = (
        BehaviouralCurrent("bin", "0", "in", "V(drive)*1e-3"),
        Instance("x0", "tia", ("in", "out"), {"rf": 1e4, "vos": 0.0}),
    )
    circuit = Circuit("amplifier", (tia.subcircuit(spec),), items)
    out = _sweep(circuit, np.linspace(-1, 1, 41), ["v(out)"], ngspice)[:, 0]
    assert np.abs(out).max() < 1.2 * (1 + 1e-12)
    assert np.abs(out).max() > 1.19
    assert (np.diff(out) <= 0).all()


@pytest.mark.parametrize("signed", [False, True])
def test_a_converter_counts_its_steps(signed: bool, ngspice: Ngspice) -> None:
    """Each code is met, once, in order; edges half a step from full numbers."""
    spec = AdcSpec(bits=4, v_full_scale_v=1.5 if not signed else 0.7)
    block = quantiser.subcircuit(spec, signed=signed)
    circuit = Circuit("adc", (block,), (Instance("x0", block.name, ("drive", "code"), {}),))
    volts = np.linspace(-1.0, 2.0, 3001)
    measured = _sweep(circuit, volts, ["v(code)"], ngspice)[:, 0]
    code = np.rint(measured)  # a node voltage carries the solver's rounding
    np.testing.assert_allclose(measured, code, atol=1e-12)
    low, high = (-8, 7) if signed else (0, 15)
    assert list(np.unique(code)) == list(range(low, high + 1))
    assert (np.diff(code) >= 0).all()
    edges = volts[1:][np.diff(code) > 0]
    lsb = 0.1  # both ranges were chosen so
    np.testing.assert_allclose(edges, lsb * (np.arange(low + 1, high + 1) - 0.5), atol=2e-3)


def test_a_driver_has_steps_limits_and_resistance(ngspice: Ngspice) -> None:
    spec = DriverSpec(v_read_v=0.3, r_driver_ohm=200, dac_bits=2)
    block = level.subcircuit(spec, signed=False)
    load = BehaviouralCurrent("bload", "wl", "0", "V(wl)/600")
    circuit = Circuit(
        "driver", (block,), (Instance("x0", block.name, ("drive", "wl"), {"code_full": 6.0}), load)
    )
    codes = np.array([-2.0, 0.0, 0.9, 1.1, 2.0, 4.0, 6.0, 9.0])
    out = _sweep(circuit, codes, ["v(wl)"], ngspice)[:, 0]
    steps = np.array([0, 0, 0, 1, 1, 2, 3, 3])  # of three, a third of 6 each, halves rounded up
    np.testing.assert_allclose(out, 0.1 * steps * 600 / 800, rtol=1e-9, atol=1e-12)
