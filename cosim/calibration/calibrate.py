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
from cosim.calibration.evidence import HeldOutError, LayerBench, MeasuredCurve
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
from cosim.periphery.surrogate import FittedAmplifiers, FittedBlocks
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
    of_layer = [plan.distinct_factors for plan in chip.plans]
    amplifiers = {
        (k, factor): periphery.amplifier_sweep(chip, k, amplifier, seed, factor=factor)
        for k in layers
        for factor in of_layer[k]
    }
    neurons = [periphery.neuron_sweep(chip, k, neuron_block(chip, k), seed) for k in layers]
    converters = [periphery.converter_sweep(chip, k, seed) for k in layers]
    differ = chip.hardware.driver.differs
    drivers = [periphery.driver_sweep(chip, k, seed) for k in layers] if differ else []
    own_cell = chip.hardware.blocks.get("cell")
    twice = len(chip.hardware.blocks)
    sweeps = [*amplifiers.values(), *neurons, *converters, *drivers]
    decks = [(deck, len(sweep.x)) for sweep in sweeps for deck in sweep.decks]
    of_wires = sum(arrays + held_out * len(factors) for factors in of_layer)
    total = len(decks) + (own_cell is not None) + twice + of_wires
    runner = _Runner(ngspice, jobs, total, on_progress)
    # Before all else: a block that changes with every start has no curve to be fitted.
    first: dict[str, RawPlot] = {}
    bench = None if own_cell is None else cells.cell_sweep(chip.hardware, own_cell)
    if bench is not None and own_cell is not None:
        first["cell"] = _same_twice("cell", own_cell, bench.deck, len(bench.volts), runner)
    for role, of_first in (("tia", sweeps[0]), ("neuron", neurons[0])):
        if role in chip.hardware.blocks:
            deck, points = of_first.decks[0], len(of_first.x)
            block = chip.hardware.blocks[role]
            first[deck.name] = _same_twice(role, block, deck, points, runner)
    others = [(deck, points) for deck, points in decks if deck.name not in first]
    found = runner.run([deck for deck, _ in others], [points for _, points in others])
    first |= {deck.name: plot for (deck, _), plot in zip(others, found, strict=True)}
    plots = {sweep: [first[deck.name] for deck in sweep.decks] for sweep in sweeps}
    benches = [
        LayerBench(
            {
                factor: (sweep, plots[sweep], periphery.fit_amplifiers(sweep, plots[sweep]))
                for (of, factor), sweep in amplifiers.items()
                if of == k
            },
            (neurons[k], plots[neurons[k]], periphery.fit_neurons(neurons[k], plots[neurons[k]])),
            (
                converters[k],
                plots[converters[k]],
                periphery.fit_converters(converters[k], plots[converters[k]], chip, k),
            ),
        )
        for k in layers
    ]
    driver_fits: list[periphery.LineFit | None] = [None for _ in layers]
    if differ:
        driver_fits = [periphery.fit_drivers(drivers[k], plots[drivers[k]]) for k in layers]
    cell_fits: list[cells.CellFit | None] = [None for _ in layers]
    if bench is not None:
        cell_fits = [cells.fit_cell(bench, first["cell"], lowest=_lowest(chip, k)) for k in layers]
    notes = signs.spread_without_effect(chip)
    for k in layers:
        if "tia" in chip.hardware.blocks:
            for factor in of_layer[k]:
                sweep = amplifiers[k, factor]
                notes += signs.check_amplifiers(chip, k, sweep, plots[sweep], factor=factor)
        if "neuron" in chip.hardware.blocks:
            notes += signs.check_neurons(chip, k, neurons[k], plots[neurons[k]])
    wire_fits = _fit_wires(chip, benches, cell_fits, runner, arrays, held_out, seed)
    fitted = [FittedLayer(wire_fits[k].model, _blocks(driver_fits[k], benches[k])) for k in layers]
    errors: list[HeldOutError] = []
    curves: list[MeasuredCurve] = []
    for k in layers:
        errors += evidence.periphery_errors(chip, k, benches[k])
        driver, cell = driver_fits[k], cell_fits[k]
        if driver is not None:
            errors += evidence.driver_errors(chip, k, driver)
        if cell is not None:
            errors += evidence.cell_errors(chip, k, cell)
        curves += evidence.periphery_curves(chip, k, benches[k])
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


