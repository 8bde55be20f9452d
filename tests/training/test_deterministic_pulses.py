"""Deterministic pulses through the optimiser, beside their definition slot by slot in numpy."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.array.paired_cells import Pair
from cosim.training.pulsed_optimiser import PulsedSGD
from tests.training.in_situ_nets import network, small
from tests.workflows.command import spiceloop

Array = NDArray[np.float64]
RNG = np.random.default_rng(4)
X = RNG.uniform(-1.0, 1.0, (7, 5))
Y = torch.from_numpy(RNG.integers(0, 3, 7))


def steps_by_definition(x: Array, d: Array, lr: float, dw_min: float, slots: int) -> Array:
    """Steps of every cell for one sample, [row, out]: each slot of each pair of lines looked at.

    A DAC codes x by duration, the pulses of d lie at even distances, a cell steps where both meet.
    """
    found = np.zeros((len(x), len(d)))
    largest = max(abs(v) for v in x)
    for i, a in enumerate(x):
        for j, b in enumerate(d):
            on_word = math.floor(slots * abs(a) / largest + 0.5)
            density = min(1.0, lr * largest * abs(b) / (slots * dw_min))
            for slot in range(slots):
                before = math.floor(slot * density + 0.5)
                on_bit = math.floor((slot + 1) * density + 0.5) > before
                found[i, j] -= np.sign(a * b) * (slot < on_word and on_bit)
    return found


@pytest.mark.parametrize(("pair", "slots", "lr"), [("reference", 31, 0.5), ("both", 6, 0.9)])
def test_cells_step_as_the_definition_says(pair: Pair, slots: int, lr: float) -> None:
    net = small(5, 4, 3)
    cells = network(net, X, pair=pair)
    optimiser = PulsedSGD(
        cells.parameters(), lr=lr, kind="deterministic", max_pulses=slots, noisy=False
    )
    nn.functional.cross_entropy(cells(torch.from_numpy(X)), Y).backward()
    expected, moved = [], 0
    for layer in cells.chain:
        queued = layer.weight.pairs.take()
        assert queued is not None
        x, d = (one[0].numpy() for one in queued)
        layer.weight.pairs.put(*queued)
        dw = layer.array.cells.dw_min * layer.array.unit * (2 if pair == "both" else 1)
        steps = np.array(
            [steps_by_definition(*one, lr, dw, slots) for one in zip(x, d, strict=True)]
        )
        expected.append(layer.array.weight()[0].numpy() + dw * steps.sum(0))
        moved += int(np.abs(steps).sum())
        assert np.abs(steps).max() > 2
    optimiser.step()
    for layer, wanted in zip(cells.chain, expected, strict=True):
        np.testing.assert_allclose(layer.array.weight()[0].numpy(), wanted, rtol=0, atol=1e-12)
    assert optimiser.counts.coincidences == moved * (2 if pair == "both" else 1)


def test_nothing_of_them_is_drawn_and_a_group_may_have_its_own_kind() -> None:
    def weights(kind: str, seed: int) -> list[torch.Tensor]:
        cells = network(small(5, 4, 3), X)
        first, last = cells.chain
        groups = [
            {"params": list(first.parameters()), "kind": "deterministic"},
            {"params": list(last.parameters())},
        ]
        optimiser = PulsedSGD(groups, 0.5, kind=kind, noisy=False, stream=Stream(seed))  # type: ignore[arg-type]
        nn.functional.cross_entropy(cells(torch.from_numpy(X)), Y).backward()
        optimiser.step()
        return [layer.array.weight().clone() for layer in cells.chain]

    drawn, again = weights("stochastic", 0), weights("stochastic", 1)
    assert torch.equal(drawn[0], again[0])
    assert not torch.equal(drawn[1], again[1])
    same, other = weights("deterministic", 0), weights("deterministic", 1)
    assert all(torch.equal(one, two) for one, two in zip(same, other, strict=True))
    with pytest.raises(InputError, match=r"no kind of pulse trains.*stochastic, deterministic"):
        weights("regular", 0)


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_a_study_trains_by_them(tmp_path: Path) -> None:
    """The same pulses from two samples of a device without spread and noise; chance differs."""

    def trained(kind: str, sample: int) -> tuple[float, int]:
        (tmp_path / "study.toml").write_text(
            '[data]\nname = "iris"\n[network]\nhidden = []\n[device]\nname = "constant_step"\n'
            '[train]\nalgorithm = "pulsed_sgd"\nread = "ideal"\nepochs = 2\nlearning_rate = 0.3\n'
            f'[train.pulses]\nkind = "{kind}"\n[calibration]\narrays = 1\nheld_out_arrays = 1\n'
        )
        run = tmp_path / f"{kind}_{sample}"
        ran = spiceloop("train", tmp_path / "study.toml", "-o", run, "--json")
        assert ran.code == 0, ran.err
        answer = json.loads(ran.out)
        return answer["accuracy_surrogate"], answer["coincidences"]

    accuracy, coincidences = trained("deterministic", 0)
    assert accuracy > 0.6
    assert coincidences > 100
    assert trained("deterministic", 1) == (accuracy, coincidences)
    assert trained("stochastic", 0)[1] != coincidences
