"""The anchored closed form along a real training run: never farther off than it was asked."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from compact_models.errors import InputError
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.anchored import AnchoredTransfer
from cosim.surrogate.wires import wire_model

G_OFF, G_ON = 1e-6, 1e-4


def exactly(ohm: float):  # type: ignore[no-untyped-def]  # a closure for two tests
    def exact(g: torch.Tensor) -> torch.Tensor:
        return solve_transfer(
            g, r_wordline_ohm=ohm, r_bitline_ohm=ohm, r_driver_ohm=20.0
        ).transfer_s

    return exact


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("ohm", "rate"), [(2.0, 3e-2), (8.0, 3e-2), (8.0, 3e-1)])
def test_a_training_run_stays_within_the_tolerance(ohm: float, rate: float) -> None:
    """Digits by 64 x 20 cells in pairs, Adam, 100 steps; the array is solved exactly beside it."""
    digits = load_digits()
    x = torch.from_numpy(digits.data) / 16.0
    y = torch.from_numpy(digits.target)
    generator = torch.Generator().manual_seed(0)
    weight = (0.2 * torch.randn(64, 20, dtype=torch.float64, generator=generator)).requires_grad_()
    wires = wire_model(64, 20, r_wordline_ohm=ohm, r_bitline_ohm=ohm, r_driver_ohm=20.0)
    tolerance, exact = 1e-3, exactly(ohm)
    anchored = AnchoredTransfer(wires, exact, tolerance=tolerance)
    optimiser = torch.optim.Adam([weight], lr=rate)
    errors, estimates, losses = [], [], []
    for _ in range(100):
        batch = torch.randint(len(x), (64,), generator=generator)
        g = G_OFF + (G_ON - G_OFF) * torch.sigmoid(2 * weight)
        transfer = anchored.transfer_s(g)
        current = x[batch] @ transfer
        loss = torch.nn.functional.cross_entropy(
            (current[:, 0::2] - current[:, 1::2]) * 3e4, y[batch]
        )
        errors.append(relative(transfer.detach(), exact(g.detach())))
        estimates.append(anchored.estimate)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])  # it learns, so the array moves
    unanchored = relative(wires.transfer_s(g.detach()), exact(g.detach()))
    assert unanchored > 2 * tolerance or ohm == 2.0
    assert max(errors) <= tolerance
    # Where it is not at its anchor it says no less than the error that it has.
    assert all(said >= 0.999 * error for said, error in zip(estimates, errors, strict=True) if said)
    assert 1 <= anchored.anchors < 60


def test_its_gradient_is_that_of_the_exact_transfer() -> None:
    generator = torch.Generator().manual_seed(1)
    g = G_OFF + G_ON * torch.rand(24, 16, dtype=torch.float64, generator=generator)
    wires = wire_model(24, 16, r_wordline_ohm=8.0, r_bitline_ohm=8.0, r_driver_ohm=20.0)
    anchored = AnchoredTransfer(wires, exactly(8.0), tolerance=1e-3)
    free = g.clone().requires_grad_()
    weight = torch.randn(24, 16, dtype=torch.float64, generator=generator)
    (ours,) = torch.autograd.grad((anchored.transfer_s(free) * weight).sum(), free)
    other = g.clone().requires_grad_()
    (theirs,) = torch.autograd.grad((exactly(8.0)(other) * weight).sum(), other)
    assert relative(ours, theirs) < 2e-3


def test_at_the_anchor_it_is_exact_and_cells_of_nothing_are_no_exception() -> None:
    generator = torch.Generator().manual_seed(2)
    g = G_ON * torch.rand(12, 9, dtype=torch.float64, generator=generator)
    g[3], g[:, 4], g[0, 0] = 0.0, 0.0, 0.0
    wires = wire_model(12, 9, r_wordline_ohm=5.0, r_bitline_ohm=5.0, r_driver_ohm=20.0)
    anchored = AnchoredTransfer(wires, exactly(5.0), tolerance=1e-3)
    assert relative(anchored.transfer_s(g), exactly(5.0)(g)) < 1e-4
    assert (anchored.anchors, anchored.estimate) == (1, 0.0)
    anchored.transfer_s(g)
    assert anchored.anchors == 1
    other = g.clone()
    other[5:] *= 0.1
    found = anchored.transfer_s(other)
    assert relative(found, exactly(5.0)(other)) <= max(anchored.estimate, 1e-4)
    strict = AnchoredTransfer(wires, exactly(5.0), tolerance=1e-7)
    for array in (g, other, other):
        strict.transfer_s(array)
    assert strict.anchors == 2


def test_a_tolerance_must_be_positive() -> None:
    wires = wire_model(2, 2, r_wordline_ohm=1.0, r_bitline_ohm=1.0)
    with pytest.raises(InputError, match="tolerance"):
        AnchoredTransfer(wires, exactly(1.0), tolerance=0.0)
