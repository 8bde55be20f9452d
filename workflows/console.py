"""What a user sees while a command runs: progress and messages, all of it on stderr.

Stdout belongs to results, so that `--json` can be piped.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# In a log file there is no bar: a line this often shows that something is going on.
_SAY_EVERY_S = 10.0

OnProgress = Callable[[int, int], None]


@dataclass
class Reporter:
    """Messages, progress bars and how long each stage took."""

    console: Console = field(
        # A path may hold `:bug:`: it is shown as it is, not as a picture.
        default_factory=lambda: Console(stderr=True, highlight=False, emoji=False)
    )
    stages: list[tuple[str, float]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """One line, or several; nothing in it can steer the terminal."""
        lines = "\n".join(printable(line) for line in text.split("\n"))
        self.console.print(lines, markup=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[OnProgress]:
        """A named stage; the value is called with (done, total) as it goes on."""
        started = time.perf_counter()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<42}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as progress:
            task = progress.add_task(name, total=None)
            said = started

            def on_progress(done: int, total: int) -> None:
                nonlocal said
                progress.update(task, completed=done, total=total)
                now = time.perf_counter()
                if not self.console.is_terminal and now - said > _SAY_EVERY_S and done < total:
                    said = now
                    left = ""
                    if done:
                        left = f", about {(now - started) / done * (total - done):.0f} s left"
                    self.say(f"  {name:<42} {done} of {total}{left}")

            yield on_progress
        wall_s = time.perf_counter() - started
        self.stages.append((name, wall_s))
        self.say(f"  {name:<42} {wall_s:6.1f} s")


def printable(text: str) -> str:
    """Text that came from a file or a name, with `?` for what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def print_json(result: Mapping[str, object]) -> None:
    """One JSON object on stdout; NaN, which JSON does not know, becomes null."""
    sys.stdout.write(json.dumps(_plain(result), allow_nan=False) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
