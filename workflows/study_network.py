"""The network of a study before it is trained: built from the configuration, or the user's own."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import torch
from torch import nn

from compact_models.errors import InputError
from cosim.training import floating
from netlists.graph import LinearStage, linear_stages, network_graph
from netlists.neurons.spec import neuron_by_name
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, alike
from workflows.user_code import call_factory

# Files that hold a network or its weights in a way that nothing here reads.
_INSTEAD = {  # of a module, by what a factory returned
    "NoneType": "end the factory with return",
    "OrderedDict": "those are weights alone: build the network, network.load_state_dict(them),"
    " return network",
}
_WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".safetensors", ".h5", ".keras")
_LOADING = (
    "write a file my_net.py with a function: def make(): net = MyNet();"
    " net.load_state_dict(torch.load({name!r})); return net - and give my_net.py:make"
)


def initial_stages(config: Config, split: Split, reporter: Reporter) -> tuple[LinearStage, ...]:
    """The layers of a study's network with their initial weights.

    Args:
        config: the study.
        split: its data, which the network must fit.
        reporter: is told what of a user's network is not trained as torch would.

    Raises:
        InputError: the user's network cannot become a circuit, or does not fit the data.
    """
    spec = config.network
    if spec.module:
        graph = network_graph(load_module(spec.module, seed=config.study.seed))
        if any(node["kind"] == "batch_norm" for _, node in graph.nodes(data=True)):
            reporter.say(
                "    BatchNorm1d is folded into the Linear before it, with the statistics that it"
                " has now, and trained as a part of it"
            )
        if _drops(graph):
            reporter.say("    Dropout is left out: programming errors are drawn anew at each step")
        stages = linear_stages(graph)
        check_fits(stages, split, spec.module)
        return stages
    network = floating.initial_network(
        split.train_x.shape[1],
        spec.hidden,
        len(split.class_names),
        neuron_by_name(spec.activation).module,
        bias=spec.bias,
        seed=config.study.seed,
    )
    return linear_stages(network_graph(network))


def _drops(graph: nx.DiGraph) -> bool:
    return any(isinstance(node.get("module"), nn.Dropout) for _, node in graph.nodes(data=True))


def check_fits(stages: tuple[LinearStage, ...], split: Split, where: str) -> None:
    """Holds a network against its data.

    Raises:
        InputError: it has other inputs than there are features, or other outputs than classes.
    """
    inputs, outputs = stages[0].weight.shape[1], stages[-1].weight.shape[0]
    features, classes = split.train_x.shape[1], len(split.class_names)
    if (inputs, outputs) == (features, classes):
        return
    names = ", ".join(split.class_names[:10])
    hint = "an output for each class, in the order of the classes"
    if outputs == 1 and classes == 2:  # a sigmoid's yes and no
        hint = (
            "give it two outputs: the largest one is the answer; for one output y of weight w that"
            " is Linear(.., 2) with the rows -w / 2 and w / 2"
        )
    elif inputs != features:
        hint = "leave columns out, or name the label's column, until the data have its inputs"
    hint = alike(split.class_names) or hint
    raise InputError(
        "the network does not fit the data",
        where=where,
        value=f"{inputs} inputs, {outputs} outputs",
        allowed=f"{features} inputs and {classes} outputs for {split.source} (classes {names})",
        hint=hint,
    )


def load_module(target: str, *, seed: int) -> nn.Module:
    """Runs the user's file; the network that its factory returns, or that stands in it.

    Args:
        target: `MODULE.py:NAME`, a function that returns a torch module, or a module.
        seed: of the study: what torch draws there, fresh weights, comes from it.

    Raises:
        InputError: there is no such file or name, or it gives no torch module.
    """
    if ".py:" not in target:
        refuse_stored_network(target)
        raise InputError(
            "a network is named by its file and its factory",
            where=target,
            allowed="MODULE.py:NAME, where NAME is a function that returns a torch module",
        )
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it was
        torch.manual_seed(seed)
        network = call_factory(target)
    if not isinstance(network, nn.Module):
        is_class = isinstance(network, type) and issubclass(network, nn.Module)
        raise InputError(
            "the factory returned no torch module",
            where=target,
            value=f"the class {network.__name__}" if is_class else type(network).__name__,
            hint=f"call the class: return {network.__name__}()"
            if is_class
            else _INSTEAD.get(type(network).__name__, ""),
        )
    return network


def refuse_stored_network(target: str) -> None:
    """Says what to do with a file that holds a network in a way that is not read.

    Raises:
        InputError: by its name or its first bytes it is one, or a .py without a name.
    """
    path = Path(target)
    if target.endswith(".py"):
        raise InputError(
            "a module needs its factory", where=target, hint=f"write {target}:NAME, a function"
        )
    if path.suffix.lower() in (".onnx", ".tflite", ".pb"):
        raise InputError(
            f"{path.suffix} is not read: a network is a torch module",
            where=target,
            allowed="MODULE.py:FACTORY, CONFIG.toml or a run folder",
            hint="build its Linear layers in a factory and copy the weights in (numpy arrays of"
            " onnx.numpy_helper.to_array go through torch.from_numpy)",
        )
    if path.suffix.lower() in _WEIGHTS or _is_pickle(path):
        raise InputError(
            "this file holds weights or a pickled module: unpickling would run what is in it, and"
            " weights alone say no layers",
            where=target,
            allowed="MODULE.py:FACTORY, CONFIG.toml or a run folder",
            hint=_LOADING.format(name=str(path.resolve())),
        )


def _is_pickle(path: Path) -> bool:
    """What torch.save and pickle write begins like this."""
    try:
        with path.open("rb") as stream:
            return stream.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    except OSError:
        return False
