"""Looks for simulator processes by the folder they run in, which no other test shares."""

from __future__ import annotations

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
