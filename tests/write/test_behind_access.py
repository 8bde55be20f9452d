"""Amplitudes of whole cells, against the series circuit solved by itself and against whole pulses.

The circuit is solved with the access devices' published equations, the transistor's with all
voltages against its bulk: which of its ends is the source is nowhere said here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq

from cosim.driven.ode import ode_engine, run_ode
from cosim.driven.writable import WritableArray
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import AmplitudeRule, History, Predicted
from cosim.write.behind_access import BehindAccess
from cosim.write.verify import MeanDevice, VerifySpec, Written, write_verify
from netlists.access import Access, Selector, Transistor
from netlists.wires import Wires
from netlists.write_schemes import find_scheme
from tests.write.tables import kept_table
from tests.write.test_amplitudes import MODEL, NUMBERS, PULSE

Array = NDArray[np.float64]
TWO_U = 2 * 1.380649e-23 * 300.0 / 1.602176634e-19
SELECTOR = Selector(i_0_a=1e-8, v_0_v=0.05)
TRANSISTOR = Transistor(threshold_v=0.4, i_spec_a=1e-7, slope=1.4)
BOTH = pytest.mark.parametrize("access", [SELECTOR, TRANSISTOR], ids=["selector", "transistor"])
SIGNS = pytest.mark.parametrize("sign", [1, -1])
GATE_V, HIGHEST_V = 2.7, 3.0


@cache
def surrogate(scale: float = 1.0) -> UpdateSurrogate:
    """Of the device, all of its currents multiplied by `scale`."""
    own = dict(NUMBERS.values)
    numbers = replace(NUMBERS, values=own | {k: own[k] / scale for k in ("r_on", "r_off")})
    return kept_table(MODEL, numbers, PULSE, (-1.2, 1.2))


def rule_for(access: Access, gates_v: tuple[float, float] = (GATE_V, GATE_V)) -> BehindAccess:
    one = surrogate()
    gates = gates_v if access.has_gate else None
    return BehindAccess(Predicted(one, one), access, one, one, gates, HIGHEST_V)


def cell_v(access: Access, volts: Array, siemens: Array, gate_v: float = GATE_V) -> Array:
    given = torch.from_numpy(volts), torch.from_numpy(siemens * volts)
    return rule_for(access).cell_v(*given, gate_v).numpy()


def current_a(access: Access, word_v: float, inner_v: float, gate_v: float) -> float:
    """From the word line to the memristor, as the access devices' docstrings have it."""
    if isinstance(access, Selector):
        return float(access.i_0_a * np.sinh((word_v - inner_v) / access.v_0_v))
    pinch_v = (gate_v - access.threshold_v) / access.slope
    source, drain = (np.logaddexp(0, (pinch_v - v) / TWO_U) ** 2 for v in (inner_v, word_v))
    return float(access.i_spec_a * (source - drain))


def device_v(access: Access, whole_v: float, siemens: float, gate_v: float = GATE_V) -> float:
    """What a resistor in the memristor's place has, no line being below 0 V."""
    word_v, bit_v = max(whole_v, 0.0), max(-whole_v, 0.0)

    def off(inner_v: float) -> float:
        return current_a(access, word_v, inner_v, gate_v) - siemens * (inner_v - bit_v)

    return float(brentq(off, 0.0, abs(whole_v), xtol=1e-14, rtol=1e-14)) - bit_v


def history(streak: int, count: int, share: float = 1.0) -> History:
    return History(np.full(count, streak, dtype=np.int64), np.full(count, share))


VOLTS, SIEMENS = (x.ravel() for x in np.meshgrid([0.25, 0.5, 0.75, 0.9], [1e-6, 8e-6, 1.5e-5]))


@BOTH
@SIGNS
def test_the_series_circuit_leaves_the_memristor_what_was_asked_for(
    access: Access, sign: int
) -> None:
    whole = cell_v(access, sign * VOLTS, SIEMENS)
    assert (np.sign(whole) == sign).all()
    assert (np.abs(whole) < HIGHEST_V).all()
    assert (np.abs(whole) - VOLTS).max() > 0.1  # the access device does take something
    got = [device_v(access, float(v), float(g)) for v, g in zip(whole, SIEMENS, strict=True)]
    np.testing.assert_allclose(got, sign * VOLTS, atol=1e-9)


