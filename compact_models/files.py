"""Files that are whole or absent: written beside their place, then moved into it."""

from __future__ import annotations

import errno
import os
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
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp makes it private to its owner
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, in UTF-8."""
    write_bytes_atomic(path, text.encode("utf-8"))


def unwritable(path: Path, error: OSError) -> InputError:
    """The user's error behind an operating-system error while writing `path`."""
    hints = {
        errno.ENOSPC: "the disk is full: free some space or give another place with -o",
        errno.EDQUOT: "the disk quota is used up: free some space or give another place with -o",
        errno.EACCES: "the folder is not writable: choose another with -o",
        errno.EPERM: "the folder is not writable: choose another with -o",
        errno.EROFS: "the file system is read-only: choose another place with -o",
        errno.ENOENT: "its folder does not exist: create it or choose another with -o",
        errno.ENOTDIR: "a part of the path is a file: choose another place with -o",
        errno.EISDIR: "the path is a folder: give a file name with -o",
    }
    return InputError(
        f"cannot write ({error.strerror or error})",
        where=str(path),
        hint=hints.get(error.errno or 0, "choose another place with -o"),
    )
