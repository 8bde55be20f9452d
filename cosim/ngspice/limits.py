"""How long a simulation may take before it counts as lost.

A limit is there to end a run that will never end, not to judge speed, so it is twenty times what
was measured on an idle core. One limit for all decks would be useless: an operating point of a
crossbar takes 10 ms at 16 x 16 and, with the Sparse solver, minutes at 128 x 128.
"""

from __future__ import annotations

from compact_models.errors import InputError
from cosim.ngspice.binary import Ngspice

# Measured with crossbars of resistors and of behavioural memristors (3,100 to 49,000 elements).
_START_S = 1.5
_LOAD_S_PER_ELEMENT = 2e-5
_SOLVE_S_PER_ELEMENT_POINT = 6e-6
# Sparse reorders a mesh badly: 0.1 / 1.5 / 120 s at 3,100 / 12,000 / 49,000 elements.
_SPARSE_S, _SPARSE_ELEMENTS, _SPARSE_POWER = 120.0, 49e3, 2.5
_SPARSE_SHARE_PER_POINT = 0.25
_MARGIN = 20.0


def timeout_for(elements: int, points: int, ngspice: Ngspice) -> float:
    """A generous time limit for a deck.

    Args:
        elements: the number of element lines after flattening, >= 0.
        points: the number of solved points, >= 0; for a transient the number of time steps.
        ngspice: the simulator that will run it; the Sparse solver gets far longer than KLU.

    Returns:
        The limit in seconds of wall time.

    Raises:
        InputError: a count is negative.
    """
    for name, count in (("elements", elements), ("points", points)):
        if count < 0:
            raise InputError("a count cannot be negative", where=name, value=count, allowed=">= 0")
    points = max(points, 1)
    expected_s = (
        _START_S + elements * _LOAD_S_PER_ELEMENT + elements * points * _SOLVE_S_PER_ELEMENT_POINT
    )
    if not ngspice.klu:
        one_solve_s = _SPARSE_S * (elements / _SPARSE_ELEMENTS) ** _SPARSE_POWER
        expected_s += one_solve_s * (1.0 + _SPARSE_SHARE_PER_POINT * (points - 1))
    return _MARGIN * expected_s
