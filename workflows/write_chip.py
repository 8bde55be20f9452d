"""The trained network written into dynamic cells: pulses, what they reach, and what it costs.

The chip of a run has ohmic cells with a drawn programming error. Here its target conductances are
written instead, tile by tile, by write-verify on the tile's own wires and drivers. Thousands of
pulses go through the update surrogate of the device; ngspice judges: it writes a few of the cells
itself, and it runs the held-out images through the chip as it was meant and as it was written.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_models.files import check_place
from cosim.budget.budget import Budget
from cosim.devices.form import device_form
from cosim.driven.spice import spice_engine
from cosim.driven.table import draw_spread, table_engine
from cosim.network.held_chip import held_chip
from cosim.network.models import exact_codes
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice, find_ngspice
from cosim.periphery.own_blocks import refuse_own_blocks
from cosim.tables.cache import updates_folder
from cosim.write.ledger import worst_disturb
from cosim.write.unmet import counted
from cosim.write.verify import Written, write_verify
from netlists.chip import Chip, chip_targets
from workflows import runfolder
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import load_split
from workflows.kept_tiles import KeptTiles, tile_key
from workflows.slow import said_of_measuring
from workflows.write_judge import Judged, judge_group, judged_together, places_to_judge
from workflows.write_plan import WritePlan, fresh_tile, plan_writing, written_device
from workflows.write_record import ChipWriting, exit_code, writing_lines
from workflows.written_cells import cell_table, write_cells

Array = NDArray[np.float64]


def write_chip_run(run: Path, reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
    """Writes a run's network; returns (JSON object, lines of text, exit code)."""
    found = write_chip(run, find_ngspice(), reporter)
    return dataclasses.asdict(found), writing_lines(found), exit_code(found)


def write_chip(run: Path, ngspice: Ngspice, reporter: Reporter) -> ChipWriting:
    """Writes the network of a run into dynamic cells.

    `write.json`, `write.npz` and `write.csv` go into the run. A tile that an earlier call finished
    before it was killed is not written again.

    Args:
        run: a run folder.
        ngspice: the simulator that judges.
        reporter: where progress goes.

    Raises:
        InputError: this is no run, or the device cannot hold its conductances.
    """
    begun_stages = len(reporter.stages)
    config = runfolder.read_config(run)
    check_place(run / "write.json", "RUN")
    runfolder.clear_unfinished(run, reporter.say)
    chip = runfolder.read_chip(run, config)
    refuse_own_blocks(chip.hardware, "the exact read of what was written")
    split = load_split(config.data, seed=config.study.seed)
    with reporter.stage(f"what a pulse does to {written_device(config)}") as on_pulse:
        plan = plan_writing(config, said_of_measuring(on_pulse, reporter.say, updates_folder()))
    reporter.say(f"    {plan.update.note}")
    targets = chip_targets(chip)
    kept = KeptTiles.of(run)
    written, before_s = write_tiles(config, plan, targets, reporter, kept)
    judged = _judge(config, plan, targets, ngspice, reporter)
    x, labels = split.test_x[: config.verify.images], split.test_y[: config.verify.images]
    meant, made = (
        held_chip(dataclasses.replace(chip, conductance_s=conductances, states=()))
        for conductances in (
            tuple(tuple(layer) for layer in targets),
            tuple(tuple(one.conductance_s for one in layer) for layer in written),
        )
    )
    reads, decks = [], Budget.of_process(config.simulator.jobs).decks
    for title, one in (("with the targets", meant), ("as written", made)):
        with reporter.stage(f"the chip {title} in ngspice") as progress:
            reads.append(read_chip(one, x, ngspice, jobs=decks, title=title, on_progress=progress))
    all_written = [one for layer in written for one in layer]
    counts = np.concatenate([one.ledger.pulses.ravel() for one in all_written])
    flat = [_flat(one) for one in (meant, made)]
    cells = cell_table(chip, targets, written)
    sha256 = write_cells(run, cells)
    off = flat[1] - flat[0]
    ledgers = [one.ledger for one in all_written]
    held_out = plan.surrogate.held_out
    accuracies = [_accuracy(read.codes, labels) for read in reads]
    result = ChipWriting(
        write=config.writing.model_dump(mode="json"),
        device=written_device(config),
        scheme=plan.scheme.name,
        levels=config.writing.levels,
        cells=len(off),
        met=int(sum(one.within.sum() for one in all_written)),
        pulsed=int((counts > 0).sum()),
        tolerance_s=plan.spec.tolerance_s,
        pulses=int(counts.sum()),
        most_pulses=int(counts.max()),
        latency_s=sum(one.latency_s for one in all_written),
        energy_j=float(sum(one.energy_j.sum() for one in ledgers)),
        energy_given_j=float(sum(one.given_j for one in ledgers)),
        energy_read_j=float(sum(one.read_j.sum() for one in ledgers)),
        worst_error_s=float(np.abs(off).max()),
        rms_error_s=float(np.sqrt((off**2).mean())),
        worst_disturb=max((worst_disturb(one).moved for one in ledgers), key=abs),
        images=len(labels),
        accuracy_target=_accuracy(exact_codes(meant, x), labels),
        accuracy_written=_accuracy(exact_codes(made, x), labels),
        accuracy_spice_target=accuracies[0],
        accuracy_spice_written=accuracies[1],
        failed_target=_without_answer(reads[0].codes),
        failed_written=_without_answer(reads[1].codes),
        simulations=reads[0].simulations + reads[1].simulations,
        unmet=counted(cells["unmet"]),
        reason=_why_it_ended(written),
        surrogate_nrmse=None if held_out is None else held_out.nrmse,
        surrogate_note=plan.update.note,
        judged=judged,
        wall_s=before_s + sum(wall for _, wall in reporter.stages[begun_stages:]),
        arrays_sha256=sha256,
        noun=config.data.noun,
    )
    runfolder.write_json(run / "write.json", dataclasses.asdict(result))
    kept.clear()
    return result


