"""The closed form of the wires, against the exact solver (itself held against ngspice)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.wires import REGION, fit_weights, wire_model


def _conductances(kind: str, rows: int, cols: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    if kind == "uniform":
        g = rng.uniform(1e-6, 1e-4, (rows, cols))
    elif kind == "two levels":
        g = np.where(rng.random((rows, cols)) < 0.3, 1e-4, 1e-6)
    elif kind == "sparse":
        g = np.where(rng.random((rows, cols)) < 0.05, 3e-4, 0.0)
    else:  # pairs, as trained weights have them
        w = rng.normal(0, 0.3, (rows, cols // 2)).clip(-1, 1)
        g = 1e-6 + 99e-6 * np.stack([w.clip(0), (-w).clip(0)], -1).reshape(rows, -1)
    return torch.from_numpy(g)


def _error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


KINDS = ["uniform", "two levels", "sparse", "pairs"]
# The last one loses most of its voltage in the drivers.
CASES = [
    (16, 16, 5, 0, 0),
    (64, 64, 1, 0, 0),
    (48, 20, 5, 0, 3),
    (20, 48, 4, 0, 0),
    (32, 32, 1, 80, 0),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_within_one_per_cent_up_to_15_per_cent_mean_drop(
    kind: str, case: tuple[int, int, float, float, float]
) -> None:
    rows, cols, r, r_driver, r_sense = case
    wires = {
        "r_wordline_ohm": r,
        "r_bitline_ohm": r,
        "r_driver_ohm": r_driver,
        "r_sense_ohm": r_sense,
    }
    g = _conductances(kind, rows, cols, seed=3)
    exact = solve_transfer(g, **wires).transfer_s
    drop = 1 - float(exact.sum() / g.sum())
    assert 0.005 < drop < 0.2  # or the case shows nothing
    scale = min(1.0, 0.15 / drop)  # brought to at most 15 % by weaker cells
    exact = solve_transfer(g * scale, **wires).transfer_s
    model = wire_model(rows, cols, **wires)
    assert _error(model.transfer_s(g * scale), exact) <= 0.01
    # The plain conductances are the control: they miss by several times as much.
    assert _error(g * scale, exact) >= 3 * _error(model.transfer_s(g * scale), exact)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rows", "cols", "r_driver", "r_sense"),
    [
        (64, 64, 0, 0),
        (16, 64, 0, 0),
        (64, 16, 0, 0),
        (32, 32, 100, 0),
        (32, 32, 0, 50),
        (8, 8, 0, 0),
    ],
)
def test_within_one_per_cent_in_all_of_its_region(
    kind: str, rows: int, cols: int, r_driver: float, r_sense: float
) -> None:
    """Cells are scaled until the loss is at the region's edge; the estimate of it must hold too."""
    wires = {
        "r_wordline_ohm": 1.0,
        "r_bitline_ohm": 1.0,
        "r_driver_ohm": r_driver,
        "r_sense_ohm": r_sense,
    }
    model = wire_model(rows, cols, **wires)
    g = _conductances(kind, rows, cols, seed=7)
    low, high = 0.0, 1e5
    for _ in range(40):
        scale = (low + high) / 2
        low, high = (scale, high) if model.mean_loss(g * scale) < REGION else (low, scale)
    exact = solve_transfer(g * low, **wires).transfer_s
    assert 1 - float(exact.sum() / (g * low).sum()) == pytest.approx(REGION, abs=0.01)
    assert _error(model.transfer_s(g * low), exact) <= 0.01


def test_weights_fitted_on_some_arrays_help_on_others() -> None:
    wires = {"r_wordline_ohm": 5.0, "r_bitline_ohm": 5.0}
    model = wire_model(48, 48, **wires)
    seen = [_conductances("uniform", 48, 48, seed) for seed in range(3)]
    weights = fit_weights(model, seen, [solve_transfer(g, **wires).transfer_s for g in seen])
    fitted = wire_model(48, 48, weights=weights, **wires)
    unseen = _conductances("uniform", 48, 48, seed=99)
    exact = solve_transfer(unseen, **wires).transfer_s
    theory_error = _error(model.transfer_s(unseen), exact)
    assert _error(fitted.transfer_s(unseen), exact) < 0.8 * theory_error


