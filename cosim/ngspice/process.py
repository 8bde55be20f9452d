"""Child processes that never outlive their purpose.

A simulator that goes on after its study was stopped eats a licence, a core and the disk. Three
nets: its own session, so that the whole group can be killed at once; `setpriv --pdeathsig KILL`,
so that the kernel kills it when the thread that started it dies, even by SIGKILL; and a record of
the running children, so that Ctrl-C in the main thread reaches those started by other threads.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# os.pidfd_open gives an exact wake-up; Popen.wait(timeout) polls, up to 50 ms late, which is more
# than a small deck takes to run.
_HAS_PIDFD = hasattr(os, "pidfd_open")
_LONGEST_WAIT_S = 2e6  # poll() counts milliseconds in 32 bits


class CancelledError(RuntimeError):
    """A child was not started, or was killed, because its pool is being stopped."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (minus the signal's number) and whether it was late."""

    returncode: int
    timed_out: bool


@dataclass
class Children:
    """The children that are running now, so that another thread can kill them all.

    After `kill_all` no child can be started any more.
    """

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path
    ) -> subprocess.Popen[bytes]:
        """Starts a child in its own session, with both output streams in one file.

        Args:
            command: the program and its arguments; no shell is involved.
            cwd: its working folder.
            env: its whole environment.
            output: the file for stdout and stderr.

        Raises:
            CancelledError: `kill_all` was called before.
            OSError: the program or the output file cannot be opened.
        """
        with output.open("wb") as stream, self._lock:
            if self._closed:
                raise CancelledError("the pool is being stopped")
            child = subprocess.Popen(
                [*_die_with_parent(), *command],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(child)
        return child

    def wait(self, child: subprocess.Popen[bytes], timeout_s: float) -> Ended:
        """Waits for a child; kills its whole group when it is late or when anything is raised."""
        try:
            timed_out = not _ends_within(child, timeout_s)
        finally:
            # Also after a normal end: a grandchild must not stay behind. Reaped under the lock,
            # so that kill_all cannot hit a process number that was given to somebody else.
            kill_group(child)
            with self._lock:
                returncode = child.wait()
                self._running.discard(child)
        return Ended(returncode, timed_out)

    @property
    def closed(self) -> bool:
        """True after `kill_all`."""
        return self._closed

    def kill_all(self) -> None:
        """Kills every running child and refuses new ones; the waiting threads then return."""
        with self._lock:
            self._closed = True
            for child in self._running:
                kill_group(child)


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kills a child that was not waited for yet, and all its descendants."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _ends_within(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    if not _HAS_PIDFD:
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True
    handle = os.pidfd_open(child.pid)
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(1000.0 * min(timeout_s, _LONGEST_WAIT_S)))
    finally:
        os.close(handle)


def _die_with_parent() -> list[str]:
    """The words before a command that tie a child's life to its parent's, where available."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