@BOTH
@SIGNS
def test_a_whole_cell_under_its_scheme_carries_the_current(access: Access, sign: int) -> None:
    """The engine's operating point, a stuck cell in the memristor's place in the first row."""
    name, gate_v = ("1t1r", GATE_V) if access.has_gate else ("1s1r", None)
    for volts, siemens in ((0.4, 2e-6), (0.9, 1.5e-5)):
        whole = cell_v(access, np.array([sign * volts]), np.array([siemens]))
        stuck_s, w = np.array([[siemens], [np.nan]]), np.array([[np.nan], [1.5e-9]])
        cells = WritableArray(MODEL, NUMBERS, Wires(), {"w": w}, stuck_s=stuck_s, access=access)
        levels = find_scheme(name).levels(np.array([whole, [0.0]]), gate_v=gate_v)
        found = run_ode(cells.under(levels, PULSE))
        assert not found.failed
        assert found.word_a[0, 1] == pytest.approx(sign * volts * siemens, rel=1e-4)  # 1 ohm wires


def test_a_transistor_needs_more_where_the_memristor_is_its_source() -> None:
    up, down = (np.abs(cell_v(TRANSISTOR, sign * VOLTS, SIEMENS)) for sign in (1, -1))
    assert (up > down).all()
    assert (up - down).max() > 0.15
    # The one in the other's place leaves the memristor another voltage.
    assert device_v(TRANSISTOR, float(-up[-1]), float(SIEMENS[-1])) < -VOLTS[-1] - 0.05
    assert device_v(TRANSISTOR, float(down[-1]), float(SIEMENS[-1])) < VOLTS[-1] - 0.05
    # A selector is the same both ways; a gate that is further open needs less.
    assert (cell_v(SELECTOR, -VOLTS, SIEMENS) == -cell_v(SELECTOR, VOLTS, SIEMENS)).all()
    assert (np.abs(cell_v(TRANSISTOR, -VOLTS, SIEMENS, gate_v=4.0)) < down).all()


@BOTH
@SIGNS
def test_what_cannot_be_reached_gets_the_highest_voltage(access: Access, sign: int) -> None:
    volts = np.array([2.9, 3.5])
    siemens = np.array([1e-3, 1e-6])  # too much for the access device; more than the highest
    assert cell_v(access, sign * volts, siemens).tolist() == [sign * HIGHEST_V] * 2
    assert abs(device_v(access, sign * HIGHEST_V, 1e-3)) < 2.9
    if access.has_gate:  # from a rule as well: a gate that is closed lets nothing through
        now, goal = np.array([0.2, 0.8]), np.array([0.8, 0.2])
        found = rule_for(access, (0.0, 0.0))(now, goal, history(0, 2))
        assert found.tolist() == [HIGHEST_V, -HIGHEST_V]


@BOTH
def test_a_rule_takes_the_current_of_the_memristor_at_rest(access: Access) -> None:
    """Below its thresholds VTEAM is a resistor: the circuit is known to the end."""
    quiet = Predicted(surrogate(), surrogate(), limits_v=(-0.35, 0.3))
    rule = replace(rule_for(access, (2.0, 1.2)), bare=quiet)
    now, goal = np.array([0.05, 0.5, 0.1, 0.7]), np.array([0.6, 0.9, 0.02, 0.1])
    whole = rule(now, goal, history(0, 4))
    r_on, r_off = NUMBERS.values["r_on"], NUMBERS.values["r_off"]
    siemens = 1 / (r_on + (r_off - r_on) * now)
    for k, (wanted, gate_v) in enumerate([(0.3, 2.0), (0.3, 2.0), (-0.35, 1.2), (-0.35, 1.2)]):
        assert device_v(access, whole[k], siemens[k], gate_v) == pytest.approx(wanted, abs=1e-3)


def test_each_direction_has_its_own_gate_and_its_own_currents() -> None:
    now, goal = np.array([0.1, 0.1]), np.array([0.3, 0.05])
    known = (rule := rule_for(TRANSISTOR))(now, goal, history(0, 2))
    doubled = replace(rule, raising=surrogate(2.0)), replace(rule, lowering=surrogate(2.0))
    for k in (0, 1):
        double = doubled[k](now, goal, history(0, 2)) / known
        gates_v = (GATE_V + 1 - k, GATE_V + k)
        wider = rule_for(TRANSISTOR, gates_v)(now, goal, history(0, 2)) / known
        assert double[k] > 1.02
        assert wider[k] < 0.99
        assert double[1 - k] == wider[1 - k] == 1.0


