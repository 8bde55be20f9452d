"""Pulses that a measurement had finished before it was stopped: they are not measured again.

A measurement runs piece by piece, and each piece that ended well is a file, whole or not there. Its
name is a hash of all that it hangs on: the device's equations and numbers, the pulse, who measures,
states and levels, and the code itself. A measurement that ends removes its pieces; what others left
behind is bounded, and what was left for longest goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import compact_models
import cosim
from compact_models.errors import InputError
from compact_models.files import cache_folder, trim_folder, write_bytes_atomic
from compact_models.fingerprint import fingerprint
from compact_models.model import CompactModel, ParameterSet
from cosim.ngspice import Outcome
from netlists.pulse import Pulse

Array = NDArray[np.float64]

MAX_BYTES = 16 << 20
"""Of all pieces together: some hundred thousand pulses."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What one pulse has done to devices.

    Attributes:
        after: the state after it, as a fraction of its range, [point]; NaN where there is none.
        energy_j: what it has turned into heat [J], [point].
        engine: who says so.
        outcome: `ok`, or how the first run that failed ended.
        reason: why.
    """

    after: Array
    energy_j: Array
    engine: str
    outcome: Outcome = Outcome.OK
    reason: str = ""


# From states before the pulse, as fractions, and levels [V], each [point].
Measure = Callable[[Array, Array], Measured]


@dataclass(frozen=True, eq=False)
class KeptPoints:
    """The finished pieces of measurements.

    Attributes:
        folder: where they are; made with the first one. One that cannot be written keeps nothing.
    """

    folder: Path
    _used: set[Path] = field(default_factory=set, repr=False)

    @staticmethod
    def of_user() -> KeptPoints:
        """Those of all commands of a user."""
        return KeptPoints(cache_folder() / "points")

    def through(self, measure: Measure, hangs_on: Mapping[str, object]) -> Measure:
        """A measurement of pieces that looks for each among the finished ones first.

        Args:
            measure: of one piece.
            hangs_on: all that its answer does beside states and levels, of `measurement`.
        """
        begun = hashlib.sha256(json.dumps(hangs_on, sort_keys=True).encode())

        def looked_up(x: Array, voltage_v: Array) -> Measured:
            digest = begun.copy()
            for column in (x, voltage_v):
                digest.update(np.ascontiguousarray(column, dtype=np.float64).tobytes())
            path = self.folder / f"{digest.hexdigest()[:40]}.npz"
            self._used.add(path)
            found = _read(path, len(x))
            if found is None:
                found = measure(x, voltage_v)
                if found.outcome is Outcome.OK:
                    self._keep(path, found)
            return found

        return looked_up

    def _keep(self, path: Path, found: Measured) -> None:
        stored = io.BytesIO()
        engine = np.array(found.engine)
        np.savez(stored, after=found.after, energy_j=found.energy_j, engine=engine)
        with contextlib.suppress(OSError, InputError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes_atomic(path, stored.getvalue())
            trim_folder(self.folder, MAX_BYTES, newest=path)

    def clear(self) -> None:
        """Removes what this measurement has kept or found: it has ended."""
        for path in self._used:
            with contextlib.suppress(OSError):
                path.unlink()
        self._used.clear()
        with contextlib.suppress(OSError):  # others may have left some
            self.folder.rmdir()


def measurement(
    model: CompactModel, parameter_set: ParameterSet, pulse: Pulse, engine: str
) -> dict[str, object]:
    """What the answer of a measurement hangs on, beside the states and levels that are asked for.

    Args:
        model: the device.
        parameter_set: its numbers.
        pulse: whose timing is used.
        engine: who measures, with its version and how finely.
    """
    return {
        "code": code_digest(),
        "device": fingerprint(model, parameter_set),
        "timing_s": [float(x) for x in pulse.timing_s],
        "engine": engine,
        "numpy": np.__version__,
    }


@lru_cache(maxsize=1)
def code_digest() -> str:
    """A sha256 over the code that measures: compact models and cosim."""
    digest = hashlib.sha256()
    for package in (compact_models, cosim):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root.parent)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path, points: int) -> Measured | None:
    # From memory: numpy leaves a file open whose archive is spoilt.
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            found = Measured(stored["after"], stored["energy_j"], str(stored["engine"]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return found if found.after.shape == found.energy_j.shape == (points,) else None
