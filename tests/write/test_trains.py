"""Trains of pulses for pairs of lines: probabilities, management, signs, refusals."""

from __future__ import annotations

import warnings

import pytest
import torch

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.pulses.trains import (
    PULSES,
    UpdateRule,
    coincidence_counts,
    has_pulse,
    ones,
    pulse_trains,
)
from tests.write.pairs import DRAW, batch


def test_every_pair_is_its_own_outer_product() -> None:
    """Signs of all four kinds in every sample: the slope over 1,000 single updates."""
    x, d = batch(1000)
    d = 0.1 * d
    counts = coincidence_counts(pulse_trains(x, d, UpdateRule(0.1, 1e-3), DRAW))
    wanted = -0.1 * x[:, :, None] * d[:, None]
    found = 1e-3 * counts.to(torch.float64)
    slope = (found * wanted).sum() / wanted.square().sum()
    assert float(slope) == pytest.approx(1, abs=0.01)
    assert bool(((counts == 0) | (counts.sign() == wanted.sign())).all())


def test_management_evens_out_the_two_sides() -> None:
    """Large x and small d need no more pulses than their product, and none is clipped."""
    x, d = batch(200)
    trains = pulse_trains(30 * x, 1e-3 * d, UpdateRule(0.1, 1e-3), DRAW)
    assert trains.clipped == 0
    assert int(trains.length.max()) == 3  # 0.1 * 30 * 1e-3 / 1e-3
    largest = has_pulse(trains.words).sum(-1).amax(1), has_pulse(trains.bits).sum(-1).amax(1)
    for pulses in largest:
        assert float((pulses / trains.length).mean()) > 0.5
    with pytest.warns(RuntimeWarning, match="clipped"):
        plain = pulse_trains(30 * x, 1e-3 * d, UpdateRule(2.0, 1e-3, 10, False, False), DRAW)
    assert 0 < plain.clipped < plain.of
    assert bool((plain.length == 10).all())


def test_nothing_to_do_is_nothing_done() -> None:
    x, d = batch(4)
    trains = pulse_trains(x, torch.zeros_like(d), UpdateRule(0.1, 1e-3), DRAW)
    assert trains.length.tolist() == [0] * 4
    assert not bool(coincidence_counts(trains).any())
    assert not bool(has_pulse(trains.words).any())


def test_counts_are_those_of_the_single_pulses() -> None:
    x, d = batch(50)
    trains = pulse_trains(x, d, UpdateRule(0.3, 1e-2), DRAW)
    both = has_pulse(trains.words)[:, :, None] & has_pulse(trains.bits)[:, None]
    wanted = both.sum(-1)
    counts = coincidence_counts(trains)
    assert torch.equal(counts.abs(), wanted.to(torch.int32))
    assert int(wanted.max()) > 15
    assert not bool(has_pulse(trains.words)[trains.length < 31][..., 30].any())


def test_deterministic_trains_round_the_product_to_whole_steps() -> None:
    """x rounded to 1/31 of the largest, d as it is; the same trains every time."""
    x, d = batch(40, 9, 6)
    x[3], d[5] = 0.0, 0.0
    rule = UpdateRule(0.02, 1e-3, kind="deterministic")
    trains = pulse_trains(x, d, rule, DRAW)
    assert torch.equal(trains.words, pulse_trains(x, d, rule, Stream(9).at("t", 1)).words)
    largest = x.abs().amax(1, keepdim=True)
    levels = torch.floor(31 * x / largest + 0.5).nan_to_num() / 31 * largest
    wanted = -20 * levels[:, :, None] * d[:, None]
    found = coincidence_counts(trains)
    # Halves may fall to either side.
    assert float((found - wanted).abs().max()) <= 0.5 + 1e-9
    assert int(found.max()) > 10
    assert int(found.min()) < -10
    assert trains.clipped == 0
    assert trains.length.tolist() == [0 if k in (3, 5) else 31 for k in range(40)]
    with pytest.warns(RuntimeWarning, match="clipped"):
        short = pulse_trains(x, d, UpdateRule(0.02, 1e-3, 8, kind="deterministic"), DRAW)
    needed = 0.02 / 1e-3 / 8 * largest * d.abs()
    assert short.clipped == int((needed > 1).sum())
    assert int(ones(short.words & PULSES).max()) == 8


@pytest.mark.parametrize("slots", [7, 31])
@pytest.mark.parametrize("chance", [0.003, 0.3, 0.5, 0.97])
def test_pulses_are_independent_and_have_their_probability(chance: float, slots: int) -> None:
    """40,000 trains, short and long ones: means of every slot, and of every pair of slots."""
    x = torch.full((1, 40_000), chance, dtype=torch.float64)
    rule = UpdateRule(1.0, 1 / slots, slots, False, False)  # probabilities are x and d themselves
    trains = pulse_trains(x, torch.ones(1, 1, dtype=torch.float64), rule, DRAW)
    assert int(trains.bits[0, 0]) == (1 << slots) - 1
    assert not bool(has_pulse(trains.words[0])[:, slots:].any())
    pulses = has_pulse(trains.words[0])[:, :slots].to(torch.float64)
    error = (chance * (1 - chance) / 40_000) ** 0.5
    assert float((pulses.mean(0) - chance).abs().max()) < 4.5 * error
    together = pulses.T @ pulses / 40_000 - chance**2
    together.fill_diagonal_(0)
    assert float(together.abs().max()) < 5 * error * chance**0.5 + 5 * error * chance
    along = (pulses[1:] * pulses[:-1]).mean(0) - chance**2
    assert float(along.abs().max()) < 5 * error * chance**0.5 + 5 * error * chance


def test_trains_are_made_in_the_callers_precision() -> None:
    """Single precision gives the same trains but where a chance is next to what was drawn."""
    x, d = batch(500)
    rule = UpdateRule(0.01, 1e-3)
    double = pulse_trains(x.double(), d.double(), rule, DRAW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # rounding is no clipping
        single = pulse_trains(x.float(), d.float(), rule, DRAW)
    assert torch.equal(single.length, double.length)
    off = ones((single.words ^ double.words) & PULSES).sum()
    assert int(off) <= 1e-4 * x.numel() * 31
    assert int(ones(double.words & PULSES).sum()) > 1000


def test_refusals_of_rules_and_pairs() -> None:
    for wrong in (
        {"lr": -1.0},
        {"dw_min": 0.0},
        {"max_pulses": 32},
        {"max_pulses": 0},
        {"kind": "x"},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            UpdateRule(**{"lr": 0.1, "dw_min": 1e-3, **wrong})  # type: ignore[arg-type]
    rule = UpdateRule(0.01, 1e-3)
    x, d = batch(4)
    with pytest.raises(InputError, match="batch"):
        pulse_trains(x, d[:3], rule, DRAW)
    with pytest.raises(InputError, match="finite"):
        pulse_trains(x, d * float("nan"), rule, DRAW)
