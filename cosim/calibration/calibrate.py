"""The whole calibration of a chip: benches out, ngspice, fits back, errors on held-out data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.array.layout import TileLayout
from cosim.calibration import cells, evidence, periphery, signs, wires
from cosim.calibration.evidence import HeldOutError, MeasuredCurve
from cosim.network.surrogate import FittedLayer, SurrogateModel
from cosim.network.whole_chip import SimulationRecord
from cosim.ngspice import (
    Deck,
    Ngspice,
    RawPlot,
    SimulationResult,
    run_decks,
    timeout_for,
)
from cosim.periphery.surrogate import FittedBlocks
from cosim.surrogate.drawn_curves import fixed_value
from netlists.chip import Chip
from netlists.circuit import ForeignSubcircuit
from netlists.foreign_switches import switches_on
from netlists.network import neuron_block
from netlists.readout import tia
from netlists.wires import LEAST_OHM

Array = NDArray[np.float64]

# The same deck twice: the same numbers to the last digits.
_REPEATED = 1e-9


@dataclass(frozen=True, eq=False)
class Calibration:
    """The surrogate of a chip with its measured errors.

    Args:
        model: the surrogate.
        errors: errors on held-out data.
        curves: a measured curve of each kind of block and layer.
        simulations: every ngspice run.
        engine: the simulator.
        notes: sentences about blocks of the user that do other than they were asked for.
    """

    model: SurrogateModel
    errors: tuple[HeldOutError, ...]
    curves: tuple[MeasuredCurve, ...]
    simulations: tuple[SimulationRecord, ...]
    engine: str
    notes: tuple[str, ...] = ()


def calibrate(
    chip: Chip,
    ngspice: Ngspice,
    *,
    arrays: int,
    held_out: int,
    seed: int,
    jobs: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Calibrates the surrogate of a chip against ngspice.

    Args:
        chip: the chip; what its components have drawn is only what the model starts with, and its
            conductances are not used: what is found is of all chips (`SurrogateModel.of_chips`).
        ngspice: the simulator.
        arrays: random arrays per layer that the wires are fitted to.
        held_out: further arrays per layer that only measure the error.
        seed: the study's seed.
        jobs: decks at a time.
        on_progress: called with (decks done, decks).

    Raises:
        SimulationFailedError: a calibration run failed; there is no surrogate without it.
        InputError: a block of the user changes from start to start, or has the wrong sign.
    """
    layers = range(len(chip.plans))
    amplifier = chip.hardware.blocks.get("tia") or tia.subcircuit(chip.hardware.tia)
    amplifiers = [periphery.amplifier_sweep(chip, k, amplifier, seed) for k in layers]
    neurons = [periphery.neuron_sweep(chip, k, neuron_block(chip, k), seed) for k in layers]
    converters = [periphery.converter_sweep(chip, k, seed) for k in layers]
    differ = chip.hardware.driver.differs
    drivers = [periphery.driver_sweep(chip, k, seed) for k in layers] if differ else []
    own_cell = chip.hardware.blocks.get("cell")
    twice = len(chip.hardware.blocks)
    sweeps = [*amplifiers, *neurons, *converters, *drivers]
    decks = [(deck, len(sweep.x)) for sweep in sweeps for deck in sweep.decks]
    total = len(decks) + (own_cell is not None) + twice + len(layers) * (arrays + held_out)
    runner = _Runner(ngspice, jobs, total, on_progress)
    # Before all else: a block that changes with every start has no curve to be fitted.
    first: dict[str, RawPlot] = {}
    bench = None if own_cell is None else cells.cell_sweep(chip.hardware, own_cell)
    if bench is not None and own_cell is not None:
        first["cell"] = _same_twice("cell", own_cell, bench.deck, len(bench.volts), runner)
    for role, number in (("tia", 0), ("neuron", len(layers))):
        if role in chip.hardware.blocks:  # that of the first layer
            deck, points = sweeps[number].decks[0], len(sweeps[number].x)
            block = chip.hardware.blocks[role]
            first[deck.name] = _same_twice(role, block, deck, points, runner)
    others = [(deck, points) for deck, points in decks if deck.name not in first]
    found = runner.run([deck for deck, _ in others], [points for _, points in others])
    first |= {deck.name: plot for (deck, _), plot in zip(others, found, strict=True)}
    plots = [[first[deck.name] for deck in sweep.decks] for sweep in sweeps]
    by_layer = [plots[k :: len(layers)] for k in layers]  # amplifier, neuron, converter, driver
    amplifier_fits = [periphery.fit_amplifiers(amplifiers[k], by_layer[k][0]) for k in layers]
    neuron_fits = [periphery.fit_neurons(neurons[k], by_layer[k][1]) for k in layers]
    converter_fits = [
        periphery.fit_converters(converters[k], by_layer[k][2], chip, k) for k in layers
    ]
    driver_fits: list[periphery.LineFit | None] = [None for _ in layers]
    if differ:
        driver_fits = [periphery.fit_drivers(drivers[k], by_layer[k][3]) for k in layers]
    cell_fits: list[cells.CellFit | None] = [None for _ in layers]
    if bench is not None:
        cell_fits = [cells.fit_cell(bench, first["cell"], lowest=_lowest(chip, k)) for k in layers]
    notes = signs.spread_without_effect(chip)
    for k in layers:
        if "tia" in chip.hardware.blocks:
            notes += signs.check_amplifiers(chip, k, amplifiers[k], by_layer[k][0])
        if "neuron" in chip.hardware.blocks:
            notes += signs.check_neurons(chip, k, neurons[k], by_layer[k][1])
    wire_fits = _fit_wires(chip, amplifier_fits, cell_fits, runner, arrays, held_out, seed)
    fitted = [
        FittedLayer(
            wire_fits[k].model,
            _blocks(
                driver_fits[k],
                amplifier_fits[k],
                neuron_fits[k],
                converter_fits[k],
            ),
        )
        for k in layers
    ]
    errors: list[HeldOutError] = []
    curves: list[MeasuredCurve] = []
    for k in layers:
        layer_sweeps = (amplifiers[k], neurons[k], converters[k])
        layer_fits = (amplifier_fits[k], neuron_fits[k], converter_fits[k])
        errors += evidence.periphery_errors(chip, k, layer_sweeps, *layer_fits)
        driver, cell = driver_fits[k], cell_fits[k]
        if driver is not None:
            errors += evidence.driver_errors(chip, k, driver)
        if cell is not None:
            errors += evidence.cell_errors(chip, k, cell)
        curves += evidence.periphery_curves(chip, k, layer_sweeps, by_layer[k][:3], layer_fits)
        errors += evidence.wire_errors(chip, k, wire_fits[k])
    return Calibration(
        SurrogateModel(chip.hardware, chip.plans, fitted, [chip.periphery]),
        tuple(errors),
        tuple(curves),
        tuple(runner.records),
        runner.engine,
        tuple(notes),
    )


