"""The way back to torch: weights under the names that they had before convert."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from tests.training.in_situ_nets import small

X = torch.from_numpy(np.random.default_rng(4).uniform(0.0, 1.0, (40, 6)))
Y = torch.from_numpy(np.random.default_rng(5).integers(0, 3, 40))


class Named(nn.Module):
    """Names that say nothing of the order, one of them nested; a layer without a bias."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        first, _, middle, _, last = small(6, 8, 4, 3, seed=seed)
        self.layers = nn.ModuleList([last, first])
        self.b = nn.Linear(8, 4, bias=False, dtype=torch.float64)
        self.b.weight = middle.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.b(self.layers[1](x).tanh()).tanh()
        found: torch.Tensor = self.layers[0](hidden)
        return found


@pytest.mark.parametrize("how", [{"device": "constant_step", "d2d": {}}, {"read": "exact"}])
def test_what_was_trained_on_a_chip_goes_back_under_its_own_names(how: dict[str, object]) -> None:
    net = Named()
    model = cosim.convert(net, **how)  # type: ignore[arg-type]  # of any kind
    begun = cosim.float_state_dict(model)
    assert set(begun) == set(net.state_dict())
    for name, value in net.state_dict().items():
        torch.testing.assert_close(begun[name], value, atol=1e-12, rtol=1e-12)
    optimiser: torch.optim.Optimizer = (
        cosim.PulsedSGD(model.parameters(), lr=0.3)
        if "device" in how
        else torch.optim.Adam(model.parameters(), lr=0.05)
    )
    for _ in range(30):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(X), Y).backward()
        optimiser.step()
        if isinstance(model, cosim.CrossbarNetwork):
            model.clip_weights()
    with torch.no_grad():
        before = (net(X) - model(X)).norm()
        net.load_state_dict(cosim.float_state_dict(model))
        assert (net(X) - model(X)).norm() < 0.15 * before  # converters of 8 bits stand between
    other = cosim.convert(Named(seed=1), **how)  # type: ignore[arg-type]
    if isinstance(other, cosim.InSituNetwork):  # and into cells again, by these names
        other.load_state_dict(net.state_dict())
        again = cosim.float_state_dict(other)
        for name, value in net.state_dict().items():
            torch.testing.assert_close(again[name], value, atol=1e-12, rtol=1e-12)


def test_only_a_network_on_a_chip_has_a_way_back() -> None:
    with pytest.raises(InputError, match="no network on a chip; got 'Named'; allowed: what conv"):
        cosim.float_state_dict(Named())  # type: ignore[arg-type]
    model = cosim.convert(small(6, 3), device="constant_step")
    with pytest.raises(InputError, match="no such chip; got 1; allowed: 0 to 0"):
        cosim.float_state_dict(model, chip=1)
