"""An existing loop changes in two lines: convert, and the optimiser."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from tests.training.in_situ_nets import small


def _soft_bounds() -> cosim.PulsedDevice:
    model = find_model("soft_bounds")
    return cosim.PulsedDevice(model, find_set(model, None))


def blobs() -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes in six dimensions, 240 samples."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.rand(3, 6, generator=generator, dtype=torch.float64)
    y = torch.arange(240) % 3
    noise = 0.1 * torch.randn(240, 6, generator=generator, dtype=torch.float64)
    return (centres[y] + noise).clamp(0, 1), y


def trained(net: nn.Module, optimiser: torch.optim.Optimizer, epochs: int) -> float:
    x, y = blobs()
    for _ in range(epochs):
        for part in torch.arange(240).split(8):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()
    with torch.no_grad():
        return float((net(x).argmax(-1) == y).double().mean())


@pytest.mark.parametrize("read", ["ideal", "surrogate"])
def test_a_loop_of_ones_own_trains_in_cells(read: str) -> None:
    net = small(6, 8, 3)
    model = cosim.convert(net, cosim.Hardware(), device="soft_bounds", read=read)
    found = trained(model, cosim.PulsedSGD(model.parameters(), lr=0.1), 6)
    assert found > 0.93
    assert torch.equal(net[0].weight, small(6, 8, 3)[0].weight)  # the original stays as it is


def test_without_a_device_any_optimiser_of_torch_trains_through_the_chip() -> None:
    model = cosim.convert(small(6, 8, 3), read="exact")
    before = [p.detach().clone() for p in model.parameters()]
    assert trained(model, torch.optim.Adam(model.parameters(), lr=0.02), 2) > 0.93
    assert all((p != b).any() for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"device": "soft_bound"}, "soft_bounds"),
        ({"device": "vteam"}, "table, ode, spice"),
        ({"device": "soft_bounds", "parameters": "rpu2"}, "rpu"),
        ({"device": "soft_bounds", "d2d": {"w": 0.1}}, "dw_min, w_max"),
        ({"read": "surrogate"}, "calibrated first"),
        ({"read": "spicy"}, "ideal, surrogate, exact"),
        ({"parameters": "rpu"}, "is of a device"),
        ({"device": "soft_bounds", "sigma_step": float("nan")}, "allowed: 0 to 2"),
        ({"device": _soft_bounds(), "d2d": {"dw_min": 0.1}}, "has a d2d of its own"),
    ],
)
def test_what_does_not_go_together_is_said(how: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        cosim.convert(small(6, 3), **how)  # type: ignore[arg-type]  # of any kind


def test_inputs_that_drivers_would_clip_are_refused() -> None:
    x = torch.rand(240, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[0], x[1] = 0.0, 1.0
    model = cosim.convert(small(6, 3), device="soft_bounds")
    for wrong, value in ((2.0 * x, "2.0"), (x - 0.5, "-0.5")):
        with pytest.raises(
            InputError, match=f"drivers.*got {value}; allowed: 0 to 1.*sample_inputs"
        ):
            model(wrong)
    signed = cosim.convert(small(6, 3), device="soft_bounds", sample_inputs=2 * x - 1)
    assert signed(2 * x - 1).shape == (240, 3)


def test_sums_of_weights_that_agree_are_within_the_converters_ranges() -> None:
    """Else a layer that has learnt is clipped and learns no more."""
    net = small(6, 8, 3)
    model = cosim.convert(net, device="constant_step")
    assert isinstance(model, cosim.InSituNetwork)
    for layer, largest in zip(model.chain, (0.5 * 0.5 * 6, 0.5 * 0.5 * 8), strict=True):
        assert layer.plan.span > largest  # half of the bound, half of the inputs, one sign


def test_public_names_are_loaded_when_they_are_asked_for() -> None:
    code = "import sys, cosim; assert 'torch' not in sys.modules; assert cosim.Stream(3).seed == 3"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in cosim.__all__:
        assert getattr(cosim, name) is not None
    with pytest.raises(AttributeError, match="convert"):
        _ = cosim.konvert


class Named(nn.Module):
    """Three layers under names of their own, the middle one with weights beyond some cells."""

    def __init__(self) -> None:
        super().__init__()
        self.a, _, self.b, _, self.c = small(6, 8, 4, 3)
        with torch.no_grad():
            self.b.weight.mul_(0.59 / self.b.weight.abs().max())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.c(self.b(self.a(x).tanh()).tanh())
        return found


def test_weights_beyond_the_bounds_of_cells_are_told_by_layer_and_size() -> None:
    net = Named()
    net.c.bias.data[1] = -5.0
    with pytest.warns(RuntimeWarning, match="beyond their cells' bounds") as said:
        model = cosim.convert(net, device="constant_step", d2d={"w_max": 0.2})
    assert len(said) == 1
    assert isinstance(model, cosim.InSituNetwork)
    told = dict(part.split(": ") for part in str(said[0].message).split("; "))
    assert set(told) == {"layer b", "layer c"}  # a is as torch draws it, and loses nothing learnt
    for part, layer, linear in zip(told.values(), model.chain[1:], (net.b, net.c), strict=True):
        assert layer.bias is not None
        off = torch.cat([(layer.weight - linear.weight).flatten(), layer.bias - linear.bias])
        off = off.detach().abs()
        assert f"{int((off > 1e-5).sum())} of {off.numel()} weights" in part
        assert f"by {float(off.max()):.3g} at most" in part
