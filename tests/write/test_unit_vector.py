"""One line of an array in one shot: counts, signs and means; the same through ngspice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.driven.train_pulses import TrainPulses, train_slots
from cosim.driven.train_waveforms import train_waveforms
from cosim.ngspice import Ngspice
from cosim.pulses.one_line import unit_vector_trains
from cosim.pulses.trains import UpdateRule, coincidence_counts
from cosim.pulses.update import update_by_pulses
from netlists.pulse import Pulse
from netlists.wires import Wires

RULE = UpdateRule(lr=0.01, dw_min=0.001)
VALUES = torch.tensor([[0.7, -0.2, 0.0], [-1.0, 0.5, 0.3]], dtype=torch.float64)
DRAW = Stream(7, 0).at("transfer", 0)


def test_only_the_selected_line_moves_and_by_whole_pulses() -> None:
    column = unit_vector_trains(VALUES, torch.tensor([3, 0]), 4, RULE, DRAW, side="col")
    want = np.zeros((2, 3, 4), dtype=int)  # [batch, row, col]; -lr x d: a positive value lowers
    want[0, :, 3], want[1, :, 0] = (-7, 2, 0), (10, -5, -3)
    np.testing.assert_array_equal(coincidence_counts(column).numpy(), want)
    row = unit_vector_trains(VALUES, torch.tensor([3, 0]), 4, RULE, DRAW, side="row")
    np.testing.assert_array_equal(coincidence_counts(row).numpy(), want.transpose(0, 2, 1))
    assert column.length.tolist() == [7, 10]
    assert (column.clipped, column.of) == (0, 5)


def test_the_mean_is_exact_and_nothing_but_the_fraction_is_drawn() -> None:
    values = torch.tensor([[0.234, -0.061]], dtype=torch.float64)
    counts = np.stack(
        [
            coincidence_counts(
                unit_vector_trains(
                    values, torch.tensor([1]), 2, RULE, Stream(7).at("transfer", k), side="col"
                )
            ).numpy()[0, :, 1]
            for k in range(2000)
        ]
    )
    assert {tuple(sorted(set(one))) for one in counts.T.tolist()} == {(-3, -2), (0, 1)}
    np.testing.assert_allclose(counts.mean(0), [-2.34, 0.61], atol=0.04)


def test_an_ideal_array_moves_by_the_learning_rate_times_the_values() -> None:
    model = find_model("constant_step")
    values = find_set(model, "idealized").values
    step = float(values["dw_min"])
    rule = UpdateRule(lr=20 * step, dw_min=step)
    trains = unit_vector_trains(-VALUES[1:], torch.tensor([2]), 3, rule, DRAW, side="col")
    w = update_by_pulses(model, values, torch.zeros(3, 3, dtype=torch.float64), trains)
    want = torch.zeros(3, 3, dtype=torch.float64)
    want[:, 2] = 20 * step * VALUES[1]
    torch.testing.assert_close(w, want, rtol=0, atol=1e-9 * step)


@pytest.mark.ngspice
def test_ngspice_makes_the_same_steps(ngspice: Ngspice) -> None:
    model = find_model("constant_step")
    numbers = find_set(model, "gokmen_vlasov")
    numbers = replace(numbers, values={**numbers.values, "dw_min": 0.02, "dw_min_std": 0.0})
    rule = UpdateRule(lr=0.1, dw_min=0.02)
    trains = unit_vector_trains(VALUES[1:], torch.tensor([1]), 2, rule, DRAW, side="col")
    start = np.linspace(-0.2, 0.2, 6).reshape(3, 2)
    at_rest = PulsedArray(
        model=model, parameter_set=numbers, shape=(3, 2),
        wires=Wires(r_wordline_ohm=2.0, r_bitline_ohm=3.0), time_s=np.array([0.0, 1.0]),
        word_v=np.zeros((3, 2)), bit_v=np.zeros((2, 2)), initial={"w": start},
    )  # fmt: skip
    width_s, level_v = float(numbers.values["width_s"]), 1.5 * float(numbers.values["threshold_v"])
    pulse = Pulse(level_v, width_s, 1e-3 * width_s, 1e-3 * width_s)
    pulses = TrainPulses(pulse, pulse.at(-level_v))
    found = run_spice(train_waveforms(at_rest, train_slots(trains, 0), pulses), ngspice)
    assert found.ok
    known = update_by_pulses(model, dict(numbers.values), torch.from_numpy(start), trains).numpy()
    moved = known - start
    assert np.abs(moved[:, 0]).max() == 0
    np.testing.assert_allclose(moved[:, 1], [0.1, -0.05, -0.03], atol=0.011)
    np.testing.assert_allclose(found.states["w"], known, atol=0.01 * 1.2)


def test_what_needs_too_many_pulses_is_told() -> None:
    with pytest.warns(RuntimeWarning, match="2 values need more than 4 pulses"):
        trains = unit_vector_trains(
            VALUES[1:], torch.tensor([0]), 2, replace(RULE, max_pulses=4), DRAW, side="row"
        )
    assert trains.clipped == 2
    assert coincidence_counts(trains).abs().max() == 4


@pytest.mark.parametrize(
    ("values", "line", "word"),
    [
        (VALUES, torch.tensor([0, 4]), "0 to 3"),
        (VALUES, torch.tensor([0.0, 1.0]), "whole numbers"),
        (VALUES, torch.tensor([0]), r"\[batch, across\]"),
        (VALUES * torch.nan, torch.tensor([0, 1]), "not finite"),
    ],
)
def test_what_cannot_be(values: torch.Tensor, line: torch.Tensor, word: str) -> None:
    with pytest.raises(InputError, match=word):
        unit_vector_trains(values, line, 4, RULE, DRAW, side="col")
