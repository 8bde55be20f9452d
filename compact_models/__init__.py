"""Floor 1: device physics.

Conductance ranges, parameters with unit, bounds and source, and the seeded variation of
components. Knows nothing of circuits, simulators or training. Two small things that every floor
needs live here as well because imports only go down: the error that a user sees (`errors`) and
files that are never half-written (`files`).

What a designer needs has its name here and is loaded when it is asked for (docs/python.md); every
other name is for the rooms themselves, and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compact_models.public_names import public_names

if TYPE_CHECKING:
    from compact_models.cell_device import CellDevice as CellDevice
    from compact_models.emit.ngspice import subcircuit as _subcircuit
    from compact_models.emit.torch_model import torch_model as torch_model
    from compact_models.emit.verilog_a import module as _module
    from compact_models.errors import InputError as InputError
    from compact_models.library import all_models as all_models
    from compact_models.library import all_sets as all_sets
    from compact_models.library import find_model as find_model
    from compact_models.library import find_set as find_set
    from compact_models.model import CompactModel as CompactModel
    from compact_models.model import ParameterSet as ParameterSet
    from compact_models.ohmic import OhmicCell as OhmicCell
    from compact_models.set_file import save_set as save_set
    from compact_models.symbols import Parameter as Parameter
    from compact_models.symbols import State as State
    from compact_models.symbols import V as V
    from compact_models.variation import ArrheniusDecay as ArrheniusDecay
    from compact_models.variation import DieField as DieField
    from compact_models.variation import Lognormal as Lognormal
    from compact_models.variation import Normal as Normal
    from compact_models.variation import PowerLawDrift as PowerLawDrift
    from compact_models.variation import ReadNoise as ReadNoise
    from compact_models.variation import Stream as Stream
    from compact_models.variation import StuckCells as StuckCells
    from compact_models.variation import TruncatedLognormal as TruncatedLognormal
    from compact_models.variation import TruncatedNormal as TruncatedNormal
    from compact_models.variation import Uniform as Uniform
    from compact_models.variation import noisy_read as noisy_read
    from compact_models.variation import noisy_series as noisy_series
    from compact_models.variation.draw import CycleVariation as CycleVariation
    from compact_models.variation.draw import Variation as Variation
    from compact_models.variation.draw import draw as draw
    from compact_models.variation.draw import draw_initial as draw_initial

    ngspice_subcircuit = _subcircuit
    verilog_a_module = _module

_PLACES = {
    "ArrheniusDecay": "compact_models.variation",
    "CellDevice": "compact_models.cell_device",
    "CompactModel": "compact_models.model",
    "CycleVariation": "compact_models.variation.draw",
    "DieField": "compact_models.variation",
    "InputError": "compact_models.errors",
    "Lognormal": "compact_models.variation",
    "Normal": "compact_models.variation",
    "OhmicCell": "compact_models.ohmic",
    "Parameter": "compact_models.symbols",
    "ParameterSet": "compact_models.model",
    "PowerLawDrift": "compact_models.variation",
    "ReadNoise": "compact_models.variation",
    "State": "compact_models.symbols",
    "Stream": "compact_models.variation",
    "StuckCells": "compact_models.variation",
    "TruncatedLognormal": "compact_models.variation",
    "TruncatedNormal": "compact_models.variation",
    "Uniform": "compact_models.variation",
    "V": "compact_models.symbols",
    "Variation": "compact_models.variation.draw",
    "all_models": "compact_models.library",
    "all_sets": "compact_models.library",
    "draw": "compact_models.variation.draw",
    "draw_initial": "compact_models.variation.draw",
    "find_model": "compact_models.library",
    "find_set": "compact_models.library",
    "ngspice_subcircuit": "compact_models.emit.ngspice:subcircuit",
    "noisy_read": "compact_models.variation",
    "noisy_series": "compact_models.variation",
    "save_set": "compact_models.set_file",
    "torch_model": "compact_models.emit.torch_model",
    "verilog_a_module": "compact_models.emit.verilog_a:module",
}
__all__ = tuple(_PLACES)
__getattr__, __dir__ = public_names("compact_models", _PLACES)
