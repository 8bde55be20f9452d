"""`spiceloop netlist`: a configuration, a run or a user's module as a deck or a PySpice script."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.variation import component_rng
from cosim.budget.budget import Budget
from cosim.network.held_chip import held_chip
from cosim.ngspice import find_ngspice
from netlists.chip import Chip, programmed_chip
from netlists.graph import LinearStage, linear_stages, network_graph
from workflows import runfolder
from workflows.backward_deck import RANDOM_ERRORS, step_backward
from workflows.cell_device import spread_of
from workflows.config import Config, load_config
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.deck import Stepped, step_chip, write_stepped
from workflows.learning import learning
from workflows.made_run import cells
from workflows.own_data import OwnData, named_data, with_data
from workflows.pyspice_script import check_script, write_script
from workflows.study_checks import check_study
from workflows.study_network import (
    check_fits,
    initial_stages,
    load_module,
    refuse_stored_network,
)
from workflows.train import float_stages
from workflows.update_deck import write_update_decks

Array = NDArray[np.float64]

PHASES = ("forward", "backward", "update")
_VECTORS = 4  # input vectors that a deck steps through
_RANDOM = (
    "no data are named: ranges come from uniform random inputs in [0, 1], which are no data of"
    " yours and cost accuracy; drivers are unsigned, inputs below 0 clip"
)


def netlist_target(
    target: str,
    out: Path | None,
    reporter: Reporter,
    *,
    script: Path | None = None,
    config_file: Path | None = None,
    own_data: OwnData | None = None,
    phase: str = "forward",
) -> dict[str, object]:
    """Writes the deck of a target into a new folder, or a PySpice script, or both.

    Args:
        target: a configuration file, a run folder, or `MODULE.py:FACTORY` where FACTORY returns
            a torch module.
        out: the folder; it must not exist, or be empty.
        reporter: where progress goes.
        script: the PySpice script.
        config_file: the chip for a module, and its data if it names any; the default chip without.
        own_data: for a module: the data whose training share sets its ranges.
        phase: what the chip does: forward, inputs drive word lines; backward, errors drive bit
            lines; update, trains of pulses are on both.

    Raises:
        InputError: the target cannot become a circuit, there is no such phase, or nothing is said
            of where it goes.
    """
    if phase not in PHASES:
        raise InputError(
            "a chip has no such phase",
            where="--phase",
            value=phase,
            allowed=", ".join(PHASES),
            hint=closest(phase, PHASES),
        )
    if out is None and script is None:
        raise InputError(
            "nothing says where the circuit goes",
            where="spiceloop netlist",
            allowed="-o FOLDER for a deck, --pyspice FILE.py for a PySpice script, or both",
        )
    if script is not None:
        check_script(script, phase)
    with ExitStack() as places:
        folder = None
        if out is not None:
            made = runfolder.new_folder(out, reporter.say, allow_empty=True)
            folder = places.enter_context(made)
        source = _source(target, reporter, config_file, own_data or OwnData())
        if source.warning:
            reporter.say(f"spiceloop: {source.warning}; give --data FILE, or [data] in --config")
        own = " and ".join(sorted({"tia", "neuron"} & source.config.hardware.blocks.keys()))
        if phase == "backward" and own:
            reporter.say(
                "spiceloop: errors go backward through circuits of spiceloop's own,"
                f" [backward.driver], [backward.tia] and [backward.adc]: your {own} does not stand"
                " in this phase"
            )
        with reporter.stage("writing the circuit"):
            summary = _write(folder, script, source, phase)
    return {
        "netlist": None if out is None else str(out),
        "pyspice": None if script is None else str(script),
        "phase": phase,
        "config_hash": source.config.hash,
        "origin": source.origin,
        "warning": source.warning,
        **summary,
    }


def _write(
    folder: Path | None, script: Path | None, source: _Source, phase: str
) -> dict[str, object]:
    origin = f"config {source.config.hash}; {source.origin}"
    if phase == "update" and folder is not None:
        study = source.config.study
        return write_update_decks(
            folder,
            source.chip,
            source.config.device.pair,
            sigma=[
                spread_of(own.device) if own.device.name else {}
                for own in (source.config.of_layer(plan.source) for plan in source.chip.plans)
            ],
            seed=study.seed,
            sample=study.sample,
            origin=(origin,),
            header=source.header,
        )
    if phase == "backward":
        origin += f"; {RANDOM_ERRORS}"
    stepped = _stepped(source, phase)
    if script is not None:
        write_script(script, stepped, origin)
    if folder is None:
        return {"files": [], **stepped.summary(source.chip)}
    return write_stepped(folder, source.chip, stepped, (origin,))


def _stepped(source: _Source, phase: str) -> Stepped:
    study, title = source.config.study, "spiceloop netlist"
    ngspice = find_ngspice() if source.config.hardware.blocks else None
    if phase == "backward":
        return step_backward(
            source.chip,
            vectors=_VECTORS,
            seed=study.seed,
            sample=study.sample,
            title=f"{title}, backward",
            ngspice=ngspice,
            header=source.header,
        )
    return step_chip(
        source.chip,
        source.inputs[:_VECTORS],
        title=title,
        ngspice=ngspice,
        header=source.header,
        rows=None if source.rows is None else source.rows[:_VECTORS],
    )


@dataclass(frozen=True, eq=False)
class _Source:
    """A chip to be written, inputs for its deck [image, in], and where both come from.

    `rows` says which samples of their file the inputs are.
    """

    config: Config
    chip: Chip
    inputs: Array
    origin: str
    warning: str = ""
    rows: NDArray[np.int64] | None = None

    @property
    def header(self) -> tuple[str, ...]:
        """What a reader of the circuit has to know first."""
        return (f"WARNING: {self.warning}",) if self.warning else ()


def _source(
    target: str, reporter: Reporter, config_file: Path | None, own_data: OwnData
) -> _Source:
    if ".py:" in target:
        config = Config() if config_file is None else load_config(config_file)
        return _of_module(target, with_data(config, own_data), reporter)
    if config_file is not None or own_data.named:
        raise InputError(
            "a run and a configuration have their chip and their data already",
            where="--config, --data",
            hint=f"leave them out; they belong to MODULE.py:FACTORY, {target} is none",
        )
    if Path(target).is_dir():
        return _of_run(Path(target))
    refuse_stored_network(target)
    return _of_config(Path(target), reporter)


def _of_run(run: Path) -> _Source:
    runfolder.read_record(run)
    config = runfolder.read_config(run)
    split = load_split(config.data, seed=config.study.seed)
    origin = "the programmed chip of a run; held-out inputs"
    chip = runfolder.read_chip(run, config)
    return _Source(config, chip, split.test_x, origin, rows=split.test_rows)


def _of_module(target: str, config: Config, reporter: Reporter) -> _Source:
    check_study(config)
    stages = linear_stages(network_graph(load_module(target, seed=config.study.seed)))
    origin = f"{target}, weights as its factory returned them"
    if named_data(config):
        split = _split(config, reporter)
        check_fits(stages, split, target)
        origin += f"; ranges from the training share of {split.source}, held-out inputs"
        chip = chip_for(config, stages, split.train_x, split.scaling.full_scale)
        return _Source(config, chip, split.test_x, origin, rows=split.test_rows)
    inputs = random_inputs(config, stages[0].weight.shape[1])
    chip = chip_for(config, stages, inputs, 1.0)
    return _Source(config, chip, inputs, f"{origin}; random inputs", _RANDOM)


def random_inputs(config: Config, features: int) -> Array:
    """What stands for data where none are named: uniform in [0, 1], [sample, feature]."""
    rng = component_rng(config.study.seed, 0, "netlist/inputs")
    return rng.uniform(0, 1, (256, features))


def _of_config(path: Path, reporter: Reporter) -> _Source:
    config = load_config(path)
    check_study(config)
    split = _split(config, reporter)
    initial = initial_stages(config, split, reporter)
    with Budget.of_process().for_cells(cells(initial)).in_use():
        stages = float_stages(config, split, initial, reporter)
    origin = f"{path}, weights trained in floating point; held-out inputs"
    chip = chip_for(config, stages, split.train_x, split.scaling.full_scale)
    return _Source(config, chip, split.test_x, origin, rows=split.test_rows)


def _split(config: Config, reporter: Reporter) -> Split:
    split = load_split(config.data, seed=config.study.seed)
    for line in split.sentences():
        reporter.say(f"    {line}")
    return split


def chip_for(
    config: Config, stages: tuple[LinearStage, ...], inputs: Array, full_scale: float
) -> Chip:
    """A chip programmed with weights, ranges from typical inputs; planned as its cells ask for."""
    plans = learning(config).plan(stages, stages, inputs, full_scale)
    study = config.study
    return held_chip(
        programmed_chip(stages, config.hardware, plans, seed=study.seed, sample=study.sample)
    )
