"""`spiceloop train`: from a configuration to a trained, programmed chip in a run folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

from compact_models.variation import Stream
from cosim.network.chip_cells import cells_of_chip
from cosim.network.module import CrossbarNetwork
from cosim.ngspice import Ngspice
from cosim.training import backprop, floating
from cosim.training.backprop_spec import BackpropSpec
from netlists.chip import Chip, program
from netlists.graph import LinearStage, linear_stages, network_graph
from netlists.mapping import plan_layers
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.made_run import Made, calibrated, cells, check_run_fits, write_run
from workflows.runfolder import new_folder
from workflows.still_falling import still_falling
from workflows.study_checks import check_study
from workflows.study_network import initial_stages
from workflows.threads import threads_for
from workflows.watched import in_training


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
    check_study(config)
    with new_folder(out, reporter.say) as folder:
        split = load_split(config.data, seed=config.study.seed)
        stages = initial_stages(config, split, reporter)
        check_run_fits(folder.parent, stages)
        for line in split.sentences():
            reporter.say(f"    {line}")
        with threads_for(cells(stages)):
            trained = _train(config, split, stages, ngspice, reporter)
        falling = still_falling([line.loss for line in trained.history], len(split.class_names))
        record = write_run(
            folder,
            config,
            split,
            trained,
            ngspice,
            reporter,
            command=command,
            made_by="train",
            notes=[*split.clipped(), *([falling] if falling else [])],
        )
    return {
        "run": str(out),
        "accuracy_float": record.accuracy_float,
        "accuracy_surrogate": record.accuracy_trained,
        "test_images": len(split.test_y),
        "data": split.facts(),
        "epochs": config.train.epochs,
        "still_falling": falling,
        "calibration_errors": [dataclasses.asdict(row) for row in trained.calibration.errors],
        "surrogate": dataclasses.asdict(trained.watched),
        "config_hash": config.hash,
    }


def float_stages(
    config: Config, split: Split, stages: tuple[LinearStage, ...], reporter: Reporter
) -> tuple[LinearStage, ...]:
    """The stages after training in floating point, under the names that they had."""
    network = floating.network_of(stages)
    with reporter.stage("floating-point reference") as progress:
        floating.train_floating(
            network,
            split.network_train_x,
            split.train_y,
            config.train,
            seed=config.study.seed,
            on_epoch=lambda epoch: progress(epoch + 1, config.train.epochs),
        )
    return tuple(
        dataclasses.replace(trained, name=stage.name)
        for trained, stage in zip(linear_stages(network_graph(network)), stages, strict=True)
    )


def _train(
    config: Config,
    split: Split,
    stages: tuple[LinearStage, ...],
    ngspice: Ngspice,
    reporter: Reporter,
) -> Made:
    seed, sample = config.study.seed, config.study.sample
    spec = cast(BackpropSpec, config.train)  # others are refused when a study is checked
    trained = float_stages(config, split, stages, reporter)
    reference = floating.network_of(trained)
    accuracy_float = floating.accuracy(reference, split.network_test_x, split.test_y)
    # The trained reference only sets ranges; the chip itself learns from the initial weights.
    plans = plan_layers(
        trained, config.hardware, split.train_x, full_scale=split.scaling.full_scale
    )
    periphery, calibration = calibrated(config, plans, ngspice, reporter)
    network = CrossbarNetwork(config.hardware, plans, stages, calibration.model)
    with reporter.stage("training through the surrogate") as progress:
        history = backprop.train(
            network,
            split.train_x,
            split.train_y,
            split.test_x,
            split.test_y,
            spec,
            stream=Stream(seed, sample),
            on_epoch=lambda line: progress(line.epoch + 1, spec.epochs),
            say=lambda line: reporter.say(f"    {line}"),
        )
    watched = in_training(history, spec.max_surrogate_error)
    reporter.say(f"    {watched.sentence()}")
    targets = cells_of_chip(plans, network.target_conductances())
    programmed = program(config.hardware, plans, targets, seed=seed, sample=sample)
    chip = Chip(config.hardware, plans, periphery, programmed, network.weights())
    return Made(
        chip,
        network,
        reference,
        calibration,
        history,
        accuracy_float,
        history[-1].test_accuracy,
        watched,
    )
