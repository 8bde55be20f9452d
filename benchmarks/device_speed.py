"""A million cells through one write pulse in torch."""

from __future__ import annotations

import os
import statistics
import time

import torch

from compact_models.library import find_model
from cosim.devices.kernels import MakeKernels, compiled, eager
from cosim.devices.run_torch import run_torch

TITLE = "A million cells through one write pulse of 100 ns in torch"
TEXT = """
1,000,000 cells, initial states spread evenly over the range (`random`) or 2 % beside the set's own
(`initial`), edges of 1 ns, tolerance 1e-4 of the range per step, two threads, no gradients.
`steps` are the operations of torch one by one, `compiled` those of `kernels.compiled` after a first
run that compiles; that run is in `first s`. Medians of 3 runs, of 1 where one takes over 10 s.
"""

_COUNT = 1_000_000
_TIME_S = (0.0, 1e-9, 101e-9, 102e-9)
_CASES = (
    ("vteam", "sine", 0.5, "random"),
    ("vteam", "sine", -1.0, "random"),
    ("vteam", "pt_hf_ti", 1.0, "random"),
    ("vteam", "pt_hf_ti", -1.0, "random"),
    ("jart_v1b", "hfo2", -0.8, "initial"),
    ("jart_v1b", "hfo2", -0.8, "random"),
    ("jart_v1b", "hfo2", 1.2, "random"),
)
_FORMS: dict[str, MakeKernels] = {"steps": eager, "compiled": compiled}


def rows() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """One row per case and form."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    header = ("model", "set", "pulse V", "states", "form", "s", "first s", "moved", "lost")
    table: list[tuple[str, ...]] = []
    for name, set_name, volts, states in _CASES:
        for form, kernels in _FORMS.items():
            table.append((name, set_name, f"{volts:g}", states, form,
                          *_measured(name, set_name, volts, states, kernels)))  # fmt: skip
            print(" ".join(table[-1]), flush=True)
    return header, table


def _measured(
    name: str, set_name: str, volts: float, states: str, kernels: MakeKernels
) -> tuple[str, str, str, str]:
    model = find_model(name)
    one = model.parameter_set(set_name)
    state = model.states[0]
    pair = model.bounds(one.values)[state.name]
    if pair is None:
        raise AssertionError("the cases are models with bounds")
    low, high = (torch.tensor(end, dtype=torch.float64) for end in pair)
    generator = torch.Generator().manual_seed(1)
    s = torch.rand(_COUNT, dtype=torch.float64, generator=generator)
    if states == "initial":
        start = one.initial[state.name] * (1 + 0.02 * s)
    else:
        start = low * (high / low) ** s if state.log else low + (high - low) * s
    pulse = torch.tensor([0.0, volts, volts, 0.0], dtype=torch.float64)
    walls: list[float] = []
    while len(walls) < 4 and sum(walls[1:]) < 10:
        before = time.perf_counter()
        with torch.no_grad():
            trace = run_torch(
                model,
                one.values,
                {**one.initial, state.name: start},
                list(_TIME_S),
                pulse,
                tolerance=1e-4,
                kernels=kernels,
            )
        walls.append(time.perf_counter() - before)
    after = trace.states[state.name][:, -1]
    moved = (
        (after / start).log().abs() / (high / low).log()
        if state.log
        else (after - start).abs() / (high - low)
    )
    return (
        f"{statistics.median(walls[1:]):.2f}",
        f"{walls[0]:.1f}",
        f"{float(moved.mean()):.3f}",
        f"{int((~trace.alive).sum())}",
    )
