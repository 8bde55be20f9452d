"""`spiceloop map`: a trained network of the user's own on a chip, verified, in a run folder."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from compact_models.errors import InputError
from cosim.budget.budget import Budget
from cosim.network.chip_cells import cells_of_chip
from cosim.network.held_chip import held_chip
from cosim.network.module import CrossbarNetwork
from cosim.ngspice import Ngspice
from cosim.training import backprop, floating
from netlists.chip import Chip, program
from netlists.graph import LinearStage, linear_stages, network_graph
from workflows.config import Config, NetworkSpec
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.learning import learning
from workflows.made_run import Made, calibrated, cells, check_run_fits, write_config, write_run
from workflows.runfolder import new_folder
from workflows.scaling import Scale, fit_scaling
from workflows.study_checks import check_study
from workflows.study_network import check_fits, load_module
from workflows.verify import Verification, image_count, verify_run
from workflows.watched import of_chip

_NAMED = 10  # classes that a message names


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
    target: str,
    config: Config,
    out: Path,
    ngspice: Ngspice,
    reporter: Reporter,
    *,
    command: str,
    images: int | Literal["all"] | None = None,
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
        images: how many held-out images are read, or all; None is what the configuration says.

    Raises:
        InputError: the network, the configuration or the place cannot be used.
        SimulationFailedError: a calibration run failed.
    """
    check_study(config)
    file, _, name = target.rpartition(":")
    module = f"{Path(file).resolve()}:{name}" if ".py:" in target else target
    with new_folder(out, reporter.say) as folder:
        stages = linear_stages(network_graph(load_module(module, seed=config.study.seed)))
        drawn = drawn_anew(module, stages, seed=config.study.seed)
        config = config.model_copy(update={"network": NetworkSpec(module=module)})
        split = load_split(config.data, seed=config.study.seed)
        image_count(images, config, split)
        check_fits(stages, split, target)
        check_run_fits(folder.parent, stages)
        for line in split.sentences():
            reporter.say(f"    {line}")
        with Budget.of_process().for_cells(cells(stages)).in_use():
            made = _map(config, split, stages, ngspice, reporter)
        warnings = [*drawn, *_warnings(config, made, split)]
        for line in warnings:
            reporter.say(f"spiceloop: {line}")
        write_config(folder, config)
        record = write_run(
            folder, config, split, made, ngspice, reporter, command=command, made_by="map",
            notes=(*warnings, *split.doubts, *split.clipped()),
        )  # fmt: skip
    verifying = Reporter(reporter.console)  # what a run records of a stage is its own
    try:
        result = verify_run(out, images, ngspice, verifying)
    except KeyboardInterrupt:
        again = f"spiceloop verify {shlex.quote(str(out))}"
        reporter.say(f"spiceloop: {out} is mapped and stays; next: {again}")
        raise
    summary = {
        "run": str(out),
        "module": module,
        "module_sha256": record.module_sha256,
        "accuracy_float": record.accuracy_float,
        "accuracy_float_unclipped": _unclipped(made, split),
        "accuracy_surrogate": record.accuracy_trained,
        "test_images": len(split.test_y),
        "right_float": _right(record.accuracy_float, split),
        "right_surrogate": _right(record.accuracy_trained, split),
        "data": split.facts(),
        "warnings": warnings,
        "calibration_errors": [dataclasses.asdict(row) for row in made.calibration.errors],
        "surrogate": dataclasses.asdict(made.watched),
        "config_hash": config.hash,
        "verify": dataclasses.asdict(result),
    }
    return Mapped(summary, result)


def drawn_anew(target: str, stages: Sequence[LinearStage], *, seed: int) -> list[str]:
    """Says so where a second call of the factory gives other weights: those of no training.

    Args:
        target: `MODULE.py:NAME`.
        stages: what the first call gave.
        seed: the first call's; the second has another one.
    """
    again = linear_stages(network_graph(load_module(target, seed=seed + 1)))
    other = [
        one.name
        for one, two in zip(stages, again, strict=False)
        if not np.array_equal(one.weight, two.weight)
    ]
    if not other and len(stages) == len(again):
        return []
    name = target.rpartition(":")[2]
    layers = ", ".join(other) or "its layers"
    return [
        f"the weights of {name} ({layers}) are drawn anew at each call: was it trained? A factory"
        " loads what training has left, such as net.load_state_dict(torch.load(...))"
    ]


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
    plans = learning(config).plan(stages, stages, split.train_x, split.scaling.full_scale)
    periphery, calibration = calibrated(config, plans, ngspice, reporter)
    network = CrossbarNetwork(config.hardware, plans, stages, calibration.model)
    wanted = [g.detach() for g in network.target_conductances()]
    network.model, watched = of_chip(
        calibration.model,
        wanted,
        torch.from_numpy(split.train_x),
        config.train.max_surrogate_error,
    )
    reporter.say(f"    {watched.sentence()}")
    targets = cells_of_chip(plans, wanted)
    programmed = program(config.hardware, plans, targets, seed=seed, sample=sample)
    chip = held_chip(Chip(config.hardware, plans, periphery, programmed, network.weights()))
    accuracy = backprop.accuracy(network, split.test_x, split.test_y)
    return Made(chip, network, reference, calibration, (), accuracy_float, accuracy, watched)


