"""What pulse trains do to a tile of dynamic cells: table and equations against ngspice."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks import update_movement
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.array.layout import TileLayout
from cosim.array.updates.layer import update_layer
from cosim.array.updates.tile import by_engine, update_tile
from cosim.driven.engines import Means, pulse_engine
from cosim.driven.ode import run_ode
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import PulseResult, lost
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice, Outcome
from cosim.pulses.trains import PulseTrains, coincidence_counts, packed
from cosim.surrogate.update import UpdateNoise, UpdateSurrogate
from cosim.tables.layout import Effort
from netlists.pulse import Pulse
from netlists.update.drawn import TilePulses
from netlists.wires import Wires
from tests.write.tables import kept_table

Array = NDArray[np.float64]

MODEL = find_model("vteam")
UP, DOWN = Pulse(-0.85, 1e-9, 5e-11, 5e-11), Pulse(0.72, 1e-9, 5e-11, 5e-11)
PULSES = TrainPulses(UP, DOWN, 2e-10)
# Steps of a few percent of the range by 0.7 V, and nothing by half of it.
SINE = find_set(MODEL, "sine")
NUMBERS = replace(
    SINE,
    name="balanced",
    amplitude_v=1.0,
    values={
        **SINE.values,
        **{"v_on": -0.5, "v_off": 0.5, "k_on": -0.4, "k_off": 0.35, "r_on": 200.0, "r_off": 4e3},
    },
)
COARSE = Effort(levels=9, level_rounds=3, states=9, state_rounds=2, error=1e-2, held_out=100)


@cache
def table() -> UpdateSurrogate:
    return kept_table(MODEL, NUMBERS, UP, (-0.95, 0.8), COARSE)


def tile(shape: tuple[int, int]) -> WritableArray:
    bare = WritableArray(
        MODEL, NUMBERS, Wires(r_wordline_ohm=5.0, r_bitline_ohm=3.0),
        {"w": np.zeros(shape)}, r_word_driver_ohm=20.0, r_bit_driver_ohm=55.0,
    )  # fmt: skip
    return bare.at_fractions(np.random.default_rng(3).uniform(0.3, 0.7, shape))


def opposite_pair(shape: tuple[int, int], pulses: int = 2) -> PulseTrains:
    """Two updates whose x are each other's negatives; every line has a pulse now and then."""
    rng = np.random.default_rng(8)
    sides = []
    for lines, turns in zip(shape, (True, False), strict=True):
        has = rng.random((1, lines, pulses)) < 0.7
        has[0, 0, 0] = True
        negative = rng.random((1, lines)) < 0.4
        both = np.concatenate([negative, ~negative if turns else negative])
        sides.append(packed(np.repeat(has, 2, axis=0), both))
    return PulseTrains(*sides, torch.full((2,), pulses), 0, 0)


def part(trains: PulseTrains, first: int, last: int) -> PulseTrains:
    return replace(
        trains,
        words=trains.words[first:last],
        bits=trains.bits[first:last],
        length=trains.length[first:last],
    )


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


@pytest.mark.ngspice
@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (4, 1)], ids=["5x3", "1x4", "4x1"])
def test_a_tile_moves_as_in_ngspice(ngspice: Ngspice, shape: tuple[int, int]) -> None:
    start, trains = tile(shape), opposite_pair(shape)
    means = Means(tables=(table(),), ngspice=ngspice)
    begun, moved, energy, given = start.fractions(), {}, {}, {}
    for fidelity in ("spice", "ode", "table"):
        first = update_tile(fidelity, start, part(trains, 0, 1), PULSES, means)
        both = update_tile(fidelity, first.array, part(trains, 1, 2), PULSES, means)
        assert first.outcome is both.outcome is Outcome.OK
        assert (first.done, both.done) == (1, 1)
        moved[fidelity] = np.stack(
            [first.array.fractions() - begun, both.array.fractions() - begun]
        )
        energy[fidelity] = first.energy_j + both.energy_j
        given[fidelity] = first.given_j + both.given_j
    known = moved["spice"]
    # What raises the conductance lowers VTEAM's state: -x d^T in the mean, twice as large as noise.
    counts = coincidence_counts(trains).numpy()
    assert np.array_equal(np.sign(np.round(known[0], 6)), -np.sign(counts[0]))
    assert (counts[0] > 0).any()
    assert (counts[0] < 0).any()
    assert np.abs(known[0]).max() > 0.03
    # The second update takes steps back, which are not as large.
    assert rms(known[1]) < 0.7 * rms(known[0])
    for fidelity, most in (("ode", 0.01), ("table", 0.03)):
        for k in range(2):
            assert rms(moved[fidelity][k] - known[k]) < most * rms(known[0])
        np.testing.assert_allclose(
            energy[fidelity], energy["spice"], atol=0.03 * energy["spice"].max()
        )
        assert given[fidelity] == pytest.approx(given["spice"], rel=0.03)
    assert given["spice"] > 1.02 * energy["spice"].sum()  # of which wires and drivers have a part


def test_a_batch_is_its_updates_one_after_the_other() -> None:
    start, trains = tile((5, 3)), opposite_pair((5, 3))
    means = Means(tables=(table(),))
    for fidelity, most in (("ode", 1e-12), ("table", 2e-4)):
        whole = update_tile(fidelity, start, trains, PULSES, means)
        first = update_tile(fidelity, start, part(trains, 0, 1), PULSES, means)
        second = update_tile(fidelity, first.array, part(trains, 1, 2), PULSES, means)
        ends = whole.array.fractions(), second.array.fractions()
        np.testing.assert_allclose(*ends, atol=most)
        assert whole.given_j == pytest.approx(first.given_j + second.given_j, rel=2e-3)
        assert whole.pulses == first.pulses + second.pulses > 0
        assert whole.coincidences == int(coincidence_counts(trains).abs().sum())
        assert whole.done == 2


