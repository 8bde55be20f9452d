"""`spiceloop train`: from a configuration to a trained, programmed chip in a run folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.files import write_text_atomic
from compact_models.scratch import check_room
from cosim.calibration.calibrate import Calibration, calibrate
from cosim.layers.crossbar_network import CrossbarNetwork
from cosim.ngspice import Ngspice
from cosim.training import backprop, floating
from netlists.chip import Chip, draw_periphery, program
from netlists.graph import linear_stages, network_graph
from netlists.mapping import LayerPlan, plan_layers
from netlists.neurons.spec import neuron_by_name
from workflows.calibration_store import write_calibration
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.deck import write_chip_deck
from workflows.runfolder import (
    RunRecord,
    new_folder,
    write_chip,
    write_json,
    write_weights,
)
from workflows.threads import threads_for
from workflows.versions import now_utc, versions


def train_run(
    config: Config, out: Path, ngspice: Ngspice, reporter: Reporter, *, command: str
) -> dict[str, object]:
    """Trains a network on a chip and writes a run folder.

    Args:
        config: the study.
        out: the run folder; it must not exist.
        ngspice: the simulator.
        reporter: where progress goes.
        command: the command line, for the record.

    Returns:
        The summary that `--json` prints.

    Raises:
        InputError: the configuration or the place cannot be used.
        SimulationFailedError: a calibration run failed.
    """
    if "write" in config.model_fields_set:  # who does not write need not load what writes
        from workflows.write_plan import check_writing

        check_writing(config)
    seed = config.study.seed
    with new_folder(out, reporter.say) as folder:
        split = load_split(config.data, seed=seed)
        check_room(folder.parent, _run_bytes(_sizes(config, split)), "this run")
        for line in split.sentences():
            reporter.say(f"    {line}")
        with threads_for(_cells(_sizes(config, split))):
            trained = _train(config, split, ngspice, reporter)
        name = Path(config.data.file).stem or config.data.name
        title = f"{name}, {'-'.join(str(n) for n in _sizes(config, split))}"
        write_text_atomic(folder / "config.toml", _kept(config, folder).to_toml())
        write_chip(folder, trained.chip)
        write_weights(folder / "model.pt", trained.network)
        write_weights(folder / "model_float.pt", trained.reference)
        write_calibration(folder, trained.calibration)
        write_json(folder / "data.json", split.facts())
        write_json(folder / "training.json", [dataclasses.asdict(line) for line in trained.history])
        write_chip_deck(
            folder / "netlist",
            trained.chip,
            split.test_x[:4],
            title=f"spiceloop: {title}",
            header=(f"config {config.hash}, seed {seed}, sample {config.study.sample}",),
            ngspice=ngspice,
        )
        record = RunRecord(
            title=title,
            created_utc=now_utc(),
            command=command,
            config_hash=config.hash,
            data_hash=split.hash,
            versions=versions(ngspice),
            seeds={"study": seed, "sample": config.study.sample},
            stages=reporter.stages,
            accuracy_float=trained.accuracy_float,
            accuracy_trained=trained.history[-1].test_accuracy,
            class_names=list(split.class_names),
        )
        write_json(folder / "run.json", record.model_dump())
    return {
        "run": str(out),
        "accuracy_float": record.accuracy_float,
        "accuracy_surrogate": record.accuracy_trained,
        "test_images": len(split.test_y),
        "data": split.facts(),
        "epochs": config.train.epochs,
        "calibration_errors": [dataclasses.asdict(row) for row in trained.calibration.errors],
        "config_hash": config.hash,
    }


def _kept(config: Config, folder: Path) -> Config:
    """The configuration of a run, whose blocks are the run's own copies; writes these."""
    if config.own_blocks is None:
        return config
    config.own_blocks.write(folder)
    return config.model_copy(update={"blocks": config.own_blocks.kept})


