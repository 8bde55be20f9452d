"""Processes of tests: simulators by the folder they run in, and children that hear Ctrl-C."""

from __future__ import annotations

import signal
import time
from pathlib import Path


def simulators_in(folder: Path) -> list[int]:
    """Numbers of the running ngspice processes whose working folder is in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            place = (entry / "cwd").readlink()
            program = (entry / "comm").read_text().strip()
        except OSError:
            continue  # it ended meanwhile, or is a zombie
        if program.startswith("ngspice") and place.is_relative_to(folder.resolve()):
            found.append(int(entry.name))
    return found


def wait_for_simulators(folder: Path, count: int, *, timeout_s: float = 20.0) -> list[int]:
    """Waits until exactly `count` simulators run in `folder`; returns what runs then."""
    until = time.monotonic() + timeout_s
    while len(found := simulators_in(folder)) != count and time.monotonic() < until:
        time.sleep(0.02)
    return found


def hear_ctrl_c() -> None:
    """For `preexec_fn`: a shell's background job ignores SIGINT, and its children would as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
