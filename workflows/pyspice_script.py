"""A chip as a PySpice script: `spiceloop netlist TARGET --pyspice FILE.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compact_models.errors import InputError
from compact_models.files import check_place, write_text_atomic
from cosim.ngspice.bench import OPTIONS
from netlists.dialects.pyspice_script import ScriptOutputs, pyspice_script
from workflows.deck import Stepped


def check_script(path: Path, phase: str) -> None:
    """Refuses, before the work that leads there, what cannot be a script.

    Args:
        path: the file to write.
        phase: what the chip does.

    Raises:
        InputError: it is not called `.py`, cannot be written, or there is no script of this phase.
    """
    if phase == "update":
        raise InputError(
            "the update phase is no circuit with inputs to step through but a transient of every"
            " array, a deck each",
            where="--pyspice",
            value=f"--phase {phase}",
            allowed="--phase forward, --phase backward",
            hint="leave --pyspice out and give -o FOLDER",
        )
    if path.suffix != ".py":
        raise InputError(
            "a PySpice script is a Python file",
            where="--pyspice",
            value=str(path),
            allowed="FILE.py",
        )
    check_place(path, "--pyspice")


def write_script(path: Path, stepped: Stepped, origin: str) -> None:
    """Writes the script; see `netlists.dialects.pyspice_script`.

    Args:
        path: the file.
        stepped: the circuit, what it goes through and what to expect.
        origin: where the chip comes from.

    Raises:
        InputError: the circuit has something that cannot stand in a script.
    """
    expected = stepped.expected
    outputs = ScriptOutputs(
        stepped.outputs, np.asarray(expected.codes, dtype=float), expected.source
    )
    lines = (origin, f"it prints the codes of {stepped.converters}")
    text = pyspice_script(
        stepped.circuit,
        stepped.inputs,
        stepped.vectors,
        outputs,
        options=OPTIONS.split()[1:],
        about=lines,
    )
    write_text_atomic(path, text)
