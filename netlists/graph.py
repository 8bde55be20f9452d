"""From a torch module to a networkx graph of operations, and from that to a chain of stages.

Nodes are operations (`kind`: input, linear, batch_norm, activation, output), edges are tensors.
What cannot become a circuit is refused by name; nothing is approximated silently. A network is
read as it answers after `eval()`.
"""

from __future__ import annotations

import operator
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

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

_COUNTS = {2: "two", 3: "three"}

_ARITHMETIC = frozenset({"add", "sub", "mul", "truediv", "div", "neg", "subtract", "multiply"})
_SCALING = (
    'an input is scaled by [data] scale or --scale: "standard" subtracts its mean and divides by'
    ' its standard deviation, "minmax" brings it to [0, 1]; leave that out of the network'
)
_SUM = (
    "a sum of two branches is no single chain: an array cannot stand in parallel to its own input"
)
_CONVOLUTION = (
    "a convolution is no layer of a chip: write it as a Linear, whose matrix has the kernel once"
    " for each place of its output"
)
_SOFTMAX = "leave it out if it stands at the end: the largest output stays the largest"


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
    return (
        f"torch.nn.Linear, BatchNorm1d after it, {', '.join(activations)}, Flatten, Dropout;"
        " one chain from input to output"
    )


def network_graph(module: nn.Module) -> nx.DiGraph:
    """The graph of a module's operations.

    Args:
        module: any module that torch.fx can trace; it is read as in `eval()`, never changed.

    Raises:
        InputError: it cannot be traced, or holds an operation that has no circuit.
    """
    if isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod"):
        raise InputError(
            "a compiled module does not show its layers",
            where=_type_name(type(module)),
            hint="give the module that it was compiled from, with its weights",
        )
    if type(module) is nn.Linear:
        module = nn.Sequential(module)  # traced by itself it would dissolve into functions
    try:
        with _evaluating(module):
            # Only traced: a GraphModule would write attribute names into Python code and run it.
            traced = _Tracer().trace(module)
    except Exception as error:  # tracing runs the user's forward: anything can come out of it
        raise _not_traced(module, error) from error
    modules = dict(module.named_modules(remove_duplicate=False))
    for path, part in modules.items():
        # Weight and spectral normalisation work through hooks: the weight stored is not what acts.
        if part._forward_hooks or part._forward_pre_hooks:
            raise InputError(
                "this module has forward hooks, which no circuit would follow",
                where=f"network.{path}".rstrip("."),
                hint="remove them, or fold what they do into the weights",
            )
    inputs = [node.name for node in traced.nodes if node.op == "placeholder" and node.users]
    if len(inputs) > 1:
        raise InputError(
            f"its forward takes {_COUNTS.get(len(inputs), len(inputs))} inputs: a chip has one",
            where=f"{type(module).__name__}.forward",
            value=", ".join(inputs),
            allowed=supported(),
            hint="give the features in one tensor",
        )
    for node in traced.nodes:  # before what only brings a tensor into its shape
        if node.op == "call_module" and _is_convolution(modules[str(node.target)]):
            _describe(node, modules)
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


class _Tracer(fx.Tracer):
    """Does not look into what is derived from Linear, so that it is refused by its name."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Linear) or super().is_leaf_module(m, module_qualified_name)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """The module as in `eval()`, and afterwards as it was."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _not_traced(module: nn.Module, error: Exception) -> InputError:
    """Where the user's forward was stopped, and what it may do instead."""
    ours = (Path(torch.__file__).parent, Path(__file__))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.line and not any(Path(frame.filename).is_relative_to(path) for path in ours)
    ]
    place = f" at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
    hint = (
        "it is run once with a stand-in for its tensor, which layers, activations, flatten and view"
        " take; leave out what makes a tensor or a number of it (as_tensor, tensor, numpy, float,"
        " len): inputs are tensors already"
    )
    if isinstance(error, fx.proxy.TraceError):
        hint = "its forward must not branch on tensor values or their shapes (if, while, assert)"
    return InputError(
        f"the network cannot be traced, its forward stops{place} ({type(error).__name__}: {error})",
        where=type(module).__name__,
        hint=hint,
    )


def _type_name(kind: type) -> str:
    """In full, as users import it."""
    name = kind.__qualname__
    if getattr(nn, name, None) is kind:
        return f"torch.nn.{name}"
    return f"{kind.__module__}.{name}"


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
            return {"kind": "transparent", "path": path, "module": module}
        if type(module) is nn.Linear:
            return {"kind": "linear", "path": path, "module": module}
        if type(module) is nn.BatchNorm1d:
            return {"kind": "batch_norm", "path": path, "module": module}
        neuron = neuron_for(module)
        if neuron is not None:
            return {"kind": "activation", "path": path, "neuron": neuron.name}
        raise InputError(
            "this layer has no circuit",
            where=f"network.{path}",
            value=_type_name(type(module)),
            allowed=supported(),
            hint=_instead(module),
        )
    what = str(getattr(node.target, "__name__", node.target))
    path = node.name
    if what in _FUNCTIONS:
        return {"kind": "activation", "path": path, "neuron": _FUNCTIONS[what]}
    if what in _TRANSPARENT_CALLS:
        return {"kind": "transparent", "path": path}
    if node.target in (operator.getitem, getattr):
        what = "indexing"
    raise InputError(
        "this layer has no circuit",
        where=f"network.{path}",
        value=what,
        allowed=supported(),
        hint=_SOFTMAX
        if "softmax" in what
        else _CONVOLUTION
        if "conv" in what
        else _SUM
        if _sums(node)
        else _SCALING
        if _scales(node)
        else "",
    )


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvNd)


