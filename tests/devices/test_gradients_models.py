"""Gradients of every model by parameters, initial states and voltages: against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.library import all_models
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.run_torch import run_torch

# JART is in test_gradients_bounds.py: it takes long.
CASES = [
    (model.name, model.parameter_sets[0].name)
    for model in all_models().values()
    if model.name != "jart_v1b"
]
CASES += [("constant_step", "idealized"), ("exp_step", "pcm")]
# Another of its family is among the quick ones: team_exp, messaris, ion_drift_biolek.
AKIN = {"team", "messaris_2021", "ion_drift_prodromakis"}
STEP = 1e-4
CELLS = 2
PLACES = torch.tensor([0.35, 0.7], dtype=torch.float64)  # of their range, where states start
# A pulse up and one down, as parts of amplitude and period, which move a state part of its way.
VOLTS = torch.tensor([0.0, 0.8, 0.8, 0.05, -0.7, -0.7, -0.1], dtype=torch.float64)
TIMES = np.array([0.0, 0.1, 0.4, 0.5, 0.7, 0.9, 1.0])
# Where a full period switches a device all of the way: how much of it is enough.
SHORTER = {"stanford": 2e-5, "vteam": 0.02, "vteam_exp": 0.02, "ion_drift_joglekar": 0.1,
           "ion_drift_prodromakis": 0.1, "team": 0.05, "team_exp": 0.05, "yakopcic": 0.2,
           "ion_drift_biolek": 0.1, "ion_drift": 0.1}  # fmt: skip
TOLERANCE = {"stanford": 1e-5}


class Turned:
    """A device whose every number can be turned a little: [cell, unknown] to [cell, output]."""

    def __init__(self, model: CompactModel, one: ParameterSet) -> None:
        self.model, self.one = model, one
        self.unknowns = [x.name for x in model.parameters] + [x.name for x in model.states]
        self.base, self.scale = {}, {}
        for k, x in enumerate(model.parameters):
            value = one.values[x.name]
            size = abs(value) or (0.1 if x.unit == "1" else 1e-9)
            # At an end of what is allowed, or at 0, where a law may have a corner, a little aside.
            inside = -1 if value == x.high else 1
            value += inside * 0.05 * size * (value in (x.low, x.high, 0.0))
            self.scale[x.name] = size
            # The cells differ in what has a unit; bounds stay where the states are.
            part = 0.01 * (k % 3 - 1) * (x.unit != "1") * (x.name not in self._bounds())
            self.base[x.name] = value * torch.tensor([1.0, 1.0 + part], dtype=torch.float64)
        for state in model.states:
            pair = model.bounds(one.values)[state.name]
            start = torch.full_like(PLACES, one.initial[state.name])
            if pair is not None:
                low, high = pair
                start = low * (high / low) ** PLACES if state.log else low + PLACES * (high - low)
            self.base[state.name] = start
            self.scale[state.name] = 1.0 if pair is None else pair[1] - pair[0]
            self.scale[state.name] = float(start[0]) if state.log else self.scale[state.name]
        self.times = TIMES * one.period_s * SHORTER.get(model.name, 1.0)

    def _bounds(self) -> set[str]:
        ends = [e for s in self.model.states for e in (s.lower, s.upper) if e is not None]
        return {str(x) for e in ends for x in getattr(e, "free_symbols", ())}

    @property
    def count(self) -> int:
        return len(self.unknowns) + len(VOLTS)

    def run(self, u: torch.Tensor) -> torch.Tensor:
        """Final states, the current of the last pulse and the charge, all of order one."""
        repeat = len(u) // CELLS
        given = {
            name: self.base[name].repeat_interleave(repeat) + u[:, k] * self.scale[name]
            for k, name in enumerate(self.unknowns)
        }
        volts = (VOLTS + u[:, len(self.unknowns) :]) * self.one.amplitude_v
        trace = run_torch(
            self.model,
            {x.name: given[x.name] for x in self.model.parameters},
            {x.name: given[x.name] for x in self.model.states},
            self.times,
            volts,
            tolerance=TOLERANCE.get(self.model.name, 1e-7),
        )
        assert bool(trace.alive.all())
        current = trace.current_a
        size = current.detach().abs().amax(-1).reshape(CELLS, repeat)[:, :1]
        size = size.expand(CELLS, repeat).reshape(-1)
        charge = torch.trapezoid(current, torch.from_numpy(self.times)) / self.times[-1]
        states = [x[:, -1] / self.scale[name] for name, x in trace.states.items()]
        return torch.stack([*states, current[:, -2] / size, charge / size], -1)


@pytest.mark.parametrize(
    ("name", "set_name"),
    [pytest.param(*one, marks=pytest.mark.slow if one[0] in AKIN else ()) for one in CASES],
)
def test_gradients_are_those_of_differences(name: str, set_name: str) -> None:
    model = all_models()[name]
    turned = Turned(model, model.parameter_set(set_name))
    u = torch.zeros(CELLS, turned.count, dtype=torch.float64, requires_grad=True)
    outputs = turned.run(u)
    ours = torch.stack(
        [torch.autograd.grad(x.sum(), u, retain_graph=True)[0] for x in outputs.unbind(-1)], -1
    )
    with torch.no_grad():
        steps = STEP * torch.eye(turned.count, dtype=torch.float64)
        ends = turned.run(torch.cat([steps, -steps]).repeat(CELLS, 1))
        up, down = ends.reshape(CELLS, 2, turned.count, -1).unbind(1)
        differences = (up - down) / (2 * STEP)
    assert bool(torch.isfinite(ours).all())
    apart = (ours - differences).abs()
    size = differences.abs().amax(1, keepdim=True)
    worst = (apart / (5e-3 * differences.abs() + 1e-3 * size + 1e-5)).amax((0, 2))
    assert float(worst.max()) < 1, worst.tolist()
    assert float(size[..., 0].max()) > 1e-4
