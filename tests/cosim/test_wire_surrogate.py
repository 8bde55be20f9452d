"""The closed form of the wires, against the exact solver (itself held against ngspice)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.wires import REGION, fit_weights, wire_model

# Its answers outside of its region are measured here; that they come with a word is a test too.
pytestmark = pytest.mark.filterwarnings("ignore:.*the closed form is within:RuntimeWarning")


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


def test_one_bit_line() -> None:
    """By hand: one bit line, three cells; the exact currents are those of a ladder's matrix."""
    g = torch.tensor([[1e-4], [5e-5], [2e-5]], dtype=torch.float64)
    v = torch.tensor([[0.2, 0.1, 0.15], [0.05, 0.2, 0.0]], dtype=torch.float64)
    ohms = {"r_wordline_ohm": 1.5, "r_bitline_ohm": 0.7, "r_driver_ohm": 20.0, "r_sense_ohm": 5.0}
    current = v @ wire_model(3, 1, **ohms).transfer_s(g)
    assert current.flatten().tolist() == pytest.approx([2.79194187e-5, 1.49621437e-5], rel=1e-6)


def _ends(rng: np.random.Generator, count: int) -> torch.Tensor:
    """Nothing, the same everywhere, or of every line its own."""
    value = rng.choice([0.0, 1.0]) * 10 ** rng.uniform(0, 2.5)
    ohm = value * (rng.uniform(0, 2, count) if rng.random() < 0.5 else np.ones(()))
    return torch.from_numpy(np.asarray(ohm))


def _segments(rng: np.random.Generator, rows: int, cols: int, kind: str) -> torch.Tensor:
    ohm = rng.choice([0.0, 1.0], p=[0.2, 0.8]) * 10 ** rng.uniform(-1, 1)
    each = np.ones((rows, cols))
    if kind == "alike":
        return torch.tensor(ohm, dtype=torch.float64)
    if kind == "scattered":
        each = rng.lognormal(0, 0.7, each.shape)
    elif kind == "by line":
        each = each * np.where(rng.random((rows, 1)) < 0.2, 10, 1)
        each = each * np.where(rng.random((1, cols)) < 0.2, 10, 1)
    elif kind == "rising":
        each = each * np.linspace(0.2, 3, cols) * np.linspace(0.2, 3, rows)[:, None]
    else:  # a bad via
        each[rng.integers(rows), rng.integers(cols)] = 1e3
    return torch.from_numpy(ohm * each)