def _sums(node: fx.Node) -> bool:
    """Whether it combines two tensors that the network computes, or one with its input."""
    return getattr(node.target, "__name__", "") in _ARITHMETIC and len(set(_computed(node))) > 1


def _scales(node: fx.Node) -> bool:
    """Whether it computes with the network's input, or is a number that such a node uses."""
    if node.op == "get_attr":
        return any(_scales(user) for user in node.users)
    name = str(getattr(node.target, "__name__", node.target))
    if name not in _ARITHMETIC:
        return False
    return any(one.op == "placeholder" or _scales(one) for one in _computed(node))


def _computed(node: fx.Node) -> list[fx.Node]:
    """What a node computes with, without stored numbers."""
    return [one for one in node.all_input_nodes if one.op != "get_attr"]


def _instead(module: nn.Module) -> str:
    """What to do about a layer that looks like one that has a circuit."""
    if "quantiz" in type(module).__module__ or "qat" in type(module).__module__.split("."):
        return (
            "give the network before its quantisation: a chip has its own, [driver] dac_bits and"
            " [adc] bits"
        )
    if _is_convolution(module):
        return _CONVOLUTION
    if hasattr(module, "parametrizations"):
        return (
            "torch.nn.utils.parametrize.remove_parametrizations leaves the weight that acts in a"
            " plain Linear"
        )
    if isinstance(module, nn.Softmax | nn.LogSoftmax):
        return _SOFTMAX
    if isinstance(module, nn.Linear):
        return "what is derived from Linear may compute anything: use torch.nn.Linear itself"
    return ""


def linear_stages(graph: nx.DiGraph) -> tuple[LinearStage, ...]:
    """The chain of stages of a graph.

    Raises:
        InputError: the graph is no chain, a layer stands in it twice, an activation or a batch
            normalisation stands where no Linear is before it, or a weight is not finite.
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
        elif node["kind"] == "batch_norm":
            if not stages or stages[-1].activation != "identity":
                raise InputError(
                    "a BatchNorm1d folds into the Linear before it, and here is none",
                    where=f"network.{node['path']}",
                    value=_type_name(type(node["module"])),
                    allowed="Linear, BatchNorm1d, activation, in this order",
                    hint="" if stages else _SCALING,
                )
            stages.append(_folded(stages.pop(), node["path"], node["module"]))
        elif node["kind"] == "activation" and node["neuron"] != "identity":
            if not stages or stages[-1].activation != "identity":
                raise InputError(
                    "an activation must follow a Linear",
                    where=f"network.{node['path']}",
                    value=node["neuron"],
                    allowed=supported(),
                )
            last = stages.pop()
            stages.append(replace(last, activation=node["neuron"]))
    if not stages:
        raise InputError("the network has no Linear layer", where="network", allowed=supported())
    for before, after in pairwise(stages):
        if before.weight.shape[0] != after.weight.shape[1]:
            raise InputError(
                "layers do not fit together",
                where=f"network.{after.name}",
                value=f"{after.weight.shape[1]} inputs after {before.weight.shape[0]} outputs",
                allowed=f"{before.weight.shape[0]} inputs",
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


def _folded(stage: LinearStage, path: str, norm: nn.BatchNorm1d) -> LinearStage:
    """A Linear and the batch normalisation after it, with its running statistics, as one."""
    where = f"network.{path}"
    outputs = len(stage.weight)
    if norm.running_mean is None or norm.running_var is None:
        raise InputError(
            "this BatchNorm1d has no running statistics: what it does depends on the batch",
            where=where,
            hint="train it with track_running_stats=True",
        )
    if norm.num_features != outputs:
        raise InputError(
            "layers do not fit together",
            where=where,
            value=f"{norm.num_features} features after {outputs} outputs",
        )
    mean = _finite(norm.running_mean, f"{where}.running_mean")
    variance = _finite(norm.running_var, f"{where}.running_var")
    if (variance + norm.eps <= 0).any():
        raise InputError(
            "a variance must not be negative",
            where=f"{where}.running_var",
            value=float(variance.min()),
        )
    gain = 1 / np.sqrt(variance + norm.eps)
    if norm.weight is not None:
        gain = gain * _finite(norm.weight, f"{where}.weight")
    bias = gain * ((0.0 if stage.bias is None else stage.bias) - mean)
    if norm.bias is not None:
        bias = bias + _finite(norm.bias, f"{where}.bias")
    return replace(stage, weight=gain[:, None] * stage.weight, bias=bias)


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