def test_half_selected_cells_move_if_their_device_does() -> None:
    # A lower threshold than half of the level; a table of its own.
    values = {**NUMBERS.values, "v_off": 0.3, "k_off": 0.06}
    numbers = replace(NUMBERS, name="restless", values=values)
    start = replace(tile((4, 3)), parameter_set=numbers)
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
    start, trains = tile((5, 3)), part(opposite_pair((5, 3)), 0, 1)
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
    start, trains = tile((4, 3)), part(opposite_pair((4, 3)), 0, 1)
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
    whole, trains = tile((4, 3)), part(opposite_pair((4, 3)), 0, 1)
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
    start, trains = tile((4, 3)), opposite_pair((4, 3))
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
    start, trains = tile((4, 3)), opposite_pair((4, 3))
    holes = replace(table(), heat_j_per_v2=torch.full_like(table().heat_j_per_v2, torch.nan))
    found = update_tile("table", start, trains, PULSES, Means(tables=(holes,)))
    assert (found.done, found.outcome) == (0, Outcome.NO_CONVERGENCE)
    assert "update 0" in found.reason
    assert np.array_equal(found.array.states["w"], start.states["w"])
    assert (found.given_j, found.pulses) == (0.0, 0)


def test_without_pulses_nothing_moves() -> None:
    start, trains = tile((4, 3)), opposite_pair((4, 3))
    none = replace(trains, words=0 * trains.words, bits=0 * trains.bits)
    for fidelity in ("ode", "table"):
        found = update_tile(fidelity, start, none, PULSES, Means(tables=(table(),)))
        assert np.array_equal(found.array.states["w"], start.states["w"])
        assert (found.done, found.pulses, found.given_j) == (2, 0, 0.0)


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
    start, trains = replace(tile((4, 3)), **change), opposite_pair((4, 3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=word):
        update_tile(
            fidelity, start, trains, PULSES, Means(**{"tables": (table(),), **means})  # type: ignore[arg-type]
        )  # fmt: skip


def test_engines_go_by_their_fidelity() -> None:
    with pytest.raises(InputError, match="did you mean 'spice'"):
        pulse_engine("spicy", Means())
    with pytest.raises(InputError, match="tables"):
        pulse_engine("table", Means())
    still = tile((2, 3)).at_rest()
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
    table, ode, known = (
        update_movement.movement(given, one, means).moved for one in ("table", "ode", "spice")
    )
    assert np.abs(known).max() >= 0.1
    assert rms(table - known) <= 0.1 * rms(known)
    assert rms(ode - known) <= 0.1 * rms(known)
    assert rms(update_movement.control(given) - known) >= 3 * 0.1 * rms(known)


def test_a_matrix_of_many_tiles_and_chips_moves_as_one_tile() -> None:
    # Without wires a cell sees its own lines only: how the matrix is cut changes nothing.
    like = WritableArray(MODEL, NUMBERS, Wires(0.0, 0.0), {"w": np.zeros((1, 1))})
    low, high = 0.4 * 3e-9, 0.6 * 3e-9
    state = torch.from_numpy(np.random.default_rng(6).uniform(low, high, (2, 2, 5, 3)))
    chips = [opposite_pair((5, 3), pulses) for pulses in (2, 3)]
    means = Means(tables=(table(),))
    found = {}
    for edges in (((0, 5), (0, 3)), ((0, 2, 5), (0, 1, 3))):
        layout = TileLayout(*edges)
        pulses = [[PULSES] * layout.tiles] * 2
        for pair in ("reference", "both"):
            found[layout.tiles, pair] = update_layer(
                "table", state, layout, like, chips, pulses, means,
                pair=pair,  # type: ignore[arg-type]
            )  # fmt: skip
    for pair in ("reference", "both"):
        one, many = found[1, pair], found[4, pair]
        torch.testing.assert_close(many.state, one.state, rtol=0, atol=1e-13 * 3e-9)
        torch.testing.assert_close(many.energy_j, one.energy_j, rtol=3e-3, atol=0)
        assert many.coincidences == one.coincidences
    counts = torch.stack([coincidence_counts(one)[:1].sum(0) for one in chips])
    first = update_layer(
        "table", state, TileLayout((0, 2, 5), (0, 3)), like,
        [part(one, 0, 1) for one in chips], [[PULSES] * 2] * 2, means, pair="both",
    )  # fmt: skip
    moved = first.state - state
    # Up is a higher conductance and a lower state; the minus cell goes the other way.
    assert torch.equal(moved[:, 0].sign().int(), -counts.sign())
    assert torch.equal(moved[:, 1].sign().int(), counts.sign())
    assert torch.equal(found[4, "reference"].state[:, 1], state[:, 1])
    torch.testing.assert_close(
        found[4, "reference"].state[:, 0], found[4, "both"].state[:, 0], rtol=0, atol=1e-21
    )


def test_a_layer_needs_pulses_for_every_tile() -> None:
    like = WritableArray(MODEL, NUMBERS, Wires(0.0, 0.0), {"w": np.zeros((1, 1))})
    state = torch.full((1, 2, 5, 3), 1.5e-9, dtype=torch.float64)
    with pytest.raises(InputError, match="1 chips of 2 tiles"):
        update_layer(
            "ode", state, TileLayout((0, 2, 5), (0, 3)), like, [opposite_pair((5, 3))],
            [[PULSES]], Means(), pair="both",
        )  # fmt: skip
