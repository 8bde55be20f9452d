"""Cells that switch at voltages of their own and pulses that are never the same."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cosim.driven.ode import ode_engine
from cosim.driven.table import MOST_SIGMA, Spread, draw_spread, table_engine
from cosim.driven.writable import WritableArray
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import quiet_rule
from netlists.wires import Wires
from netlists.write_schemes import find_scheme
from tests.write.tables import kept_table
from tests.write.test_amplitudes import MODEL, NUMBERS, PULSE

SHAPE = (4, 5)
RANGE_M = 3e-9


@cache
def surrogate() -> UpdateSurrogate:
    return kept_table(MODEL, NUMBERS, PULSE, (-1.4, 1.4))


def cells() -> WritableArray:
    bare = WritableArray(MODEL, NUMBERS, Wires(r_wordline_ohm=0, r_bitline_ohm=0), {})
    return bare.at_fractions(np.random.default_rng(3).uniform(0.2, 0.8, SHAPE))


def selected(level_v: float) -> np.ndarray:
    amplitude_v = np.zeros(SHAPE)
    amplitude_v[1] = level_v
    return amplitude_v


@pytest.mark.parametrize("level_v", [0.9, -0.95])
def test_a_cell_with_thresholds_of_its_own_moves_as_by_its_equations(level_v: float) -> None:
    """VTEAM's rate is one of v over its threshold: less of this is more of that."""
    gain = np.random.default_rng(8).uniform(0.85, 1.25, SHAPE)
    array = cells()
    stimulus = array.under(find_scheme("v2").levels(selected(level_v)), PULSE)
    ours = table_engine(surrogate(), spread=Spread(gain, 0.0, 0, 0, "array"))(stimulus)
    own = {name: NUMBERS.values[name] / gain for name in ("v_on", "v_off")}
    theirs = ode_engine(tolerance=1e-5)(replace(stimulus, values=own))
    moved = (theirs.states["w"] - array.states["w"]) / RANGE_M
    assert np.ptp(moved[1]) > 0.01  # they differ
    np.testing.assert_allclose(
        ours.states["w"], theirs.states["w"], rtol=0, atol=0.02 * np.abs(moved).max() * RANGE_M
    )
    np.testing.assert_allclose(ours.energy_j, theirs.energy_j, rtol=0.03)


def test_steps_differ_from_pulse_to_pulse_and_are_the_same_again() -> None:
    array = cells()
    stimulus = array.under(find_scheme("v2").levels(selected(0.55)), PULSE)
    mean = table_engine(surrogate())(stimulus).states["w"] - array.states["w"]
    spread = Spread(np.ones(SHAPE), 0.2, 7, 1, "tile")
    one, other = (table_engine(surrogate(), spread=spread) for _ in range(2))
    steps = [one(stimulus).states["w"] - array.states["w"] for _ in range(300)]
    again = [other(stimulus).states["w"] - array.states["w"] for _ in range(2)]
    np.testing.assert_array_equal(steps[:2], again)
    shares = np.array(steps)[:, 1] / mean[1]
    assert np.abs(np.array(steps)[:, 0]).max() == 0  # a cell at rest has no noise
    assert shares.std() == pytest.approx(0.2, rel=0.05)
    assert shares.mean() == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(shares[:, 0], shares[:, 1])[0, 1]) < 0.2


def test_draws_are_of_the_seed_and_never_beyond_the_tables() -> None:
    def drawn(path: str) -> np.ndarray:
        return draw_spread(
            (300, 300), sigma_switching=0.1, sigma_step=0.0, seed=3, sample=0, path=path
        ).gain

    gain = drawn("tile")
    np.testing.assert_array_equal(gain, drawn("tile"))
    assert np.log(gain).std() == pytest.approx(0.1, rel=0.02)
    assert np.abs(np.log(gain)).max() <= MOST_SIGMA * 0.1 * (1 + 1e-12)
    other = drawn("other")
    assert abs(np.corrcoef(gain.ravel(), other.ravel())[0, 1]) < 0.02


def test_the_rule_leaves_the_most_willing_cell_in_peace() -> None:
    """Half of the highest amplitude moves no cell, not the one that switches a quarter earlier."""
    part, gain = find_scheme("v2").half_selected, 1.25
    plain = quiet_rule(surrogate(), part).limits_v
    careful = quiet_rule(surrogate(), part, most_gain=gain).limits_v
    assert plain is not None
    assert careful is not None
    assert careful[1] < plain[1] or careful[0] > plain[0]
    array = cells()
    engine = table_engine(surrogate(), spread=Spread(np.full(SHAPE, gain), 0.0, 0, 0, "array"))
    for level_v in careful:
        found = engine(array.under(find_scheme("v2").levels(selected(level_v)), PULSE))
        others = np.delete(found.states["w"] - array.states["w"], 1, axis=0) / RANGE_M
        assert np.abs(others).max() < 2e-4
