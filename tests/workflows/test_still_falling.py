"""A training that ends too early says so, one that has ended does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.workflows.command import names_all, spiceloop
from workflows.still_falling import still_falling

# Losses of iris with the defaults, every fourth epoch, and of digits, which is learnt by then.
IRIS = [1.128, 1.019, 0.912, 0.786, 0.688, 0.623, 0.583, 0.561, 0.55, 0.547]
DIGITS = [1.678, 0.207, 0.114, 0.083, 0.063, 0.051, 0.047, 0.041, 0.037, 0.035]


def test_a_loss_that_falls_to_the_end_is_said_with_what_to_do() -> None:
    # Quarters of two: (0.583 + 0.561) / 2 and (0.55 + 0.547) / 2.
    names_all(still_falling(IRIS, 3), "0.572 to 0.548", "10 epochs", "[train] epochs")


@pytest.mark.parametrize(
    ("losses", "classes"),
    [
        (DIGITS, 10),
        ([0.55] * 12, 3),
        ([1.1, 0.6, 0.55, 0.55, 0.56, 0.54, 0.55, 0.55], 3),  # noise about where it stays
        (IRIS[::-1], 3),
        ([1.1], 3),  # of one epoch nothing is known
        ([float("nan")] * 8, 3),
    ],
)
def test_one_that_has_ended_is_not(losses: list[float], classes: int) -> None:
    assert still_falling(losses, classes) == ""


def test_two_epochs_are_compared_with_each_other() -> None:
    assert still_falling([1.0, 0.9], 3)
    assert not still_falling(np.geomspace(2, 1e-3, 40).tolist(), 10)


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_train_says_it_and_the_run_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "iris.toml").write_text(
        '[data]\nname = "iris"\n[network]\nhidden = [8]\n[train]\nepochs = 12\n'
        "learning_rate = 0.02\n[calibration]\narrays = 1\nheld_out_arrays = 1\n"
    )
    ran = spiceloop("train", tmp_path / "iris.toml", "-o", tmp_path / "run")
    assert ran.code == 0, ran.err
    said = ran.out.splitlines()[1]
    losses = [line["loss"] for line in json.loads((tmp_path / "run/training.json").read_text())]
    names_all(said, f"{np.mean(losses[6:9]):.3g} to {np.mean(losses[9:]):.3g}", "[train] epochs")
    assert said in json.loads((tmp_path / "run/run.json").read_text())["notes"]
