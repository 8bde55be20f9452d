"""One pulse and a hundred on a row of a 16 x 16 array, in torch and in ngspice."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.schedule import scheduled, train
from cosim.driven.spice import spice_engine
from cosim.driven.writable import WritableArray
from cosim.ngspice import find_ngspice
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme

PAGE = "performance.md"
TITLE = "Trains of pulses on an array"
TEXT = """
16 x 16 cells, wires of 5 ohm a segment, random states, V/2: every other cell of one row gets one
pulse, or a hundred in one run. `apart` is the largest difference of a state between torch and
ngspice, as a fraction of its range, over all cells, half-selected ones included; `moved` is how far
the states went in ngspice: the written cells, and the others. Energies are sums over the cells.
"""

_SIZE, _ROW = 16, 5
_APART, _ENERGY = 0.01, 0.02


@dataclass(frozen=True)
class _Job:
    device: str
    set_name: str
    level_v: float
    width_s: float
    pulses: int
    steps: int  # of ngspice, for one pulse


_JOBS = (
    _Job("vteam", "sine", 0.3, 2e-9, 1, 1000),
    _Job("vteam", "sine", 0.3, 2e-9, 100, 250),
    _Job("vteam", "sine", -0.45, 2e-9, 1, 1000),
    _Job("stanford", "sky130", -1.4, 1e-8, 1, 1000),
    _Job("stanford", "sky130", -1.4, 1e-8, 100, 250),
    _Job("stanford", "sky130", 1.7, 1e-8, 1, 1000),
    _Job("jart_v1b", "hfo2", 1.1, 1e-8, 1, 1000),
    _Job("jart_v1b", "hfo2", 1.1, 1e-8, 100, 250),
    _Job("jart_v1b", "hfo2", -0.9, 1e-8, 100, 250),
    _Job("jart_v1b", "hfo2", 1.2, 1e-8, 1, 1000),
    _Job("jart_v1b", "hfo2", -1.1, 1e-8, 1, 1000),
)


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per device and train."""
    found = []
    for job in _JOBS:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            found.append(process.submit(_row, job).result())
    columns = ["device", "level", "pulses", "moved", "apart", "energy apart", "torch", "ngspice"]
    return [*columns, f"<= {_APART:.0%} and {_ENERGY:.0%}"], found


def _row(job: _Job) -> list[str]:
    torch.set_num_threads(1)
    model = find_model(job.device)
    numbers = find_set(model, job.set_name)
    shape = (_SIZE, _SIZE)
    states = {x.name: np.full(shape, numbers.initial[x.name]) for x in model.states}
    base = WritableArray(model, numbers, Wires(r_wordline_ohm=5, r_bitline_ohm=5), states)
    array = base.at_fractions(np.random.default_rng(3).uniform(0.1, 0.9, shape))
    level_v = np.zeros(shape)
    level_v[_ROW, ::2] = job.level_v
    pulse = Pulse(job.level_v, job.width_s, 0.1 * job.width_s, 0.1 * job.width_s)
    events = train(level_v, pulse, job.pulses, rest_s=0.5 * job.width_s)
    stimulus = scheduled(array, find_scheme("v2"), events)
    started = time.perf_counter()
    known = spice_engine(find_ngspice(), steps=job.steps * job.pulses)(stimulus)
    spice_s = time.perf_counter() - started
    started = time.perf_counter()
    ours = ode_engine()(stimulus)
    torch_s = time.perf_counter() - started
    head = [f"{job.device} {job.set_name}", f"{job.level_v:g} V", str(job.pulses)]
    failed = known.failed or ours.failed
    if failed:
        return [*head, failed, "-", "-", f"{torch_s:.0f} s", f"{spice_s:.0f} s", "**no**"]
    end = array.after(known.states).fractions()
    moved = np.abs(end - array.fractions())
    apart = float(np.abs(array.after(ours.states).fractions() - end).max())
    energy = abs(float(ours.energy_j.sum() / known.energy_j.sum()) - 1)
    written = level_v != 0
    return [
        *head,
        f"{moved[written].max():.2g}, {moved[~written].max():.1g}",
        f"{apart:.1e}",
        f"{energy:.1e}",
        f"{torch_s:.1f} s",
        f"{spice_s:.1f} s",
        "yes" if apart <= _APART and energy <= _ENERGY else "**no**",
    ]
