"""`spiceloop verify`: held-out images through the whole programmed chip, at all four fidelities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.files import check_place, write_text_atomic
from compact_models.variation import Stream
from cosim.budget.budget import Budget
from cosim.network.chip_cells import stacked_cells
from cosim.network.models import exact_model, ideal_model
from cosim.network.run import NetworkModel, forward
from cosim.network.whole_chip import ChipRead, SimulationRecord, read_chip
from cosim.ngspice import Ngspice
from cosim.periphery.own_blocks import without_equations
from cosim.training.floating import accuracy as float_accuracy
from cosim.training.floating import network_of
from netlists.chip import Chip
from netlists.graph import LinearStage
from workflows import runfolder
from workflows.calibration_store import read_calibration
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.failures import Failure, failures
from workflows.fresh_chips import FreshRequest, read_fresh
from workflows.fresh_record import FreshRecord, fresh_csv, fresh_record
from workflows.watched import Watched, of_chip

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

# A surrogate that is further off ngspice than one of these does not stand for it: rounding alone
# is 0.3 LSB rms, and turns the class of an image here and there.
MOST_DISAGREEING = 0.05
MOST_LOGIT_RMSE_LSB = 5.0


@dataclasses.dataclass(frozen=True)
class Verification:
    """`verify.json`: what the fidelities say of the same images.

    Failed images count as wrong and as not agreeing; errors in LSB are over the others. None is
    what a fidelity without equations for the user's own blocks cannot say; `note` says so.
    `accuracy_float` has inputs clipped as the drivers clip them, `accuracy_float_unclipped` has
    not; it is None where nothing that is held out clips.
    `images` of the `held_out` ones were read, whatever they are (one is a `noun`), by the chip that
    is `sample` of the study; `trained` says that training knew this chip's offsets and gains.
    `fresh` are chips that it never saw. `failures` has the failed images by reason.
    `poor_surrogate` says that the surrogate does not stand for ngspice, or is empty.
    """

    images: int
    accuracy_float: float
    accuracy_ideal: float | None
    accuracy_surrogate: float
    accuracy_exact: float | None
    accuracy_spice: float
    agreement: float
    logit_rmse_lsb: float | None
    logit_max_lsb: float | None
    control_agreement: float | None
    control_logit_rmse_lsb: float | None
    exact_logit_max_lsb: float | None
    failed: int
    worst_kirchhoff_residual: float
    engine: str
    wall_s: float
    arrays_sha256: str
    simulations: tuple[SimulationRecord, ...]
    note: str = ""
    held_out: int = 0
    sample: int = 0
    trained: bool = True
    fresh: FreshRecord | None = None
    surrogate: Watched | None = None
    accuracy_float_unclipped: float | None = None
    failures: tuple[Failure, ...] = ()
    poor_surrogate: str = ""
    noun: str = "image"


def verify_run(
    run: Path,
    images: int | Literal["all"] | None,
    ngspice: Ngspice,
    reporter: Reporter,
    fresh: FreshRequest | None = None,
) -> Verification:
    """Verifies a run and writes `verify.json` and `verify.npz` into it.

    With fresh chips `fresh_chips.csv` goes into it too.

    Args:
        run: a run folder.
        images: how many held-out images, or all; None is what the configuration says.
        ngspice: the simulator.
        reporter: where progress goes.
        fresh: chips of the same weights to read as well.

    Raises:
        InputError: this is no run, or it has fewer held-out images.
    """
    record = runfolder.read_record(run)
    check_place(run / "verify.json", "RUN")
    runfolder.clear_unfinished(run, reporter.say)
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    calibration = read_calibration(run, chip)
    split = load_split(config.data, seed=config.study.seed)
    _check_fits(run, chip, split)
    if split.hash != record.data_hash:
        raise InputError(
            "the data are not those of the run: what is held out now may have been trained with",
            where=config.data.file or config.data.name,
            value=split.hash,
            allowed=f"{record.data_hash}, as run.json says",
            hint="bring the data back, or train or map again",
        )
    count = image_count(images, config, split)
    decks = Budget.of_process(config.simulator.jobs).decks
    x, labels = split.test_x[:count], split.test_y[:count]
    note = without_equations(chip.hardware)
    conductances = stacked_cells(chip.plans, chip.conductance_s)
    surrogate, watched = of_chip(
        calibration.model, conductances, torch.from_numpy(x), config.train.max_surrogate_error
    )
    if watched.anchored or watched.error is None:
        reporter.say(f"    {watched.sentence()}")
    models: tuple[NetworkModel, ...] = (surrogate,)
    if not note:
        models += (
            ideal_model(chip.hardware, chip.plans),
            exact_model(chip.hardware, chip.plans, chip.periphery),
        )
    codes: dict[str, Array] = {}
    with reporter.stage("surrogate" if note else "ideal, surrogate and exact"), torch.no_grad():
        for model in models:
            out = forward(chip.hardware, chip.plans, conductances, model, torch.from_numpy(x))
            codes[model.name] = out[0].numpy()
    with reporter.stage("spice: the whole chip in ngspice") as progress:
        read = read_chip(
            chip, x, ngspice, jobs=decks, title=f"spiceloop {run.name}", on_progress=progress
        )
    codes["spice"] = read.codes
    reads = None
    if fresh is not None:
        reads = read_fresh(
            chip, calibration, x, labels, fresh, ngspice, reporter, seed=config.study.seed,
            sample=config.study.sample, jobs=decks,
        )  # fmt: skip
    reference = _reference(run, chip)
    accuracy_float = float_accuracy(reference, split.network_test_x[:count], labels)
    unclipped = None
    if split.clipped_test:
        unclipped = float_accuracy(reference, split.unclipped_test_x[:count], labels)
    arrays: dict[str, NDArray[np.generic]] = {"labels": labels, "row": split.test_rows[:count]}
    arrays |= {**{f"codes_{name}": value for name, value in codes.items()}}
    for layer, drops in enumerate(read.ir_drop):
        for tile, drop in enumerate(drops):
            arrays[f"layer_{layer}.tile_{tile}.ir_drop"] = drop
    if reads is not None:
        arrays["fresh_samples"] = reads.chips.samples
        arrays["fresh_accuracy"] = reads.chips.accuracy
        arrays["fresh_without_answer"] = reads.chips.without_answer
    # Two files: the second names the first, so that halves of two verifications never pass as one.
    sha256 = runfolder.write_npz(run / "verify.npz", arrays)
    wall_s = sum(wall for _, wall in reporter.stages)
    result = summarise(
        codes, labels, read, accuracy_float=accuracy_float, wall_s=wall_s, arrays_sha256=sha256,
        noun=config.data.noun,
    )  # fmt: skip
    result = dataclasses.replace(
        result,
        note=note,
        surrogate=watched,
        accuracy_float_unclipped=unclipped,
        held_out=len(split.test_y),
        sample=config.study.sample,
        trained=record.made_by == "train",
        fresh=None
        if reads is None or fresh is None
        else fresh_record(
            reads,
            fresh.accuracy_min,
            Stream(config.study.seed, config.study.sample),
            learnt_in_cells=bool(record.cells),
        ),
        simulations=(*result.simulations, *(() if reads is None else reads.simulations)),
    )
    _write_table(run, result, reporter)
    runfolder.write_json(run / "verify.json", dataclasses.asdict(result))
    if result.poor_surrogate:
        reporter.say(f"spiceloop: {result.poor_surrogate}")
    return result


def image_count(images: int | Literal["all"] | None, config: Config, split: Split) -> int:
    """How many held-out images are read.

    Args:
        images: a number, or all; None is what the configuration says, or all if there are fewer.
        config: the study.
        split: its data.

    Raises:
        InputError: there are fewer than the number says.
    """
    held_out = len(split.test_y)
    if images == "all":
        return held_out
    if images is None:
        return min(config.verify.images, held_out)
    if not 1 <= images <= held_out:
        raise InputError(
            f"there are not that many held-out {config.data.noun}s", where="--images", value=images,
            allowed=f"1 to {held_out}",
        )  # fmt: skip
    return images


def _write_table(run: Path, result: Verification, reporter: Reporter) -> None:
    """`fresh_chips.csv`; that of an earlier verification, which this one replaces, goes."""
    path = run / "fresh_chips.csv"
    if result.fresh is not None:
        table = fresh_csv(
            result.fresh, images=result.images, sample=result.sample,
            reader=_of_reader(result), spice=result.accuracy_spice, failed=result.failed,
        )  # fmt: skip
        write_text_atomic(path, table)
    elif path.exists():
        path.unlink()
        reporter.say(
            f"spiceloop: {path} was of the verification that this one replaces and is removed;"
            " --chips draws them again"
        )


def _of_reader(result: Verification) -> float | None:
    """What the verified chip has by who read the fresh ones; None where that was ngspice."""
    if result.fresh is not None and result.fresh.engine == "surrogate":
        return result.accuracy_surrogate
    return result.accuracy_exact


def _check_fits(run: Path, chip: Chip, split: Split) -> None:
    features, classes = split.test_x.shape[1], len(split.class_names)
    if (chip.plans[0].inputs, chip.plans[-1].outputs) != (features, classes):
        raise InputError(
            "the chip of this run does not fit its data",
            where=str(run),
            value=f"{chip.plans[0].inputs} inputs, {chip.plans[-1].outputs} outputs",
            allowed=f"{features} inputs, {classes} outputs",
        )


def _reference(run: Path, chip: Chip) -> torch.nn.Module:
    """The run's network in floating point."""
    blank = [
        LinearStage(
            plan.source,
            np.zeros((plan.outputs, plan.inputs)),
            np.zeros(plan.outputs) if plan.has_bias else None,
            plan.neuron,
        )
        for plan in chip.plans
    ]
    network = network_of(blank)
    state = runfolder.read_weights(run / "model_float.pt")
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            "these weights do not fit the layers of the run", where=str(run / "model_float.pt")
        ) from error
    return network