@BOTH
def test_each_further_pulse_of_a_streak_is_higher_up_to_the_highest(access: Access) -> None:
    now, goal = np.array([0.3, 0.7]), np.array([0.6, 0.2])
    size = np.abs([rule_for(access)(now, goal, history(k, 2)) for k in (*range(12), 500)])
    rising = size[:-1][(size[:-1] < HIGHEST_V).all(1)]
    assert len(rising) >= 7
    assert (np.diff(rising, axis=0) > 0).all()
    np.testing.assert_allclose(size[1], size[0], rtol=5e-3)  # gently at first
    more = rising[1:] - rising[0]
    assert (more[1:] >= 2 * more[:-1]).all()  # and faster and faster
    assert (size[-1] == HIGHEST_V).all()
    # What a memristor has been seen to get is no matter of its own here.
    np.testing.assert_array_equal(np.abs(rule_for(access)(now, goal, history(0, 2, 0.7))), size[0])


@pytest.mark.slow
@BOTH
def test_an_array_is_written_with_few_pulses_and_not_by_the_bare_rule(access: Access) -> None:
    rng = np.random.default_rng(4)
    wires = Wires(r_wordline_ohm=2, r_bitline_ohm=2)
    bare = WritableArray(MODEL, NUMBERS, wires, {"w": np.zeros((3, 4))}, access=access)
    array = bare.at_conductance(rng.uniform(2e-6, 1.8e-5, (3, 4)), 0.1)
    target_s, gate_v = rng.uniform(2e-6, 1.8e-5, (3, 4)), GATE_V if access.has_gate else None
    spec = VerifySpec(
        tolerance_s=MeanDevice.of(array, 0.1).range_s / 60, most_pulses=8, rounds=1,
        gate_raise_v=gate_v, gate_lower_v=gate_v,
    )  # fmt: skip

    def written(rule: AmplitudeRule) -> Written:
        scheme, engine = find_scheme("1t1r" if access.has_gate else "1s1r"), ode_engine()
        return write_verify(array, target_s, scheme, (PULSE, PULSE), engine, rule, spec)

    with_it, without = written(rule_for(access)), written(Predicted(surrogate(), surrogate()))
    assert not with_it.failed
    assert np.abs(with_it.conductance_s - target_s).max() <= spec.tolerance_s
    assert without.ledger.pulses.sum() > 2 * with_it.ledger.pulses.sum()
    assert with_it.ledger.pulses.max() <= 3


@SIGNS
@pytest.mark.parametrize("gate_v", [2.7, 2.0])
def test_cells_of_one_row_do_not_close_each_others_transistors(sign: int, gate_v: float) -> None:
    """The bit line of a cell that needs less than its neighbour lies above 0 V, and its source."""
    volts, siemens = sign * np.array([0.9, 0.45, 0.2]), np.array([2e-6, 1e-5, 3e-6])
    rule, given = rule_for(TRANSISTOR), (torch.from_numpy(volts), torch.from_numpy(siemens * volts))
    line_v = float(rule.cell_v(*given, gate_v).abs().max())
    whole = rule.cell_v(*given, gate_v, line_v).numpy()
    cells = WritableArray(
        MODEL, NUMBERS, Wires(r_wordline_ohm=0, r_bitline_ohm=0), {"w": np.full((1, 3), np.nan)},
        stuck_s=siemens[None], access=TRANSISTOR,
    )  # fmt: skip
    found = run_ode(cells.under(find_scheme("1t1r").levels(whole[None], gate_v=gate_v), PULSE))
    assert not found.failed
    np.testing.assert_allclose(found.bit_a[:, 1], -siemens * volts, rtol=1e-3)
    alone = rule.cell_v(*given, gate_v).numpy()
    if sign > 0:
        assert (whole[1:] > alone[1:] + 0.005).all()
    else:
        np.testing.assert_allclose(whole, alone, rtol=1e-9)
