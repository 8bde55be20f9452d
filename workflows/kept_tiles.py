"""Tiles of a network that are written already: what a killed `write-network` need not do again.

A file is a tile, whole or not there. Its name is a hash of all that the tile hangs on: targets,
`[write]`, cells, wires, drivers, seeds, the update surrogate with the code that made it. Another
configuration finds nothing, and what is of no use to it is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.driven.writable import WritableArray
from cosim.write.ledger import Ledger
from cosim.write.verify import Written
from workflows import runfolder
from workflows.config import Config
from workflows.write_plan import WritePlan

Array = NDArray[np.float64]

_FOLDER = "write.tiles"
_TABLES = ("energy_j", "read_j", "pulses", "disturb", "disturbing")
_NUMBERS = ("given_j", "time_s", "steps", "reads")


@dataclass(frozen=True)
class KeptTiles:
    """The finished tiles of a run.

    Attributes:
        folder: inside the run; there while it is being written.
    """

    folder: Path

    @staticmethod
    def of(run: Path) -> KeptTiles:
        """Those of a run folder."""
        return KeptTiles(run / _FOLDER)

    def only(self, keys: list[str]) -> None:
        """Removes all tiles but these: they are of another configuration."""
        for path in self.folder.glob("*.npz"):
            if path.stem not in keys:
                with contextlib.suppress(OSError):
                    path.unlink()

    def found(self, key: str, fresh: WritableArray) -> tuple[Written, float] | None:
        """A finished tile and how long it took [s]; None if there is none that can be read.

        Args:
            key: of `tile_key`.
            fresh: the tile before it was written.
        """
        try:
            return _read(self.folder / f"{key}.npz", fresh)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def keep(self, key: str, written: Written, wall_s: float) -> None:
        """Keeps a tile that was written to its end, in this time [s].

        Raises:
            InputError: the run folder cannot be written.
        """
        if written.failed:
            return
        ledger = written.ledger
        self.folder.mkdir(exist_ok=True)
        runfolder.write_npz(
            self.folder / f"{key}.npz",
            {
                **{f"state.{name}": np.asarray(x) for name, x in written.array.states.items()},
                "conductance_s": written.conductance_s,
                "within": written.within,
                "unmet": written.unmet,
                "latency_s": np.array(written.latency_s),
                "wall_s": np.array(wall_s),
                **{name: getattr(ledger, name) for name in _TABLES},
                **{name: np.array(getattr(ledger, name)) for name in _NUMBERS},
            },
        )

    def clear(self) -> None:
        """Removes all: the network is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def tile_key(config: Config, plan: WritePlan, target_s: Array, path: str) -> str:
    """What a written tile hangs on.

    Args:
        config: the study.
        plan: how it is written.
        target_s: [row, col].
        path: the tile's, by which its spread is drawn.
    """
    parts = {
        "update": plan.update.key,  # device, numbers, pulse and code
        "write": config.writing.model_dump(mode="json"),
        "cell": config.hardware.cell.model_dump(mode="json"),
        "wires": config.wires.model_dump(mode="json"),
        "driver": config.driver.model_dump(mode="json"),
        "spec": dataclasses.asdict(plan.spec),
        "seed": config.study.seed,
        "sample": config.study.sample,
        "path": path,
        "shape": target_s.shape,
        "target": hashlib.sha256(np.ascontiguousarray(target_s).tobytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def _read(path: Path, fresh: WritableArray) -> tuple[Written, float]:
    # From memory: numpy leaves a file open whose archive is spoilt.
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
        ledger = Ledger(
            energy_j=stored["energy_j"],
            read_j=stored["read_j"],
            pulses=stored["pulses"],
            disturb=stored["disturb"],
            disturbing=stored["disturbing"],
            given_j=float(stored["given_j"]),
            time_s=float(stored["time_s"]),
            steps=int(stored["steps"]),
            reads=int(stored["reads"]),
        )
        written = Written(
            array=fresh.after({name: stored[f"state.{name}"] for name in fresh.states}),
            conductance_s=stored["conductance_s"],
            within=stored["within"],
            unmet=stored["unmet"],
            ledger=ledger,
            latency_s=float(stored["latency_s"]),
            failed="",
        )
        return written, float(stored["wall_s"])