@pytest.mark.parametrize("kind", KINDS)
def test_second_order_beats_the_usual_first_order_form(kind: str) -> None:
    """The control is G / (1 + a + b), with the double sums written out as loops."""
    rows, cols, r = 20, 28, 4.0
    g = _conductances(kind, rows, cols, seed=5)
    first = torch.empty_like(g)
    for i in range(rows):
        for j in range(cols):
            along_word = sum((min(j, k) + 1) * g[i, k] for k in range(cols))
            along_bit = sum((rows - max(i, k)) * g[k, j] for k in range(rows))
            first[i, j] = g[i, j] / (1 + r * along_word + r * along_bit)
    exact = solve_transfer(g, r_wordline_ohm=r, r_bitline_ohm=r).transfer_s
    second = wire_model(rows, cols, r_wordline_ohm=r, r_bitline_ohm=r).transfer_s(g)
    # Few strong cells are the hardest case: the sneak path is taken with a mean conductance.
    assert _error(second, exact) < _error(first, exact) / (1.2 if kind == "sparse" else 3)


def test_orientation() -> None:
    """More rows than columns, different resistances: a transpose or a flip cannot pass."""
    g = _conductances("uniform", 30, 7, seed=8) * 3
    wires = {"r_wordline_ohm": 8.0, "r_bitline_ohm": 1.0, "r_driver_ohm": 3.0}
    exact = solve_transfer(g, **wires).transfer_s
    right = _error(wire_model(30, 7, **wires).transfer_s(g), exact)
    flipped = wire_model(30, 7, **wires).transfer_s(g.flip(0)).flip(0)
    swapped = wire_model(30, 7, r_wordline_ohm=1.0, r_bitline_ohm=8.0, r_driver_ohm=3.0).transfer_s(
        g
    )
    assert right < 0.01
    assert _error(flipped, exact) > 3 * right
    assert _error(swapped, exact) > 10 * right


def test_currents_of_held_bit_lines() -> None:
    """Offsets of the amplifiers: far nearer to the exact response than ignoring the neighbours."""
    rng = np.random.default_rng(0)
    g = _conductances("uniform", 33, 20, seed=1)
    wires = {"r_wordline_ohm": 2.0, "r_bitline_ohm": 2.0, "r_driver_ohm": 50.0}
    held = torch.from_numpy(rng.normal(0, 1e-3, 20))
    exact = solve_transfer(g, **wires)
    expected = exact.current_a(torch.zeros(1, 33, dtype=torch.float64), held)[0]
    model = wire_model(33, 20, **wires)
    current = model.offset_current_a(g, model.transfer_s(g), held)
    assert _error(current, expected) < 0.01
    assert _error(-(exact.transfer_s.sum(0) * held), expected) > 0.05


def test_no_wire_is_no_loss() -> None:
    g = _conductances("uniform", 5, 6, seed=2)
    model = wire_model(5, 6, r_wordline_ohm=0, r_bitline_ohm=0)
    torch.testing.assert_close(model.transfer_s(g), g, rtol=1e-14, atol=0)


@pytest.mark.parametrize("r_ohm", [1e2, 1e4, 1e7])
def test_far_beyond_its_region_it_stays_bounded(r_ohm: float) -> None:
    g = _conductances("uniform", 32, 32, seed=4)
    t = wire_model(32, 32, r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm).transfer_s(g)
    assert (t >= 0).all()
    assert float(t.max()) <= 2 * float(g.max())