def _same_twice(
    role: str, block: ForeignSubcircuit, deck: Deck, points: int, runner: _Runner
) -> RawPlot:
    """Runs a bench of the user's own block twice: kits draw mismatch in the simulator.

    Raises:
        InputError: the second run says something else.
    """
    first, again = runner.run([deck, deck], [points, points])
    differs = np.abs(again.data - first.data).max(axis=0)
    worst = int(np.argmax(differs))
    off = float(differs[worst])
    if off > _REPEATED * float(np.abs(first.data).max()):
        raise InputError(
            "ngspice draws this block's values anew at every start: what is calibrated is not what"
            " is verified",
            where=f"the user's {role}",
            value=f"{off:.3g} {'A' if first.kinds[worst] == 'current' else 'V'} of"
            f" {first.names[worst]} between two runs of {deck.name}",
            hint=_turn_off(block),
        )
    return first


def _turn_off(block: ForeignSubcircuit) -> str:
    """What to do about a block that is drawn anew: which of its kit's switches are on."""
    on = switches_on(block.files) if block.files is not None else []
    if not on:
        return "turn the kit's statistics off, such as .param sw_stat_mismatch=0 in your file"
    each = [
        f"{one.name} = 1 ({one.place}"
        + (f", after {one.off_before} had set 0: the last one counts)" if one.off_before else ")")
        for one in on
    ]
    names = " ".join(f"{one.name}=0" for one in on)
    return (
        f"it seems that these are still on: {', '.join(each)}; set .param {names} in a file that"
        " include names last"
    )


