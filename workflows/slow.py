"""What is said once while a stage runs: of its first step, or where it will take long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from workflows.console import OnProgress


def said_if_slow(
    progress: OnProgress,
    say: Callable[[str], None],
    sentence: str,
    *,
    above_s: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> OnProgress:
    """Progress that says a sentence at the first estimate of what is left that is too long.

    Args:
        progress: called with (done, total) each time.
        say: where the sentence goes; nothing is said if it is empty.
        sentence: what would be faster.
        above_s: what is too long [s].
        clock: in seconds.
    """
    started, said = clock(), not sentence

    def on_progress(done: int, total: int) -> None:
        nonlocal said
        progress(done, total)
        if said or not done:
            return
        left_s = (clock() - started) / done * (total - done)
        if left_s > above_s:
            said = True
            say(f"    about {left_s:.0f} s left; {sentence}")

    return on_progress


def said_of_measuring(progress: OnProgress, say: Callable[[str], None], folder: Path) -> OnProgress:
    """Progress of a device's table, measured only where none is kept: says so at its start.

    Args:
        progress: called with (done, total) each time.
        say: where the sentence goes.
        folder: where tables are kept.
    """
    said = False

    def on_progress(done: int, total: int) -> None:
        nonlocal said
        if not said:
            said = True
            say(
                "    what a pulse does is measured now, once for a device, its numbers and a pulse;"
                f" it is kept in {folder}; stopped before its end, it goes on from there next time"
            )
        progress(done, total)

    return on_progress
