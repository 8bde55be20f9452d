"""Unfinished files and folders: told from those that a killed process left behind.

Whoever works in one holds a lock on it (flock). The kernel drops the lock when the process ends,
however it ends, so what nobody holds was abandoned: no process number that somebody else has by
now, no guess by age alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compact_models.errors import InputError
from compact_models.files import unwritable

_PREFIX, _SUFFIX = "spiceloop.", ".tmp"
# Between the making of a folder and the lock on it nobody holds it.
_MIN_AGE_S = 60.0


class HeldError(Exception):
    """Another process holds the lock."""


def take_lock(path: Path) -> int:
    """Locks a file or a folder; the lock is held until the descriptor is closed.

    Args:
        path: no symbolic link.

    Raises:
        HeldError: another descriptor, here or in another process, holds it.
        OSError: it cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HeldError(str(path)) from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder in the temporary folder that is removed afterwards, and known as ours until then.

    Raises:
        InputError: none can be made there.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX))
    except OSError as error:
        raise unwritable(Path(tempfile.gettempdir()), error, "TMPDIR") from error
    held: int | None = None
    try:
        with contextlib.suppress(OSError):  # without locks it is cleared by nobody
            held = take_lock(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def clear_scratch() -> list[Path]:
    """Removes the scratch folders of processes that are no more, and returns them."""
    return clear_abandoned(Path(tempfile.gettempdir()), _PREFIX, (_SUFFIX,))


def clear_abandoned(
    folder: Path, prefix: str, suffixes: tuple[str, ...], *, min_age_s: float = _MIN_AGE_S
) -> list[Path]:
    """Removes what abandoned work left in a folder, by its name, its owner and its lock.

    Args:
        folder: where to look, itself only.
        prefix: of the names.
        suffixes: of the names, any of them.
        min_age_s: what changed less long ago stays.

    Returns:
        What was removed.
    """
    removed: list[Path] = []
    with contextlib.suppress(OSError):
        found = [
            entry
            for entry in os.scandir(folder)
            if entry.name.startswith(prefix) and entry.name.endswith(suffixes)
        ]
        for entry in found:
            with contextlib.suppress(OSError, HeldError):
                path, facts = Path(entry.path), entry.stat(follow_symlinks=False)
                old = time.time() - facts.st_mtime >= min_age_s
                if entry.is_symlink() or facts.st_uid != os.geteuid() or not old:
                    continue
                held = take_lock(path)
                try:
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
                finally:
                    os.close(held)
                removed.append(path)
    return removed


@contextmanager
def claim(part: Path) -> Iterator[bool]:
    """Makes a folder that only one process at a time can work in; the first wins, at once.

    What a killed process left in it is removed. The folder is removed at the end, unless it was
    renamed.

    Args:
        part: the folder; the folder above it must exist.

    Yields:
        Whether there was something abandoned.

    Raises:
        HeldError: another process works in it.
        OSError: it cannot be made.
    """
    held: int | None = None
    made = False
    while True:
        with contextlib.suppress(FileExistsError):
            part.mkdir()
            made = True
        if part.is_symlink() or not part.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "something else has this name", str(part))
        try:
            held = take_lock(part)
        except FileNotFoundError:  # its holder has just renamed or removed it
            made = False
            continue
        except OSError as error:  # a file system without locks: mkdir alone is atomic too
            if not made:
                raise HeldError(str(part)) from error
            break
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), part.stat()):
                break
        os.close(held)
        made = False
    try:
        left = list(part.iterdir())
        for entry in left:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        yield bool(left)
    finally:
        # Only what was claimed: once it has another name, another process may claim this one.
        with contextlib.suppress(FileNotFoundError):
            if held is None or os.path.samestat(os.fstat(held), part.stat()):
                shutil.rmtree(part, ignore_errors=True)
        if held is not None:
            os.close(held)


def check_room(folder: Path, needed_bytes: float, what: str, option: str = "-o") -> None:
    """Refuses, before the work, a disk that is too full for its result.

    Args:
        folder: on the disk.
        needed_bytes: an estimate.
        what: what is to be written, in words.
        option: by which the user gave the folder.

    Raises:
        InputError: there is less room.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise InputError(
            f"the disk is too full for {what}",
            where=str(folder),
            value=f"{free / 1e6:.3g} MB free",
            allowed=f"about {needed_bytes / 1e6:.3g} MB",
            hint=f"free some space or give another place with {option}",
        )
