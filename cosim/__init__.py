"""Floor 3: running and coupling.

The ngspice runner, the exact nodal solver, surrogates, the analog array with its reads and updates,
networks and the training algorithms. Knows nothing of command lines, configuration files or
reports. What a torch user needs has its name here and is loaded when it is asked for; everything
else is for the rooms themselves.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compact_models.variation import Stream as Stream
    from cosim.budget.budget import Budget as Budget
    from cosim.network.build_in_situ import PulsedDevice as PulsedDevice
    from cosim.network.build_in_situ import chip_of as chip_of
    from cosim.network.convert import convert as convert
    from cosim.network.in_situ import InSituNetwork as InSituNetwork
    from cosim.network.module import CrossbarNetwork as CrossbarNetwork
    from cosim.periphery.managed import ReadRule as ReadRule
    from cosim.training.pulsed_optimiser import PulsedSGD as PulsedSGD
    from netlists.hardware import Hardware as Hardware

_FROM = {
    "Budget": "cosim.budget.budget",
    "PulsedDevice": "cosim.network.build_in_situ",
    "CrossbarNetwork": "cosim.network.module",
    "Hardware": "netlists.hardware",
    "InSituNetwork": "cosim.network.in_situ",
    "PulsedSGD": "cosim.training.pulsed_optimiser",
    "ReadRule": "cosim.periphery.managed",
    "Stream": "compact_models.variation",
    "chip_of": "cosim.network.build_in_situ",
    "convert": "cosim.network.convert",
}
__all__ = tuple(_FROM)


def __getattr__(name: str) -> Any:
    """Loads a public name with what it needs, torch above all, when it is asked for."""
    if name not in _FROM:
        raise AttributeError(f"cosim has no {name!r}; it has {', '.join(_FROM)}")
    return getattr(importlib.import_module(_FROM[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(_FROM)
