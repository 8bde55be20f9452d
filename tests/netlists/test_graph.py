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


def _trained_norm(features: int, seed: int, *, affine: bool = True) -> nn.BatchNorm1d:
    """A batch normalisation with statistics and gains that are alike nowhere; one gain is < 0."""
    draw = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm1d(features, affine=affine, eps=1e-2, dtype=torch.float64)
    norm.running_mean = torch.randn(features, generator=draw, dtype=torch.float64)
    norm.running_var = torch.rand(features, generator=draw, dtype=torch.float64) * 3 + 0.1
    if affine:
        with torch.no_grad():
            norm.weight.copy_(torch.randn(features, generator=draw, dtype=torch.float64))
            norm.bias.copy_(torch.randn(features, generator=draw, dtype=torch.float64))
            norm.weight[0] = -1.7
    return norm


@pytest.mark.parametrize(("bias", "affine"), [(True, True), (False, True), (True, False)])
def test_a_batch_normalisation_folds_into_the_linear_before_it(bias: bool, affine: bool) -> None:
    torch.manual_seed(11)
    network = nn.Sequential(
        nn.Linear(5, 4, bias=bias, dtype=torch.float64),
        nn.Dropout(0.7),
        _trained_norm(4, 1, affine=affine),
        nn.Tanh(),
        nn.Linear(4, 3, dtype=torch.float64),
        _trained_norm(3, 2),
        _trained_norm(3, 3),
    )
    network.train()
    stages = linear_stages(network_graph(network))
    assert all(part.training for part in network.modules())
    assert [(s.name, s.activation) for s in stages] == [("0", "tanh"), ("4", "identity")]
    x = torch.randn(20, 5, dtype=torch.float64)
    hidden = x
    for stage in stages:
        assert stage.bias is not None
        hidden = hidden @ torch.from_numpy(stage.weight).T + torch.from_numpy(stage.bias)
        hidden = torch.tanh(hidden) if stage.activation == "tanh" else hidden
    torch.testing.assert_close(hidden, network.eval()(x), rtol=1e-12, atol=1e-12)


class _DropsInTraining(nn.Module):
    """A forward that is another one while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.fc(x), 1) if self.training else self.fc(x)


def test_a_network_is_read_as_it_answers_after_eval() -> None:
    network = _DropsInTraining()
    assert [s.name for s in linear_stages(network_graph(network))] == ["fc"]
    assert network.training


@pytest.mark.parametrize("place", ["", "1"])
def test_hooks_that_no_circuit_would_follow_are_refused(place: str) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    network.get_submodule(place).register_forward_hook(lambda _m, _i, out: 5 * out)
    with pytest.raises(InputError, match="forward hooks"):
        network_graph(network)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(x)) + x)


class _TwoInputs(_Residual):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.b(self.a(x) + y)


class _Convolving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.last = nn.Conv1d(1, 2, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.c(x.unsqueeze(1)).flatten(1))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (_Residual(), "a sum of two branches is no single chain"),
        (_TwoInputs(), "its forward takes two inputs: a chip has one"),
        (_Convolving(), "network.c: .*torch.nn.Conv1d.* write it as a Linear"),
    ],
)
def test_what_is_no_chain_is_refused_by_what_it_is(network: nn.Module, words: str) -> None:
    with pytest.raises(InputError, match=words):
        network_graph(network)
