"""`spiceloop train`: from a configuration to a trained, programmed chip in a run folder.

What has been done of a training lies in the run's checkpoint, stage by stage and epoch by epoch.
`--resume` goes through the same stages and takes each from there that is done, so that a training
that was killed ends in the same bytes as one that was not.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.budget.budget import Budget
from cosim.budget.in_threads import with_threads
from cosim.network.run import forward
from cosim.ngspice import Ngspice
from cosim.training import floating, loop
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec
from netlists.graph import LinearStage, linear_stages, network_graph
from workflows.begun_run import Beginning, begun, taken_up, write_beginning
from workflows.checkpoint import Checkpoint
from workflows.clipped_pulses import clipped_pulses
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.learning import check_layers, learning
from workflows.made_run import (
    Made,
    calibrated,
    cells,
    check_run_fits,
    module_hash,
    write_config,
    write_run,
)
from workflows.runfolder import RunRecord, config_of
from workflows.still_falling import still_falling
from workflows.study_checks import check_study
from workflows.study_network import initial_stages
from workflows.versions import versions
from workflows.watched import in_ngspice, in_training, of_chip

Stages = tuple[LinearStage, ...]


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
    beginning = Beginning.now(
        command=command,
        config_hash=config.hash,
        module=config.network.module,
        versions=versions(ngspice),
    )
    with begun(out, beginning, lambda part: write_config(part, config), reporter.say) as run:
        return _go_on(run, config, beginning, ngspice, reporter)


def resume_run(run: Path, ngspice: Ngspice, reporter: Reporter) -> dict[str, object]:
    """Goes on with a training that was stopped, whenever that was, to the same bytes.

    Args:
        run: the run folder.
        ngspice: the simulator.
        reporter: where progress goes.

    Returns:
        The summary that `--json` prints.

    Raises:
        InputError: it is no run, is finished or trained by another process; its configuration, its
            data or the network's file are not those that it was begun with; or as `train_run`.
        SimulationFailedError: a calibration run failed.
    """
    with taken_up(run, reporter.say) as beginning:
        config = config_of(run, beginning.config_hash)
        changed = _other_versions(beginning, ngspice)
        if changed:
            reporter.say(f"    {changed}")
            notes = [*beginning.notes, changed]
            beginning = beginning.model_copy(update={"versions": versions(ngspice), "notes": notes})
        return _go_on(run, config, beginning, ngspice, reporter)


def _other_versions(beginning: Beginning, ngspice: Ngspice) -> str:
    """What computes otherwise than when a run was begun, in words."""
    now = versions(ngspice)
    other = [
        f"{name} {now.get(name)} and no longer {was}"
        for name, was in beginning.versions.items()
        if now.get(name) != was
    ]
    if not other:
        return ""
    return f"taken up with other versions, which may compute other digits: {', '.join(other)}"


def _go_on(
    run: Path, config: Config, beginning: Beginning, ngspice: Ngspice, reporter: Reporter
) -> dict[str, object]:
    kept = Checkpoint(run)
    split = load_split(config.data, seed=config.study.seed)
    _check_same("the data", config.data.file or config.data.name, split.hash, beginning.data_hash)
    network_file = module_hash(config.network.module)
    _check_same("the network's file", config.network.module, network_file, beginning.module_sha256)
    stages = kept.stages("initial")
    if stages is None:
        stages = initial_stages(config, split, reporter)
        check_layers(config, stages)
        check_run_fits(run.parent, stages)
        kept.write_stages("initial", stages)
    beginning = beginning.model_copy(
        update={
            "data_hash": split.hash,
            "module_sha256": network_file,
            "threads": beginning.threads or Budget.of_process().for_cells(cells(stages)).threads,
        }
    )
    write_beginning(run, beginning)
    for line in split.sentences():
        reporter.say(f"    {line}")
    with with_threads(beginning.threads):
        trained = _train(config, split, stages, kept, ngspice, reporter)
    given = _as_given(config, split, stages)
    falling = still_falling([line.loss for line in trained.history], len(split.class_names))
    clipped = ""
    if isinstance(config.train, PulsedSgdSpec):
        clipped = clipped_pulses(trained.history, config.train.pulses)
    begun_from = "" if given is None else _given_sentence(config.network.module, given)
    said = [one for one in (begun_from, trained.begun, falling, clipped) if one]
    record = write_run(
        run,
        config,
        split,
        trained,
        ngspice,
        reporter,
        command=beginning.command,
        made_by="train",
        notes=[*split.doubts, *split.clipped(), *said, *beginning.notes],
        resumed=beginning.resumed,
    )
    kept.remove()
    summary = _summary(run, config, split, trained, record)
    return {
        **summary,
        "accuracy_given": given,
        "begun_from": begun_from,
        "begun_in_cells": trained.begun,
        "still_falling": falling,
        "clipped_pulses": clipped,
    }


def _as_given(config: Config, split: Split, stages: Stages) -> float | None:
    """What a network of the user's has right before it is trained; None for one drawn here."""
    if not config.network.module:
        return None
    return floating.accuracy(floating.network_of(stages), split.network_test_x, split.test_y)


