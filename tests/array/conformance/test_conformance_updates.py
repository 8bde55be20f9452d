"""Every way of updating: against ngspice where it knows a circuit, and by rules for all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.updates.tile import update_tile
from cosim.driven.engines import Means
from cosim.ngspice import Ngspice, Outcome
from cosim.pulses.trains import PulseTrains, coincidence_counts
from tests.array.conformance.updaters import (
    OF_TILES,
    PULSES,
    REFERENCE,
    UPDATERS,
    opposite_pair,
    part,
    rms,
    table,
    tile_of,
    updated,
)

# Of the movement, root mean square; who is not named here is held to that of equations.
STATED = {"table": 0.03}
EQUATIONS = 0.01
QUICK = tuple(name for name in UPDATERS if name != REFERENCE)
quick = pytest.mark.parametrize("name", QUICK)


def test_all_that_there_are_take_part() -> None:
    assert {"step", "table", "ode", "spice"} <= UPDATERS.keys()
    assert set(OF_TILES) >= {"table", "ode", REFERENCE}


@pytest.mark.ngspice
@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (4, 1)], ids=["5x3", "one row", "one column"])
def test_a_tile_moves_as_in_ngspice(ngspice: Ngspice, shape: tuple[int, int]) -> None:
    start, trains = tile_of(shape), opposite_pair(shape)
    means = Means(tables=(table(),), ngspice=ngspice)
    begun, moved, energy, given = start.fractions(), {}, {}, {}
    for fidelity in OF_TILES:
        first = update_tile(fidelity, start, part(trains, 0, 1), PULSES, means)
        both = update_tile(fidelity, first.array, part(trains, 1, 2), PULSES, means)
        assert first.outcome is both.outcome is Outcome.OK
        assert (first.done, both.done) == (1, 1)
        moved[fidelity] = np.stack(
            [first.array.fractions() - begun, both.array.fractions() - begun]
        )
        energy[fidelity] = first.energy_j + both.energy_j
        given[fidelity] = first.given_j + both.given_j
    known = moved[REFERENCE]
    # What raises the conductance lowers VTEAM's state: -x d^T in the mean, twice as large as noise.
    counts = coincidence_counts(trains).numpy()
    assert np.array_equal(np.sign(np.round(known[0], 6)), -np.sign(counts[0]))
    assert (counts[0] > 0).any()
    assert (counts[0] < 0).any()
    assert np.abs(known[0]).max() > 0.03
    # The second update takes steps back, which are not as large.
    assert rms(known[1]) < 0.7 * rms(known[0])
    for fidelity in OF_TILES:
        for k in range(2):
            off = rms(moved[fidelity][k] - known[k])
            assert off < STATED.get(fidelity, EQUATIONS) * rms(known[0]), fidelity
        heat = energy[REFERENCE]
        np.testing.assert_allclose(energy[fidelity], heat, atol=0.03 * heat.max())
        assert given[fidelity] == pytest.approx(given[REFERENCE], rel=0.03)
    # Of which wires and drivers have a part.
    assert given[REFERENCE] > 1.02 * energy[REFERENCE].sum()


def states(chips: int = 2) -> torch.Tensor:
    """In the middle of the range, [chip, side, row, out]."""
    return torch.from_numpy(np.random.default_rng(6).uniform(0.4, 0.6, (chips, 2, 3, 2)))


def moves(
    name: str, trains: list[PulseTrains], layout: TileLayout, pair: Pair, *, chips: int = 2
) -> tuple[torch.Tensor, int]:
    means = Means(tables=(table(),))
    return updated(name, states()[:chips], layout, trains, means, pair=pair)


WHOLE, CUT = TileLayout((0, 3), (0, 2)), TileLayout((0, 1, 3), (0, 1, 2))


@quick
@pytest.mark.parametrize("pair", ["reference", "both"])
def test_a_matrix_of_many_tiles_and_chips_moves_as_one_tile(name: str, pair: Pair) -> None:
    # Without wires a cell sees its own lines only: how the matrix is cut changes nothing.
    trains = [part(opposite_pair((3, 2), pulses), 0, 1) for pulses in (1, 1)]
    (many, steps), (one, same) = (moves(name, trains, layout, pair) for layout in (CUT, WHOLE))
    torch.testing.assert_close(many, one, rtol=0, atol=1e-13)
    assert steps == same
    alone, _ = moves(name, trains[:1], CUT, pair, chips=1)
    torch.testing.assert_close(alone[0], many[0], rtol=0, atol=1e-13)
    # -x d^T: plus cells up where the signs of x and d differ, minus cells the other way.
    counts = torch.stack([coincidence_counts(one).sum(0) for one in trains])
    signs = torch.where(many.abs() > 1e-9, many.sign(), 0).int()
    assert torch.equal(signs[:, 0], counts.sign())
    minus = -counts.sign() if pair == "both" else 0 * counts
    assert torch.equal(signs[:, 1], minus)
    assert steps == int(counts.abs().sum()) * (2 if pair == "both" else 1)


@pytest.mark.parametrize("name", [one for one in QUICK if one in OF_TILES])
def test_a_batch_of_a_tile_is_its_updates_one_after_the_other(name: str) -> None:
    start, trains = tile_of((5, 3)), opposite_pair((5, 3))
    means = Means(tables=(table(),))
    whole = update_tile(name, start, trains, PULSES, means)
    first = update_tile(name, start, part(trains, 0, 1), PULSES, means)
    second = update_tile(name, first.array, part(trains, 1, 2), PULSES, means)
    # Where no cell moves far a table takes slots of several updates together.
    near = 2e-4 if name == "table" else 1e-12
    np.testing.assert_allclose(whole.array.fractions(), second.array.fractions(), atol=near)
    assert whole.given_j == pytest.approx(first.given_j + second.given_j, rel=2e-3)
    assert whole.pulses == first.pulses + second.pulses > 0
    assert whole.coincidences == int(coincidence_counts(trains).abs().sum())
    assert whole.done == 2


@quick
def test_without_pulses_nothing_moves(name: str) -> None:
    trains = opposite_pair((3, 2))
    none = PulseTrains(0 * trains.words, 0 * trains.bits, trains.length, 0, 0)
    moved, steps = moves(name, [none, none], CUT, "both")
    assert not moved.any()
    assert steps == 0
