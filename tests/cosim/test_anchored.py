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
    unanchored = relative(wires.with_losses(g.detach())[0], exact(g.detach()))
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


def follow(walk: list[torch.Tensor], ohm: float) -> tuple[int, float]:
    """Anchors, and the worst error that was not announced, of its estimate."""
    wires = wire_model(*walk[0].shape, r_wordline_ohm=ohm, r_bitline_ohm=ohm, r_driver_ohm=20.0)
    anchored = AnchoredTransfer(wires, exactly(ohm), tolerance=1e-3)
    worst = 0.0
    for g in walk:
        error = relative(anchored.transfer_s(g), exactly(ohm)(g))
        assert error <= 1e-3
        if anchored.estimate:
            worst = max(worst, error / anchored.estimate)
    return anchored.anchors, worst


@pytest.mark.parametrize("then", ["decay", "ramp", "corner"])
def test_a_rate_measured_in_noise_does_not_pass_for_a_drift(then: str) -> None:
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(64, 20, dtype=torch.float64, generator=generator)
    ramp = torch.linspace(0.99, 1.01, 20, dtype=torch.float64)
    corner = torch.ones(64, 20, dtype=torch.float64)
    corner[32:, 10:] = 0.97
    factor = {"decay": 0.995, "ramp": ramp, "corner": corner}[then]
    walk = []
    for step in range(160):
        noise = 1 + 0.02 * torch.randn(64, 20, dtype=torch.float64, generator=generator)
        level = (level * (noise if step < 100 else factor)).clamp(0, 1)
        walk.append(G_OFF + (G_ON - G_OFF) * level)
    anchors, worst = follow(walk, 8.0)
    assert worst <= 1
    assert anchors < 60


@pytest.mark.parametrize(
    ("rows", "cols", "count", "least", "level", "ohm"),
    [
        (32, 20, 1, 0.0, 1.0, 8.0),
        (10, 6, 1, 1e-9, 0.5, 8.0),
        (32, 20, 30, 0.0, 0.02, 8.0),
        (64, 20, 3, 0.0, 1.0, 2.0),
    ],
)
def test_cells_that_conducted_nothing_at_the_anchor(
    rows: int, cols: int, count: int, least: float, level: float, ohm: float
) -> None:
    """What came out of their bit lines had come through others, and is no factor of theirs."""
    generator = torch.Generator().manual_seed(0)
    g = G_ON * torch.rand(rows, cols, dtype=torch.float64, generator=generator)
    chosen = torch.randperm(g.numel(), generator=generator)[:count]
    g.view(-1)[chosen] = least
    other = g.clone()
    other.view(-1)[chosen] = level * G_ON
    anchors, worst = follow([g, other], ohm)
    assert anchors == 1
    assert worst <= 1


@pytest.mark.parametrize("kind", ["uniform", "two levels", "sparse"])
def test_the_first_move_of_many_kinds_is_announced(kind: str) -> None:
    generator = torch.Generator().manual_seed(4)
    part = torch.rand(64, 20, dtype=torch.float64, generator=generator)
    two = (part > 0.5).to(torch.float64)
    level = {"uniform": part, "two levels": two, "sparse": part * (part > 0.8)}[kind]
    g = G_OFF + (G_ON - G_OFF) * level
    noise = 1 + 0.05 * torch.randn(64, 20, dtype=torch.float64, generator=generator)
    column, row = g.clone(), g.clone()
    column[:, 0], row[0] = G_ON, G_ON
    flipped = torch.where(part.roll(7) < 0.02, G_ON + G_OFF - g, g)
    for other in (0.95 * g, 1.05 * g, g * noise, column, row, flipped):
        assert follow([g, other], 2.0)[1] <= 1
