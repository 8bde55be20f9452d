"""The update surrogate of each device over its whole range, on points that it has not seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from compact_models.library import find_model, find_set
from cosim.ngspice import find_ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_rows import Row, compared, from_rows
from cosim.tables.layout import FULL
from cosim.tables.source import in_torch
from cosim.tables.update import calibrate_update
from netlists.pulse import Pulse

PAGE = "performance.md"
TITLE = "The update surrogate over the whole range"
TEXT = """
One pulse from any state, at any level from SET to RESET; the third line is what `write-network`
calibrates with its defaults. `NRMSE` is the rms of the error of the change of state over the rms of
the change, on 10,000 points of the simulator that measured the table and that were not used for it;
`by torch` the same on 20,000 other points of torch's integrator; `ideal step` that of one constant
step per polarity, the negative control; `heat` is the energy's.
"""

_MOST, _TIMES = 0.02, 3.0
_POINTS = 20_000


@dataclass(frozen=True)
class _Job:
    device: str
    set_name: str
    pulse: Pulse
    range_v: tuple[float, float]


_JOBS = (
    _Job("vteam", "sine", Pulse(0.3, 1e-8, 2e-10, 2e-10), (-0.3, 0.3)),
    _Job("stanford", "sky130", Pulse(1.87, 7e-9, 1.4e-10, 1.4e-10), (-1.87, 1.87)),
    _Job("stanford", "sky130", Pulse(1.6, 5e-8, 1e-9, 1e-9), (-2.5256, 2.5256)),
    _Job("jart_v1b", "hfo2", Pulse(1.5, 1e-8, 2e-10, 2e-10), (-1.2, 1.5)),
)


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per device, measured in ngspice."""
    torch.set_num_threads(1)
    columns = ["device", "levels", "NRMSE", "heat", "by torch", "ideal step", "wall"]
    return [*columns, f"<= {_MOST:.0%}, control >= {_TIMES:g} x"], [_row(job) for job in _JOBS]


def _row(job: _Job) -> list[str]:
    model = find_model(job.device)
    numbers = find_set(model, job.set_name)
    started = time.perf_counter()
    made = calibrate_update(
        model, numbers, job.pulse, job.range_v, ngspice=find_ngspice(), effort=FULL
    )
    wall_s = time.perf_counter() - started
    held = made.held_out
    assert held is not None
    rng = np.random.default_rng(5)
    x, v = rng.random(_POINTS), rng.uniform(*job.range_v, _POINTS)
    true = in_torch(model, numbers, job.pulse)(x, v)
    by_torch = compared(made, x, v, true.after, true.energy_j).nrmse
    control = compared(ideal_step(made), x, v, true.after, true.energy_j).nrmse
    met = max(held.nrmse, by_torch) <= _MOST and control >= _TIMES * by_torch
    return [
        f"{job.device} {job.set_name}",
        f"{job.range_v[0]:g} to {job.range_v[1]:g} V",
        f"{held.nrmse:.2%}",
        f"{held.energy_nrmse:.2%}",
        f"{by_torch:.2%}",
        f"{control:.1%}",
        f"{wall_s:.0f} s",
        "yes" if met else "**no**",
    ]


def ideal_step(surrogate: UpdateSurrogate) -> UpdateSurrogate:
    """The negative control: one step for all states and voltages of a sign, as ideal devices have.

    It is that of the middle of the range at the full level, cut short by the bounds. It gives up
    how the step depends on the state and on the voltage that arrives.
    """
    levels = surrogate.voltage_v
    full = torch.where(levels > 0, levels[-1], levels[0]) * (levels != 0)
    middle = torch.full_like(levels, 0.5)
    step = (surrogate.lookup(middle, full)[0] - middle).numpy()
    rows = []
    for level, one in zip(surrogate.voltage_v.tolist(), step.tolist(), strict=True):
        x = np.unique(np.clip(np.array([0.0, -one, 1 - one, 1.0]), 0, 1))
        rows.append(Row(level, x, np.clip(x + one, 0, 1), np.zeros_like(x)))
    made = from_rows(
        rows,
        model=surrogate.model,
        parameter_set=surrogate.parameter_set,
        pulse=surrogate.pulse,
        state=surrogate.state,
        source="constant step",
        smooth=False,
    )
    return replace(made, held_out=None)
