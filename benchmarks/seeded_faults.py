"""Faults seeded into copies of the tree: does the quick suite see them?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_COPIED = ("compact_models", "netlists", "cosim", "workflows", "tests", "benchmarks", "docs")
_FILES = ("pyproject.toml", "README.md", "run", "requirements.lock", "LICENSE", "CHANGELOG.md")

TITLE = "Faults that the quick suite sees"
TEXT = """
One fault at a time is seeded into a copy of the tree, and the tests that `./run test` runs are run
there until the first fails. `caught by` is that test, which passes without the fault.
"""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        what: in words.
        path: the file it is seeded into.
        old: a text that stands there once.
        new: what takes its place.
    """

    what: str
    path: str
    old: str
    new: str


FAULTS = (
    Fault(
        "word lines of the exact transfer in the wrong order",
        "cosim/nodal/transfer.py",
        ".mT.flip(-2)[..., -rows:, :]",
        ".mT[..., -rows:, :]",
    ),
    Fault(
        "the chip's exact fidelity drops the drivers' resistance",
        "cosim/network/models.py",
        """Ends(hardware.driver.r_driver_ohm, sense_ohm, held_v)
    return ExactReads(""",
        """Ends(0.0, sense_ohm, held_v)
    return ExactReads(""",
    ),
    Fault(
        "the pair of bit lines of a weight swapped in Python",
        "cosim/array/layout.py",
        "sums[..., 1] - sums[..., 0]",
        "sums[..., 0] - sums[..., 1]",
    ),
    Fault(
        "the sign of an amplifier's offset at its input",
        "netlists/readout/tia.py",
        "return v_offset_v * (spec.open_loop_gain",
        "return -v_offset_v * (spec.open_loop_gain",
    ),
    Fault(
        "a converter that rounds down",
        "netlists/adcs/quantiser.py",
        "(continuous + 0.5).floor()",
        "continuous.floor()",
    ),
    Fault(
        "bit lines of the netlist with the resistance of word lines",
        "netlists/dialects/ngspice.py",
        "for ohm in (wires.r_wordline_ohm, wires.r_bitline_ohm)",
        "for ohm in (wires.r_wordline_ohm, wires.r_wordline_ohm)",
    ),
    Fault(
        "the closed form of the wires without its sneak paths",
        "cosim/surrogate/wires.py",
        "sneak=sneak / first",
        "sneak=0.0 * sneak",
    ),
    Fault(
        "every sample of a study programmed alike",
        "netlists/chip.py",
        "target, seed=seed, sample=sample, path",
        "target, seed=seed, sample=0, path",
    ),
    Fault(
        "V/3 with its other lines at a third instead of a sixth",
        "netlists/write_schemes/v3.py",
        "rest_across=1 / 6",
        "rest_across=1 / 3",
    ),
    Fault(
        "VTEAM switches off with the exponent of switching on",
        "compact_models/devices/vteam.py",
        "sympy.Max(0, V / v_off - 1) ** alpha_off",
        "sympy.Max(0, V / v_off - 1) ** alpha_on",
    ),
    Fault(
        "coincidences move weights the other way",
        "cosim/pulses/update.py",
        "directions = which * counts.sign()[..., None]",
        "directions = which * -counts.sign()[..., None]",
    ),
    Fault(
        "failed images leave the denominator of the accuracy",
        "workflows/verify.py",
        "return float((predicted[name] == labels).mean())",
        "return float((predicted[name] == labels)[~failed].mean())",
    ),
)


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per fault."""
    return ["fault", "file", "caught by", "s"], [
        [fault.what, f"`{fault.path}`", *_caught(fault)] for fault in FAULTS
    ]


def _caught(fault: Fault) -> tuple[str, str]:
    """The first test that fails, and the seconds until then; it must pass without the fault."""
    started = time.perf_counter()
    failed = _failing(fault, "-n", "auto", "--dist", "loadfile", "-x")
    seconds = f"{time.perf_counter() - started:.0f}"
    if not failed:
        return "**nothing**", seconds
    assert not _failing(None, failed[0]), f"{failed[0]} fails without the fault too"
    return f"`{failed[0]}`", seconds


def _failing(fault: Fault | None, *options: str) -> list[str]:
    """The tests that fail in a copy of the tree."""
    with tempfile.TemporaryDirectory(prefix="spiceloop-fault-") as folder:
        copy = Path(folder)
        for name in _COPIED:
            shutil.copytree(_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _FILES:
            shutil.copy2(_ROOT / name, copy / name)
        (copy / ".venv").symlink_to((_ROOT / ".venv").resolve())
        if fault is not None:
            path = copy / fault.path
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "--ngspice", "required", "-q", *options],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    assert failed or run.returncode == 0, run.stdout[-2000:]  # it ended otherwise than by a test
    return failed
