"""Floor 3: running and coupling.

The ngspice runner, the exact nodal solver, surrogates, the analog array with its reads and updates,
networks and the training algorithms. Knows nothing of command lines, configuration files or
reports. What a torch user or a designer needs has its name here and is loaded when it is asked for
(docs/python.md); every other name is for the rooms themselves, and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compact_models.public_names import public_names

if TYPE_CHECKING:
    from compact_models.variation import Stream as Stream
    from cosim.array.layer import CrossbarArray as CrossbarArray
    from cosim.array.read_one import read_array as read_array
    from cosim.array.spice_transfer import measure_transfer as measure_transfer
    from cosim.budget.budget import Budget as Budget
    from cosim.budget.memory import keep_freed_memory as keep_freed_memory
    from cosim.calibration.calibrate import calibrate as calibrate
    from cosim.devices.kernels import compiled as _compiled
    from cosim.devices.operating_point import operating_point as operating_point
    from cosim.devices.run_ngspice import run_ngspice as run_ngspice
    from cosim.devices.run_torch import run_torch as run_torch
    from cosim.devices.switching_time import switching_times as switching_times
    from cosim.driven.pulsed_array import PulsedArray as PulsedArray
    from cosim.driven.spice import run_spice as run_spice
    from cosim.network.build_in_situ import chip_of as chip_of
    from cosim.network.chip_cells import cells_of_chip as cells_of_chip
    from cosim.network.convert import convert as convert
    from cosim.network.float_weights import float_state_dict as float_state_dict
    from cosim.network.in_situ import InSituNetwork as InSituNetwork
    from cosim.network.models import chip_codes as chip_codes
    from cosim.network.module import CrossbarNetwork as CrossbarNetwork
    from cosim.network.pulsed_device import PulsedDevice as PulsedDevice
    from cosim.network.whole_chip import read_chip as read_chip
    from cosim.ngspice import Deck as Deck
    from cosim.ngspice import Ngspice as Ngspice
    from cosim.ngspice import find_ngspice as find_ngspice
    from cosim.ngspice import run_deck as run_deck
    from cosim.ngspice.bench import sweep_deck as sweep_deck
    from cosim.nodal.cells import ekv_channel as ekv_channel
    from cosim.nodal.cells import in_series as in_series
    from cosim.nodal.cells import sinh_selector as sinh_selector
    from cosim.nodal.lines import Lines as Lines
    from cosim.nodal.nonlinear import device_cell as device_cell
    from cosim.nodal.nonlinear import sinh_cell as sinh_cell
    from cosim.nodal.nonlinear import solve_nonlinear as solve_nonlinear
    from cosim.nodal.programmed import ProgrammedArray as ProgrammedArray
    from cosim.nodal.state import solve_state as solve_state
    from cosim.nodal.transfer import solve_transfer as solve_transfer
    from cosim.periphery.managed import ReadRule as ReadRule
    from cosim.settling.capacitances import Capacitances as Capacitances
    from cosim.settling.settling import solve_settling as solve_settling
    from cosim.surrogate.anchored import AnchoredTransfer as AnchoredTransfer
    from cosim.surrogate.nonlinear import fit_nonlinear as fit_nonlinear
    from cosim.surrogate.wires import wire_model as wire_model
    from cosim.training.pulsed_optimiser import PulsedSGD as PulsedSGD
    from netlists.hardware import Hardware as Hardware

    compiled_kernels = _compiled

_PLACES = {
    "AnchoredTransfer": "cosim.surrogate.anchored",
    "Budget": "cosim.budget.budget",
    "Capacitances": "cosim.settling.capacitances",
    "CrossbarArray": "cosim.array.layer",
    "CrossbarNetwork": "cosim.network.module",
    "Deck": "cosim.ngspice",
    "Hardware": "netlists.hardware",
    "InSituNetwork": "cosim.network.in_situ",
    "Lines": "cosim.nodal.lines",
    "Ngspice": "cosim.ngspice",
    "ProgrammedArray": "cosim.nodal.programmed",
    "PulsedArray": "cosim.driven.pulsed_array",
    "PulsedDevice": "cosim.network.pulsed_device",
    "PulsedSGD": "cosim.training.pulsed_optimiser",
    "ReadRule": "cosim.periphery.managed",
    "Stream": "compact_models.variation",
    "calibrate": "cosim.calibration.calibrate",
    "cells_of_chip": "cosim.network.chip_cells",
    "chip_codes": "cosim.network.models",
    "chip_of": "cosim.network.build_in_situ",
    "compiled_kernels": "cosim.devices.kernels:compiled",
    "convert": "cosim.network.convert",
    "device_cell": "cosim.nodal.nonlinear",
    "ekv_channel": "cosim.nodal.cells",
    "find_ngspice": "cosim.ngspice",
    "fit_nonlinear": "cosim.surrogate.nonlinear",
    "float_state_dict": "cosim.network.float_weights",
    "in_series": "cosim.nodal.cells",
    "keep_freed_memory": "cosim.budget.memory",
    "measure_transfer": "cosim.array.spice_transfer",
    "operating_point": "cosim.devices.operating_point",
    "read_array": "cosim.array.read_one",
    "read_chip": "cosim.network.whole_chip",
    "run_deck": "cosim.ngspice",
    "run_ngspice": "cosim.devices.run_ngspice",
    "run_spice": "cosim.driven.spice",
    "run_torch": "cosim.devices.run_torch",
    "sinh_cell": "cosim.nodal.nonlinear",
    "sinh_selector": "cosim.nodal.cells",
    "solve_nonlinear": "cosim.nodal.nonlinear",
    "solve_settling": "cosim.settling.settling",
    "solve_state": "cosim.nodal.state",
    "solve_transfer": "cosim.nodal.transfer",
    "sweep_deck": "cosim.ngspice.bench",
    "switching_times": "cosim.devices.switching_time",
    "wire_model": "cosim.surrogate.wires",
}
__all__ = tuple(_PLACES)
__getattr__, __dir__ = public_names("cosim", _PLACES)
