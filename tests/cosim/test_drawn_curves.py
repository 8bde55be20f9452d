"""A block's curve over what its instances draw: found from corners, held out on fresh instances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cosim.array.layout import TileLayout
from cosim.calibration.drawn import Drawn, fit_block, fit_value, instances
from cosim.surrogate.curves import fit_curves
from cosim.surrogate.drawn_curves import PlacedCurves

X = np.linspace(-1.7, 1.7, 1025)


def test_a_curve_that_instances_shift_and_scale_is_found() -> None:
    """Neither sign nor gain of what is drawn is told: a knee far sharper than its shifts."""
    of = instances(
        {"rf": Drawn(5e3, 200.0, positive=True), "vos": Drawn(0.0, 5e-3)}, seed=3, path="a"
    )
    rf, vos = of.values["rf"], of.values["vos"]

    def truth(x: np.ndarray, rf: np.ndarray, vos: np.ndarray) -> np.ndarray:
        inside = -rf / 5e3 * x - 1.3 * vos
        return 0.5 * (inside + np.sqrt(inside**2 + 4e-5))

    curves, error = fit_block(of, X, truth(X[:, None], rf, vos), within=1.5)
    assert of.held_out == "instances"
    assert error.shape[1] == len(of) - 9
    assert np.abs(error).max() < 1e-4
    assert curves.out_shift is None
    some = torch.tensor([[[4700.0, 5100.0, 5500.0]], [[5000.0, 5200.0, 4900.0]]]).double()
    off = 1e-3 * torch.tensor([[[10.0, -12.0, 0.0]], [[3.0, 0.0, -7.0]]]).double()
    x = torch.linspace(-1.2, 1.1, 24, dtype=torch.float64).reshape(2, 4, 3).requires_grad_()
    read = curves.at(some, off)
    wanted = truth(x.detach().numpy(), some.numpy(), off.numpy())
    np.testing.assert_allclose(read(x).detach().numpy(), wanted, atol=1e-4)
    assert torch.autograd.gradcheck(read, (x,), atol=1e-3)


def test_what_instances_do_at_their_outputs_is_found_too() -> None:
    of = instances(
        {"vos": Drawn(0.0, 5e-3), "gain": Drawn(1.0, 0.02, positive=True)}, seed=3, path="a"
    )
    vos, gain = of.values["vos"], of.values["gain"]
    curves, error = fit_block(of, X, 0.4 * gain * np.tanh(3 * X[:, None]) + vos, within=1.5)
    assert np.abs(error).max() < 1e-6
    assert curves.out_scale is not None


def test_a_block_that_draws_nothing_is_its_curve() -> None:
    of = instances({"rf": Drawn(5e3, 0.0)}, seed=3, path="a")
    curves, error = fit_block(of, X, np.tanh(X)[:, None], within=1.5)
    assert of.held_out == "vectors"
    assert error.shape[1] == 1
    assert 0 < np.abs(error).max() < 1e-6
    read = curves.at(torch.full((1, 1), 5e3, dtype=torch.float64))
    near = read(torch.linspace(-1.6, 1.6, 9, dtype=torch.float64)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(near, np.tanh(np.linspace(-1.6, 1.6, 9)), atol=1e-6)


def test_a_block_of_another_kind_shows_in_its_held_out_error() -> None:
    """The steepness of a tanh is no shift and no scale of a curve that is not one."""
    of = instances({"rf": Drawn(1.0, 0.1)}, seed=3, path="a")
    y = np.sin(4 * X[:, None]) + (of.values["rf"] - 1) * X[:, None] ** 2
    _, error = fit_block(of, X, y, within=1.5)
    assert np.abs(error).max() > 0.05


def test_a_value_of_second_degree_is_found() -> None:
    of = instances({"rf": Drawn(5e3, 200.0), "vos": Drawn(0.0, 1e-3)}, seed=0, path="b")
    rf, vos = of.values["rf"], of.values["vos"]
    value = fit_value(of, rf * 1e-4 * (1 + 20 * vos))
    found = value.at(*torch.tensor([[4321.0], [2e-3]], dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), 4321e-4 * 1.04, rtol=1e-9)


def test_pairs_are_added_up_as_the_layout_adds_them() -> None:
    """Two arrays cut in 2 x 2 tiles, padded both ways; instances of two chips."""
    layout = TileLayout((0, 3, 5), (0, 3, 5), arrays=2)
    rng = np.random.default_rng(4)
    shape = (2, layout.tiles, 1, layout.tile_cols)
    scale, shift, out_scale, out_shift = (
        torch.from_numpy(rng.uniform(low, high, shape))
        for low, high in ((0.5, 1.5), (-0.2, 0.2), (0.8, 1.2), (-0.1, 0.1))
    )
    curve = fit_curves(X, np.tanh(3 * X)[:, None])
    x = torch.from_numpy(rng.uniform(-2, 2, (2, layout.tiles, 6, layout.tile_cols)))
    weight = torch.from_numpy(rng.normal(size=(2, 6, 5)))
    for of_output in (None, (out_scale, out_shift)):
        placed = PlacedCurves(curve, scale, shift, of_output)
        free = x.clone().requires_grad_()
        ours, theirs = placed.pair_sums(free, layout.blocks[1]), layout.sum_pairs(placed(free))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
        gradients = [torch.autograd.grad((y * weight).sum(), free)[0] for y in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("chips", [1, 2])
@pytest.mark.parametrize("outputs", [False, True])
def test_sums_of_pairs_are_those_of_their_curves(outputs: bool, chips: int) -> None:
    """Of two parts, unequal sides and inputs beyond both ends; what is no number stays so."""
    rng = np.random.default_rng(2)
    x = torch.from_numpy(np.linspace(-1.0, 1.0, 9))
    master = fit_curves(x.numpy(), np.tanh(2 * x.numpy())[:, None])
    shape = (chips, 2, 2, 1, 3)
    scale, shift, gain, off = (torch.from_numpy(rng.normal(size=shape)) for _ in range(4))
    read = PlacedCurves(master, scale, shift, (gain, off) if outputs else None)
    at = torch.from_numpy(rng.normal(size=(2, 2, 2, 5, 3)))
    wanted = read(at)
    wanted = (wanted[:, :, 1] - wanted[:, :, 0]).sum(1)
    torch.testing.assert_close(read.side_sums(at), wanted, rtol=1e-12, atol=1e-12)
    single = read.side_sums(at.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), wanted, rtol=1e-5, atol=1e-5)
    at[1, 0, 1, 2, 0] = torch.nan
    found = read.side_sums(at)
    assert found.isnan().nonzero().tolist() == [[1, 2, 0]]
