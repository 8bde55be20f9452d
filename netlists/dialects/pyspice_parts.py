"""The parts of a PySpice script that are the same in all of them."""

from __future__ import annotations

IMPORTS = """
import logging
import re

import numpy as np
import PySpice.Spice.NgSpice.Server as server
from PySpice.Spice.Netlist import Circuit, SubCircuit
from PySpice.Spice.NgSpice.RawFile import RawFile

SIMULATOR = "ngspice-subprocess"  # or "ngspice-shared", where libngspice is installed
logging.getLogger("PySpice").setLevel(logging.ERROR)  # it warns of nodes that are called "in"
"""

HELPERS = '''
def numbered(name, count, first=0):
    """name_0, name_1, ..."""
    return [f"{name}_{k}" for k in range(first, first + count)]
'''

EQUAL_ARRAY = '''

class Array(SubCircuit):
    """Cells where word lines, driven from the left, cross bit lines, which end below.

    A segment of wire is on the left of every cell in its word line, and one below it in its bit
    line. `cells` has the parameters of all cells by name, each [row][col]; None is an open cell.
    """

    def __init__(self, name, cell, cells):
        rows, cols = np.shape(next(iter(cells.values())))
        super().__init__(name, *numbered("wl", rows), *numbered("bl", cols))
        for row in range(rows):
            for col in range(cols):
{wires}
                own = {{key: values[row][col] for key, values in cells.items()}}
                if None not in own.values():
                    self.X(f"cell_{{row}}_{{col}}", cell, word, bit, **own)
'''

WORD_WIRE = """\
                word = f"w_{row}_{col}"
                left = f"w_{row}_{col - 1}" if col else f"wl_{row}"
                self.R(f"w_{row}_{col}", left, word, R_WORDLINE_OHM)"""
BIT_WIRE = """\
                bit = f"b_{row}_{col}"
                below = f"b_{row + 1}_{col}" if row < rows - 1 else f"bl_{col}"
                self.R(f"b_{row}_{col}", bit, below, R_BITLINE_OHM)"""
NO_WORD_WIRE = '                word = f"wl_{row}"  # no resistance: one node'
NO_BIT_WIRE = '                bit = f"bl_{col}"  # no resistance: one node'

UNEVEN_ARRAY = '''

class Array(SubCircuit):
    """Cells where word lines, driven from the left, cross bit lines, which end below.

    Segments of wire differ: `segments` has name, both nodes and ohms of each; 0 ohm makes two nodes
    one. `cells` has name, word-line node, bit-line node and parameters of each.
    """

    def __init__(self, name, cell, rows, cols, segments, cells):
        super().__init__(name, *numbered("wl", rows), *numbered("bl", cols))
        for segment in segments:
            self.R(*segment)
        for place, word, bit, own in cells:
            self.X(place, cell, word, bit, **own)
'''

RUN = '''\
class Results(RawFile):
    """ngspice of today says more than PySpice 1.5 reads, and numpy of today reads otherwise."""

    def _read_header(self, stdout):
        head, binary, data = stdout.partition(b"Binary:\\n")
        # A run of more than a quarter of a second says between its numbers how far it is.
        data = re.sub(rb" Reference value : [ -]\\d\\.\\d{5}e[+-]\\d+\\r", b"", data)
        new = b"Note:", b"Using ", b"Command:"
        lines = [line for line in head.splitlines() if not line.startswith(new)]
        return super()._read_header(b"\\n".join(lines) + b"\\n" + binary + data)

    def _read_variable_data(self, raw_data):
        values = np.frombuffer(raw_data, "f8", self.number_of_variables * self.number_of_points)
        columns = values.reshape(self.number_of_points, self.number_of_variables).T
        for variable, column in zip(self.variables.values(), columns):
            variable.data = column


server.RawFile = Results


def drive(circuit):
    """Sources at the inputs: V(index) counts the vectors, every input looks its value up."""
    circuit.V("index", "index", circuit.gnd, 0)
    for node, values in zip(INPUTS, zip(*VECTORS)):
        if len(set(values)) == 1:
            circuit.V(node, node, circuit.gnd, values[0])
        else:
            pairs = ", ".join(f"{k}, {value!r}" for k, value in enumerate(values))
            circuit.B(node, node, circuit.gnd, v=f"pwl(V(index), {pairs})")


def simulate(circuit):
    """The analysis of PySpice, a point for every vector: `.nodes[name]`, `.branches[name]`."""
    drive(circuit)
    simulator = circuit.simulator(simulator=SIMULATOR)
    simulator.options(__OPTIONS__)
    return simulator.dc(Vindex=slice(0, len(VECTORS) - 1, 1))


def main():
    """Prints what every output is for every vector."""
    found = simulate(build())
    table = np.array([[float(v) for v in found.nodes[name]] for name in OUTPUTS]).T
    print("index", *OUTPUTS, sep=",")
    for k, values in enumerate(table):
        print(k, *(f"{value:g}" for value in values), sep=",")
    print(f"# at most {np.abs(table - EXPECTED).max():g} from what {SOURCE} gives")


# The numbers.

'''
