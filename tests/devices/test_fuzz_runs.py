"""Random stimuli, numbers and starts: against scipy with the papers' equations, and in other cuts.

Segments last 10 ns to 1 s, with jumps, rests and both signs; states start anywhere and at bounds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from compact_models.library import all_models
from compact_models.model import CompactModel, ParameterSet
from compact_models.normal_form import EDGE
from cosim.devices.run_torch import run_torch
from tests.devices.agreement import fractions
from tests.devices.references import Numbers, all_references

CASES = [("stanford", "sky130"), ("stanford", "asu"), ("piecewise_step", "example")]
CASES += [
    (model.name, model.parameter_sets[0].name)
    for model in all_models().values()
    if model.name in all_references() and model.name not in ("stanford", "jart_v1b")
]
# Of two sets of one model one is quick.
EVERY = pytest.mark.parametrize(
    ("name", "set_name"),
    [pytest.param(*one, marks=pytest.mark.slow if one[1] == "asu" else ()) for one in CASES],
)
# Numbers that a law is very sensitive to; exponents that a reference takes as whole.
NEAR = {"stanford": 0.02, "ion_drift_joglekar": 0.0, "ion_drift_biolek": 0.0}


def stepwise_current(v: float, x: Numbers, p: Numbers) -> float:
    place = (x["w"] - p["w_min"]) / (p["w_max"] - p["w_min"])
    return (p["g_min"] + place * (p["g_max"] - p["g_min"])) * v


def stepwise_rates(v: float, x: Numbers, p: Numbers) -> Numbers:
    """aihwkit's law: what one pulse of width_s would do at this weight, straight between nodes."""
    if abs(v) <= p["threshold_v"]:
        return {"w": 0.0}
    word, step = ("up", 1.0) if v > 0 else ("down", -1.0)
    place = 9 * (x["w"] - p["w_min"]) / (p["w_max"] - p["w_min"])
    nodes = [p[f"{word}_{k}"] for k in range(10)]
    return {"w": step * p["dw_min"] * float(np.interp(place, range(10), nodes)) / p["width_s"]}


REFERENCES = {**all_references(), "piecewise_step": (stepwise_current, stepwise_rates)}


