"""Names that a package shows to its users, loaded when they are asked for.

What stands behind a name may need torch or sympy, and a command that needs neither should not wait
for them. A package without such names would be its modules, which move from version to version.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def public_names(
    package: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its name.
        places: where each name is, `module` or `module:name`, if it has another name there.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"{package} has no {name!r}; it has {', '.join(places)}")
        module, _, own = places[name].partition(":")
        return getattr(importlib.import_module(module), own or name)

    return get, lambda: list(places)
