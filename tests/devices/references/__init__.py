"""Devices written from their papers in plain floats, to compare the models with.

Every file has a dict `REFERENCES` of model name to (current, rates):

    current(v, x, p) -> A            v in V, x and p dicts of floats by name, in SI units
    rates(v, x, p) -> dict           d(state)/dt as printed, without any care for the bounds

None of them imports the project: only numbers go in. `tests/devices/agreement.py` integrates them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

Numbers = dict[str, float]
Current = Callable[[float, Numbers, Numbers], float]
Rates = Callable[[float, Numbers, Numbers], Numbers]


def all_references() -> dict[str, tuple[Current, Rates]]:
    found: dict[str, tuple[Current, Rates]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found |= module.REFERENCES
    return found
