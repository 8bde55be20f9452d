"""Writes the report folder: all of it, or nothing.

The folder is built beside its place and swapped in by renaming, so that a reader never sees
half a report and a failed build leaves the old one untouched.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from compact_models.errors import InputError
from compact_models.files import part_beside, unwritable, write_text_atomic
from compact_models.scratch import take_lock
from workflows.report.data import ReportData
from workflows.report.figures import find_figures
from workflows.report.page import MARK, ShownFigure, render_page
from workflows.report.style import figure_style
from workflows.report.svg import standalone, svg_text
from workflows.report.text import printable


def build_report(data: ReportData, folder: Path) -> Path:
    """Writes `folder/index.html` and `folder/figures/NAME.svg` and `NAME.csv`.

    The same data give the same bytes. A report that stands in the folder is replaced.

    Args:
        data: what to show.
        folder: where; its parent folder must exist.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder cannot be written, or holds files that are no report: these are
            never replaced.
    """
    folder = folder.resolve()
    _refuse_foreign(folder)
    new: Path | None = None
    held: int | None = None
    try:
        part = part_beside(folder)
        part.mkdir()
        new = part
        with contextlib.suppress(OSError):  # a file system without locks
            held = take_lock(new)  # what nobody holds counts as abandoned
        _write(data, new)
        _swap(new, folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)
        if held is not None:
            os.close(held)
    return folder / "index.html"


def _write(data: ReportData, folder: Path) -> None:
    figures = folder / "figures"
    figures.mkdir()
    shown: list[ShownFigure] = []
    left_out: list[tuple[str, str]] = []
    for entry in find_figures():
        module = entry.module
        reason = module.absent(data)
        if reason:
            left_out.append((module.TITLE, reason))
            continue
        with figure_style():
            svg = svg_text(module.figure(data), entry.name)
        write_text_atomic(figures / f"{entry.name}.svg", standalone(svg))
        write_text_atomic(figures / f"{entry.name}.csv", csv_text(*module.table(data)))
        caption = printable(f"{module.CAPTION} {module.note(data)}")
        shown.append(ShownFigure(entry.name, module.TITLE, caption, svg))
    write_text_atomic(folder / "index.html", render_page(data, shown, left_out))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values; floats with all the digits that bring the same number back."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([float(v) if isinstance(v, float) else v for v in row] for row in rows)
    return stream.getvalue()


def _refuse_foreign(folder: Path) -> None:
    """Raises InputError where replacing the folder would delete what no report has written."""
    if not folder.exists():
        return
    hint = "give a new folder, or empty this one"
    if not folder.is_dir():
        raise InputError("is a file, not a folder", where=str(folder), hint=hint)
    entries = list(folder.iterdir())
    page, figures = folder / "index.html", folder / "figures"
    foreign = [e.name for e in entries if e not in (page, figures)]
    if figures.is_dir():
        known = {".svg", ".csv"}
        foreign += [f"figures/{e.name}" for e in figures.iterdir() if e.suffix not in known]
    if entries and not foreign and not (page.is_file() and MARK.encode() in page.read_bytes()):
        foreign = ["index.html" if page.exists() else "figures"]
    if foreign:
        raise InputError(
            f"holds files that are no report of ours ({', '.join(sorted(foreign)[:3])})",
            where=str(folder),
            hint=hint,
        )


def _swap(new: Path, folder: Path) -> None:
    """Puts the new folder in the place of the old one; restores the old one on failure."""
    if not folder.exists():
        new.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.rename(old)  # onto an empty folder, which a rename replaces
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
