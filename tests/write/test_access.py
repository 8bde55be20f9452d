"""Arrays with a selector or a transistor before every memristor: torch against ngspice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compact_models.errors import InputError
from cosim.driven.ode import run_ode
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.ngspice import Ngspice, Outcome
from netlists.access import Selector, Transistor
from tests.write.test_array_torch import COL, ROW, SHAPE, fractions, half_selected

RAMP = np.array([0.0, 1.0, 1.0, 0.0])
SELECTOR = Selector(i_0_a=1e-6, v_0_v=0.1)
TRANSISTOR = Transistor(threshold_v=0.5, i_spec_a=2e-5)


def by_gates(array: PulsedArray, volts: float, gate_v: float) -> PulsedArray:
    """The same cell through its row's gates: no line is below 0 V, other columns are inhibited."""
    word, bit, gate = np.zeros((SHAPE[0], 4)), np.zeros((SHAPE[1], 4)), np.zeros((SHAPE[0], 4))
    gate[ROW] = gate_v
    if volts > 0:
        word[ROW] = volts * RAMP
        bit[:] = volts * RAMP
        bit[COL] = 0.0
    else:
        bit[COL] = -volts * RAMP
    return replace(array, word_v=word, bit_v=bit, gate_v=gate, access=TRANSISTOR)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("name", "chosen", "volts", "access"),
    [
        # The SET takes the voltage away from the memristor: it ends at its threshold, midway.
        pytest.param("vteam", "sine", -1.0, "selector", marks=pytest.mark.slow),
        ("vteam", "sine", 1.5, "selector"),
        pytest.param("vteam", "sine", -1.0, "transistor", marks=pytest.mark.slow),
        ("stanford", "sky130", 2.2, "transistor"),
    ],
)
def test_every_cell_ends_where_ngspice_has_it(
    ngspice: Ngspice, name: str, chosen: str, volts: float, access: str
) -> None:
    array = half_selected(name, chosen, volts, 1e-7)
    if access == "selector":
        array = replace(array, access=SELECTOR)
    else:
        array = by_gates(array, volts, gate_v=2.0)
    known = run_spice(array, ngspice, steps=1000, energy=True)
    assert known.outcome is Outcome.OK, known.reason
    found = run_ode(array)
    assert not found.failed
    (state,) = array.initial
    was = fractions(array, state, array.start(state))
    wanted = fractions(array, state, known.states[state])
    got = fractions(array, state, found.states[state])
    np.testing.assert_allclose(got, wanted, atol=5e-4)
    largest = np.abs(known.word_a).max()
    np.testing.assert_allclose(found.word_a, known.word_a, atol=2e-3 * largest)
    if name == "vteam":
        assert abs(wanted[ROW, COL] - was[ROW, COL]) > 0.1
        # Without what stands before it the memristor would have gone another way.
        bare = replace(array, access=None, gate_v=None)
        alone = fractions(array, state, run_ode(bare).states[state])
        assert np.nanmax(np.abs(alone - wanted)) > 0.02
    # What the cells take is what the sources give, but for the wires; by each engine.
    assert found.energy_j == pytest.approx(known.energy_j, abs=3e-3 * known.energy_j.max())
    assert found.given_j == pytest.approx(known.given_j, rel=3e-3)


def test_a_gate_line_for_transistors_and_for_nothing_else() -> None:
    array = half_selected("vteam", "sine", 1.0, 1e-7)
    with pytest.raises(InputError, match="gate_v"):
        replace(array, access=TRANSISTOR)
    with pytest.raises(InputError, match="gate_v"):
        replace(array, gate_v=array.word_v)
    with pytest.raises(InputError, match=r"gate_v.*\(5, 4\)"):
        replace(array, access=TRANSISTOR, gate_v=array.bit_v)


@pytest.mark.ngspice
def test_a_driver_has_its_resistance_in_both_engines(ngspice: Ngspice) -> None:
    bare = half_selected("vteam", "sine", -1.0, 1e-7)
    array = replace(bare, r_word_driver_ohm=230.0, r_bit_driver_ohm=160.0)
    known = run_spice(array, ngspice, steps=1000, energy=True)
    found = run_ode(array)
    wanted = fractions(array, "w", known.states["w"])
    np.testing.assert_allclose(fractions(array, "w", found.states["w"]), wanted, atol=5e-4)
    stiff = run_ode(bare)
    assert np.nanmax(np.abs(fractions(array, "w", stiff.states["w"]) - wanted)) > 0.02
    assert found.energy_j == pytest.approx(known.energy_j, abs=3e-3 * known.energy_j.max())
    with pytest.raises(InputError, match="r_bit_driver_ohm"):
        replace(array, r_bit_driver_ohm=-1.0)
