"""Runs benchmarks and prints their tables; `--write` puts them into docs/results.md.

A benchmark is a module here with `TITLE`, `TEXT` and `rows() -> (header, rows)`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import benchmarks
from compact_models.files import write_text_atomic
from cosim.ngspice import find_ngspice
from workflows.versions import now_utc, versions

_TARGET = Path(__file__).resolve().parent.parent / "docs" / "results.md"


def main() -> None:
    """Entry point."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--write", action="store_true", help=f"write {_TARGET.name}")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"unknown benchmark {sorted(unknown)}; there are {', '.join(names)}")
    if arguments.write and arguments.names:
        parser.error("--write needs all benchmarks: give no names")
    parts = [_heading()]
    for name in arguments.names or names:
        module = importlib.import_module(f"benchmarks.{name}")
        started = time.perf_counter()
        header, rows = module.rows()
        minutes = (time.perf_counter() - started) / 60
        part = "\n".join(
            [
                f"## {module.TITLE}",
                "",
                module.TEXT.strip(),
                "",
                *_table(header, rows),
                "",
                f"`./run bench {name}`, {minutes:.1f} minutes.",
                "",
            ]
        )
        sys.stdout.write(part + "\n")
        sys.stdout.flush()
        parts.append(part)
    if arguments.write:
        write_text_atomic(_TARGET, "\n".join(parts))


def _heading() -> str:
    made = ", ".join(f"{name} {version}" for name, version in versions(find_ngspice()).items())
    return "\n".join(
        [
            "# Measured results",
            "",
            "Written by `./run bench --write`; every table says which command prints it.",
            "",
            f"{now_utc()}; {len(os.sched_getaffinity(0))} cores; {made}.",
            "",
        ]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    main()
