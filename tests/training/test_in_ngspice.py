"""Every read of a training step in ngspice, both ways: the same pulses, the same cells."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from cosim.array.failed import ReadFailedError
from cosim.array.reads.spice import SpiceReads
from netlists.hardware import TileSpec
from tests.training.in_situ_nets import small

pytestmark = [pytest.mark.ngspice, pytest.mark.usefixtures("ngspice")]
HARDWARE = cosim.Hardware(tile=TileSpec(max_rows=4, max_cols=4))


def steps(read: str, count: int) -> cosim.InSituNetwork:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(6, 5, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    model = cosim.convert(small(5, 3, 2), HARDWARE, device="soft_bounds", read=read)
    assert isinstance(model, cosim.InSituNetwork)
    optimiser = cosim.PulsedSGD(model.parameters(), lr=0.5)
    for _ in range(count):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model


def test_steps_in_ngspice_move_the_cells_as_steps_by_the_exact_solution() -> None:
    spice, exact, begun = steps("spice", 3), steps("exact", 3), steps("exact", 0)
    assert spice.chain[0].array.layout.tiles == 4
    for one, other, before in zip(spice.chain, exact.chain, begun.chain, strict=True):
        # Codes are whole numbers: the same errors, the same trains, the same steps.
        assert torch.equal(one.array.w, other.array.w)
        moved = (one.array.w - before.array.w).abs().max()
        assert float(moved) > 5 * one.array.cells.dw_min
    ideal = steps("ideal", 3)
    assert not torch.equal(ideal.chain[0].array.w, spice.chain[0].array.w)


def test_what_ngspice_cannot_give_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model = steps("spice", 0)
    with pytest.raises(InputError, match="knows no transfer"):
        model.chain[0].array.matrix()
    with pytest.raises(InputError, match="no gradient comes out of ngspice"):
        cosim.convert(small(5, 2), read="spice")
    reads = model.chain[0].array.reads
    assert isinstance(reads, SpiceReads)
    monkeypatch.setattr(
        "cosim.array.in_ngspice.timeout_for", lambda *_given, **_named: 1e-4, raising=True
    )
    with pytest.raises(ReadFailedError, match="timeout"):
        model(torch.rand(2, 5, dtype=torch.float64))
