"""Code of the user's is run, and the folder that it lies in stays as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compact_models.errors import InputError
from compact_models.library import models_in_file
from workflows.user_code import call_factory

LOADS: list[Callable[[Path], object]] = [lambda path: call_factory(f"{path}:make"), models_in_file]


@pytest.mark.parametrize("load", LOADS, ids=["factory", "device"])
def test_a_file_that_is_looked_at_leaves_nothing_beside_it(
    load: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "mine.py"
    path.write_text("number = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.py"):
        load(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("load", LOADS, ids=["factory", "device"])
def test_what_is_not_called_python_is_not_run(
    load: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(InputError):
        load(path)
    assert list(tmp_path.iterdir()) == [path]
