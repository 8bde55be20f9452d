"""What all tests share: which of them run, and what happens where the simulator is missing.

Tests marked `slow` run under `--all`, or when one is named by itself (`FILE::TEST`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from compact_models.errors import InputError
from compact_models.files import cache_folder
from cosim.ngspice import Ngspice, find_ngspice

_CACHE = pytest.StashKey[Path]()
_CHOICE = pytest.StashKey[str]()
_CHOICES = ("required", "if_available", "disabled")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--ngspice",
        choices=_CHOICES,
        default="if_available",
        help="tests marked ngspice: required = fail without it, if_available = skip without it, "
        "disabled = always skip",
    )
    parser.addoption("--all", action="store_true", help="the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CHOICE] = config.getoption("--ngspice")
    if not hasattr(config, "workerinput"):
        config.stash[_CACHE] = _own_cache()


def _own_cache() -> Path:
    """A cache of this session: all its processes share it, and nothing of the user's is in it.

    What is compiled is the exception, models and loops: its key is its whole text and the compiler.
    """
    folder = Path(tempfile.mkdtemp(prefix="spiceloop-tests-"))
    for name in ("osdi", "loops"):
        compiled = cache_folder() / name
        with contextlib.suppress(OSError):
            compiled.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(compiled.resolve())
    os.environ["SPICELOOP_CACHE"] = str(folder)
    return folder


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_CACHE, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)  # the links go, not what they lead to


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all") or any("::" in argument for argument in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    items[:] = [item for item in items if item.get_closest_marker("slow") is None]
    config.hook.pytest_deselected(items=slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("ngspice") is None:
        return
    choice = item.config.stash[_CHOICE]
    if choice == "disabled":
        pytest.skip("--ngspice disabled")
    missing = _why_missing()
    if missing and choice == "required":
        pytest.fail(f"--ngspice required: {missing}", pytrace=False)
    if missing:
        pytest.skip(missing)


def _why_missing() -> str:
    try:
        find_ngspice()
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def ngspice() -> Ngspice:
    """The simulator; use it only in tests marked `ngspice`."""
    return find_ngspice()
