"""What a converted model takes, and in which words it refuses the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.errors import InputError
from tests.training.in_situ_nets import small

X = torch.from_numpy(np.random.default_rng(4).uniform(0.0, 1.0, (20, 6)))
KINDS = [{"device": "constant_step", "d2d": {}}, {}]


@pytest.mark.parametrize("how", KINDS)
def test_one_sample_has_one_answer(how: dict[str, Any]) -> None:
    model = cosim.convert(small(6, 5, 3), **how)
    assert model(X[3]).shape == (3,)
    assert torch.equal(model(X[3]), model(X)[3])


@pytest.mark.parametrize("how", [*KINDS, {"device": "constant_step", "read": "surrogate"}])
def test_no_sample_has_no_answer_and_teaches_nothing(how: dict[str, Any]) -> None:
    model = cosim.convert(small(6, 5, 3), **how)
    answer = model(X[:0])
    assert answer.shape == (0, 3)
    answer.sum().backward()
    if "device" in how:
        before = cosim.float_state_dict(model)
        cosim.PulsedSGD(model.parameters(), lr=0.1).step()
        for name, value in cosim.float_state_dict(model).items():
            assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    "x",
    [X[:, :5], X[0, :5], X.reshape(4, 5, 6), X.reshape(1, 4, 5, 6), torch.tensor(1.0), [1.0] * 6],
)
def test_inputs_of_another_shape_are_refused_by_layer_and_width(x: object) -> None:
    model = cosim.convert(small(6, 5, 3), device="constant_step")
    with pytest.raises(InputError, match=r"layer 0, which has 6; got .*\[6\], \[batch, 6\]"):
        model(x)


def test_weights_of_another_layer_are_refused_under_their_own_name() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.a(x)
            return found

    model = cosim.convert(Own(), device="constant_step")
    assert isinstance(model, cosim.InSituNetwork)
    optimiser = cosim.PulsedSGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match=r"^a.bias: .*got \(1,\); allowed: \(3,\)"):
        model.load_state_dict({"a.weight": torch.zeros(3, 6), "a.bias": torch.zeros(1)})
    layer = model.chain[0]
    layer.weight.sum().backward()
    with pytest.raises(InputError, match=r"^a.weight: a loss uses"):
        optimiser.step()
    with torch.no_grad():
        layer.weight.mul_(2.0)
    for use in (lambda: model(X), optimiser.step):
        with pytest.raises(InputError, match=r"^a.weight: something was written"):
            use()


def test_a_class_in_the_place_of_a_network_is_told_to_be_called() -> None:
    with pytest.raises(InputError, match=r"class.*Linear.*call it: convert\(Linear\(\)"):
        cosim.convert(nn.Linear)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no torch module; got 'dict'"):
        cosim.convert({}, device="constant_step")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", KINDS)
def test_a_network_for_other_inputs_takes_them_as_shares_of_a_full_scale(
    how: dict[str, Any],
) -> None:
    net = small(6, 5, 3)
    x = 4.0 * (2 * X - 1)
    model = cosim.convert(net, full_scale=4.0, sample_inputs=x / 4.0, **how)
    with torch.no_grad():
        size = net(x).std()
        assert (model(x / 4.0) - net(x)).abs().mean() < 0.03 * size
    for name, value in cosim.float_state_dict(model).items():
        torch.testing.assert_close(value, net.state_dict()[name], atol=1e-12, rtol=1e-12)
    with pytest.raises(InputError, match=r"full_scale.*> 0"):
        cosim.convert(net, full_scale=0.0, **how)
    with pytest.raises(InputError, match=r"sample_inputs: .*got 4\.\d*; .*as full_scale"):
        cosim.convert(net, sample_inputs=x * 4.1 / x.abs().max(), **how)
    if how:
        with pytest.raises(InputError, match="largest value and give convert that as full_scale"):
            model(x)
