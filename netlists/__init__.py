"""Floor 2: circuits as data.

From a torch network to a graph, from the graph to tiles of differential conductance pairs, from
tiles to a hierarchical circuit with wires, drivers, amplifiers, neurons and converters, and from
the circuit to the text of a dialect. Knows nothing of how a circuit is simulated.
"""