def _right(accuracy: float, split: Split) -> int:
    """How many of all held-out samples an accuracy says."""
    return round(accuracy * len(split.test_y))


def _unclipped(made: Made, split: Split) -> float | None:
    """What the network has right where no driver clips what it sees; None if none does."""
    if not split.clipped_test:
        return None
    return floating.accuracy(made.reference, split.unclipped_test_x, split.test_y)


def _warnings(config: Config, made: Made, split: Split) -> list[str]:
    """Where the held-out samples may have been seen, or the network knows nothing of its data."""
    said = []
    if not config.data.test_file:
        said.append(
            f"the {len(split.test_y)} held-out samples are a part of {split.source}: they set no"
            " range, but a network that was trained with all of it has seen them (--test FILE"
            " holds out others)"
        )
    other = better_order(made.reference, split) or better_scale(made.reference, split)
    if other:
        said.append(other)
    held_out, frequent = len(split.test_y), max(Counter(split.test_y.tolist()).values())
    right = _right(made.accuracy_float, split)
    if right > frequent:
        return said
    order = ", ".join(split.class_names[:10])
    said.append(
        f"the network itself, in floating point, has {right} of the {held_out} held-out samples"
        f" right ({100 * right / held_out:.1f} %), no more than the most frequent class"
        f" ({frequent}, {100 * frequent / held_out:.1f} %): are features and their scale (now"
        f' "{split.scaling.kind}") those that it was trained with, are its outputs the classes in'
        f" this order ({order}), and are its weights loaded?"
    )
    return said


def better_order(reference: torch.nn.Module, split: Split) -> str:
    """An order of the classes that suits the outputs clearly better; or nothing.

    Args:
        reference: the network in floating point.
        split: data, in the scale that it was given.
    """
    with torch.no_grad():
        found = reference(torch.from_numpy(split.network_train_x)).argmax(-1).numpy()
    samples, classes = len(split.train_y), len(split.class_names)
    together = np.zeros((classes, classes), dtype=np.int64)  # [output, class]
    np.add.at(together, (found, split.train_y), 1)
    output, order = linear_sum_assignment(-together)
    right, best = int(np.trace(together)), int(together[output, order].sum())
    if not _clearly_fewer(samples - best, samples - right, samples):
        return ""
    now, other = (_named(split.class_names, places) for places in (range(classes), order.tolist()))
    return (
        f"its outputs as the classes in the order of the data ({now}) have {right} of {samples}"
        f" training samples right, in the order ({other}) they would have {best}: were its classes"
        " numbered like that? Exchange the rows of its last layer, or name the classes so that the"
        " alphabet gives their order"
    )


def _named(names: Sequence[str], places: Sequence[int]) -> str:
    """Classes in an order, the first ones of many."""
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return ", ".join(names[k] for k in places[:_NAMED]) + more


def _clearly_fewer(fewest: int, wrong: int, samples: int) -> bool:
    """Half the errors, and a lead of more than a few samples: chance gives no such thing."""
    return 2 * fewest <= wrong and wrong - fewest >= max(5, 0.05 * samples)


def better_scale(reference: torch.nn.Module, split: Split) -> str:
    """A scale that suits the network clearly better, judged by the training share; or nothing.

    Args:
        reference: the network in floating point.
        split: data, in the scale that it was given.
    """
    samples, now = len(split.train_y), split.scaling.kind
    wrong = samples - round(
        samples * floating.accuracy(reference, split.scaling.seen(split.raw_train_x), split.train_y)
    )
    fewest, best = samples, ""
    kinds: tuple[Scale, ...] = ("minmax", "standard", "range")
    for kind in kinds:
        if kind == now or (kind == "range" and now == "none"):  # the network sees the same
            continue
        try:
            scaling = fit_scaling(kind, split.raw_train_x, lambda row, col: f"x[{row}, {col}]")
        except InputError:  # values that this scale cannot take
            continue
        seen = scaling.seen(split.raw_train_x)
        found = samples - round(samples * floating.accuracy(reference, seen, split.train_y))
        if found < fewest:
            fewest, best = found, kind
    if not best or not _clearly_fewer(fewest, wrong, samples):
        return ""
    return (
        f'with scale "{now}" the network, in floating point, has {samples - wrong} of {samples}'
        f' training samples right, with scale "{best}" it would have {samples - fewest}: was it'
        f" trained with that (--scale {best})?"
    )