def summarise(
    codes: Mapping[str, Array],
    labels: Labels,
    read: ChipRead,
    *,
    accuracy_float: float,
    wall_s: float,
    arrays_sha256: str,
    noun: str = "image",
) -> Verification:
    """Compares the fidelities on the same images.

    Args:
        codes: fidelity -> [image, class] in LSB; NaN rows of `spice` are failed images; `ideal`
            and `exact` may be absent.
        labels: true classes, [image].
        read: what ngspice did.
        accuracy_float: of the floating-point network on the same images.
        wall_s: seconds of the whole verification.
        arrays_sha256: of the file that holds the codes.
        noun: what one of the images is called.
    """
    failed = np.isnan(codes["spice"]).any(axis=1)
    # A failed image has no prediction: -1 is no class.
    predicted = {
        name: np.where(np.isnan(c).any(axis=1), -1, np.nan_to_num(c).argmax(axis=1))
        for name, c in codes.items()
    }

    def accuracy(name: str) -> float:
        return float((predicted[name] == labels).mean())

    def agreement(name: str) -> float:
        return float((predicted[name] == predicted["spice"])[~failed].sum() / len(labels))

    def error(name: str) -> Array | None:
        absent = name not in codes or failed.all()
        return None if absent else (codes[name] - codes["spice"])[~failed]

    differ = int((predicted["surrogate"] != predicted["spice"])[~failed].sum())
    surrogate, control, exact = error("surrogate"), error("ideal"), error("exact")
    return Verification(
        images=len(labels),
        accuracy_float=accuracy_float,
        accuracy_ideal=accuracy("ideal") if "ideal" in codes else None,
        accuracy_surrogate=accuracy("surrogate"),
        accuracy_exact=accuracy("exact") if "exact" in codes else None,
        accuracy_spice=accuracy("spice"),
        agreement=agreement("surrogate"),
        logit_rmse_lsb=_rms(surrogate),
        logit_max_lsb=_largest(surrogate),
        control_agreement=agreement("ideal") if "ideal" in codes else None,
        control_logit_rmse_lsb=_rms(control),
        exact_logit_max_lsb=_largest(exact),
        failed=int(failed.sum()),
        worst_kirchhoff_residual=read.worst_residual,
        engine=read.engine,
        wall_s=wall_s,
        arrays_sha256=arrays_sha256,
        simulations=read.simulations,
        failures=failures(read.simulations),
        poor_surrogate=_poor(differ, int((~failed).sum()), _rms(surrogate), noun),
        noun=noun,
    )


