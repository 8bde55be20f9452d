"""What no circuit can give is never ok: bounds that hold whatever computed a current."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.array import read_one
from cosim.array.read_one import read_array
from cosim.array.surroundings import TileTransfer
from cosim.laws.passive import impossible_current
from cosim.network.models import ideal_model
from cosim.network.run import forward
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.anchored import AnchoredTransfer
from cosim.surrogate.wires import wire_model
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires
from tests.cosim.chips import chip_of, conductances, small_hardware, small_inputs, small_network

G = np.array([[1e-4], [5e-5], [2e-5]])
V = np.array([[0.2, 0.1, 0.15], [0.05, 0.2, 0.0]])
LINE = ReadArray(Crossbar(G, Wires(r_wordline_ohm=1.5, r_bitline_ohm=0.7)), 20.0, 5.0)
RIGHT = [2.79194187e-5, 1.49621437e-5]


@pytest.mark.parametrize("fidelity", ["surrogate", "exact", "spice"])
@pytest.mark.ngspice
def test_one_bit_line_at_every_fidelity(fidelity: str) -> None:
    found = read_array(LINE, V, fidelity)
    assert found.outcome == "ok", found.reason
    assert found.note == ""
    assert found.current_a.ravel().tolist() == pytest.approx(RIGHT, rel=1e-6)


def test_exact_currents_are_within_the_bounds_and_may_reach_them() -> None:
    """Random shapes, ends, signs and sense voltages; without wires the bound itself is reached."""
    rng = np.random.default_rng(0)
    for k in range(80):
        rows, cols = (int(n) for n in rng.integers(1, 9, 2))
        g = torch.from_numpy(rng.uniform(0, 1e-3, (rows, cols)) * (rng.random((rows, cols)) < 0.8))
        drive = torch.from_numpy(rng.uniform(*((-0.2, 0.2) if k % 2 else (0, 0.2)), (3, rows)))
        driver, sense = (torch.from_numpy(rng.uniform(0, 300, n) * (k % 3 > 0)) for n in g.shape)
        r_word, r_bit = rng.uniform(0, 50, 2) * (k % 5 > 0)
        held = torch.from_numpy(rng.uniform(-0.05, 0.05, cols))
        exact = solve_transfer(
            g, r_wordline_ohm=float(r_word), r_bitline_ohm=float(r_bit),
            r_driver_ohm=driver, r_sense_ohm=sense,
        )  # fmt: skip
        ends = {"r_first_ohm": driver + r_word, "r_last_ohm": sense + r_bit}
        assert impossible_current(exact.current_a(drive), drive, g, **ends) == ""
        offset = exact.current_a(drive, held)
        assert impossible_current(offset, drive, g, **ends, held_v=0.05) == ""
    alone = torch.tensor([[2e-4, 3e-5], [1e-4, 7e-5]], dtype=torch.float64)
    volts = torch.tensor([[0.2, 0.2]], dtype=torch.float64)
    no_ends = {"r_first_ohm": torch.zeros(2), "r_last_ohm": torch.zeros(2)}
    assert impossible_current(volts @ alone, volts, alone, **no_ends) == ""
    assert impossible_current(volts @ alone * 1.00001, volts, alone, **no_ends) != ""


@pytest.mark.parametrize("fidelity", ["ideal", "surrogate", "exact", "spice"])
@pytest.mark.parametrize(
    ("factor", "words"),
    [(1e270, "no passive"), (1.2, "no passive"), (-1.0, "no passive"), (np.nan, "not finite")],
)
def test_what_no_circuit_can_give_is_invalid_at_every_fidelity(
    fidelity: str, factor: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is a stand-in that returns a wrong number as if all were well."""
    right = read_one._exact(LINE, V, None, 1)
    wrong = right.current_a * np.array([[1.0], [factor]])
    stand_in = {**read_one.FIDELITIES, fidelity: lambda *_: replace(right, current_a=wrong)}
    monkeypatch.setattr(read_one, "FIDELITIES", stand_in)
    found = read_array(LINE, V, fidelity)
    assert found.outcome == "invalid"
    assert words in found.reason


def test_far_outside_its_region_the_surrogate_is_never_ok_without_a_word() -> None:
    rng = np.random.default_rng(2)
    for k in range(40):
        rows, cols = (int(n) for n in rng.integers(1, 20, 2))
        wires = Wires(r_wordline_ohm=10 ** rng.uniform(0, 6), r_bitline_ohm=10 ** rng.uniform(0, 6))
        g = rng.uniform(1e-6, 1e-4, (rows, cols)) * (rng.random((rows, cols)) < 0.5)
        array = ReadArray(Crossbar(g, wires), 10 ** rng.uniform(0, 5))
        drive = rng.uniform(-0.2, 0.2, (4, rows))
        found = read_array(array, drive, "surrogate")
        exact = read_array(array, drive, "exact").current_a
        error = np.linalg.norm(found.current_a - exact) / max(np.linalg.norm(exact), 1e-30)
        assert error < 0.05 or found.note or found.outcome == "invalid", (k, error)


def test_an_anchor_moves_where_the_closed_form_gives_what_no_circuit_can() -> None:
    """However small the estimate is: here nothing has moved, and the closed form is spoilt."""
    ohms = {"r_wordline_ohm": 2.0, "r_bitline_ohm": 3.0}
    closed = wire_model(5, 4, **ohms)
    anchored = AnchoredTransfer(
        closed, lambda g: solve_transfer(g, **ohms).transfer_s, tolerance=1e-3
    )
    g = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1e-4
    anchored.transfer_s(g)
    anchored.transfer_s(g * 1.00001)
    assert anchored.anchors == 1
    object.__setattr__(closed, "weights", (1.0, 1.0, 1.0, 1e4))
    spoilt = anchored.transfer_s(g * 1.00001)
    assert anchored.anchors == 2
    wanted = solve_transfer(g * 1.00001, **ohms).transfer_s
    torch.testing.assert_close(spoilt, wanted, rtol=1e-9, atol=0)


@pytest.mark.parametrize("factor", [1e3, np.inf])
def test_a_network_is_not_read_through_currents_of_no_circuit(factor: float) -> None:
    """Outside of training: the ideal model is the stand-in, its second tile spoilt."""
    x = small_inputs(5)
    chip = chip_of(small_network(), small_hardware(), x)
    model = ideal_model(chip.hardware, chip.plans)
    whole = torch.from_numpy(x)
    with torch.no_grad():
        forward(chip.hardware, chip.plans, conductances(chip), model, whole)
    first = model.layers[0]

    class Spoilt:
        """The same, whose second tile gives too much."""

        name = "spoilt"

        def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
            right = first.reads.transfer(conductance_s).transfer_s.clone()
            right[:, 1] *= factor
            return TileTransfer(right)

    wrong = replace(model, layers=(replace(first, reads=Spoilt()), *model.layers[1:]))
    with torch.no_grad(), pytest.raises(InputError, match=r"layer_0\.tile_1, ideal: .*circuit"):
        forward(chip.hardware, chip.plans, conductances(chip), wrong, whole)
