"""Loads a Python file of the user's and leaves nothing beside it."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path


class UserLoader(SourceFileLoader):
    """Python's own loader, but for the compiled copy in `__pycache__`.

    The folder is the user's: a file that is looked at, and maybe refused, changes nothing there.
    """

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, str(path))

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Of `SourceLoader`: would write the compiled copy."""
