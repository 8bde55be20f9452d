"""`spiceloop netlist`: the deck of a configuration, of a run or of the user's module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import component_rng
from cosim.ngspice import find_ngspice
from cosim.training import floating
from netlists.chip import Chip, map_network
from netlists.graph import LinearStage, linear_stages, network_graph
from workflows import runfolder
from workflows.config import Config, load_config
from workflows.console import Reporter
from workflows.data import load_split
from workflows.deck import write_chip_deck
from workflows.threads import threads_for
from workflows.train import float_network
from workflows.user_code import call_factory

Array = NDArray[np.float64]

_VECTORS = 4  # input vectors that a deck steps through


def netlist_target(
    target: str, out: Path, reporter: Reporter, *, config_file: Path | None = None
) -> dict[str, object]:
    """Writes the deck of a target into a new folder.

    Args:
        target: a configuration file, a run folder, or `MODULE.py:FACTORY` where FACTORY returns
            a torch module.
        out: the folder; it must not exist, or be empty.
        reporter: where progress goes.
        config_file: the chip for a module; the default chip without it.

    Raises:
        InputError: the target cannot become a circuit.
    """
    with runfolder.new_folder(out, reporter.say, allow_empty=True) as folder:
        source = _source(target, reporter, config_file)
        with reporter.stage("writing the deck"):
            summary = write_chip_deck(
                folder,
                source.chip,
                source.inputs[:_VECTORS],
                title="spiceloop netlist",
                header=(f"config {source.config.hash}; {source.origin}",),
                ngspice=find_ngspice() if source.config.hardware.blocks else None,
            )
    return {"netlist": str(out), "config_hash": source.config.hash, **summary}


@dataclass(frozen=True, eq=False)
class _Source:
    """A chip to be written, inputs for its deck [image, in], and where both come from."""

    config: Config
    chip: Chip
    inputs: Array
    origin: str


def _source(target: str, reporter: Reporter, config_file: Path | None) -> _Source:
    if Path(target).is_dir():
        return _of_run(Path(target))
    if target.endswith(".py"):
        raise InputError(
            "a module needs its factory", where=target, hint=f"write {target}:NAME, a function"
        )
    if ".py:" in target:
        return _of_module(target, Config() if config_file is None else load_config(config_file))
    return _of_config(Path(target), reporter)


def _of_run(run: Path) -> _Source:
    runfolder.read_record(run)
    config = runfolder.read_config(run)
    inputs = load_split(config.data, seed=config.study.seed).test_x
    origin = "the trained and programmed chip of a run; held-out inputs"
    return _Source(config, runfolder.read_chip(run, config), inputs, origin)


def _of_module(target: str, config: Config) -> _Source:
    stages = linear_stages(network_graph(load_module(target)))
    rng = component_rng(config.study.seed, 0, "netlist/inputs")
    inputs = rng.uniform(0, 1, (256, stages[0].weight.shape[1]))
    origin = f"{target}, weights as its factory returned them, random inputs"
    return _Source(config, _chip(config, stages, inputs), inputs, origin)


def _of_config(path: Path, reporter: Reporter) -> _Source:
    config = load_config(path)
    split = load_split(config.data, seed=config.study.seed)
    features, classes = split.train_x.shape[1], len(split.class_names)
    network = float_network(config, features, classes)
    with (
        reporter.stage("training the weights in floating point"),
        threads_for(sum(weight.numel() for weight in network.parameters())),
    ):
        floating.train_floating(
            network, split.network_train_x, split.train_y, config.train, seed=config.study.seed
        )
    stages = linear_stages(network_graph(network))
    chip = _chip(config, stages, split.train_x, full_scale=split.scaling.full_scale)
    origin = f"{path}, weights trained in floating point; held-out inputs"
    return _Source(config, chip, split.test_x, origin)


def _chip(
    config: Config, stages: tuple[LinearStage, ...], inputs: Array, *, full_scale: float = 1.0
) -> Chip:
    study = config.study
    return map_network(
        stages,
        config.hardware,
        inputs,
        seed=study.seed,
        sample=study.sample,
        full_scale=full_scale,
    )


def load_module(target: str) -> nn.Module:
    """Runs the user's file and its factory.

    Args:
        target: `MODULE.py:FACTORY`.

    Raises:
        InputError: there is no such file or factory, or it returns no torch module.
    """
    network = call_factory(target)
    if not isinstance(network, nn.Module):
        raise InputError(
            "the factory returned no torch module", where=target, value=type(network).__name__
        )
    return network
