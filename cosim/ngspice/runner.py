"""Running one deck in ngspice: a folder, a process, a judged result.

A subprocess and not the shared library: it can be killed, run beside others, and cannot leak or
keep an earlier circuit; starting it costs milliseconds. The process gets an empty environment and
no configuration file, so that a user's `.spiceinit` changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from compact_models.errors import InputError
from compact_models.files import unwritable
from compact_models.scratch import scratch_folder
from cosim.ngspice import log as ngspice_log
from cosim.ngspice.binary import Ngspice, clean_environment
from cosim.ngspice.deck import (
    DECK_FILE,
    LOG_FILE,
    RAW_FILE,
    Deck,
    measures_from_control,
    text_to_run,
)
from cosim.ngspice.kept import keep_failed
from cosim.ngspice.outcome import Outcome, ProcessEnd, classify
from cosim.ngspice.process import CancelledError, Children
from cosim.ngspice.raw import RawFormatError, RawPlot, read_raw
from cosim.ngspice.result import KEEP, SimulationResult

_LOG_LIMIT_BYTES = 1_000_000
_REPEATS_KEPT = 3
_FULL_DISK_BYTES = 65_536


def run_deck(
    deck: Deck,
    ngspice: Ngspice,
    *,
    timeout_s: float,
    keep_dir: Path | None = None,
    children: Children | None = None,
) -> SimulationResult:
    """Runs a deck and judges what came out.

    Args:
        deck: the netlist and what it promises.
        ngspice: from `find_ngspice`.
        timeout_s: wall time after which the run is killed, > 0; see `limits.timeout_for`.
        keep_dir: a folder in which deck, raw file and log are kept; without it they live in a
            temporary folder that is removed; of a failed run what was run is then copied into the
            folder that the environment variable SPICELOOP_KEEP names, if it is set.
        children: the record in which a pool keeps its running processes.

    Returns:
        The result. A failed simulation is a result, not an exception.

    Raises:
        InputError: the time limit makes no sense, the program cannot be started, the folder cannot
            be written or the disk is full.
        CancelledError: the pool that this run belongs to is being stopped.
    """
    if not timeout_s > 0:
        raise InputError(
            "the time limit must be positive", where=deck.name, value=timeout_s, allowed="> 0 s"
        )
    children = children if children is not None else Children()
    with _folder(keep_dir) as folder:
        with _writes_to(folder):
            _write_inputs(deck, folder)
        program = str(ngspice.path)
        raw_option = () if measures_from_control(deck) else ("-r", RAW_FILE)
        command = (program, "-n", "-b", *raw_option, DECK_FILE)
        if not Path(program).exists():
            raise InputError("ngspice is gone", where=program, hint="call find_ngspice again")
        started = time.monotonic()
        with _writes_to(folder):
            child = children.start(
                command, cwd=folder, env=clean_environment(folder), output=folder / LOG_FILE
            )
        ended = children.wait(child, timeout_s)
        wall_s = time.monotonic() - started
        if children.closed:
            raise CancelledError("the pool is being stopped")
        log_text = _read_log(folder / LOG_FILE)
        plots, raw_problem = _read_plots(folder / RAW_FILE)
        if ended.returncode >= 0 and not ended.timed_out:
            _refuse_full_disk(folder, plots, raw_problem)
        measures = ngspice_log.parse_measures(log_text)
        end = ProcessEnd(ended.returncode, ended.timed_out, timeout_s)
        verdict = classify(deck, end, log_text, plots, raw_problem, measures)
        kept = str(keep_dir or "")
        if keep_dir is None and verdict.outcome is not Outcome.OK and os.environ.get(KEEP):
            kept = keep_failed(folder, Path(os.environ[KEEP]), deck.name)
    return SimulationResult(
        deck_name=deck.name,
        outcome=verdict.outcome,
        reason=verdict.reason,
        plots=plots,
        measures=measures,
        log=log_text,
        command=command,
        wall_s=wall_s,
        engine=f"{ngspice.label} {ngspice_log.solver_used(log_text)}".strip(),
        kept=kept,
        holds=deck.holds,
    )


@contextlib.contextmanager
def _folder(keep_dir: Path | None) -> Iterator[Path]:
    """The folder to run in: the one to keep, or one that is removed afterwards."""
    if keep_dir is None:
        with scratch_folder() as temporary:
            yield temporary
        return
    with _writes_to(keep_dir):
        keep_dir.mkdir(parents=True, exist_ok=True)
        for stale in (RAW_FILE, LOG_FILE):
            # An earlier run's results must never be taken for this one's.
            (keep_dir / stale).unlink(missing_ok=True)
    yield keep_dir


@contextlib.contextmanager
def _writes_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error) from error


def _write_inputs(deck: Deck, folder: Path) -> None:
    """Writes the deck and its side files; plainly, since nobody else reads this folder yet."""
    (folder / DECK_FILE).write_text(text_to_run(deck), encoding="utf-8")
    for name, content in deck.files.items():
        data = content.encode("utf-8") if isinstance(content, str) else content
        (folder / name).write_bytes(data)


def _read_plots(path: Path) -> tuple[tuple[RawPlot, ...], str]:
    """The plots, and why they could not be read."""
    if not path.exists():
        return (), ""
    try:
        return read_raw(path), ""
    except RawFormatError as error:
        return (), f"the raw file cannot be read: {error.what}"


def _refuse_full_disk(folder: Path, plots: tuple[RawPlot, ...], raw_problem: str) -> None:
    """A result cut short on a full disk is the user's to mend, not the circuit's failure."""
    cut_short = raw_problem or not plots or any(plot.problem for plot in plots)
    if cut_short and shutil.disk_usage(folder).free < _FULL_DISK_BYTES:
        raise InputError(
            "the disk is full: the simulator could not write its results",
            where=str(folder),
            hint="free some space or set TMPDIR to a larger disk",
        )


def _read_log(path: Path) -> str:
    """The log; of a very long one each line at most three times, since failures repeat theirs."""
    if path.stat().st_size <= _LOG_LIMIT_BYTES:
        return path.read_text(encoding="utf-8", errors="replace")
    seen: Counter[str] = Counter()
    kept: list[str] = []
    size = 0
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if size > _LOG_LIMIT_BYTES:
                kept.append("(the rest of a very long log was left out)\n")
                break
            seen[line] += 1
            if seen[line] <= _REPEATS_KEPT:
                kept.append(line)
                size += len(line)
    return "".join(kept)
