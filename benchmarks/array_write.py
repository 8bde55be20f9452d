"""A whole array written by write-verify, by the update surrogate."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from compact_models.library import find_model, find_set
from cosim.budget.memory import keep_freed_memory
from cosim.driven.table import table_engine
from cosim.driven.writable import WritableArray
from cosim.tables.cache import cached_update, updates_folder
from cosim.write.amplitudes import Predicted, quiet_limits_v
from cosim.write.verify import VerifySpec, write_verify
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme

PAGE = "performance.md"
TITLE = "An array written by write-verify"
TEXT = """
Random states, random targets of 32 levels, wires of 1 ohm a segment, V/2, a whole row at once:
amplitudes by the device's update surrogate, pulses by the update surrogate and the wires, the
written row read before every pulse. `met` are the cells within half of a level. The device is VTEAM
with numbers that such an array can be built from: 50 kohm to 1 Mohm, thresholds of 0.5 V, the whole
way in 20 ns at 0.9 V (the published sets have 50 to 2,500 ohm: with them the wires would take
everything). The calibration of the surrogate, about a second, is not counted. The median of three.
"""

_LEVELS, _RANGE_V = 32, 1.0
_DEVICE = {
    "r_on": 5e4, "r_off": 1e6, "v_on": -0.5, "v_off": 0.5,
    "k_on": -0.3, "k_off": 0.3, "alpha_on": 3.0, "alpha_off": 3.0,
}  # fmt: skip
_PULSE = Pulse(_RANGE_V, 2e-8, 4e-10, 4e-10)


@dataclass(frozen=True)
class _Job:
    size: int
    threads: int
    bar_s: float | None


_JOBS = (_Job(128, 2, 5.0), _Job(128, 1, None), _Job(64, 2, None), _Job(256, 2, None))


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per array."""
    found = []
    for job in _JOBS:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            found.append(process.submit(_row, job).result())
    return ["array", "bar", "wall", "pulses on lines", "lines read", "met", "holds"], found


def _row(job: _Job) -> list[str]:
    torch.set_num_threads(job.threads)
    keep_freed_memory()
    model = find_model("vteam")
    published = find_set(model, "pt_hf_ti")
    numbers = replace(published, values=dict(published.values) | _DEVICE)
    surrogate = cached_update(
        model, numbers, _PULSE, (-_RANGE_V, _RANGE_V), folder=updates_folder()
    ).surrogate
    rng = np.random.default_rng(0)
    shape = (job.size, job.size)
    bare = WritableArray(model, numbers, Wires(r_wordline_ohm=1, r_bitline_ohm=1), {})
    low_s, high_s = np.sort(bare.at_fractions(np.array([[0.0, 1.0]])).conductance_s(0.1)[0])
    begun = bare.at_fractions(rng.uniform(0, 1, shape))
    target_s = low_s + (high_s - low_s) * rng.integers(0, _LEVELS, shape) / (_LEVELS - 1)
    rule = Predicted(surrogate, surrogate, quiet_limits_v(surrogate, 0.5))
    half_level_s = float(high_s - low_s) / (2 * (_LEVELS - 1))
    spec = VerifySpec(half_level_s, at_once=job.size)
    engine, scheme = table_engine(surrogate), find_scheme("v2")
    walls = []
    for _ in range(3):
        started = time.perf_counter()
        written = write_verify(begun, target_s, scheme, (_PULSE, _PULSE), engine, rule, spec)
        walls.append(time.perf_counter() - started)
    wall_s, bar_s = float(np.median(walls)), job.bar_s
    good = wall_s <= (bar_s or 0) and bool(written.within.all())
    return [
        f"{job.size} x {job.size}, {job.threads} thread{'s' if job.threads > 1 else ''}",
        "-" if bar_s is None else f"{bar_s:g} s",
        f"{wall_s:.1f} s",
        str(written.ledger.steps),
        str(written.ledger.reads),
        f"{int(written.within.sum())} of {target_s.size}",
        "-" if bar_s is None else "yes" if good else "**no**",
    ]
