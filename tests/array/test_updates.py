"""What table and equations do beyond what every update is held to (`conformance`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import update_movement
from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.array.layout import TileLayout
from cosim.array.updates.layer import update_layer
from cosim.array.updates.tile import by_engine, update_tile
from cosim.driven.engines import Means, pulse_engine
from cosim.driven.ode import run_ode
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import PulseResult, lost
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice, Outcome
from cosim.pulses.trains import PulseTrains, coincidence_counts, packed
from cosim.surrogate.update import UpdateNoise
from netlists.update.drawn import TilePulses
from netlists.wires import Wires
from tests.array.conformance.updaters import (
    COARSE,
    MODEL,
    NUMBERS,
    PULSES,
    UP,
    opposite_pair,
    part,
    rms,
    table,
    tile_of,
)
from tests.write.tables import kept_table


def test_half_selected_cells_move_if_their_device_does() -> None:
    # A lower threshold than half of the level; a table of its own.
    values = {**NUMBERS.values, "v_off": 0.3, "k_off": 0.06}
    numbers = replace(NUMBERS, name="restless", values=values)
    start = replace(tile_of((4, 3)), parameter_set=numbers)
    has = np.zeros((1, 4, 3), dtype=bool)
    has[0, 1] = True
    words, bits = packed(has, np.zeros((1, 4), dtype=bool)), torch.zeros(1, 3, dtype=torch.int32)
    trains = PulseTrains(words, bits, torch.tensor([3]), 0, 0)
    means = Means(tables=(kept_table(MODEL, numbers, UP, (-0.95, 0.8), COARSE),))
    begun = start.fractions()
    moved = {
        k: update_tile(k, start, trains, PULSES, means).array.fractions() - begun
        for k in ("ode", "table")
    }
    assert np.abs(moved["ode"][1]).min() > 0.005
    assert np.abs(np.delete(moved["ode"], 1, axis=0)).max() < 1e-6
    np.testing.assert_allclose(moved["table"], moved["ode"], atol=2e-2 * np.abs(moved["ode"]).max())


def test_lines_have_levels_and_widths_of_their_own() -> None:
    start, trains = tile_of((5, 3)), part(opposite_pair((5, 3)), 0, 1)
    rng = np.random.default_rng(2)
    spread = (rng.uniform(1 - s, 1 + s, n) for n in (5, 3) for s in (0.06, 0.1))
    own = replace(PULSES, lines=TilePulses(*spread))
    means, begun = Means(tables=(table(),)), start.fractions()
    moved = {
        (k, pulses is own): update_tile(k, start, trains, pulses, means).array.fractions() - begun
        for k in ("ode", "table")
        for pulses in (PULSES, own)
    }
    change = moved["ode", True] - moved["ode", False]
    assert rms(change) > 0.05 * rms(moved["ode", False])
    assert rms(moved["table", True] - moved["ode", True]) < 0.1 * rms(change)


def test_noise_is_the_same_for_all_fidelities() -> None:
    start, trains = tile_of((4, 3)), part(opposite_pair((4, 3)), 0, 1)
    noise = UpdateNoise(0.5, Stream(7, 0).at("tile", 3))
    means, begun = Means(tables=(table(),)), start.fractions()
    moved = {
        (k, one is None): update_tile(k, start, trains, PULSES, means, one).array.fractions()
        - begun
        for k in ("ode", "table")
        for one in (noise, None)
    }
    wild, calm = moved["ode", False], moved["ode", True]
    assert rms(wild - calm) > 0.2 * rms(calm)
    assert rms(moved["table", False] - wild) < 0.02 * rms(calm)


def test_stuck_cells_take_current_and_stay() -> None:
    whole, trains = tile_of((4, 3)), part(opposite_pair((4, 3)), 0, 1)
    counts = np.abs(coincidence_counts(trains)[0].numpy())
    at = tuple(int(k) for k in np.unravel_index(counts.argmax(), counts.shape))
    stuck_s = np.full((4, 3), np.nan)
    stuck_s[at] = 2e-3
    states = {"w": np.where(np.isnan(stuck_s), whole.states["w"], np.nan)}
    start = replace(whole, stuck_s=stuck_s, states=states)
    means = Means(tables=(table(),))
    ode, by_table = (update_tile(k, start, trains, PULSES, means) for k in ("ode", "table"))
    assert counts[at] > 0
    assert np.isnan(by_table.array.states["w"][at])
    assert by_table.energy_j[at] == pytest.approx(ode.energy_j[at], rel=0.02)
    apart = by_table.array.fractions() - ode.array.fractions()
    assert np.nanmax(np.abs(apart)) < 2e-3


def test_an_update_that_fails_leaves_the_tile_as_the_one_before_it_did() -> None:
    start, trains = tile_of((4, 3)), opposite_pair((4, 3))
    runs: list[PulsedArray] = []

    def starving(array: PulsedArray) -> PulseResult:
        runs.append(array)
        return run_ode(array) if len(runs) == 1 else lost(array, "test", "no voltages were found")

    found = by_engine(lambda _slots: starving, start, trains, PULSES, None)
    first = update_tile("ode", start, part(trains, 0, 1), PULSES, Means())
    assert (found.done, found.outcome) == (1, Outcome.NO_CONVERGENCE)
    assert found.reason == "update 1: no voltages were found"
    assert np.array_equal(found.array.states["w"], first.array.states["w"])
    assert found.given_j == first.given_j


def test_a_table_without_an_answer_is_an_outcome() -> None:
    start, trains = tile_of((4, 3)), opposite_pair((4, 3))
    holes = replace(table(), heat_j_per_v2=torch.full_like(table().heat_j_per_v2, torch.nan))
    found = update_tile("table", start, trains, PULSES, Means(tables=(holes,)))
    assert (found.done, found.outcome) == (0, Outcome.NO_CONVERGENCE)
    assert "update 0" in found.reason
    assert np.array_equal(found.array.states["w"], start.states["w"])
    assert (found.given_j, found.pulses) == (0.0, 0)


@pytest.mark.parametrize(
    ("fidelity", "change", "means", "word"),
    [
        ("steps", {}, {}, "ode, spice, table"),
        ("spice", {}, {}, "ngspice"),
        ("table", {}, {"tables": ()}, "no update table of the pulse 'up'"),
        ("table", {"values": {"r_on": np.full((4, 3), 300.0)}}, {}, "values"),
        ("ode", {"states": {"w": np.full((4, 2), 1e-9)}}, {}, r"\(4, 3\), as the trains"),
    ],
)
def test_what_cannot_be(
    fidelity: str, change: dict[str, object], means: dict[str, object], word: str
) -> None:
    start, trains = replace(tile_of((4, 3)), **change), opposite_pair((4, 3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=word):
        update_tile(
            fidelity, start, trains, PULSES, Means(**{"tables": (table(),), **means})  # type: ignore[arg-type]
        )  # fmt: skip


def test_engines_go_by_their_fidelity() -> None:
    with pytest.raises(InputError, match="did you mean 'spice'"):
        pulse_engine("spicy", Means())
    with pytest.raises(InputError, match="tables"):
        pulse_engine("table", Means())
    still = tile_of((2, 3)).at_rest()
    found = pulse_engine("ode", Means())(still)
    assert found.ok
    assert found.failed == ""
    np.testing.assert_allclose(found.states["w"], still.start("w"), rtol=1e-12)


@pytest.mark.ngspice
@pytest.mark.slow
@pytest.mark.parametrize("device", ["vteam", "stanford"])
def test_twenty_updates_of_16_x_8_cells(ngspice: Ngspice, device: str) -> None:
    given = update_movement.case(device)
    means = Means(tables=(given.table,), ngspice=ngspice)
    # Our equations of Stanford take longer than ngspice: the benchmark has them.
    ours = ("table", "ode") if device == "vteam" else ("table",)
    known = update_movement.movement(given, "spice", means).moved
    assert np.abs(known).max() >= 0.1
    for one in ours:
        assert rms(update_movement.movement(given, one, means).moved - known) <= 0.1 * rms(known)
    assert rms(update_movement.control(given) - known) >= 3 * 0.1 * rms(known)


def test_a_layer_needs_pulses_for_every_tile() -> None:
    like = WritableArray(MODEL, NUMBERS, Wires(0.0, 0.0), {"w": np.zeros((1, 1))})
    state = torch.full((1, 2, 5, 3), 1.5e-9, dtype=torch.float64)
    with pytest.raises(InputError, match="1 chips of 2 tiles"):
        update_layer(
            "ode", state, TileLayout((0, 2, 5), (0, 3)), like, [opposite_pair((5, 3))],
            [[PULSES]], Means(), pair="both",
        )  # fmt: skip
