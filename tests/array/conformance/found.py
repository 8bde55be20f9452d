"""What lies in a room of fidelities, `cosim.array.reads` or `cosim.array.updates`, by its files.

Nobody lists them: a file that is put there is held to the suite, or the suite says what is wrong.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cosim


def fidelities(room: ModuleType, offered: Callable[[ModuleType], dict[str, Any]]) -> dict[str, Any]:
    """What the files of a room offer, by `file` or, of several in one file, by `file.Class`.

    Args:
        room: the package.
        offered: what one file offers, by name.

    Raises:
        AssertionError: a file offers nothing, and no other file needs it.
    """
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(room.__path__):
        module = importlib.import_module(f"{room.__name__}.{info.name}")
        own = offered(module)
        assert own or _needed(module), (
            f"{module.__name__} offers nothing that the conformance suite finds, and no other file"
            " of cosim needs it"
        )
        for name, one in own.items():
            found[info.name if len(own) == 1 else f"{info.name}.{name}"] = one
    return found


def _needed(module: ModuleType) -> bool:
    """Another file of cosim, or the suite itself, imports it."""
    (folder,) = cosim.__path__
    wanted = f"from {module.__name__} import"
    return any(
        wanted in path.read_text(encoding="utf-8")
        for place in (Path(folder), Path(__file__).parent)
        for path in place.rglob("*.py")
        if path != Path(str(module.__file__))
    )


def classes_with(module: ModuleType, *either: str) -> dict[str, type]:
    """The public classes of a file that have a `name` and one of these methods, no protocols."""
    return {
        name: one
        for name, one in vars(module).items()
        if inspect.isclass(one)
        and one.__module__ == module.__name__
        and not name.startswith("_")
        and not getattr(one, "_is_protocol", False)
        and any(callable(getattr(one, method, None)) for method in either)
        and "name" in {*vars(one), *inspect.get_annotations(one)}
    }


def made(one: type, parts: dict[str, Any]) -> Any:
    """An object of a class, of those parts that its constructor names.

    Args:
        one: the class.
        parts: by name, or by `name: annotation` where a name means several things.

    Raises:
        AssertionError: it needs something that is not among them.
    """
    given = {}
    for name, parameter in inspect.signature(one).parameters.items():
        typed = f"{name}: {parameter.annotation}"
        key = typed if typed in parts else name
        if key in parts:
            given[name] = parts[key]
        else:
            assert parameter.default is not parameter.empty, (
                f"{one.__module__}.{one.__name__} needs {typed!r}, which the conformance suite does"
                " not know: see `parts_of` in tests/array/conformance"
            )
    return one(**given)
