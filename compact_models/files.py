"""Files that are whole or absent: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import secrets
import tempfile
from pathlib import Path

from compact_models.errors import InputError


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part.

    Args:
        path: the file; its folder must exist.
        data: the whole content.

    Raises:
        InputError: the folder cannot be written or the disk is full. Nothing is left behind.
    """
    temporary: Path | None = None
    try:
        part = part_beside(path)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        temporary = part
        with os.fdopen(handle, "wb") as stream:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # see `scratch`
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
            temporary = None
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def part_beside(path: Path) -> Path:
    """A name that nobody has, beside a place, for what is moved there once it is whole.

    Unlike those of `tempfile`, what is made under it is open to whom the user's umask allows.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, in UTF-8."""
    write_bytes_atomic(path, text.encode("utf-8"))


def cache_folder() -> Path:
    """Where what can be made again is kept; it need not exist.

    `$SPICELOOP_CACHE`, or `$XDG_CACHE_HOME/spiceloop`, or `~/.cache/spiceloop`.
    """
    own = os.environ.get("SPICELOOP_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spiceloop"


def trim_folder(folder: Path, max_bytes: int, *, newest: Path) -> None:
    """Deletes what was not used for longest until the .npz files of a folder are small enough.

    Args:
        folder: of a cache, which other processes use too.
        max_bytes: of all of them together.
        newest: one that stays.
    """
    found = []
    for path in folder.glob("*.npz"):
        with contextlib.suppress(OSError):  # another process may be doing the same
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size, path))
    room = max_bytes - sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if room >= 0:
            break
        if path != newest:
            with contextlib.suppress(OSError):
                path.unlink()
            room += size


def check_place(path: Path, option: str) -> None:
    """Refuses, before the work that leads there, a place where no file could be written.

    Args:
        path: the file that is to be written.
        option: by which the user gave it.

    Raises:
        InputError: its folder is missing or takes no file, or what is there is no file.
    """
    try:
        if path.is_dir():
            raise InputError(
                "this is a folder", where=option, value=str(path), hint="give a file name"
            )
        if path.exists() and not path.is_file():
            # A finished file is renamed onto its name: root would replace /dev/null for everybody.
            raise InputError(
                "this is no regular file and is not replaced",
                where=option,
                value=str(path),
                hint="give another file name",
            )
        # Tried, because permissions say nothing of root, of /proc, or of a read-only disk.
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".part", dir=path.parent):
            pass
    except OSError as error:
        raise unwritable(path, error, option) from error


def set_aside(out: Path, option: str) -> str | None:
    """Gives a file the first free name of `<file>.old`, `<file>.old2`, ...: nothing is lost.

    What a command that failed did not write must not be there from an earlier run: it would read
    like the result of this one.

    Args:
        out: where the result would have been.
        option: by which the user gave it.

    Returns:
        Where the file is now; None if there was none.

    Raises:
        InputError: it cannot be renamed.
    """
    if not out.exists():
        return None
    tried = (out.with_name(f"{out.name}.old{k if k > 1 else ''}") for k in itertools.count(1))
    place = next(one for one in tried if not one.exists() and not one.is_symlink())
    try:
        out.rename(place)
    except OSError as error:
        raise unwritable(place, error, option) from error
    return str(place)


def unwritable(path: Path, error: OSError, option: str = "-o") -> InputError:
    """The user's error behind an operating-system error while writing what `option` gave."""
    if error.errno == errno.ENOENT and path.parent.is_dir():  # as in /proc
        return InputError(
            "no file can be made in this folder",
            where=str(path),
            hint=f"choose another with {option}",
        )
    hints = {
        errno.ENOSPC: f"the disk is full: free some space or give another place with {option}",
        errno.EDQUOT: f"the disk quota is used up: free some or give another place with {option}",
        errno.EACCES: f"the folder is not writable: choose another with {option}",
        errno.EPERM: f"the folder is not writable: choose another with {option}",
        errno.EROFS: f"the file system is read-only: choose another place with {option}",
        errno.ENOENT: f"its folder does not exist: create it or choose another with {option}",
        errno.ENOTDIR: f"a part of the path is a file: choose another place with {option}",
        errno.EISDIR: f"the path is a folder: give a file name with {option}",
    }
    return InputError(
        f"cannot write ({error.strerror or error})",
        where=str(path),
        hint=hints.get(error.errno or 0, f"choose another place with {option}"),
    )
