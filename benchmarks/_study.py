"""A study trained and verified as a user does it, for benchmarks of whole runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from cosim.ngspice import find_ngspice
from workflows.config import Config
from workflows.console import Reporter
from workflows.fresh_chips import FreshRequest
from workflows.train import train_run
from workflows.verify import Verification, verify_run


def quiet() -> Reporter:
    """A reporter that nobody hears."""
    return Reporter(Console(file=StringIO()))


@dataclass(frozen=True)
class Studied:
    """A run in its folder.

    Attributes:
        folder: the run's.
        record: `run.json`.
        epochs: `training.json`, one an epoch.
        verified: what ngspice said.
        train_s: of training on the chip alone.
        spice_s: of reading the chip in ngspice.
    """

    folder: Path
    record: dict[str, Any]
    epochs: list[dict[str, Any]]
    verified: Verification
    train_s: float
    spice_s: float


@contextmanager
def studied(
    config: Config,
    benchmark: str,
    *,
    images: Literal["all"] | None = None,
    fresh: FreshRequest | None = None,
) -> Iterator[Studied]:
    """Trains and verifies a study; its folder is there until this ends.

    Args:
        config: the study.
        benchmark: the name of who asks, for the record.
        images: how many held-out ones; None for what the configuration says.
        fresh: chips of the same weights to read as well.
    """
    ngspice, training, verifying = find_ngspice(), quiet(), quiet()
    with tempfile.TemporaryDirectory(prefix="spiceloop-bench-") as place:
        run = Path(place, "run")
        train_run(config, run, ngspice, training, command=f"./run bench {benchmark}")
        verified = verify_run(run, images, ngspice, verifying, fresh)
        record, epochs = (
            json.loads((run / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("run", "training")
        )
        trained = sum(s for name, s in training.stages if name.startswith("training"))
        in_spice = sum(s for name, s in verifying.stages if name.startswith("spice: the whole"))
        yield Studied(run, record, epochs, verified, trained, in_spice)