def _given_sentence(module: str, accuracy: float) -> str:
    return (
        f"as {Path(module).name} gives it the network has {accuracy:.4f} in floating point;"
        ' "floating point" elsewhere is the same network trained on without a chip'
        " (model_float.pt)"
    )


def _summary(
    run: Path, config: Config, split: Split, trained: Made, record: RunRecord
) -> dict[str, object]:
    pulses = [line.pulses for line in trained.history if line.pulses is not None]
    energy_j = [line.energy_j for line in trained.history if line.energy_j is not None]
    steps = [line.coincidences for line in trained.history if line.coincidences is not None]
    return {
        "run": str(run),
        "accuracy_float": record.accuracy_float,
        "accuracy_surrogate": record.accuracy_trained,
        "test_images": len(split.test_y),
        "noun": config.data.noun,
        "data": split.facts(),
        "epochs": config.train.epochs,
        "calibration_errors": [dataclasses.asdict(row) for row in trained.calibration.errors],
        "surrogate": dataclasses.asdict(trained.watched),
        "config_hash": config.hash,
        "algorithm": config.train.algorithm,
        "device": config.device.name,
        "surrogate_error": [line.surrogate_error for line in trained.history],
        "anchors": trained.history[-1].anchors,
        "spice_error": [line.spice_error for line in trained.history],
        "pulses": sum(pulses) if pulses else None,
        "energy_j": sum(energy_j) if energy_j else None,
        "coincidences": sum(steps) if steps else None,
        "clipped": [line.clipped for line in trained.history],
        "cells": [dataclasses.asdict(one) for one in record.cells],
        "wall_s": sum(wall for _, wall in record.stages),
        "resumed": record.resumed,
    }


def _check_same(what: str, where: str, now: str, begun_with: str) -> None:
    """Refuses to go on with something else than a run was begun with."""
    if begun_with and now != begun_with:
        raise InputError(
            f"{what} changed since this training began",
            where=where,
            value=now[:12] or "nothing",
            allowed=f"{begun_with[:12]}, as run.json says",
            hint="bring it back as it was, or train anew into another folder",
        )


def float_stages(config: Config, split: Split, stages: Stages, reporter: Reporter) -> Stages:
    """The stages after training in floating point, under the names that they had."""
    network = floating.network_of(stages)
    with reporter.stage("floating-point reference") as progress:
        floating.train_floating(
            network,
            split.network_train_x,
            split.train_y,
            config.train,
            seed=config.study.seed,
            make_optimiser=learning(config).reference,
            on_epoch=lambda epoch: progress(epoch + 1, config.train.epochs),
        )
    return tuple(
        dataclasses.replace(trained, name=stage.name)
        for trained, stage in zip(linear_stages(network_graph(network)), stages, strict=True)
    )


