"""A run from the beginning of its training to its end: claimed at once, taken up again if stopped.

RUN stands under its name from the start, with the configuration and `run.json`, whose status is
`running`, then `finished`, `stopped` or `failed`. Whoever trains it holds a lock on the folder. The
kernel drops the lock when the process ends, however it ends: a status `running` that nobody holds
is that of a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from compact_models.errors import InputError
from compact_models.scratch import HeldError, take_lock
from workflows.checkpoint import Checkpoint
from workflows.runfolder import (
    SCHEMA_VERSION,
    check_version,
    claimed_folder,
    is_unfinished,
    read_json,
    read_record,
    refuse_existing,
    write_json,
)
from workflows.versions import now_utc


class Beginning(BaseModel):
    """What `run.json` says of a run that is not finished.

    Hashes and threads are empty until data and network have been read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    status: Literal["running", "stopped", "failed"] = "running"
    reason: str = ""
    command: str
    created_utc: str
    pid: int
    host: str
    resumed: int = 0
    config_hash: str
    data_hash: str = ""
    module: str = ""
    module_sha256: str = ""
    versions: dict[str, str]
    threads: int = 0
    notes: list[str] = []

    @classmethod
    def now(
        cls, *, command: str, config_hash: str, module: str, versions: dict[str, str]
    ) -> Beginning:
        """Of this process."""
        return cls(
            command=command,
            created_utc=now_utc(),
            pid=os.getpid(),
            host=socket.gethostname(),
            config_hash=config_hash,
            module=module,
            versions=versions,
        )


def write_beginning(run: Path, beginning: Beginning) -> None:
    """Writes `run.json` of a run that is not finished."""
    write_json(run / "run.json", beginning.model_dump())


@contextmanager
def begun(
    path: Path, beginning: Beginning, fill: Callable[[Path], None], say: Callable[[str], None]
) -> Iterator[Path]:
    """A new run, claimed and locked.

    If what is done with it fails before there is a calibration, nothing is left of it; afterwards
    it stays, says why it stopped, and can be taken up again.

    Args:
        path: its name.
        beginning: what is known of it.
        fill: puts the configuration into it, before it has its name.
        say: is told what was left by a killed command and removed, and how a failed run goes on.

    Raises:
        InputError: something of that name exists or is being made, or the place cannot be written.
    """
    with claimed_folder(path, say) as part:
        fill(part)
        write_beginning(part, beginning)
        refuse_existing(path)
        part.rename(path)  # with the lock, which is the folder's and not the name's
        try:
            yield path
        except BaseException as error:
            if is_unfinished(path) and not Checkpoint(path).calibrated:
                shutil.rmtree(path, ignore_errors=True)
            else:
                _note_end(path, error, say)
            raise


@contextmanager
def taken_up(run: Path, say: Callable[[str], None]) -> Iterator[Beginning]:
    """A run that was stopped, locked again; with what it said of itself.

    Args:
        run: its folder.
        say: is told who had it before, and how it goes on if it fails again.

    Raises:
        InputError: it is no run, it is finished, or another process trains it.
    """
    before = _unfinished(run)
    held = _locked(run, before)
    try:
        before = _unfinished(run)  # it may have ended meanwhile
        if before.status == "running":
            say(f"spiceloop: the process {before.pid} that trained {run} is no more: going on")
        here = {
            "status": "running",
            "reason": "",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "resumed": before.resumed + 1,
        }
        now = before.model_copy(update=here)
        write_beginning(run, now)
        try:
            yield now
        except BaseException as error:
            _note_end(run, error, say)
            raise
    finally:
        if held is not None:
            os.close(held)


def _unfinished(run: Path) -> Beginning:
    if run.is_dir() and not is_unfinished(run):
        read_record(run)  # says what else is wrong with it
        Checkpoint(run).remove()  # which a process that was killed at its very end has left
        raise InputError(
            "this run is finished: there is nothing to go on with",
            where=str(run),
            hint=f"next: spiceloop verify {shlex.quote(str(run))}",
        )
    if not run.is_dir():
        raise InputError("there is no such run folder", where=str(run))
    check_version(run)
    found: Beginning = read_json(run / "run.json", Beginning)
    return found


def _locked(run: Path, before: Beginning) -> int | None:
    """The lock of a run; None on a file system without locks, where the process is looked for."""
    where = f"process {before.pid} on {before.host}"
    try:
        return take_lock(run)
    except HeldError as error:
        raise InputError(
            f"another process is training this run now ({where})",
            where=str(run),
            hint="wait for it; if it is killed, the same command goes on",
        ) from error
    except OSError:
        pass
    if before.status != "running":
        return None
    if before.host != socket.gethostname():
        raise InputError(
            f"{where} may still be training this run, and this file system has no locks to tell",
            where=str(run),
            hint=f'go on from {before.host}; or, if that process is gone, make it "status": '
            f'"stopped" in {run / "run.json"}',
        )
    if Path(f"/proc/{before.pid}").exists():
        raise InputError(
            f"another process is training this run now ({where})",
            where=str(run),
            hint='wait for it; if it is another program by now, make it "status": "stopped" in'
            f" {run / 'run.json'}",
        )
    return None


def _note_end(run: Path, error: BaseException, say: Callable[[str], None]) -> None:
    """Writes how a training ended that did not end well, if that can be written at all.

    A run that is finished stays as it is.
    """
    if not is_unfinished(run):
        return
    stopped = isinstance(error, KeyboardInterrupt | SystemExit)
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    end = {"status": "stopped" if stopped else "failed", "reason": "" if stopped else said}
    with contextlib.suppress(InputError, OSError):
        write_beginning(run, read_json(run / "run.json", Beginning).model_copy(update=end))
    say(f"spiceloop: {run} stays; go on with: spiceloop train --resume {shlex.quote(str(run))}")
