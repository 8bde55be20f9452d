"""Rounds of a write-verify loop: what is gone through again, with how many, and what is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import Engine, PulseResult
from cosim.driven.spice import spice_engine
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice, Outcome
from cosim.write.amplitudes import History, Predicted
from cosim.write.unmet import WORDS, Unmet, counted, in_words
from cosim.write.verify import VerifySpec, Written, write_verify
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme
from tests.write.tables import kept_table
from tests.write.test_amplitudes import MODEL as VTEAM
from tests.write.test_amplitudes import NUMBERS as OWN
from tests.write.test_amplitudes import PULSE as LONGER

MODEL = find_model("vteam")
NUMBERS = find_set(MODEL, "pt_hf_ti")
PULSE = Pulse(1.0, 1e-8, 1e-10, 1e-10)
Array = NDArray[np.float64]


def array_of(rows: int, cols: int, place: float) -> WritableArray:
    bare = WritableArray(MODEL, NUMBERS, Wires(r_wordline_ohm=1, r_bitline_ohm=1), {})
    return bare.at_fractions(np.full((rows, cols), place))


def starving(most: int) -> tuple[list[int], Engine]:
    """An engine in which selected cells move a tenth of their range if they are few enough."""
    selected: list[int] = []

    def engine(array: PulsedArray) -> PulseResult:
        across = array.word_v[:, None, 1] - array.bit_v[None, :, 1]
        chosen = np.abs(across) > 0.7  # half-selected cells see half of 1 V
        selected.append(int(chosen.sum()))
        before = array.start("w")
        low, high = MODEL.bounds(dict(NUMBERS.values))["w"] or (0.0, 0.0)
        step = 0.1 * (high - low) * np.sign(across) * chosen * (chosen.sum() <= most)
        return PulseResult(
            {"w": np.clip(before + step, low, high)}, np.zeros(array.shape), 0.0, "test"
        )

    return selected, engine


def always(now: Array, goal: Array, _history: History) -> Array:
    """One volt in the direction in which the fake engine moves the state."""
    return np.where(goal > now, 1.0, -1.0)


def written(rounds: int, most: int, pulses: int = 4) -> tuple[Written, list[int]]:
    start = array_of(2, 8, 0.5)
    target_s = np.full((2, 8), np.nan)
    target_s[0] = array_of(2, 8, 0.7).conductance_s(0.1)[0]  # the other row stays as it is
    selected, engine = starving(most)
    spec = VerifySpec(
        tolerance_s=float(np.abs(array_of(1, 1, 0.73).conductance_s(0.1) - target_s[0, 0])[0, 0]),
        most_pulses=pulses, rounds=rounds, at_once=8,
    )  # fmt: skip
    found = write_verify(start, target_s, find_scheme("v2"), (PULSE, PULSE), engine, always, spec)
    return found, selected


def test_what_starves_is_written_again_with_fewer() -> None:
    one, selected = written(1, most=2)
    assert not one.within.any()
    assert set(selected) == {8}
    two, selected = written(2, most=2)
    assert two.within[0].all()
    assert set(selected) == {8, 2}  # a quarter at once
    three, selected = written(3, most=1)
    assert three.within[0].all()
    assert set(selected) == {8, 2, 1}  # never fewer than one
    assert three.ledger.pulses[1].sum() == 0


def test_a_later_round_reads_only_what_is_off() -> None:
    found, selected = written(2, most=8)
    assert found.within[0].all()
    assert set(selected) == {8}
    # Three readings of the row that is written, one of the row that is left alone: no group of it
    # holds a cell that is wanted; and the whole array at the end.
    assert found.ledger.reads == 3 + 2


def moving(*, others: float = 0.0, breaks_at: int = 99) -> Engine:
    """An engine in which selected cells move a tenth of their range, and half-selected `others`."""
    pulses = iter(range(1, 100))

    def engine(array: PulsedArray) -> PulseResult:
        across = array.word_v[:, None, 1] - array.bit_v[None, :, 1]
        low, high = MODEL.bounds(dict(NUMBERS.values))["w"] or (0.0, 0.0)
        part = np.where(np.abs(across) > 0.7, 0.1, np.where(across != 0, others, 0.0))
        after = np.clip(array.start("w") + (high - low) * np.sign(across) * part, low, high)
        failed = "no voltages were found" if next(pulses) == breaks_at else ""
        outcome = Outcome.NO_CONVERGENCE if failed else Outcome.OK
        return PulseResult({"w": after}, np.zeros(array.shape), 0.0, "test", outcome, failed)

    return engine


@pytest.mark.parametrize(
    ("engine", "places", "pulses", "reasons"),
    [
        (starving(0)[1], (0.7, 0.5), 4, ("stays", "")),
        (moving(), (0.95, 0.6), 3, ("on_its_way", "")),
        (moving(), (0.55, 0.35), 4, ("passes", "passes")),
        (moving(others=0.05), (0.7, 0.8), 8, ("disturbed", "")),
        (moving(breaks_at=2), (0.6, 0.7), 4, ("", "ended_early")),
        (moving(breaks_at=1), (0.6, 0.7), 4, ("ended_early", "ended_early")),
        (moving(), (0.8, 0.6), 1, ("one_pulse", "")),
    ],
    ids=["stays", "on its way", "passes", "disturbed", "ends", "ends at once", "one pulse"],
)
def test_every_cell_that_is_off_says_why(
    engine: Engine, places: tuple[float, float], pulses: int, reasons: tuple[str, str]
) -> None:
    start = array_of(1, 2, 0.5)
    target_s = start.at_fractions(np.array([places])).conductance_s(0.1)
    near_s = start.at_fractions(np.array([[0.5, 0.51]])).conductance_s(0.1)
    spec = VerifySpec(tolerance_s=float(np.ptp(near_s)), most_pulses=pulses, rounds=1, order="cell")
    found = write_verify(start, target_s, find_scheme("v2"), (PULSE, PULSE), engine, always, spec)
    assert tuple(found.unmet[0]) == reasons
    assert (found.within[0] == (found.unmet[0] == "")).all()
    assert bool(found.failed) == ("ended_early" in reasons)
    counts = counted(found.unmet)
    assert sum(counts.values()) == int((~found.within).sum())
    assert all(WORDS[Unmet(one)] in in_words(counts) for one in reasons if one)


class Wavering:
    """A rule that is told another share at every pulse, and notes what it is given."""

    def __init__(self) -> None:
        self.given: list[float] = []

    def __call__(self, now: Array, goal: Array, history: History) -> Array:
        self.given.append(float(history.share[0]))
        return always(now, goal, history)

    def seen(self, before: Array, now: Array, amplitude_v: Array, share: Array) -> Array:
        return np.full(before.shape, 1.2 if len(self.given) % 2 else 0.8)


def test_a_share_that_goes_in_circles_comes_to_rest() -> None:
    start = array_of(1, 1, 0.5)
    target_s = array_of(1, 1, 0.7).conductance_s(0.1)
    _, engine = starving(0)  # nothing ever moves
    rule, spec = Wavering(), VerifySpec(tolerance_s=1e-9, most_pulses=30, rounds=1)
    write_verify(start, target_s, find_scheme("v2"), (PULSE, PULSE), engine, rule, spec)
    early, late = rule.given[1:6], rule.given[-6:]
    assert set(early) == {0.8, 1.2}  # the last pulse is believed
    assert np.ptp(late) < 0.5 * np.ptp(early)
    assert np.mean(late) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("target", "r_off"), [("least", 1.3e6), ("most", None)])
def test_a_cell_beyond_the_mean_devices_end_comes_back(target: str, r_off: float | None) -> None:
    """It reads as if it were at its target's place; which way it has to go its conductance says."""
    own = {"r_off": np.full((1, 1), r_off)} if r_off else {"r_on": np.full((1, 1), 4e4)}
    surrogate = kept_table(VTEAM, OWN, LONGER, (-1.2, 1.2))
    bare = WritableArray(VTEAM, OWN, Wires(r_wordline_ohm=1, r_bitline_ohm=1), {}, values=own)
    start = bare.at_fractions(np.full((1, 1), 1.0 if r_off else 0.0))
    ends = np.sort(replace(bare, values={}).at_fractions(np.array([[0.0, 1.0]])).conductance_s(0.1))
    target_s = ends[:, :1] if target == "least" else ends[:, 1:]
    spec = VerifySpec(tolerance_s=0.03 * float(target_s[0, 0]), most_pulses=12, rounds=1)
    begun_s = start.conductance_s(0.1)
    assert abs(begun_s - target_s)[0, 0] > 5 * spec.tolerance_s
    found = write_verify(
        start, target_s, find_scheme("v2"), (LONGER, LONGER), ode_engine(),
        Predicted(surrogate, surrogate), spec,
    )  # fmt: skip
    assert found.within.all(), (begun_s, found.conductance_s, target_s)


@pytest.mark.ngspice
def test_arrays_of_stuck_cells_only_are_heated(ngspice: Ngspice) -> None:
    stuck_s = np.array([[1e-5, 3e-5]])
    array = WritableArray(
        MODEL, NUMBERS, Wires(r_wordline_ohm=0, r_bitline_ohm=0), {"w": np.full((1, 2), np.nan)},
        stuck_s=stuck_s,
    )  # fmt: skip
    stimulus = array.under(find_scheme("v2").levels(np.array([[0.5, 0.0]])), PULSE)
    across = np.array([[0.5, 0.25]])
    for engine in (ode_engine(), spice_engine(ngspice)):
        found = engine(stimulus)
        assert not found.failed
        np.testing.assert_allclose(found.energy_j, stuck_s * across**2 * PULSE.square_s, rtol=1e-3)
