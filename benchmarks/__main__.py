"""Runs benchmarks and prints their tables; `--write` puts them into docs/.

What is written takes the place of the table of the same title; the others stay. A benchmark is a
module here with `TITLE`, `TEXT` and `rows() -> (header, rows)`; with `PAGE`, the page of docs/ it
belongs to if that is not results.md, and `figures(rows) -> {file name: figure}` of these.
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
from types import ModuleType

import benchmarks
from compact_models.errors import InputError
from compact_models.files import write_text_atomic
from cosim.ngspice import find_ngspice
from workflows.report.style import figure_style
from workflows.report.svg import standalone, svg_text
from workflows.versions import now_utc, versions

_DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Entry point."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[0] != "_")
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--write", action="store_true", help="write the pages of docs/")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"unknown benchmark {sorted(unknown)}; there are {', '.join(names)}")
    missed: list[str] = []
    for name in arguments.names or names:
        module = importlib.import_module(f"benchmarks.{name}")
        try:
            part, rows = _measured(name, module)
        except InputError as error:  # a tool that this one needs is not on this machine
            sys.stderr.write(f"{name} was not measured: {error.sentence()}\n")
            missed.append(name)
            continue
        sys.stdout.write(part + "\n")
        sys.stdout.flush()
        if arguments.write:  # at once: the next one may take an hour, or be stopped
            target = _DOCS / getattr(module, "PAGE", "results.md")
            write_text_atomic(target, with_section(target.read_text(encoding="utf-8"), part))
            _draw(module, rows)
    if missed:
        sys.exit(2)


def _draw(module: ModuleType, rows: list[list[str]]) -> None:
    """The figures of a benchmark that has run."""
    if not hasattr(module, "figures"):
        return
    with figure_style():
        for file_name, figure in module.figures(rows).items():
            drawing = svg_text(figure, file_name.removesuffix(".svg"))
            write_text_atomic(_DOCS / file_name, standalone(drawing))


def _measured(name: str, module: ModuleType) -> tuple[str, list[list[str]]]:
    """A benchmark's section of the page, and the rows of its table."""
    started = time.perf_counter()
    header, rows = module.rows()
    minutes = (time.perf_counter() - started) / 60
    made = ", ".join(f"{name} {version}" for name, version in versions(find_ngspice()).items())
    cores = len(os.sched_getaffinity(0))
    section = "\n".join(
        [
            f"## {module.TITLE}",
            "",
            module.TEXT.strip(),
            "",
            *_table(header, rows),
            "",
            f"`./run bench {name}`, {minutes:.1f} minutes; {now_utc()}; {cores} cores; {made}.",
            "",
        ]
    )
    return section, rows


def with_section(page: str, section: str) -> str:
    """`page` with a section in place of the one of the same title, or at its end."""
    title = section.partition("\n")[0]
    head, *parts = page.rstrip("\n").split("\n## ")
    sections = [f"## {part.rstrip()}\n" for part in parts]
    places = [k for k, old in enumerate(sections) if old.partition("\n")[0] == title]
    for k in places:
        sections[k] = section
    return "\n".join([head.rstrip() + "\n", *sections, *([] if places else [section])])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    main()
