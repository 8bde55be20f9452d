"""A run that trains in its own cells, and a copy of it as a stop after some epoch leaves it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.command import spiceloop
from workflows.checkpoint import Checkpoint

# What a run that was stopped and resumed has with the same bytes as one that was not.
SAME = (
    "chip.npz",
    "model.pt",
    "model_float.pt",
    "training.json",
    "calibration.npz",
    "plans.json",
    "cells.npz",
)


def trained_and_stopped(folder: Path, study: str, *, epoch: int) -> Path:
    """Trains a study.

    Args:
        folder: gets `study.toml`, `answer.json` (of `--json`), `errors.txt`, `run` and, the copy,
            `stopped`.
        study: the configuration.
        epoch: after which one the copy is taken.

    Returns:
        The finished run.
    """
    (folder / "study.toml").write_text(study)
    written = Checkpoint.write_state

    def copied(self: Checkpoint, state: Any, seconds: Any) -> None:
        written(self, state, seconds)
        if state["epoch"] == epoch:
            shutil.copytree(folder / "run", folder / "stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "write_state", copied)
        ran = spiceloop("train", folder / "study.toml", "-o", folder / "run", "--json")
    assert ran.code == 0, ran.err
    (folder / "answer.json").write_text(ran.out)
    (folder / "errors.txt").write_text(ran.err)
    return folder / "run"
