"""What cells turn into heat while they switch far: torch against ngspice, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.spice import spice_engine
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme
from tests.write.test_amplitudes import MODEL, NUMBERS


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("device", "level_v", "width_s", "ohm"),
    [
        pytest.param(
            *one, ohm, marks=pytest.mark.slow if (one[0], ohm) == ("stanford", 1e-3) else ()
        )
        for one in [("own vteam", -0.95, 2e-8), ("own vteam", 0.9, 2e-8), ("stanford", -1.7, 1e-7)]
        for ohm in (0.0, 1e-3, 20.0)
    ],
)
def test_a_cell_that_goes_through_most_of_its_range(
    device: str, level_v: float, width_s: float, ohm: float, ngspice: Ngspice
) -> None:
    """Its current changes many times over within the pulse; without wires nothing else does."""
    stanford = find_model("stanford")
    model, numbers = (
        (MODEL, NUMBERS) if device == "own vteam" else (stanford, find_set(stanford, "sky130"))
    )
    bare = WritableArray(model, numbers, Wires(r_wordline_ohm=ohm, r_bitline_ohm=2 * ohm), {})
    array = bare.at_fractions(np.random.default_rng(3).uniform(0.2, 0.8, (3, 4)))
    amplitude_v = np.zeros((3, 4))
    amplitude_v[1] = level_v
    pulse = Pulse(abs(level_v), width_s, width_s / 50, width_s / 50)
    stimulus = array.under(find_scheme("v3").levels(amplitude_v), pulse)
    ours, theirs = ode_engine()(stimulus), spice_engine(ngspice)(stimulus)
    moved = np.abs(array.after(theirs.states).fractions() - array.fractions())
    assert moved.max() > 0.3
    np.testing.assert_allclose(
        ours.energy_j, theirs.energy_j, rtol=0.003, atol=0.001 * theirs.energy_j.max()
    )
    assert ours.given_j == pytest.approx(theirs.given_j, rel=0.003)
