"""Floor 3: running and coupling.

The ngspice runner, the exact nodal solver, the calibrated surrogate, the four fidelities behind
one interface, the torch layers and the training algorithms. Knows nothing of command lines,
configuration files or reports.
"""
