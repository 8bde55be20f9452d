"""How far a fit is: told after every run, never without a number, and full at its end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from compact_models.library import find_model
from cosim.fitting.data import PulseTrain
from cosim.fitting.fit import FitOptions, fit_device
from cosim.fitting.progress import Progress
from workflows.device.fit_watch import Watch


def train() -> PulseTrain:
    """Soft bounds without noise: 30 pulses up and 30 down."""
    w, values = -0.3, []
    for k in range(60):
        w += 0.08 * (1 - w) if k < 30 else -0.08 * (1 + w)
        values.append(5e-6 + (w + 1) / 2 * 6e-5)
    return PulseTrain(np.repeat([1.0, -1.0], 30), np.array(values))


@pytest.mark.parametrize("free", [None, ["dw_min", "g_max"]])
def test_every_run_is_told(free: list[str] | None) -> None:
    model = find_model("soft_bounds")
    told: list[tuple[int, int]] = []
    fit = fit_device(
        model, model.parameter_sets[0], train(), free, FitOptions(starts=2),
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert fit.outcome == "ok"
    # From 1: a rest that is judged by 0 runs is no number.
    assert [done for done, _ in told] == [*range(1, fit.runs + 1), fit.runs]
    assert all(done < total for done, total in told[:-1])
    assert told[-1] == (fit.runs, fit.runs)


def test_a_fit_without_time_tells_its_end() -> None:
    model = find_model("soft_bounds")
    told: list[tuple[int, int]] = []
    fit = fit_device(
        model, model.parameter_sets[0], train(), None, FitOptions(timeout_s=1e-9),
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert fit.outcome == "not_converged"
    assert told[-1] == (fit.runs, fit.runs)


def test_the_bar_does_not_go_back_where_a_fit_is_as_usual() -> None:
    told: list[tuple[int, int]] = []
    progress = Progress(lambda done, total: told.append((done, total)))
    for stage, runs in (("explore", 1), ("screen", 1), ("descend", 8), ("polish", 3),
                        ("settle", 1), ("result", 2)):  # fmt: skip
        progress.enter(stage)
        for _ in range(runs):
            progress.ran()
    progress.finish()
    parts = [done / total for done, total in told]
    assert all(before <= after for before, after in pairwise(parts))
    assert parts[-1] == 1
    # A guess that is a little off is no news: the number in all stays.
    assert len({total for _, total in told[:10]}) == 1


def test_the_time_left_is_that_of_a_usual_run() -> None:
    said: list[str] = []
    now = 0.0
    watch = Watch("fit", said.append, lambda _done, _total: None, lambda: now)
    for done, took in enumerate((15.0, 12.0, 2.0, 2.0, 2.0, 9.0), 1):
        now += took
        watch(done, 46)
    assert said[:2] == [f"  {'fit':<42} 1 of 46", f"  {'fit':<42} 2 of 46"]
    assert said[2].endswith("6 of 46, about 220 s left")  # median of six: 5.5 s
