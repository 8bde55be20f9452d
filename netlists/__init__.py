"""Floor 2: circuits as data.

From a torch network to a graph, from the graph to tiles of differential conductance pairs, from
tiles to a hierarchical circuit with wires, drivers, amplifiers, neurons and converters, and from
the circuit to the text of a dialect. Knows nothing of how a circuit is simulated.

What a designer needs has its name here and is loaded when it is asked for (docs/python.md); every
other name is for the rooms themselves, and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compact_models.public_names import public_names

if TYPE_CHECKING:
    from netlists.adcs.quantiser import AdcSpec as AdcSpec
    from netlists.array import ReadArray as ReadArray
    from netlists.array import array_circuit as array_circuit
    from netlists.backward.spec import BackwardSpec as BackwardSpec
    from netlists.cells.held import behavioural as _behavioural
    from netlists.cells.held import compiled as _compiled
    from netlists.chip import Chip as Chip
    from netlists.chip import draw_periphery as draw_periphery
    from netlists.chip import map_network as map_network
    from netlists.chip import program as program
    from netlists.circuit import Circuit as Circuit
    from netlists.crossbar import Crossbar as Crossbar
    from netlists.dialects.ngspice import render as _render
    from netlists.dialects.pyspice_script import ScriptOutputs as ScriptOutputs
    from netlists.dialects.pyspice_script import pyspice_script as pyspice_script
    from netlists.drivers.level import DriverSpec as DriverSpec
    from netlists.graph import LinearStage as LinearStage
    from netlists.graph import linear_stages as linear_stages
    from netlists.graph import network_graph as network_graph
    from netlists.hardware import Hardware as Hardware
    from netlists.hardware import TileSpec as TileSpec
    from netlists.mapping import plan_layers as plan_layers
    from netlists.network import network_circuit as network_circuit
    from netlists.neurons.spec import NeuronSpec as NeuronSpec
    from netlists.pyspice import from_pyspice as from_pyspice
    from netlists.pyspice import to_pyspice as to_pyspice
    from netlists.readout.tia import TiaSpec as TiaSpec
    from netlists.update.spec import PulseSpec as PulseSpec
    from netlists.wires import Wires as Wires

    ngspice_text = _render
    read_cell = _behavioural
    compiled_read_cell = _compiled

_PLACES = {
    "AdcSpec": "netlists.adcs.quantiser",
    "BackwardSpec": "netlists.backward.spec",
    "Chip": "netlists.chip",
    "Circuit": "netlists.circuit",
    "Crossbar": "netlists.crossbar",
    "DriverSpec": "netlists.drivers.level",
    "Hardware": "netlists.hardware",
    "LinearStage": "netlists.graph",
    "NeuronSpec": "netlists.neurons.spec",
    "PulseSpec": "netlists.update.spec",
    "ReadArray": "netlists.array",
    "ScriptOutputs": "netlists.dialects.pyspice_script",
    "TiaSpec": "netlists.readout.tia",
    "TileSpec": "netlists.hardware",
    "Wires": "netlists.wires",
    "array_circuit": "netlists.array",
    "compiled_read_cell": "netlists.cells.held:compiled",
    "draw_periphery": "netlists.chip",
    "from_pyspice": "netlists.pyspice",
    "linear_stages": "netlists.graph",
    "map_network": "netlists.chip",
    "network_circuit": "netlists.network",
    "network_graph": "netlists.graph",
    "ngspice_text": "netlists.dialects.ngspice:render",
    "plan_layers": "netlists.mapping",
    "program": "netlists.chip",
    "pyspice_script": "netlists.dialects.pyspice_script",
    "read_cell": "netlists.cells.held:behavioural",
    "to_pyspice": "netlists.pyspice",
}
__all__ = tuple(_PLACES)
__getattr__, __dir__ = public_names("netlists", _PLACES)
