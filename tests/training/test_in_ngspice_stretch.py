"""A stretch of training wholly in ngspice, beside the surrogate and the table."""

from __future__ import annotations

import pytest

from benchmarks.in_ngspice_stretch import case, rms, stretch

pytestmark = [pytest.mark.ngspice, pytest.mark.slow, pytest.mark.usefixtures("ngspice")]


def test_a_stretch_on_digits_moves_the_cells_as_in_ngspice() -> None:
    # Of VTEAM; what Stanford's is like the benchmark says.
    given, steps = case("vteam"), 5
    known = stretch(given, "spice", "spice", steps)
    ours = stretch(given, "surrogate", "table", steps)
    control = stretch(given, "ideal", "constant", steps)
    size = rms(known.moved)
    assert rms(ours.moved - known.moved) <= 0.1 * size
    assert rms(ours.loss - known.loss) <= 0.1 * rms(known.loss)
    assert rms(control.moved - known.moved) >= 0.3 * size