LAYOUTS = ["alike", "scattered", "by line", "rising", "bad via"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", ["1 x N", "N x 1", "N x M"])
def test_within_one_per_cent_or_a_word(layout: str, shape: str) -> None:
    """Any ends, layout and loss: more than 1 % off is never silent, and most is inside."""
    rng = np.random.default_rng(LAYOUTS.index(layout))
    near = 0
    for k in range(60):
        rows, cols = (int(n) for n in rng.integers(1, 30, 2))
        rows, cols = (1, cols) if shape == "1 x N" else (rows, 1 if shape == "N x 1" else cols)
        ohms = {
            "r_wordline_ohm": _segments(rng, rows, cols, layout),
            "r_bitline_ohm": _segments(rng, rows, cols, layout),
            "r_driver_ohm": _ends(rng, rows),
            "r_sense_ohm": _ends(rng, cols),
        }
        kind = KINDS[k % 3]
        g = _conductances(kind, rows, cols, seed=k) * 10 ** rng.uniform(-2, 1.5)
        if not g.any():
            continue
        model = wire_model(rows, cols, **ohms)
        exact = solve_transfer(g, **ohms).transfer_s
        error = _error(model.transfer_s(g), exact)
        assert error <= 0.01 or "up to" in model.outside(g), (k, error, model.mean_loss(g))
        near += model.outside(g) == ""
    assert near >= 25


@pytest.mark.parametrize(("rows", "cols"), [(3, 1), (1, 4), (1, 1), (3, 4)])
def test_gradients_by_conductances_and_by_every_resistance(rows: int, cols: int) -> None:
    """Single lines too, by segment, line and end; twice through, as in training."""
    rng = np.random.default_rng(9)

    def free(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(rng.uniform(low, high, shape))).requires_grad_()

    g = free(0.1, 1.0, rows, cols)
    assert torch.autograd.gradcheck(
        wire_model(
            rows, cols, r_wordline_ohm=0.03, r_bitline_ohm=0.05, r_driver_ohm=0.02, r_sense_ohm=0.04
        ).transfer_s,
        (g,),
    )

    def form(g: torch.Tensor, w: torch.Tensor, b: torch.Tensor, *ends: torch.Tensor) -> object:
        ohms = {"r_driver_ohm": ends[0], "r_sense_ohm": ends[1]}
        model = wire_model(rows, cols, r_wordline_ohm=w, r_bitline_ohm=b, **ohms)
        held = torch.linspace(-1, 1, cols, dtype=torch.float64)
        transfer = model.transfer_s(g)
        return transfer, model.offset_current_a(g, transfer, held)

    for segments, ends in (((rows, cols), True), ((), False)):
        given = [free(0.01, 0.05, *segments), free(0.01, 0.05, *segments)]
        given += [free(0.01, 0.05, *((rows,) if ends else ()))]
        given += [free(0.01, 0.05, *((cols,) if ends else ()))]
        assert torch.autograd.gradcheck(form, (g, *given))


def test_a_trained_resistance_is_never_an_old_one() -> None:
    """An optimiser writes into the leaf: the next transfer, with gradients or not, is of now."""
    sense = torch.tensor([3.0, 40.0], dtype=torch.float64, requires_grad=True)
    ohms = {"r_wordline_ohm": 2.0, "r_bitline_ohm": 1.0}
    model = wire_model(3, 2, r_sense_ohm=sense, **ohms)
    g = _conductances("uniform", 3, 2, seed=1) * 10
    for _ in range(2):
        (by_sense,) = torch.autograd.grad(model.transfer_s(g).sum(), sense)
        exact = solve_transfer(g, r_sense_ohm=sense, **ohms).transfer_s.sum()
        (wanted,) = torch.autograd.grad(exact, sense)
        torch.testing.assert_close(by_sense, wanted, rtol=0.02, atol=0)
        with torch.no_grad():
            sense += 25.0
    now = wire_model(3, 2, r_sense_ohm=sense.detach(), **ohms)
    torch.testing.assert_close(model.transfer_s(g).detach(), now.transfer_s(g), rtol=1e-14, atol=0)
    assert model.mean_loss(g) == pytest.approx(now.mean_loss(g), rel=1e-14)


@pytest.mark.parametrize(("rows", "cols"), [(5, 7), (100, 120)])
def test_segments_written_out_are_equal_segments(rows: int, cols: int) -> None:
    """The running sums of unlike lines, on lines that are alike; rows and columns unlike."""
    ohms = {"r_wordline_ohm": 0.5, "r_bitline_ohm": 0.8, "r_driver_ohm": 5.0, "r_sense_ohm": 2.0}
    shapes = [(rows, cols), (rows, cols), (rows,), (cols,)]
    written = {
        name: torch.full(shape, ohm, dtype=torch.float64)
        for (name, ohm), shape in zip(ohms.items(), shapes, strict=True)
    }
    g = _conductances("uniform", rows, cols, seed=3).requires_grad_()
    for model in (wire_model(rows, cols, **ohms), wire_model(rows, cols, **written)):
        transfer = model.transfer_s(g)
        (gradient,) = torch.autograd.grad(transfer.square().sum(), g)
        if model.word.alike:
            wanted = transfer.detach(), gradient
    torch.testing.assert_close((transfer.detach(), gradient), wanted, rtol=1e-11, atol=0)


def test_what_the_closed_form_cannot_take_is_named() -> None:
    ohms = {"r_wordline_ohm": 1.0, "r_bitline_ohm": 1.0}
    for change, words in (
        ({"r_bitline_ohm": torch.ones(3, 2)}, r"r_bitline_ohm.*segment.*\(3, 2\).*\[2, 3\]"),
        ({"r_driver_ohm": torch.ones(3)}, r"r_driver_ohm.*line.*\(3,\).*\[2\]"),
        ({"r_wordline_ohm": torch.tensor([[1, 2, 3], [4, torch.inf, 6]])},
         r"r_wordline_ohm\[1, 1\].*inf.*solve_transfer takes opens"),
        ({"r_sense_ohm": np.ones(3)}, "r_sense_ohm.*torch.from_numpy"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            wire_model(2, 3, **{**ohms, **change})


def test_an_answer_outside_of_the_region_comes_with_a_warning() -> None:
    """64 x 64 cells of 100 uS: within it at a tenth of an ohm a segment, far beyond at 20 ohm."""
    g = torch.full((64, 64), 1e-4, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="64 x 64 cells: wires take about 8. % .*"):
        wire_model(64, 64, r_wordline_ohm=20.0, r_bitline_ohm=20.0).transfer_s(g)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = wire_model(64, 64, r_wordline_ohm=0.1, r_bitline_ohm=0.1)
        inside.transfer_s(g)
        wire_model(64, 64, r_wordline_ohm=20.0, r_bitline_ohm=20.0).with_losses(g)  # who asks knows
    assert inside.outside(g) == ""


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_loop_is_the_formula_written_with_torch(dtype: torch.dtype) -> None:
    """Two chips of three padded tiles, ends and held lines of their own; gradients by autograd."""
    rng = np.random.default_rng(3)
    live = torch.ones(3, 7, dtype=torch.bool)
    live[1, 4:] = False
    plain = wire_model(
        5, 7, r_wordline_ohm=30.0, r_bitline_ohm=70.0,
        r_driver_ohm=torch.linspace(10, 90, 5, dtype=torch.float64),
        weights=(0.9, 1.1, 1.2, 0.8), dtype=dtype,
    )  # fmt: skip
    sense = torch.from_numpy(rng.uniform(1, 200, (2, 3, 7))).to(dtype)
    model = plain.with_sense(sense).with_live(live)
    g = torch.from_numpy(rng.uniform(1e-6, 1e-4, (2, 3, 5, 7))).to(dtype) * live[:, None, :]
    g[0, 2, :, -1] *= 3000.0  # far beyond the region, where the form is bounded
    held = torch.from_numpy(rng.normal(0, 1e-3, (2, 3, 7))).to(dtype)
    of_t, of_held = (torch.from_numpy(rng.normal(size=x.shape)).to(dtype) for x in (g, held))
    free = g.clone().requires_grad_()
    transfer, current, word, bit = model.with_held(free, held)
    (ours,) = torch.autograd.grad((transfer * of_t).sum() + 40 * (current * of_held).sum(), free)
    terms = model._terms(free)
    formula = model._rational(free, terms)
    full = terms.first + 0.9 * terms.word + 1.1 * terms.bit + 1.2 * terms.mixed
    assert 0 < int((full < 0.5 * terms.first).sum()) < g.numel()
    at_rest = model.offset_current_a(free, formula, held)
    wanted = (formula * of_t).sum() + 40 * (at_rest * of_held).sum()
    (theirs,) = torch.autograd.grad(wanted, free)
    near = {"rtol": 1e-11 if dtype == torch.float64 else 2e-4, "atol": 0}
    for found, right in ((transfer, formula), (word, terms.a), (bit, terms.b)):
        torch.testing.assert_close(found, right, **near)
    size = float(at_rest.detach().abs().max())
    torch.testing.assert_close(current, at_rest, rtol=near["rtol"], atol=near["rtol"] * size)
    size = float(theirs.abs().max())
    torch.testing.assert_close(ours, theirs, rtol=near["rtol"], atol=near["rtol"] * size)
    # One array for all of these ends, and what lines drive alone.
    one = g[1, 0].clone().requires_grad_()
    many = one.detach().expand(2, 3, -1, -1).clone().requires_grad_()
    by_one, by_many = (
        torch.autograd.grad((model.with_held(x, held)[1] * of_held).sum(), x)[0]
        for x in (one, many)
    )
    torch.testing.assert_close(
        by_one, by_many.sum((0, 1)), rtol=1e-5, atol=1e-5 * float(by_one.abs().max())
    )


def test_a_transfer_that_was_written_into_has_no_wrong_gradient() -> None:
    model = wire_model(4, 3, r_wordline_ohm=50.0, r_bitline_ohm=20.0)
    g = torch.full((4, 3), 1e-4, dtype=torch.float64, requires_grad=True)
    transfer, *_ = model.with_losses(g)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        transfer.mul_(2).sum().backward()
    v = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    held = model.with_held(g.detach(), v)[1]
    held.sum().backward()
    assert v.grad is not None
