"""All layers in one function of torch's graph, beside the same by calls of the layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from tests.training.in_situ_nets import network, small

RNG = np.random.default_rng(7)
X = RNG.uniform(0.0, 1.0, (9, 6))
WEIGHTS = torch.from_numpy(RNG.normal(size=(9, 3)))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("chips", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layers_that_are_looked_at_give_the_same(axes: int, chips: int, frozen: bool) -> None:
    together, one_by_one = (
        network(small(6, 5, 4, 3), X, device="soft_bounds", chips=chips, sigma={"w_max": 0.2})
        for _ in range(2)
    )
    seen = []
    one_by_one.chain[1].register_forward_hook(lambda _m, given, out: seen.append((given[0], out)))
    x = torch.from_numpy(X)
    if axes == 3:
        x = torch.stack([x * (1 - 0.5 * chip) for chip in range(chips)])
    found = []
    for cells in (together, one_by_one):
        for own in cells.chain[1].parameters():
            own.requires_grad_(not frozen)
        own_x = (x[0] if axes == 1 else x).clone().requires_grad_()
        y = cells(own_x)
        many = (chips,) if axes == 3 or chips > 1 else ()
        assert y.shape == (*many, *(() if axes == 1 else (9,)), 3)
        by = WEIGHTS[0] if axes == 1 else WEIGHTS
        (y * by).sum().backward()
        pairs = [layer.weight.pairs.take() for layer in cells.chain]
        assert [one is None for one in pairs] == [False, frozen, False]
        assert own_x.grad is not None
        found.append((y, own_x.grad, [part for one in pairs if one is not None for part in one]))
    (y, grad, pairs), (wanted_y, wanted_grad, wanted_pairs) = found
    assert torch.equal(y, wanted_y)
    assert float(grad.abs().max()) > 0
    for one, wanted in zip((grad, *pairs), (wanted_grad, *wanted_pairs), strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-12, atol=1e-15)
    ((given, out),) = seen
    assert given.shape[-1] == 5
    assert out.shape == (chips, given.shape[1], 4)


def test_only_what_has_to_learn_is_read_backward() -> None:
    cells = network(small(6, 5, 4, 3), X)
    asked = []
    for number, layer in enumerate(cells.chain):
        for own in layer.parameters():
            own.requires_grad_(number == 1)

        def errors(d: torch.Tensor, number: int = number) -> torch.Tensor:
            asked.append(number)
            return type(cells.chain[number]).errors_at_inputs(cells.chain[number], d)

        layer.errors_at_inputs = errors  # type: ignore[method-assign]
    loss = cells(torch.from_numpy(X)).sum()
    loss.backward()
    assert asked == [2]
    assert [len(layer.weight.pairs.x) for layer in cells.chain] == [0, 1, 0]
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_way_of_ones_own_through_a_layer_is_taken_and_another_layer_refused() -> None:
    cells = network(small(6, 5, 4, 3), X, device="soft_bounds")
    layer, seen = cells.chain[1], []

    def looks(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return type(layer).forward(layer, x)

    layer.forward = looks
    cells(torch.from_numpy(X))
    assert len(seen) == 1
    cells.layers[1] = torch.nn.Identity()
    with pytest.raises(InputError, match="those that it was made of"):
        cells(torch.from_numpy(X))