def _wire_benches(
    chip: Chip, layer: int, bench: LayerBench, arrays: int, held_out: int, seed: int
) -> tuple[tuple[wires.WireSweep, ...], dict[float, tuple[wires.WireSweep, ...]]]:
    """Arrays of a layer's largest tile's shape to fit to, and held-out ones of every factor.

    A smaller tile is the same behind padding, so all tiles of a layer share the weights. Those of
    several factors stand behind other amplifiers: held-out arrays behind each tell how far off.
    """
    plan, layout, hardware = chip.plans[layer], TileLayout.of(chip.plans[layer]), chip.hardware

    def sweeps(factor: float, count: int) -> tuple[wires.WireSweep, ...]:
        _, _, amplifiers = bench.amplifiers[factor]
        nominal = torch.tensor([factor * plan.r_feedback_ohm, 0.0], dtype=torch.float64)
        ohm = float(amplifiers.input_ohm.at(*nominal))
        return wires.wire_sweeps(
            hardware,
            layout.tile_rows,
            layout.tile_cols,
            np.full(layout.tile_cols, ohm if ohm >= LEAST_OHM else 0.0),
            cell=hardware.cell_of(plan.source),
            lowest=_lowest(chip, layer),
            arrays=count,
            seed=seed,
            path=f"{plan.name}_{plan.tiles[0].name}{periphery.times(factor).replace(' ', '_')}",
        )

    first, *others = plan.distinct_factors
    of_first = sweeps(first, arrays + held_out)
    held = {first: of_first[arrays:]} | {factor: sweeps(factor, held_out) for factor in others}
    return of_first[:arrays], held


def _fit_wires(
    chip: Chip,
    benches: list[LayerBench],
    cell_fits: list[cells.CellFit | None],
    runner: _Runner,
    arrays: int,
    held_out: int,
    seed: int,
) -> list[wires.WireFit]:
    """The closed form of every layer."""
    hardware, fits = chip.hardware, []
    made = [
        _wire_benches(chip, layer, bench, arrays, held_out, seed)
        for layer, bench in enumerate(benches)
    ]
    flat = [sweep for fitted, held in made for some in (fitted, *held.values()) for sweep in some]
    found = runner.run([sweep.deck for sweep in flat], [len(sweep.vectors_v) for sweep in flat])
    plots = dict(zip(flat, found, strict=True))
    for (fitted, held), cell in zip(made, cell_fits, strict=True):
        model = wires.fit_wires(hardware, fitted, [plots[one] for one in fitted], cell=cell)
        errors = {
            factor: wires.wire_errors(hardware, model, some, [plots[n] for n in some], cell=cell)
            for factor, some in held.items()
        }
        fits.append(wires.WireFit(model, errors))
    return fits


def _blocks(drivers: periphery.LineFit | None, bench: LayerBench) -> FittedBlocks:
    """What was found of a layer's blocks; drivers that do not differ have no errors."""
    one, zero = (fixed_value((0.0, 1.0), value) for value in (1.0, 0.0))  # of offset and gain
    (_, _, neurons), (_, _, converters) = bench.neurons, bench.converters
    return FittedBlocks(
        one if drivers is None else drivers.gain,
        zero if drivers is None else drivers.offset_v,
        {
            factor: FittedAmplifiers(fit.curves, fit.input_ohm, fit.held_v)
            for factor, (_, _, fit) in bench.amplifiers.items()
        },
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
