"""What all tests share: the choice of what happens where the simulator is missing."""

from __future__ import annotations

import pytest

from compact_models.errors import InputError
from cosim.ngspice import Ngspice, find_ngspice

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


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CHOICE] = config.getoption("--ngspice")


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