@dataclasses.dataclass(frozen=True)
class _Trained:
    chip: Chip
    network: CrossbarNetwork
    reference: torch.nn.Module
    calibration: Calibration
    history: list[backprop.Epoch]
    accuracy_float: float


def _sizes(config: Config, split: Split) -> tuple[int, ...]:
    return (split.train_x.shape[1], *config.network.hidden, len(split.class_names))


def _cells(sizes: tuple[int, ...]) -> int:
    return sum(2 * (inputs + 1) * outputs for inputs, outputs in pairwise(sizes))


def _run_bytes(sizes: tuple[int, ...]) -> float:
    """What a run folder takes on the disk, about: its deck and its curves are the most of it."""
    lines = sum(3 * outputs for outputs in sizes[1:])  # pairs of bit lines, and neurons
    return 200.0 * _cells(sizes) + 10e3 * lines + 1e5


def float_network(config: Config, features: int, classes: int) -> torch.nn.Sequential:
    """The network of a configuration with the study's initial weights."""
    return floating.initial_network(
        features,
        config.network.hidden,
        classes,
        neuron_by_name(config.network.activation).module,
        bias=config.network.bias,
        seed=config.study.seed,
    )


def jobs(config: Config) -> int:
    """Decks at a time."""
    return config.simulator.jobs or len(os.sched_getaffinity(0))


def _train(config: Config, split: Split, ngspice: Ngspice, reporter: Reporter) -> _Trained:
    seed, sample, spec = config.study.seed, config.study.sample, config.train
    features, classes = split.train_x.shape[1], len(split.class_names)
    reference = float_network(config, features, classes)
    with reporter.stage("floating-point reference") as progress:
        floating.train_floating(
            reference,
            split.network_train_x,
            split.train_y,
            spec,
            seed=seed,
            on_epoch=lambda epoch: progress(epoch + 1, spec.epochs),
        )
    accuracy_float = floating.accuracy(reference, split.network_test_x, split.test_y)
    # The trained reference only sets ranges; the chip itself learns from the initial weights.
    plans = plan_layers(
        linear_stages(network_graph(reference)),
        config.hardware,
        split.train_x,
        full_scale=split.scaling.full_scale,
    )
    periphery = draw_periphery(config.hardware, plans, seed=seed, sample=sample)
    blank = Chip(config.hardware, plans, periphery, _blank(plans))
    with reporter.stage("calibrating the surrogate in ngspice") as progress:
        calibration = calibrate(
            blank,
            ngspice,
            arrays=config.calibration.arrays,
            held_out=config.calibration.held_out_arrays,
            seed=seed,
            jobs=jobs(config),
            on_progress=progress,
        )
    for row in calibration.errors:
        reporter.say(
            f"    held-out {row.held_out:<8} {row.quantity}: median {_size(row.median)},"
            f" 95 % {_size(row.p95)}, worst {_size(row.worst)} {row.unit} (n = {row.n})"
        )
    start = float_network(config, features, classes)
    network = CrossbarNetwork(
        config.hardware, plans, linear_stages(network_graph(start)), calibration.model
    )
    with reporter.stage("training through the surrogate") as progress:
        history = backprop.train(
            network,
            split.train_x,
            split.train_y,
            split.test_x,
            split.test_y,
            spec,
            seed=seed,
            on_epoch=lambda line: progress(line.epoch + 1, spec.epochs),
        )
    targets = [[g.detach().numpy() for g in layer] for layer in network.target_conductances()]
    programmed = program(config.hardware, plans, targets, seed=seed, sample=sample)
    chip = Chip(config.hardware, plans, periphery, programmed, network.weights())
    return _Trained(chip, network, reference, calibration, history, accuracy_float)


def _size(error: float) -> str:
    """An error in words; what rounding alone leaves is nothing."""
    return "0" if error < 1e-12 else f"{error:.2g}"


def _blank(plans: Sequence[LayerPlan]) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """Conductances of a chip before programming."""
    return tuple(tuple(np.zeros((tile.rows, tile.cols)) for tile in plan.tiles) for plan in plans)