def _train(
    config: Config,
    split: Split,
    stages: Stages,
    kept: Checkpoint,
    ngspice: Ngspice,
    reporter: Reporter,
) -> Made:
    trained = kept.stages("reference")
    if trained is None:
        trained = float_stages(config, split, stages, reporter)
        kept.write_stages("reference", trained)
    reference = floating.network_of(trained)
    accuracy_float = floating.accuracy(reference, split.network_test_x, split.test_y)
    # The trained reference only sets ranges; the chip itself learns from the initial weights.
    way = learning(config)
    plans = way.plan(stages, trained, split.train_x, split.scaling.full_scale)
    periphery, calibration = calibrated(config, plans, ngspice, reporter, kept)
    with reporter.stage("placing the network on its chip"):
        network = way.network(plans, stages, periphery, calibration.model)
    begun = way.begins(network, split.test_x, split.test_y)
    if begun:
        reporter.say(f"    {begun}")
    history = _epochs(config, split, network, way.algorithm(stages), kept, reporter)
    tolerance = config.train.max_surrogate_error
    accuracy, watched = history[-1].test_accuracy, in_training(history, tolerance)
    if config.train.read != "surrogate":  # which the chip is verified beside
        cells_s = way.conductance_s(network)
        x = torch.from_numpy(split.train_x)
        surrogate, watched = of_chip(calibration.model, cells_s, x, tolerance)
        with torch.no_grad():
            held_out = torch.from_numpy(split.test_x)
            codes = forward(config.hardware, plans, cells_s, surrogate, held_out)[0]
        accuracy = float((codes.argmax(-1).numpy() == split.test_y).mean())
    reporter.say(f"    {watched.sentence()}")
    for text in in_ngspice(history, tolerance):
        reporter.say(f"    {text}")
    chip = way.chip(network, periphery)
    learnt = way.learnt(network, config.train.epochs * len(split.train_y))
    return Made(
        chip, network, reference, calibration, history, accuracy_float, accuracy, watched, learnt,
        begun,
    )  # fmt: skip


def _epochs(
    config: Config,
    split: Split,
    network: nn.Module,
    algorithm: loop.Algorithm,
    kept: Checkpoint,
    reporter: Reporter,
) -> list[loop.Epoch]:
    """Trains the network from where its checkpoint stands; the whole history."""
    stream = Stream(config.study.seed, config.study.sample)
    task = loop.Task.of(
        (split.train_x, split.train_y),
        (split.test_x, split.test_y),
        batch_size=config.train.batch_size,
        epochs=config.train.epochs,
    )
    state = algorithm.init(network, task)
    found = kept.state()
    if found is not None:
        state = loop.restored(state, algorithm, found[0])
        reporter.stages[:] = together(found[1], reporter.stages)
        reporter.say(f"    going on after epoch {state.epoch} of {task.epochs}")
    name = f"training through {_THROUGH[config.train.read]}"
    before, started = list(reporter.stages), time.perf_counter()
    with reporter.stage(name) as progress:

        def keep(at: loop.TrainState) -> None:
            took = (name, time.perf_counter() - started)
            kept.write_state(loop.saved(at, algorithm), together(before, [took]))
            progress(at.epoch, task.epochs)

        ended = loop.train(
            state,
            algorithm,
            task,
            stream=stream,
            say=lambda line: reporter.say(f"    {line}"),
            on_epoch=keep,
        )
    reporter.stages[:] = together(before, reporter.stages[len(before) :])
    return list(ended.history)


_THROUGH = {
    "surrogate": "the surrogate",
    "exact": "the exact solution",
    "ideal": "ideal arrays",
    "spice": "ngspice",
}


def together(
    before: Sequence[tuple[str, float]], now: Sequence[tuple[str, float]]
) -> list[tuple[str, float]]:
    """Stages and what they took, of a process that was stopped and of this one."""
    total: dict[str, float] = {}
    for name, wall in (*before, *now):
        total[name] = total.get(name, 0.0) + wall
    return list(total.items())
