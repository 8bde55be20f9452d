"""`spiceloop map`: a trained network of the user's own on a chip, verified, in a run folder."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from pathlib import Path

import torch

from cosim.layers.crossbar_network import CrossbarNetwork
from cosim.ngspice import Ngspice
from cosim.training import backprop, floating
from netlists.chip import Chip, program
from netlists.graph import LinearStage, linear_stages, network_graph
from netlists.mapping import plan_layers
from workflows.config import Config, NetworkSpec
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.made_run import Made, calibrated, cells, check_run_fits, write_run
from workflows.runfolder import new_folder
from workflows.study_checks import check_study
from workflows.study_network import check_fits, load_module
from workflows.threads import threads_for
from workflows.verify import Verification, verify_run
from workflows.watched import of_chip


@dataclasses.dataclass(frozen=True)
class Mapped:
    """A mapped network.

    Args:
        summary: what `--json` prints of it.
        result: of its verification.
    """

    summary: dict[str, object]
    result: Verification


def map_run(
    target: str, config: Config, out: Path, ngspice: Ngspice, reporter: Reporter, *, command: str
) -> Mapped:
    """Puts a trained network on a chip as it is, and sends held-out samples through it.

    Ranges come from the training share of the data, the surrogate is calibrated in ngspice, the
    weights are programmed; the run folder then is like that of a training, and is verified.

    Args:
        target: `MODULE.py:NAME`, a factory of a trained torch module, or the module.
        config: chip and data; its network and how to train it are not used.
        out: the run folder; it must not exist.
        ngspice: the simulator.
        reporter: where progress goes.
        command: the command line, for the record.

    Raises:
        InputError: the network, the configuration or the place cannot be used.
        SimulationFailedError: a calibration run failed.
    """
    check_study(config)
    file, _, name = target.rpartition(":")
    module = f"{Path(file).resolve()}:{name}" if ".py:" in target else target
    with new_folder(out, reporter.say) as folder:
        stages = linear_stages(network_graph(load_module(module, seed=config.study.seed)))
        config = config.model_copy(update={"network": NetworkSpec(module=module)})
        split = load_split(config.data, seed=config.study.seed)
        check_fits(stages, split, target)
        check_run_fits(folder.parent, stages)
        for line in split.sentences():
            reporter.say(f"    {line}")
        with threads_for(cells(stages)):
            made = _map(config, split, stages, ngspice, reporter)
        warnings = _warnings(config, made.accuracy_float, split)
        for line in warnings:
            reporter.say(f"spiceloop: {line}")
        record = write_run(
            folder, config, split, made, ngspice, reporter, command=command, made_by="map",
            notes=(*warnings, *split.clipped()),
        )  # fmt: skip
    verifying = Reporter(reporter.console)  # what a run records of a stage is its own
    try:
        result = verify_run(out, None, ngspice, verifying)
    except KeyboardInterrupt:
        again = f"spiceloop verify {shlex.quote(str(out))}"
        reporter.say(f"spiceloop: {out} is mapped and stays; next: {again}")
        raise
    summary = {
        "run": str(out),
        "module": module,
        "module_sha256": record.module_sha256,
        "accuracy_float": record.accuracy_float,
        "accuracy_surrogate": record.accuracy_trained,
        "test_images": len(split.test_y),
        "data": split.facts(),
        "warnings": warnings,
        "calibration_errors": [dataclasses.asdict(row) for row in made.calibration.errors],
        "surrogate": dataclasses.asdict(made.watched),
        "config_hash": config.hash,
        "verify": dataclasses.asdict(result),
    }
    return Mapped(summary, result)


def _map(
    config: Config,
    split: Split,
    stages: tuple[LinearStage, ...],
    ngspice: Ngspice,
    reporter: Reporter,
) -> Made:
    seed, sample = config.study.seed, config.study.sample
    reference = floating.network_of(stages)
    accuracy_float = floating.accuracy(reference, split.network_test_x, split.test_y)
    plans = plan_layers(stages, config.hardware, split.train_x, full_scale=split.scaling.full_scale)
    periphery, calibration = calibrated(config, plans, ngspice, reporter)
    network = CrossbarNetwork(config.hardware, plans, stages, calibration.model)
    wanted = [[g.detach() for g in layer] for layer in network.target_conductances()]
    network.model, watched = of_chip(
        calibration.model,
        wanted,
        torch.from_numpy(split.train_x),
        config.train.surrogate_tolerance,
    )
    reporter.say(f"    {watched.sentence()}")
    targets = [[g.numpy() for g in layer] for layer in wanted]
    programmed = program(config.hardware, plans, targets, seed=seed, sample=sample)
    chip = Chip(config.hardware, plans, periphery, programmed, network.weights())
    accuracy = backprop.accuracy(network, split.test_x, split.test_y)
    return Made(chip, network, reference, calibration, (), accuracy_float, accuracy, watched)


def _warnings(config: Config, accuracy_float: float, split: Split) -> list[str]:
    """Where the held-out samples may have been seen, or the network knows nothing of its data."""
    said = []
    if not config.data.test_file:
        said.append(
            f"the {len(split.test_y)} held-out samples are a part of {split.source}: they set no"
            " range, but a network that was trained with all of it has seen them (--test FILE"
            " holds out others)"
        )
    frequent = max(Counter(split.test_y.tolist()).values()) / len(split.test_y)
    if accuracy_float > frequent:
        return said
    order = ", ".join(split.class_names[:10])
    said.append(
        f"the network itself, in floating point, has {100 * accuracy_float:.1f} % of the held-out"
        f" samples right, no more than the most frequent class ({100 * frequent:.1f} %): are"
        f' features and their scale (now "{split.scaling.kind}") those that it was trained with,'
        f" are its outputs the classes in this order ({order}), and are its weights loaded?"
    )
    return said
