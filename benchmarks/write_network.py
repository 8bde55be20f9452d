"""A trained network written into Stanford cells, over schemes and spreads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks._study import quiet
from cosim.ngspice import find_ngspice
from workflows.config import Config, WriteSpec
from workflows.runfolder import read_chip
from workflows.train import train_run
from workflows.write_chip import chip_targets, write_tiles
from workflows.write_plan import plan_writing

PAGE = "results.md"
TITLE = "A trained network written into filaments"
TEXT = """
Digits, 64-32-10, 4,820 cells of `stanford` `sky130`, 1 to 100 uS, wires of 1 ohm, seed 0,
tolerance half a step of 32 levels (1.6 uS), all cells off before. Spreads are those of switching
voltages from cell to cell and of steps from pulse to pulse. `held out` is the error of the update
surrogate. The second line has the defaults, and is what `./run demo` writes.
"""

# Scheme, cells of a row at once, spread of switching voltages, spread of steps.
_CASES = (
    ("v3", 4, 0.0, 0.0),
    ("v3", 4, 0.03, 0.1),
    ("v3", 8, 0.03, 0.1),
    ("v3", 4, 0.05, 0.2),
    ("v3", 8, 0.05, 0.2),
    ("v3", 4, 0.1, 0.3),
    ("v2", 4, 0.0, 0.0),
    ("v2", 8, 0.0, 0.0),
)


def rows() -> tuple[list[str], list[list[str]]]:
    """Trains once, and writes the same network in every way."""
    header = [
        "scheme", "at once", "spread of cells", "of steps", "met", "pulses on cells", "most",
        "largest error", "held out",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train_run(Config(), run, find_ngspice(), quiet(), command="./run bench write_network")
        targets = chip_targets(read_chip(run, Config()))
    return header, [_row(targets, *case) for case in _CASES]


def _row(
    targets: list[list[np.ndarray]], scheme: str, at_once: int, cells: float, steps: float
) -> list[str]:
    spec = WriteSpec(scheme=scheme, at_once=at_once, sigma_switching=cells, sigma_step=steps)
    config = Config(write=spec)
    plan = plan_writing(config)
    written, _ = write_tiles(config, plan, targets, quiet())
    tiles = [one for layer in written for one in layer]
    wanted = [goal for layer in targets for goal in layer]
    counts = np.concatenate([one.ledger.pulses.ravel() for one in tiles])
    off_s = max(
        float(np.abs(one.conductance_s - goal).max())
        for one, goal in zip(tiles, wanted, strict=True)
    )
    held = plan.surrogate.held_out
    return [
        {"v2": "V/2", "v3": "V/3"}[scheme],
        str(at_once),
        f"{cells:.0%}",
        f"{steps:.0%}",
        f"{sum(int(one.within.sum()) for one in tiles):,} of {counts.size:,}",
        f"{int(counts.sum()):,}",
        str(int(counts.max())),
        f"{off_s * 1e6:.3g} uS",
        "-" if held is None else f"{held.nrmse:.2%}",
    ]
