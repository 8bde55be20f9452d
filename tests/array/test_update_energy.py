"""The energy of an update in cells that only conduct, against the voltages on the lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.train_pulses import TrainPulses, train_slots
from cosim.driven.train_waveforms import train_waveforms
from cosim.pulses.energy import update_energy_j
from cosim.pulses.trains import UpdateRule, pulse_trains
from netlists.pulse import Pulse
from netlists.wires import Wires

SHAPE = (5, 3)
UP, DOWN = Pulse(1.0, 3e-9, 4e-10, 2e-10), Pulse(-1.3, 2e-9, 1e-10, 5e-10)


def test_it_is_the_area_of_squares_of_what_cells_see() -> None:
    rng = np.random.default_rng(2)
    x, d = (torch.from_numpy(rng.uniform(-1, 1, (3, lines))) for lines in SHAPE)
    trains = pulse_trains(x, d, UpdateRule(4e-3, 1e-3, 6), Stream(3, 0).at("array", 0))
    g = rng.uniform(1e-6, 1e-4, SHAPE)
    model = find_model("vteam")
    at_rest = PulsedArray(
        model, find_set(model, "sine"), SHAPE, Wires(), np.array([0.0, 1.0]),
        np.zeros((SHAPE[0], 2)), np.zeros((SHAPE[1], 2)),
    )  # fmt: skip
    known = np.zeros(SHAPE)
    for sample in range(3):
        one = train_waveforms(at_rest, train_slots(trains, sample), TrainPulses(UP, DOWN, 1e-10))
        across = one.word_v[:, None] - one.bit_v
        a, b = across[..., :-1], across[..., 1:]
        # The square of a straight line has this mean.
        known += ((a * a + a * b + b * b) / 3 * np.diff(one.time_s)).sum(-1)
    found = update_energy_j(torch.from_numpy(g), trains, UP, DOWN).numpy()
    assert known.min() > 0
    np.testing.assert_allclose(found, g * known, rtol=1e-9)


def test_cells_of_another_array_are_refused() -> None:
    trains = pulse_trains(
        torch.ones(1, 2), torch.ones(1, 3), UpdateRule(1e-3, 1e-3), Stream(3, 0).at("array", 0)
    )
    with pytest.raises(InputError, match=r"\(2, 3\): word lines"):
        update_energy_j(torch.ones(3, 2), trains, UP, DOWN)
