"""Beside a window that vanishes at the bound a tighter tolerance is a smaller error."""

from __future__ import annotations

import numpy as np
import torch
from scipy.integrate import solve_ivp

from compact_models.library import find_model
from cosim.devices.run_torch import run_torch

# A case found at random: the state is pressed to 1.8e-5 of its bound and let go again, so that an
# error of its distance there grows by e-folds on the way back.
VALUES = {
    "r_on": 117.94851120618917, "r_off": 12916.578193616157, "d_film": 1.3324359446647414e-08,
    "mobility": 8.60660397387465e-15, "p_window": 7.58038868668776, "j_window": 1.2385580035849688,
}  # fmt: skip
START = 0.26700638644233166
TIMES = [
    0.0, 0.01833706, 0.01834574, 2.43079293, 2.45051137, 4.91581987, 4.91583602, 4.93253804,
    5.63965695, 5.68460409,
]  # fmt: skip
VOLTS = [
    1.18416457, -1.18416457, -1.3246249, -1.3246249, 0.43343159, 1.01854924, 1.01854924,
    1.05839777, 1.05839777, 0.0,
]  # fmt: skip


def by_scipy() -> np.ndarray:
    p = VALUES
    speed = p["mobility"] * p["r_on"] / p["d_film"] ** 2

    def rate(t: float, x: np.ndarray) -> np.ndarray:
        v = np.interp(t, TIMES, VOLTS)
        current = v / (p["r_on"] * x + p["r_off"] * (1 - x))
        window = p["j_window"] * (1 - ((x - 0.5) ** 2 + 0.75) ** p["p_window"])
        free = speed * current * window
        ahead = np.where(free > 0, 1 - x, x)  # the edge of docs/devices.md
        return free * np.minimum(1, ahead / 1e-4)

    found = [START]
    for k in range(len(TIMES) - 1):
        span = TIMES[k], TIMES[k + 1]
        solved = solve_ivp(
            rate, span, [found[-1]], method="LSODA", rtol=1e-12, atol=1e-16,
            max_step=(span[1] - span[0]) / 200,
        )  # fmt: skip
        found.append(float(solved.y[0, -1]))
    return np.array(found)


def test_prodromakis_pressed_and_let_go() -> None:
    known = by_scipy()
    assert 1e-6 < known.min() < 1e-4
    assert known[-1] > 0.2
    worst = []
    for tolerance in (1e-5, 1e-6, 1e-8):
        trace = run_torch(
            find_model("ion_drift_prodromakis"), VALUES, {"x": START}, TIMES,
            torch.tensor(VOLTS, dtype=torch.float64), tolerance=tolerance,
        )  # fmt: skip
        worst.append(float(np.abs(trace.states["x"].numpy() - known).max()))
    assert worst[0] < 5e-3
    assert worst[1] < 1.5e-3
    assert worst[2] < 2e-4
