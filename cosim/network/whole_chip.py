"""The `spice` fidelity: ngspice on the emitted netlist of the whole chip.

All layers with their periphery are one circuit; no number passes through Python between an
input and a logit. Every tile's node voltages come back too and must obey Kirchhoff's law.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.scratch import check_room
from cosim.array.device_cells import DeviceCells
from cosim.devices.form import B_SOURCES, held_form
from cosim.laws.kirchhoff import ArrayVoltages, check_array, check_wires
from cosim.network.cell_loss import CellLoss, loss_bench
from cosim.network.models import bent_cells
from cosim.ngspice import (
    Ngspice,
    Outcome,
    RawPlot,
    SimulationResult,
    run_deck,
    run_decks,
    timeout_for,
)
from cosim.ngspice.bench import sweep_deck
from netlists.chip import Chip
from netlists.circuit import Circuit
from netlists.crossbar import Crossbar
from netlists.network import network_circuit

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Node voltages of one deck's sweep are held in memory at once; 256 MB of doubles.
_MAX_VALUES = 32_000_000
# A cell is three elements, the cell and two segments, and has two nodes of 8 bytes.
_RAW_BYTES = 16 / 3
# Output nodes carry whole numbers; what an ADC's floor gives is off by the solver's rounding only.
_CODE_ROUNDING = 1e-6
# A word line that images hardly drive (rms, of the read voltage) shows its neighbours' sneak
# voltages and the amplifiers' offsets, not a drop along wires.
_LEAST_DRIVE = 0.05


@dataclass(frozen=True)
class SimulationRecord:
    """One ngspice run, kept whether it succeeded or not."""

    deck: str
    outcome: str
    reason: str
    wall_s: float
    points: int


@dataclass(frozen=True, eq=False)
class ChipRead:
    """What ngspice says about a chip.

    Args:
        codes: [image, out]; NaN where the simulation failed.
        ir_drop: share of the applied voltage that each cell does not get, [layer][tile] ->
            [row, col], averaged over images with the square of the drive as weight; NaN where a
            word line was hardly ever driven.
        worst_residual: largest relative Kirchhoff residual seen.
        engine: the simulator that made the numbers.
        simulations: every run, failed ones included.
    """

    codes: Array
    ir_drop: tuple[tuple[Array, ...], ...]
    worst_residual: float
    engine: str
    simulations: tuple[SimulationRecord, ...]


def read_chip(
    chip: Chip,
    images: Array,
    ngspice: Ngspice,
    *,
    jobs: int,
    title: str = "chip",
    on_progress: Callable[[int, int], None] | None = None,
) -> ChipRead:
    """Sends images through a chip in ngspice.

    Images are shared out over `jobs` decks. A deck that ends without convergence or fails its
    checks is cut in two and run again, so that one bad image costs one image; what still fails
    alone is a failed image.

    Args:
        chip: the chip.
        images: digital inputs [image, in], 1 = full.
        ngspice: the simulator.
        jobs: decks at a time.
        title: first line of the decks.
        on_progress: called with (images done, images).
    """
    form = B_SOURCES
    if chip.hardware.device is not None:
        form = held_form(chip.hardware.device, ngspice)
    circuit = network_circuit(chip, title=title, compiled=form.compiled)
    elements = circuit.load()
    per_deck = max(1, min(-(-len(images) // jobs), _MAX_VALUES // max(1, elements)))
    at_once = min(jobs, -(-len(images) // per_deck))
    room = _RAW_BYTES * elements * per_deck * at_once
    check_room(Path(tempfile.gettempdir()), room, "what ngspice writes", "TMPDIR")
    waiting = [
        np.arange(first, min(first + per_deck, len(images)))
        for first in range(0, len(images), per_deck)
    ]
    outputs = tuple(f"v(code_{k})" for k in range(chip.plans[-1].outputs))
    gathered = _Gathered(chip, np.full((len(images), len(outputs)), np.nan), ngspice.label)
    gathered.measure_cell(ngspice)

    def progress(result: SimulationResult, part: Index) -> None:
        gathered.settled += len(part) if result.ok or len(part) == 1 else 0
        if on_progress is not None:
            on_progress(gathered.settled, len(images))

    while waiting:
        # As many decks at a time as run at a time: node voltages of all would not fit in memory.
        parts, waiting = waiting[:jobs], waiting[jobs:]
        results = _run_parts(circuit, form.library, images, parts, outputs, ngspice, jobs, progress)
        for part, result in zip(parts, results, strict=True):
            if (
                gathered.take(part, result, images[part], outputs) in WORTH_HALVING
                and len(part) > 1
            ):
                waiting += np.array_split(part, 2)
    return ChipRead(
        gathered.codes,
        gathered.mean_drop(),
        gathered.worst_residual,
        gathered.engine,
        tuple(gathered.records),
    )


# Currents of devices are computed of so many parts of a sweep in turn.
_PIECES = 4

# A deck that timed out or crashed would only do so again, for longer.
WORTH_HALVING = (Outcome.NO_CONVERGENCE, Outcome.INVALID)


def _run_parts(
    circuit: Circuit,
    library: bytes | None,
    images: Array,
    parts: Sequence[Index],
    outputs: tuple[str, ...],
    ngspice: Ngspice,
    jobs: int,
    progress: Callable[[SimulationResult, Index], None],
) -> list[SimulationResult]:
    inputs = [f"in_{k}" for k in range(images.shape[1])]
    decks = [
        sweep_deck(
            circuit,
            inputs,
            images[part],
            name=f"images_{part[0]}_to_{part[-1]}",
            expected_signals=outputs,
            library=library,
        )
        for part in parts
    ]
    elements = circuit.load()
    limits = {
        deck.name: timeout_for(max(elements, deck.lines), len(part), ngspice)
        for deck, part in zip(decks, parts, strict=True)
    }
    return run_decks(
        decks,
        ngspice,
        jobs=jobs,
        timeout_s=lambda deck: limits[deck.name],
        on_done=lambda index, result: progress(result, parts[index]),
    )


class _Gathered:
    """Codes, voltage losses and records of the decks so far."""

    def __init__(self, chip: Chip, codes: Array, engine: str) -> None:
        self.codes = codes
        self.engine = engine
        self.settled = 0
        self.worst_residual = 0.0
        self.records: list[SimulationRecord] = []
        self._chip = chip
        self._loss: CellLoss | None = None
        self._received = [[np.zeros(g.shape) for g in layer] for layer in chip.conductance_s]
        self._applied = [[np.zeros(len(g)) for g in layer] for layer in chip.conductance_s]

    def measure_cell(self, ngspice: Ngspice) -> None:
        """Measures what a cell of the user's own keeps; a bench that fails is a record."""
        block = self._chip.hardware.blocks.get("cell")
        if block is None:
            return
        bench = loss_bench(self._chip.hardware, block)
        points = len(bench.word_v) * len(bench.bit_v)
        result = run_deck(
            bench.deck, ngspice, timeout_s=timeout_for(bench.deck.lines, points, ngspice)
        )
        if result.ok:
            self._loss = CellLoss(bench, result.plot)
        else:
            self.records.append(
                SimulationRecord(
                    result.deck_name, str(result.outcome), result.reason, result.wall_s, points
                )
            )

    def take(
        self, part: Index, result: SimulationResult, images: Array, outputs: tuple[str, ...]
    ) -> Outcome:
        """Judges one deck's result and, if it can be believed, adds it."""
        outcome, reason = result.outcome, result.reason
        if result.ok:
            self.engine = result.engine
            codes = result.plot.matrix(outputs)
            whole = np.rint(codes)  # a node voltage carries the solver's rounding
            worst = float(np.abs(codes - whole).max())
            if worst > _CODE_ROUNDING:
                broken = f"a code is {worst:.1e} off a whole number"
            else:
                broken = self._take_tiles(result.plot)
            if broken:
                outcome, reason = Outcome.INVALID, broken
            else:
                self.codes[part] = whole
        self.records.append(
            SimulationRecord(result.deck_name, str(outcome), reason, result.wall_s, len(part))
        )
        return outcome

    def _take_tiles(self, plot: RawPlot) -> str:
        checked: list[tuple[Array, Array]] = []
        law = bent_cells(self._chip.hardware)
        for layer, plan in enumerate(self._chip.plans):
            for tile in range(len(plan.tiles)):
                conductance = self._chip.conductance_s[layer][tile]
                wires = self._chip.hardware.wires.near_ends(*conductance.shape)
                v = tile_voltages(self._chip, layer, tile, plot)
                if "cell" in self._chip.hardware.blocks:
                    loss = self._loss
                    kept = None if loss is None else loss.at(conductance, v.word, v.bit)
                    check = check_wires(wires, v, kept)
                else:
                    measured = _sense_currents(self._chip, layer, tile, plot)
                    drawn = None if law is None else self._drawn_a(law, conductance, v)
                    check = check_array(conductance, wires, v, measured, cell_a=drawn)
                if not check.ok.all():
                    return (
                        f"Kirchhoff's current law is broken in {plan.name}.{plan.tiles[tile].name}:"
                        f" {check.worst:.1e} of the largest current is left over"
                    )
                self.worst_residual = max(self.worst_residual, check.worst)
                drive = _drive_voltages(self._chip, layer, tile, plot)
                across = np.einsum("pr,prc->rc", drive, v.word - v.bit)
                checked.append((across, np.einsum("pr,pr->r", drive, drive)))
        pairs = iter(checked)
        for received, applied in zip(self._received, self._applied, strict=True):
            for tile in range(len(received)):
                across, squared = next(pairs)
                received[tile] += across
                applied[tile] += squared
        return ""

    @staticmethod
    def _drawn_a(cells: DeviceCells, conductance_s: Array, v: ArrayVoltages) -> Array:
        """What devices draw at these voltages by their own equations, [point, row, col]."""
        cell = cells.law(torch.from_numpy(conductance_s))
        return np.concatenate(
            [
                cell(torch.from_numpy(word - bit))[0].numpy()
                for word, bit in zip(
                    np.array_split(v.word, _PIECES), np.array_split(v.bit, _PIECES), strict=True
                )
            ]
        )

    def mean_drop(self) -> tuple[tuple[Array, ...], ...]:
        """One less the share of the drive that cells received."""
        taken = max(1, int((~np.isnan(self.codes).any(axis=1)).sum()))
        least = taken * (_LEAST_DRIVE * self._chip.hardware.driver.v_read_v) ** 2

        def drop(received: Array, applied: Array) -> Array:
            share = np.full_like(received, np.nan)
            driven = applied > least
            share[driven] = 1 - received[driven] / applied[driven, None]
            return share

        return tuple(
            tuple(drop(r, a) for r, a in zip(layer, applied, strict=True))
            for layer, applied in zip(self._received, self._applied, strict=True)
        )