def _lowest(chip: Chip, layer: int) -> float:
    """The lowest input of a layer, as a share of the read voltage."""
    return -1.0 if chip.plans[layer].signed_input else 0.0


def _fit_wires(
    chip: Chip,
    amplifier_fits: list[periphery.AmplifierFit],
    cell_fits: list[cells.CellFit | None],
    runner: _Runner,
    arrays: int,
    held_out: int,
    seed: int,
) -> list[wires.WireFit]:
    """The closed form of every layer, on arrays of its largest tile's shape.

    A smaller tile is the same behind padding, so all tiles of a layer share the weights.
    """
    sense: list[Array] = []
    sweeps: list[tuple[wires.WireSweep, ...]] = []
    for plan, amplifiers, layer in zip(
        chip.plans, amplifier_fits, range(len(chip.plans)), strict=True
    ):
        layout = TileLayout.of(plan)
        nominal = torch.tensor([plan.r_feedback_ohm, 0.0], dtype=torch.float64)
        ohm = float(amplifiers.input_ohm.at(*nominal))
        sense.append(np.full(layout.tile_cols, ohm if ohm >= LEAST_OHM else 0.0))
        sweeps.append(
            wires.wire_sweeps(
                chip.hardware,
                layout.tile_rows,
                layout.tile_cols,
                sense[-1],
                cell=chip.hardware.cell_of(plan.source),
                lowest=_lowest(chip, layer),
                arrays=arrays + held_out,
                seed=seed,
                path=f"{plan.name}_{plan.tiles[0].name}",
            )
        )
    flat = [sweep for of_layer in sweeps for sweep in of_layer]
    plots = iter(
        runner.run([sweep.deck for sweep in flat], [len(sweep.vectors_v) for sweep in flat])
    )
    return [
        wires.fit_wires(
            chip.hardware,
            ohm,
            of_layer,
            tuple(next(plots) for _ in of_layer),
            held_out=held_out,
            cell=cell,
        )
        for ohm, of_layer, cell in zip(sense, sweeps, cell_fits, strict=True)
    ]


def _blocks(
    drivers: periphery.LineFit | None,
    amplifiers: periphery.AmplifierFit,
    neurons: periphery.NeuronFit,
    converters: periphery.LineFit,
) -> FittedBlocks:
    """What was found of a layer's blocks; drivers that do not differ have no errors."""
    one, zero = (fixed_value((0.0, 1.0), value) for value in (1.0, 0.0))  # of offset and gain
    return FittedBlocks(
        one if drivers is None else drivers.gain,
        zero if drivers is None else drivers.offset_v,
        amplifiers.curves,
        amplifiers.input_ohm,
        amplifiers.held_v,
        neurons.curves,
        converters.gain,
        converters.offset_v,
    )


class _Runner:
    """Runs calibration decks and keeps their records; a failed one ends the calibration."""

    def __init__(
        self,
        ngspice: Ngspice,
        jobs: int,
        total: int,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.records: list[SimulationRecord] = []
        self.engine = ngspice.label
        self._ngspice = ngspice
        self._jobs = jobs
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def run(self, decks: list[Deck], points: list[int]) -> list[RawPlot]:
        """The plots of `decks`, in order.

        Raises:
            SimulationFailedError: one of them failed.
        """
        elements = {deck.name: deck.lines for deck in decks}
        limits = {
            deck.name: timeout_for(elements[deck.name], count, self._ngspice)
            for deck, count in zip(decks, points, strict=True)
        }
        results = run_decks(
            decks,
            self._ngspice,
            jobs=self._jobs,
            timeout_s=lambda deck: limits[deck.name],
            on_done=self._one_done,
        )
        for result, count in zip(results, points, strict=True):
            self.engine = result.engine
            self.records.append(
                SimulationRecord(
                    result.deck_name, str(result.outcome), result.reason, result.wall_s, count
                )
            )
        return [result.plot for result in results]

    def _one_done(self, _index: int, _result: SimulationResult) -> None:
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)