def _poor(differ: int, images: int, rmse_lsb: float | None, noun: str) -> str:
    """What is said of a surrogate that does not stand for ngspice; empty if it does.

    Args:
        differ: images for which the two name different classes; a single one says nothing.
        images: that ngspice answered.
        rmse_lsb: error of the surrogate's output codes.
        noun: what one of the images is called.
    """
    if rmse_lsb is None:
        return ""
    if not (differ > max(1, MOST_DISAGREEING * images) or rmse_lsb > MOST_LOGIT_RMSE_LSB):
        return ""
    return (
        f"THE SURROGATE DOES NOT STAND FOR THIS CIRCUIT: it disagrees with ngspice on {differ} of"
        f" {images} {noun}s, its output codes are off by {rmse_lsb:.3g} LSB rms (allowed"
        f" {100 * MOST_DISAGREEING:.0f} % and {MOST_LOGIT_RMSE_LSB:.0f} LSB): what was trained or"
        " ranged through it is not what the circuit does; believe spice, and see the held-out"
        " errors of the calibration for the block that it does not describe"
    )


def _rms(error: Array | None) -> float | None:
    return None if error is None else float(np.sqrt(np.mean(error**2)))


def _largest(error: Array | None) -> float | None:
    return None if error is None else float(np.abs(error).max())
