"""What is kept between reads is kept by content: whatever way the numbers were written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cosim.array.layer import CrossbarArray
from cosim.network.models import exact_model
from cosim.nodal.lines import Lines
from cosim.nodal.programmed import ProgrammedArray
from cosim.nodal.transfer import solve_transfer
from tests.cosim.chips import chip_of, conductances, small_hardware, small_inputs, small_network


def _data(g: torch.Tensor) -> None:
    g.data.mul_(2)


def _alias(g: torch.Tensor) -> None:
    g.detach().numpy()[0, 1, -1, 0] *= 3


def _in_place(g: torch.Tensor) -> None:
    with torch.no_grad():
        g.mul_(0.5)


@pytest.mark.parametrize("write", [_data, _alias, _in_place])
@pytest.mark.parametrize("graded", [False, True])
def test_exact_sees_every_write(write: Callable[[torch.Tensor], None], graded: bool) -> None:
    """The second read is that of a model that never saw the first state."""
    inputs = small_inputs(3)
    chip = chip_of(small_network(), small_hardware(200.0), inputs)
    kept = exact_model(chip.hardware, chip.plans, chip.periphery).layers[0].reads
    g = conductances(chip)[0].clone()
    drive = torch.from_numpy(0.2 * inputs[:, : g.shape[-2]])
    before = kept.transfer(g).current_a(drive).clone()
    again = kept.transfer(g.requires_grad_(graded)).current_a(drive)
    torch.testing.assert_close(again.detach(), before, rtol=1e-12, atol=0)
    write(g)
    fresh = exact_model(chip.hardware, chip.plans, chip.periphery).layers[0].reads
    found = kept.transfer(g).current_a(drive).detach()
    assert torch.equal(found, fresh.transfer(g).current_a(drive).detach())
    assert float((found - before).norm() / before.norm()) > 1e-3


def test_what_exact_kept_without_gradients_serves_inputs_with_them() -> None:
    inputs = small_inputs(3)
    chip = chip_of(small_network(), small_hardware(200.0), inputs)
    reads = exact_model(chip.hardware, chip.plans, chip.periphery).layers[1].reads
    g = conductances(chip)[1]
    drive = torch.full((2, g.shape[-2]), 0.1, dtype=torch.float64)
    with torch.inference_mode():
        reads.transfer(g).current_a(drive)
    free = drive.clone().requires_grad_()
    reads.transfer(g).current_a(free).sum().backward()
    assert free.grad is not None
    assert bool((free.grad > 0).all())


def test_resistances_that_were_given_are_not_those_that_are_written_to_later() -> None:
    g = 1e-4 * torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    sense = torch.tensor([5.0, 80.0, 20.0], dtype=torch.float64)
    wanted = solve_transfer(g, r_wordline_ohm=9.0, r_bitline_ohm=4.0, r_sense_ohm=sense).transfer_s
    array = ProgrammedArray(2 * g, Lines(9.0, 4.0, r_sense_ohm=sense))
    layer = CrossbarArray(
        g / 1e-4, g_off_s=0.0, g_on_s=1e-4, r_wordline_ohm=9.0, r_bitline_ohm=4.0,
        r_sense_ohm=sense, tolerance=1e-9,
    )  # fmt: skip
    sense.numpy()[:] = 1e4
    torch.testing.assert_close(array.program(g).transfer_s, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(layer.transfer_s().detach(), wanted, rtol=1e-9, atol=0)


def test_another_range_is_another_array() -> None:
    """The layer keeps its transfer without gradients; a new range is not in its levels."""
    level = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ohms = {"r_wordline_ohm": 9.0, "r_bitline_ohm": 4.0}
    layer = CrossbarArray(level, g_off_s=0.0, g_on_s=1e-4, **ohms)
    with torch.no_grad():
        before = layer.transfer_s()
        assert layer.transfer_s() is before
        layer.g_on_s = 3e-4
        wanted = solve_transfer(3e-4 * level, **ohms).transfer_s
        torch.testing.assert_close(layer.transfer_s(), wanted, rtol=1e-3, atol=0)
