"""Floor 1: device physics.

Conductance ranges, parameters with unit, bounds and source, and the seeded variation of
components. Knows nothing of circuits, simulators or training. Two small things that every floor
needs live here as well because imports only go down: the error that a user sees (`errors`) and
files that are never half-written (`files`).
"""