def tile_voltages(chip: Chip, layer: int, tile: int, plot: RawPlot) -> ArrayVoltages:
    """The node voltages of one tile in a raw plot."""
    conductance = chip.conductance_s[layer][tile]
    array = Crossbar(conductance, chip.hardware.wires.near_ends(*conductance.shape))
    outside = f"xnetwork.xlayer_{layer}"
    inside = f"{outside}.xtile_{tile}"

    def node(name: str) -> str:
        # Nodes of merged wires are the tile's ports, which belong to the layer.
        place = inside if name.startswith(("w_", "b_")) else outside
        return f"v({place}.{name if place is inside else _port(name, tile)})"

    def cells(of: Callable[[int, int], str]) -> Array:
        names = [node(of(row, col)) for row in range(array.rows) for col in range(array.cols)]
        return plot.matrix(names).reshape(-1, array.rows, array.cols)

    return ArrayVoltages(
        wordline=plot.matrix([node(f"wl_{row}") for row in range(array.rows)]),
        word=cells(array.word_node),
        bit=cells(array.bit_node),
        bitline=plot.matrix([node(f"bl_{col}") for col in range(array.cols)]),
    )


def _port(name: str, tile: int) -> str:
    kind, _, index = name.partition("_")
    return f"{kind}_{tile}_{index}"


def _sense_currents(chip: Chip, layer: int, tile: int, plot: RawPlot) -> Array | None:
    """Currents into our own amplifiers, [point, col]; the user's own does not tell."""
    if "tia" in chip.hardware.blocks:
        return None
    cols = chip.plans[layer].tiles[tile].cols
    place = f"xnetwork.xlayer_{layer}"
    return plot.matrix([f"i(v.{place}.xtia_{tile}_{col}.vsense)" for col in range(cols)])


def _drive_voltages(chip: Chip, layer: int, tile: int, plot: RawPlot) -> Array:
    """What the DACs put out, before the drivers' resistance, [point, row]."""
    rows = chip.plans[layer].tiles[tile].rows
    place = f"xnetwork.xlayer_{layer}"
    if chip.hardware.driver.r_driver_ohm > 0:
        return plot.matrix([f"v({place}.xdriver_{tile}_{row}.drive)" for row in range(rows)])
    return plot.matrix([f"v({place}.wl_{tile}_{row})" for row in range(rows)])
