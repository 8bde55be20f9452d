"""From a torch module to a networkx graph of operations, and from that to a chain of stages.

Nodes are operations (`kind`: input, linear, activation, output), edges are tensors. What cannot
become a circuit is refused by name; nothing is approximated silently.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from compact_models.errors import InputError
from netlists.neurons.spec import all_neurons, neuron_for

Array = NDArray[np.float64]

# Operations that change nothing about the circuit of an evaluated network.
_TRANSPARENT_MODULES = (nn.Flatten, nn.Dropout, nn.Identity)
_TRANSPARENT_CALLS = frozenset({"flatten", "view", "reshape", "contiguous", "squeeze", "float"})
_FUNCTIONS = {"relu": "relu", "relu_": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}


@dataclass(frozen=True, eq=False)
class LinearStage:
    """One matrix-vector product with its activation.

    Args:
        name: the module's path in the network, as the user wrote it.
        weight: [out, in], in the network's own numbers.
        bias: [out], or None.
        activation: the name of a neuron.
    """

    name: str
    weight: Array
    bias: Array | None
    activation: str


def supported() -> str:
    """What a network may be made of, in words."""
    activations = sorted(neuron.module.__name__ for neuron in all_neurons())
    return f"Linear, {', '.join(activations)}, Flatten, Dropout; one chain from input to output"


def network_graph(module: nn.Module) -> nx.DiGraph:
    """The graph of a module's operations.

    Args:
        module: any module that torch.fx can trace; it is read, never changed.

    Raises:
        InputError: it cannot be traced, or holds an operation that has no circuit.
    """
    if type(module) is nn.Linear:
        module = nn.Sequential(module)  # traced by itself it would dissolve into functions
    try:
        # Only traced: a GraphModule would write the attribute names into Python code and run it.
        traced = fx.Tracer().trace(module)
    except Exception as error:  # tracing runs the user's forward: anything can come out of it
        raise InputError(
            f"the network cannot be traced ({type(error).__name__}: {error})",
            where=type(module).__name__,
            hint="its forward must not branch on tensor values",
        ) from error
    modules = dict(module.named_modules(remove_duplicate=False))
    for path, part in modules.items():
        # Weight and spectral normalisation work through hooks: the weight stored is not what acts.
        if part._forward_hooks or part._forward_pre_hooks:
            raise InputError(
                "this module has forward hooks, which no circuit would follow",
                where=f"network.{path}".rstrip("."),
                hint="remove them, or fold what they do into the weights",
            )
    graph = nx.DiGraph()
    for node in traced.nodes:
        if _is_shape(node):  # x.size(0) in x.view(x.size(0), -1): a number, no tensor
            continue
        attributes = _describe(node, modules)
        graph.add_node(node.name, **attributes)
        for source in node.all_input_nodes:
            if not _is_shape(source):
                graph.add_edge(source.name, node.name)
    return graph


def _is_shape(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in ("size", "dim")
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    return (
        node.op == "call_function"
        and node.target is operator.getitem
        and isinstance(node.args[0], fx.Node)
        and _is_shape(node.args[0])
    )


def _describe(node: fx.Node, modules: dict[str, nn.Module]) -> dict[str, object]:
    if node.op in ("placeholder", "output"):
        return {"kind": "input" if node.op == "placeholder" else "output", "path": node.name}
    if node.op == "call_module":
        path = str(node.target)
        module = modules[path]
        if isinstance(module, _TRANSPARENT_MODULES):
            return {"kind": "transparent", "path": path}
        if type(module) is nn.Linear:
            return {"kind": "linear", "path": path, "module": module}
        neuron = neuron_for(module)
        if neuron is not None:
            return {"kind": "activation", "path": path, "neuron": neuron.name}
        what = type(module).__name__
    else:
        what = str(getattr(node.target, "__name__", node.target))
        path = node.name
        if what in _FUNCTIONS:
            return {"kind": "activation", "path": path, "neuron": _FUNCTIONS[what]}
        if what in _TRANSPARENT_CALLS:
            return {"kind": "transparent", "path": path}
        if node.target in (operator.getitem, getattr):
            what = "indexing"
    raise InputError(
        "this layer has no circuit", where=f"network.{path}", value=what, allowed=supported()
    )


def linear_stages(graph: nx.DiGraph) -> tuple[LinearStage, ...]:
    """The chain of stages of a graph.

    Raises:
        InputError: the graph is no chain, a layer stands in it twice, an activation stands
            before the first Linear, or a weight is not finite.
    """
    stages: list[LinearStage] = []
    for name in nx.topological_sort(_connected(graph)):
        node = graph.nodes[name]
        if graph.in_degree(name) > 1 or graph.out_degree(name) > 1:
            raise InputError(
                "the network is not a chain", where=f"network.{node['path']}", allowed=supported()
            )
        if node["kind"] == "linear":
            if any(stage.name == node["path"] for stage in stages):
                raise InputError(
                    "this layer is used twice, and one array cannot stand in two places",
                    where=f"network.{node['path']}",
                    allowed=supported(),
                )
            stages.append(_linear_stage(node["path"], node["module"]))
        elif node["kind"] == "activation" and node["neuron"] != "identity":
            if not stages or stages[-1].activation != "identity":
                raise InputError(
                    "an activation must follow a Linear",
                    where=f"network.{node['path']}",
                    value=node["neuron"],
                    allowed=supported(),
                )
            last = stages.pop()
            stages.append(LinearStage(last.name, last.weight, last.bias, node["neuron"]))
    if not stages:
        raise InputError("the network has no Linear layer", where="network", allowed=supported())
    for before, after in pairwise(stages):
        if before.weight.shape[0] != after.weight.shape[1]:
            raise InputError(
                "layers do not fit together",
                where=f"network.{after.name}",
                value=f"{after.weight.shape[1]} inputs after {before.weight.shape[0]} outputs",
            )
    return tuple(stages)


def _connected(graph: nx.DiGraph) -> nx.DiGraph:
    """The graph without inputs that nothing reads; refuses results that nothing reads."""
    unread = [name for name in nx.isolates(graph) if graph.nodes[name]["kind"] == "input"]
    used = nx.restricted_view(graph, unread, [])
    lost = [
        graph.nodes[name]["path"]
        for name in used
        if used.out_degree(name) == 0 and graph.nodes[name]["kind"] != "output"
    ]
    if lost:
        raise InputError("its result is not used", where=f"network.{lost[0]}", allowed=supported())
    return used


def _linear_stage(path: str, module: nn.Linear) -> LinearStage:
    if not module.weight.numel():
        raise InputError(
            "an array needs at least one input and one output",
            where=f"network.{path}",
            value=tuple(module.weight.shape),
        )
    weight = _finite(module.weight, f"network.{path}.weight")
    bias = None if module.bias is None else _finite(module.bias, f"network.{path}.bias")
    return LinearStage(path, weight, bias, "identity")


def _finite(tensor: torch.Tensor, where: str) -> Array:
    if not tensor.is_floating_point() or tensor.is_meta or tensor.layout is not torch.strided:
        raise InputError(
            "weights must be real numbers in memory",
            where=where,
            value=f"{tensor.dtype} on {tensor.device}",
        )
    array = tensor.detach().to(torch.float64).cpu().numpy().copy()
    if not np.isfinite(array).all():
        index = [int(k) for k in np.argwhere(~np.isfinite(array))[0]]
        raise InputError(
            "weights must be finite", where=f"{where}{index}", value=float(array[tuple(index)])
        )
    return array