class Draw:
    """A device, its start and a stimulus, all random."""

    def __init__(self, model: CompactModel, one: ParameterSet, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.model = model
        self.values = {}
        for x in model.parameters:
            value = one.values[x.name] * (1 + rng.uniform(-1, 1) * NEAR.get(model.name, 0.2))
            keep = not x.allows(value) or x.name == "up_down"
            self.values[x.name] = one.values[x.name] if keep else float(value)
        self.initial = {}
        for state in model.states:
            pair = model.bounds(self.values)[state.name]
            if pair is None:  # a temperature
                self.initial[state.name] = self.values["t_ambient"] + rng.choice([0.0, 150.0])
                continue
            s = float(rng.choice([0.0, 1.0, rng.uniform(), 10 ** rng.uniform(-5, -2)]))
            self.initial[state.name] = min(max(pair[0] + s * (pair[1] - pair[0]), pair[0]), pair[1])
        times, volts = [0.0], [float(rng.choice([0.0, 0.5]))]
        for _ in range(int(rng.integers(2, 7))):
            kind = rng.integers(4)
            jump = kind == 0
            times.append(
                times[-1] + (max(1e-9, 1e-12 * times[-1]) if jump else 10 ** rng.uniform(-8, 0))
            )
            volts.append([rng.uniform(-1.1, 1.1), volts[-1], rng.uniform(-1.1, 1.1), 0.0][kind])
        self.times, self.volts = np.array(times), np.array(volts) * one.amplitude_v
        self.set = ParameterSet("drawn", "-", self.values, self.initial, 1.0, 1.0)

    def torch(self, times: np.ndarray, initial: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """Places of the states that have bounds [state, time], and the current."""
        volts = torch.from_numpy(np.interp(times, self.times, self.volts))
        trace = run_torch(self.model, self.values, initial, times, volts)
        self.final = {k: float(x[-1]) for k, x in trace.states.items()}
        states = {k: x.numpy() for k, x in trace.states.items()}
        places = np.array(list(fractions(self.model, self.set, states).values()))
        return places, trace.current_a.numpy()

    def scipy(self) -> tuple[np.ndarray, np.ndarray]:
        """The same by Radau, every segment cut where the rates are not smooth."""
        current, rates = REFERENCES[self.model.name]
        bounds = self.model.bounds(self.values)
        names = [x.name for x in self.model.states]
        low = np.array([0.0 if (b := bounds[n]) is None else b[0] for n in names])
        size = np.array([100.0 if (b := bounds[n]) is None else b[1] - b[0] for n in names])
        bounded = [bounds[n] is not None for n in names]

        def physical(s: np.ndarray) -> Numbers:
            inside = np.where(bounded, np.clip(s, -EDGE, 1 + EDGE), np.maximum(s, 0))
            return dict(zip(names, map(float, low + size * inside), strict=True))

        def slopes(t: float, s: np.ndarray, a: float, b: float, long: float) -> list[float]:
            x = physical(s)
            free = rates(a + (b - a) * t / long, x, self.values)
            found = [free[n] / w for n, w in zip(names, size, strict=True)]
            return [
                z * min(1.0, (1 - q if z > 0 else q) / EDGE) if has else z
                for z, q, has in zip(found, map(float, s), bounded, strict=True)
            ]

        place = (np.array([self.initial[n] for n in names]) - low) / size
        columns = [place]
        for (t0, t1), (v0, v1) in zip(
            itertools.pairwise(self.times), itertools.pairwise(self.volts), strict=True
        ):
            cuts = [(k - v0) / (v1 - v0) for k in self._corners() if (k - v0) * (k - v1) < 0]
            for a, b in itertools.pairwise([0.0, *sorted(cuts), 1.0]):
                va, vb, long = v0 + (v1 - v0) * a, v0 + (v1 - v0) * b, (t1 - t0) * (b - a)
                hair = 1e-12 * (vb - va)
                for method in ("Radau", "LSODA"):  # either fails where a filament closes at once
                    with np.errstate(all="ignore"):
                        found = solve_ivp(
                            slopes, (0, long), place, method=method, rtol=1e-8, atol=1e-10,
                            args=(va + hair, vb - hair, long), first_step=1e-6 * long,
                            max_step=long / 10,
                        )  # fmt: skip
                    if found.success:
                        break
                assert found.success, found.message
                place = found.y[:, -1]
            columns.append(place)
        states = np.array(columns).T
        i = [
            current(float(v), physical(s), self.values)
            for v, s in zip(self.volts, states.T, strict=True)
        ]
        return states[bounded], np.array(i)

    def _corners(self) -> list[float]:
        p = self.values
        named = [p[n] for n in ("v_on", "v_off", "v_p", "threshold_v") if n in p]
        return [0.0, *named, *[-p[n] for n in ("v_n", "threshold_v") if n in p]]


def seeds(name: str) -> range:
    return range(100, 107) if name in ("stanford", "piecewise_step") else range(200, 202)


@EVERY
def test_random_runs_agree_with_scipy(name: str, set_name: str) -> None:
    model = all_models()[name]
    for seed in seeds(name):
        drawn = Draw(model, model.parameter_set(set_name), seed)
        ours, i = drawn.torch(drawn.times, drawn.initial)
        known, i_known = drawn.scipy()
        assert -EDGE <= ours.min() <= ours.max() <= 1 + EDGE, seed
        assert np.abs(ours - known).max() < 1e-3, seed
        counts = np.abs(drawn.volts) > 0.02 * np.abs(drawn.volts).max()
        assert i[counts] == pytest.approx(i_known[counts], rel=1e-3), seed


@EVERY
def test_a_run_cut_in_two_is_the_same(name: str, set_name: str) -> None:
    model = all_models()[name]
    for seed in seeds(name):
        drawn = Draw(model, model.parameter_set(set_name), seed)
        whole, _ = drawn.torch(drawn.times, drawn.initial)
        middle = 0.5 * (drawn.times[-2] + drawn.times[-1])
        drawn.torch(np.append(drawn.times[:-1], middle), drawn.initial)
        second, _ = drawn.torch(np.array([middle, drawn.times[-1]]), drawn.final)
        assert second[:, -1] == pytest.approx(whole[:, -1], abs=1e-4), seed


@EVERY
def test_a_batch_is_like_its_cells_alone(name: str, set_name: str) -> None:
    model = all_models()[name]
    drawn = [Draw(model, model.parameter_set(set_name), seed) for seed in range(300, 306)]
    times = drawn[0].times

    def column(of: Callable[[Draw], float]) -> torch.Tensor:
        return torch.tensor([of(x) for x in drawn], dtype=torch.float64)

    values = {x.name: column(lambda d, n=x.name: d.values[n]) for x in model.parameters}
    initial = {x.name: column(lambda d, n=x.name: d.initial[n]) for x in model.states}
    scale = [1.0, -0.9, 0.8, -1.1, 0.5, -0.4]
    volts = torch.tensor(scale, dtype=torch.float64)[:, None] * torch.from_numpy(drawn[0].volts)
    together = run_torch(model, values, initial, times, volts)
    for k, one in enumerate(drawn):
        alone = run_torch(model, one.values, one.initial, times, volts[k])
        for state, x in alone.states.items():
            pair = model.bounds(one.values)[state]
            size = 100.0 if pair is None else pair[1] - pair[0]
            assert float((x - together.states[state][k]).abs().max()) < 1e-9 * size
    assert math.isfinite(float(together.current_a.sum()))
