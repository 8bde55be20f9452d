"""Modules as people write them, and what they become."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from netlists.graph import linear_stages, network_graph


class _Flattening(nn.Module):
    """A forward with the usual idioms: view by size, shape of a tensor, functional activation."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 4)
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(4, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.view(x.size(0), -1)
        x = torch.tanh(self.fc1(x)).reshape(x.shape[0], 4)
        return self.fc2(self.drop(x))


def test_common_idioms_are_a_chain() -> None:
    network = _Flattening()
    stages = linear_stages(network_graph(network))
    assert [(s.name, s.activation) for s in stages] == [("fc1", "tanh"), ("fc2", "identity")]
    assert stages[0].weight.shape == (4, 6)
    assert stages[0].bias is not None
    assert stages[1].bias is None
    torch.testing.assert_close(
        torch.from_numpy(stages[1].weight), network.fc2.weight.detach().double()
    )


def test_nested_modules_keep_their_paths() -> None:
    network = nn.Sequential(nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), nn.Linear(2, 2))
    stages = linear_stages(network_graph(network))
    assert [(s.name, s.activation) for s in stages] == [("0.0", "sigmoid"), ("1", "identity")]


def test_the_graph_has_operations_as_nodes_and_tensors_as_edges() -> None:
    graph = network_graph(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    assert [graph.nodes[n]["kind"] for n in graph] == ["input", "linear", "activation", "output"]
    assert graph.number_of_edges() == 3


@pytest.mark.parametrize("place", ["", "1"])
def test_hooks_that_no_circuit_would_follow_are_refused(place: str) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    network.get_submodule(place).register_forward_hook(lambda _m, _i, out: 5 * out)
    with pytest.raises(InputError, match="forward hooks"):
        network_graph(network)
