"""A state belongs to the cells of one device on one chip; that of others is refused."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch

import cosim
from compact_models.errors import InputError
from cosim.network.in_situ import InSituNetwork
from netlists.wires import Wires
from tests.training.in_situ_nets import small

X = torch.from_numpy(np.random.default_rng(4).uniform(0.0, 1.0, (20, 6)))
HERE: Mapping[str, object] = {"device": "soft_bounds", "stream": cosim.Stream(3)}


def made(seed: int = 0, **other: object) -> InSituNetwork:
    model = cosim.convert(small(6, 5, 3, seed=seed), **{**HERE, **other})  # type: ignore[arg-type]
    assert isinstance(model, InSituNetwork)
    return model


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"device": "constant_step"}, "layer 0: cells.model.name.*got 'soft_bounds'; allowed: con"),
        ({"stream": cosim.Stream(9)}, "layer 0: stream.seed.*got 3; allowed: 9"),
        ({"stream": cosim.Stream(3, 1), "d2d": {}}, "layer 0: stream.sample.*got 0; allowed: 1"),
        ({"d2d": {"dw_min": 0.1}}, "layer 0: cells.spread"),
        ({"pair": "both"}, "layer 0: cells.pair"),
        ({"sample_inputs": 0.5 * X}, "layer 0: plan.span"),
        ({"hardware": cosim.Hardware(wires=Wires(1.0, 2.0))}, "layer 0: hardware.wires"),
    ],
)
def test_the_state_of_other_cells_is_refused_and_nothing_overwritten(
    other: dict[str, object], said: str
) -> None:
    this = made(**{key: value for key, value in other.items() if key == "d2d" and not value})
    one = made(seed=1, **other)
    before = copy.deepcopy(one.state_dict())
    with pytest.raises(InputError, match=f"{said}.*weights alone"):
        one.load_state_dict(this.state_dict())
    last = one.chain[1]  # a layer refuses for itself, too
    with pytest.raises(InputError, match="state of layer 2"):
        last.load_state_dict(this.chain[1].state_dict())
    mixed = {**one.state_dict(), "layers.0.array.w": one.chain[0].array.w + 0.1}
    mixed["layers.1._extra_state"] = this.state_dict()["layers.1._extra_state"]
    with pytest.raises(InputError, match="state of layer 2"):
        one.load_state_dict(mixed)
    for key, value in one.state_dict().items():
        same = torch.equal(value, before[key]) if isinstance(value, torch.Tensor) else True
        assert same, key


def test_the_same_cells_take_it_whoever_reads_them_in_whatever_precision() -> None:
    state = made().float().state_dict()
    again = made(seed=1, read="surrogate", dtype=torch.float64)
    again.load_state_dict(state)
    assert torch.equal(again.chain[1].array.w, made().chain[1].array.w.float().double())
    by_voltage = made(seed=1, update="table")
    by_voltage.load_state_dict(made().state_dict())
    assert torch.equal(by_voltage.chain[1].array.w, made().chain[1].array.w)
    weights = {k: v for k, v in state.items() if k.endswith(("weight", "bias"))}
    other = made(seed=1, device="constant_step")
    other.load_state_dict({k: v.double() for k, v in weights.items()})
    torch.testing.assert_close(other.chain[0].weight.detach(), weights["layers.0.weight"].double())
