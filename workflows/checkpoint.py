"""RUN/checkpoint: what a training that was stopped goes on from; it goes when the run is finished.

Each file is written beside its place and moved into it, so that whenever the process is killed it
is whole or not there, and of two states of the training one is. Files of torch hold tensors,
numbers and texts alone and are loaded with `weights_only`; nothing in them is executed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from compact_models.errors import InputError
from compact_models.files import write_bytes_atomic
from cosim.calibration.calibrate import Calibration
from cosim.training.loop import Saved
from cosim.training.torch_bytes import torch_bytes
from netlists.chip import Chip
from netlists.graph import LinearStage
from workflows.calibration_store import read_calibration, write_calibration

Stages = tuple[LinearStage, ...]


class Checkpoint:
    """The files of one run.

    Args:
        run: its folder.
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / "checkpoint"

    @property
    def calibrated(self) -> bool:
        """Whether there is a calibration: from here on a run is worth keeping."""
        return (self._folder / "calibration.json").is_file()

    def write_stages(self, name: str, stages: Stages) -> None:
        """Writes layers under a name."""
        layers = [
            {
                "name": stage.name,
                "activation": stage.activation,
                "weight": torch.from_numpy(np.ascontiguousarray(stage.weight)),
                "bias": None if stage.bias is None else torch.from_numpy(stage.bias.copy()),
            }
            for stage in stages
        ]
        self._write(name, {"layers": layers})

    def stages(self, name: str) -> Stages | None:
        """The layers that were written under a name; None before they were.

        Raises:
            InputError: the file is spoilt.
        """
        found = self._read(name)
        if found is None:
            return None
        try:
            return tuple(
                LinearStage(
                    str(one["name"]),
                    one["weight"].numpy(),
                    None if one["bias"] is None else one["bias"].numpy(),
                    str(one["activation"]),
                )
                for one in found["layers"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise self._spoilt(name, f"{error}") from error

    def write_calibration(self, calibration: Calibration) -> None:
        """Writes the calibration; its text last, which says that all of it is there."""
        self._folder.mkdir(exist_ok=True)
        write_calibration(self._folder, calibration)

    def calibration(self, chip: Chip) -> Calibration | None:
        """The calibration of a chip; None before it was made.

        Raises:
            InputError: a file is spoilt.
        """
        return read_calibration(self._folder, chip) if self.calibrated else None

    def write_state(self, state: Saved, seconds: Sequence[tuple[str, float]]) -> None:
        """Writes where the training stands, in the place of the state before.

        Args:
            state: of `cosim.training.loop.saved`.
            seconds: what stages have taken so far.
        """
        self._write("state", {"state": state, "seconds": [list(one) for one in seconds]})

    def state(self) -> tuple[Saved, list[tuple[str, float]]] | None:
        """What was written last; None before the first epoch was done.

        Raises:
            InputError: the file is spoilt.
        """
        found = self._read("state")
        if found is None:
            return None
        try:
            return found["state"], [(str(name), float(wall)) for name, wall in found["seconds"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._spoilt("state", f"{error}") from error

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, name: str, value: object) -> None:
        self._folder.mkdir(exist_ok=True)
        write_bytes_atomic(self._folder / f"{name}.pt", torch_bytes(value))

    def _read(self, name: str) -> Saved | None:
        path = self._folder / f"{name}.pt"
        if not path.exists():
            return None
        try:
            found: Saved = torch.load(path, weights_only=True, map_location="cpu")
            return found
        except Exception as error:  # whatever zipfile, pickle or torch trip over
            raise self._spoilt(name, type(error).__name__) from error

    def _spoilt(self, name: str, reason: str) -> InputError:
        return InputError(
            f"this checkpoint cannot be used ({reason})",
            where=str(self._folder / f"{name}.pt"),
            hint="remove it: the training goes on from what was before it",
        )
