"""How many decks are solved at a time."""

from __future__ import annotations

import os

from workflows.config import Config


def jobs(config: Config) -> int:
    """Decks at a time: as configured, or one per core."""
    return config.simulator.jobs or len(os.sched_getaffinity(0))