def test_long_lines_by_running_sums_are_short_ones_by_products() -> None:
    """Rows and columns unlike, ends and weights unlike: the first lines of a long array alone."""
    rows, cols = 130, 150
    weights = (0.9, 1.1, 1.0, 0.8)
    sense = torch.linspace(1, 30, cols, dtype=torch.float64)
    ohms = {"r_wordline_ohm": 0.7, "r_bitline_ohm": 1.9, "r_driver_ohm": 11.0}
    model = wire_model(rows, cols, **ohms, r_sense_ohm=sense, weights=weights)
    generator = torch.Generator().manual_seed(5)
    g = 1e-5 * torch.rand(2, rows, cols, dtype=torch.float64, generator=generator)
    current = torch.rand(2, rows, cols, dtype=torch.float64, generator=generator)
    row, col = torch.arange(rows), torch.arange(cols)
    word = 11.0 + 0.7 * (torch.minimum(col[:, None], col) + 1.0).to(torch.float64)
    bit = 1.9 * (rows - torch.maximum(row[:, None], row)).to(torch.float64)
    torch.testing.assert_close(model.word(current), current @ word, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        model.bit(current),
        bit @ current + sense * current.sum(-2, keepdim=True),
        rtol=1e-12,
        atol=0,
    )
    # Cells of 0 S beyond the first 60 x 40, the array's near corner, are lines that are short.
    g[:, :-60] = 0.0
    g[:, :, 40:] = 0.0
    near = wire_model(60, 40, **ohms, r_sense_ohm=sense[:40], weights=weights)
    torch.testing.assert_close(
        model.mean_loss(g), near.mean_loss(g[:, -60:, :40]), rtol=1e-10, atol=0
    )


def test_gradients_along_long_lines() -> None:
    """Of the running sums and of what autograd makes of the same terms."""
    model = wire_model(
        100,
        120,
        r_wordline_ohm=0.5,
        r_bitline_ohm=0.8,
        r_driver_ohm=5.0,
        weights=(0.9, 1.1, 1, 0.8),
    )
    generator = torch.Generator().manual_seed(6)
    g = 1e-5 * torch.rand(100, 120, dtype=torch.float64, generator=generator)
    weight = torch.randn(100, 120, dtype=torch.float64, generator=generator)
    free = g.clone().requires_grad_()
    (ours,) = torch.autograd.grad((model.transfer_s(free) * weight).sum(), free)
    terms = model._terms(free)
    full = terms.first + 0.9 * terms.word + 1.1 * terms.bit + terms.mixed
    (theirs,) = torch.autograd.grad(((free + 0.8 * terms.sneak) / full * weight).sum(), free)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    probe = torch.randn(100, 120, dtype=torch.float64, generator=generator)
    step = 1e-4 * float(g.mean())
    both = [(model.transfer_s(g + k * step * probe) * weight).sum() for k in (1, -1)]
    by_difference = float((both[0] - both[1]) / (2 * step))
    assert float((ours * probe).sum()) == pytest.approx(by_difference, rel=1e-6)


# torch's own tracing makes an instance of a Function, which torch warns of.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_single_precision_and_torch_compile_give_the_same() -> None:
    """As one graph, forwards and backwards; the compiler of graphs is torch's, no C++ is made."""
    ohms = {"r_wordline_ohm": 0.5, "r_bitline_ohm": 0.8, "r_driver_ohm": 5.0}
    g = 1e-5 * torch.rand(100, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    wanted, gradients = [], []
    for dtype, compiled in ((torch.float64, False), (torch.float32, False), (torch.float64, True)):
        model = wire_model(100, 20, **ohms, dtype=dtype)
        form = model.transfer_s
        if compiled:
            form = torch.compile(form, backend="aot_eager", fullgraph=True)
        free = g.to(dtype).requires_grad_()
        transfer = form(free)
        (gradient,) = torch.autograd.grad(transfer.square().sum(), free)
        wanted.append(transfer.detach().to(torch.float64))
        gradients.append(gradient.to(torch.float64))
    for one, other in ((wanted[0], wanted[1]), (gradients[0], gradients[1])):
        assert 0 < float((one - other).norm() / one.norm()) < 1e-6
    torch.testing.assert_close(wanted[2], wanted[0], rtol=1e-14, atol=0)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-12, atol=0)


def test_gradients() -> None:
    model = wire_model(
        4, 5, r_wordline_ohm=0.02, r_bitline_ohm=0.03, r_driver_ohm=0.01, weights=(0.9, 1.1, 1, 0.8)
    )
    held = torch.linspace(-1, 1, 5, dtype=torch.float64)

    def both(g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        t = model.transfer_s(g)
        return t, model.offset_current_a(g, t, held)

    g = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(both, (g.requires_grad_(),))