def _judge(
    config: Config,
    plan: WritePlan,
    targets: list[list[Array]],
    ngspice: Ngspice,
    reporter: Reporter,
) -> Judged:
    """A few groups of cells written in ngspice too."""
    places = places_to_judge(targets, plan.spec.at_once)
    fresh = [fresh_tile(config, targets[place.layer][place.tile]) for place in places]
    form = device_form(fresh[0].model, fresh[0].parameter_set, ngspice)
    known = spice_engine(ngspice, compiled=form.compiled)
    groups = []
    with reporter.stage("some cells of it in ngspice") as progress:
        for k, place in enumerate(places):
            target = targets[place.layer][place.tile]

            def on_pulse(done: int = k) -> None:
                progress(done, len(places))

            groups.append(judge_group(fresh[k], target, place, plan, known, on_pulse))
    return judged_together(ngspice.label, form.label, groups)


def write_tiles(
    config: Config,
    plan: WritePlan,
    targets: list[list[Array]],
    reporter: Reporter,
    kept: KeptTiles | None = None,
) -> tuple[list[list[Written]], float]:
    """Every tile, [layer][tile], from cells that are all off; and what those kept had taken [s].

    Args:
        config: the study.
        plan: how.
        targets: conductances [S], [layer][tile] -> [row, col].
        reporter: where progress goes.
        kept: where finished tiles are, and go; None keeps none.

    Raises:
        InputError: the device cannot hold these conductances, or a tile cannot be kept.
    """
    paths = [[f"layer_{k}.tile_{t}" for t in range(len(layer))] for k, layer in enumerate(targets)]
    keys = [
        [tile_key(config, plan, target, path) for target, path in zip(*pair, strict=True)]
        for pair in zip(targets, paths, strict=True)
    ]
    if kept is not None:
        kept.only([key for layer in keys for key in layer])
    resumed, before_s = 0, 0.0
    lines = sum(len(target) for layer in targets for target in layer)
    pulses = (plan.surrogate.pulse, plan.surrogate.pulse)
    found: list[list[Written]] = []
    done = 0
    with reporter.stage("writing the network into its cells") as progress:
        for k, layer in enumerate(targets):
            tiles: list[Written] = []
            for t, target in enumerate(layer):

                def report(
                    groups: int, of: int, begun: int = done, rows: int = len(target)
                ) -> None:
                    progress(begun + rows * groups // of, lines)

                fresh = fresh_tile(config, target)
                spread = draw_spread(
                    fresh.shape,
                    sigma_switching=config.writing.sigma_switching,
                    sigma_step=config.writing.sigma_step,
                    seed=config.study.seed,
                    sample=config.study.sample,
                    path=paths[k][t],
                )
                before = None if kept is None else kept.found(keys[k][t], fresh)
                if before is not None:
                    one, took_s = before
                    resumed += 1
                    before_s += took_s
                else:
                    started = time.perf_counter()
                    engine = table_engine(plan.surrogate, spread=spread)
                    one = write_verify(
                        fresh, target, plan.scheme, pulses, engine, plan.rule, plan.spec,
                        report=report,
                    )  # fmt: skip
                    if kept is not None:
                        kept.keep(keys[k][t], one, time.perf_counter() - started)
                tiles.append(one)
                done += len(target)
            found.append(tiles)
    if resumed:
        whole = sum(len(layer) for layer in targets)
        reporter.say(f"    {resumed} of {whole} tiles had been written by a call that was stopped")
    return found, before_s


def _why_it_ended(written: list[list[Written]]) -> str:
    """Why the loop ended early on a tile, the first one; empty if it did on none."""
    reasons = (
        f"layer_{k}.tile_{t}: {one.failed}"
        for k, layer in enumerate(written)
        for t, one in enumerate(layer)
        if one.failed
    )
    return next(reasons, "")


def _flat(chip: Chip) -> Array:
    """All of its cells, tile after tile [cell]."""
    return np.concatenate([g.ravel() for layer in chip.conductance_s for g in layer])


def _without_answer(codes: Array) -> int:
    return int(np.isnan(codes).any(1).sum())


def _accuracy(codes: Array, labels: NDArray[np.int64]) -> float:
    """An image without an answer (NaN) counts as wrong."""
    answered = ~np.isnan(codes).any(1)
    return float(((np.nan_to_num(codes).argmax(1) == labels) & answered).mean())
