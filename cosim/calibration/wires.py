"""Calibrating the closed form of the wires on arrays that ngspice has solved.

The arrays are built of the chip's own cells. The closed form takes ohmic cells; the user's enter
it by their curves, and the held-out vectors, at all levels of the drivers, show what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.ohmic import OhmicCell
from compact_models.variation import Stream
from cosim.calibration.cells import CellFit
from cosim.ngspice import Deck, RawPlot
from cosim.ngspice.bench import sweep_deck
from cosim.nodal.lines import as_ohm
from cosim.surrogate.cells import OwnCellWires, effective_s
from cosim.surrogate.wires import WireModel, fit_weights, wire_model
from netlists.array import ReadArray, array_circuit
from netlists.crossbar import Crossbar
from netlists.hardware import Hardware
from netlists.tiles import differential

Array = NDArray[np.float64]

HELD_OUT_VECTORS = 16


@dataclass(frozen=True, eq=False)
class WireSweep:
    """One calibration array: unit vectors first, then held-out vectors.

    Args:
        conductance_s: [row, col].
        sense_ohm: resistance at each sense node, [col].
        vectors_v: [vector, row]; the first `row` of them are unit vectors times the read voltage.
        deck: the bench.
    """

    conductance_s: Array
    sense_ohm: Array
    vectors_v: Array
    deck: Deck


@dataclass(frozen=True, eq=False)
class WireErrors:
    """How far the closed form is off on held-out arrays.

    Args:
        array: relative Frobenius error of the transfer on each array.
        vector_a: held-out vectors, current errors [vector, col].
        mean_drop: mean current lost to the wires.
    """

    array: Array
    vector_a: Array
    mean_drop: float


@dataclass(frozen=True, eq=False)
class WireFit:
    """The closed form of a tile with its errors.

    Args:
        model: the fitted closed form.
        errors: behind the amplifiers of every factor (`LayerPlan.factors`).
    """

    model: WireModel
    errors: Mapping[float, WireErrors]


def wire_sweeps(
    hardware: Hardware,
    rows: int,
    cols: int,
    sense_ohm: Array,
    *,
    cell: OhmicCell | None = None,
    lowest: float,
    arrays: int,
    seed: int,
    path: str,
) -> tuple[WireSweep, ...]:
    """Benches of random arrays of one shape, with conductances as trained weights have them.

    Weights are normal with a width that differs from array to array, clipped to the range, as
    differential pairs: training moves through such states. With the user's own cells weights are
    spread evenly over the whole range: what the closed form cannot know of a cell grows with its
    conductance, and the held-out error must show it.

    Args:
        hardware: the chip's description.
        rows: word lines.
        cols: bit lines.
        sense_ohm: resistance at each sense node, [col].
        cell: what the cells are programmed between; None for those of the chip.
        lowest: the lowest input of the layer, -1 or 0, as a share of the read voltage.
        arrays: how many arrays.
        seed: the study's seed.
        path: names the tile in the draws.
    """
    own_cell = hardware.blocks.get("cell")
    sweeps: list[WireSweep] = []
    for index in range(arrays):
        rng = Stream(seed).at(f"calibration/wires/{path}", index).rng()  # of every chip
        if own_cell is None:
            share = rng.normal(0, rng.uniform(0.1, 0.5), (rows, cols // 2))
        else:
            share = rng.uniform(-1, 1, (rows, cols // 2))
        conductance = differential(torch.from_numpy(share), cell or hardware.cell).numpy()
        v_read = hardware.driver.v_read_v
        vectors = np.concatenate(
            [v_read * np.eye(rows), v_read * rng.uniform(lowest, 1, (HELD_OUT_VECTORS, rows))]
        )
        array = ReadArray(
            Crossbar(conductance, hardware.wires.near_ends(rows, cols)),
            hardware.driver.r_driver_ohm,
            sense_ohm,
        )
        title = f"spiceloop: calibration array {index} of {path}"
        deck = sweep_deck(
            array_circuit(array, title=title, cell=own_cell),
            [f"in_{row}" for row in range(rows)],
            vectors,
            name=f"wires_{path}_{index}",
        )
        sweeps.append(WireSweep(conductance, sense_ohm, vectors, deck))
    return tuple(sweeps)


def fit_wires(
    hardware: Hardware,
    sweeps: Sequence[WireSweep],
    plots: Sequence[RawPlot],
    *,
    cell: CellFit | None = None,
) -> WireModel:
    """Fits the closed form to arrays of one shape behind the same sense resistances.

    What is fitted makes up for higher orders in the wires, and holds behind others: behind a 32nd
    and 32 times of 1 and of 30 ohm, where it was fitted, arrays were within 5 % of the error that
    weights of their own leave, or nearer (64 x 64 and 16 x 10, losses of 3 to 54 %).

    Args:
        hardware: the chip's description.
        sweeps: the arrays.
        plots: what ngspice made of them.
        cell: the curves of the user's own cell; without it cells are ohmic.
    """
    theory = _theory(hardware, sweeps[0])
    transfers = [
        torch.from_numpy(_unit_currents(sweep, plot) / hardware.driver.v_read_v)
        for sweep, plot in zip(sweeps, plots, strict=True)
    ]
    weights = fit_weights(theory, [_at_read(sweep, cell) for sweep in sweeps], transfers)
    if cell is None:
        return replace(theory, weights=weights)
    return OwnCellWires(theory.word, theory.bit, weights, cell=cell.mean)


def wire_errors(
    hardware: Hardware,
    model: WireModel,
    sweeps: Sequence[WireSweep],
    plots: Sequence[RawPlot],
    *,
    cell: CellFit | None = None,
) -> WireErrors:
    """How far the closed form is off on arrays that it was not fitted to.

    Args:
        hardware: the chip's description.
        model: the closed form; its own sense resistances are not used.
        sweeps: the arrays.
        plots: what ngspice made of them.
        cell: as in `fit_wires`.
    """
    errors, vectors, drops = [], [], []
    for sweep, plot in zip(sweeps, plots, strict=True):
        transfer = torch.from_numpy(_unit_currents(sweep, plot) / hardware.driver.v_read_v)
        own = model.with_sense(torch.from_numpy(sweep.sense_ohm))
        # The error is what is asked for: no warning.
        predicted, _, _ = own.with_losses(torch.from_numpy(sweep.conductance_s))
        rows = len(transfer)
        errors.append(float((predicted - transfer).norm() / transfer.norm()))
        vectors.append(sweep.vectors_v[rows:] @ predicted.numpy() - _currents(sweep, plot)[rows:])
        drops.append(1 - float(transfer.sum() / _at_read(sweep, cell).sum()))
    return WireErrors(np.array(errors), np.concatenate(vectors), float(np.mean(drops)))


def _theory(hardware: Hardware, sweep: WireSweep) -> WireModel:
    rows, cols = sweep.conductance_s.shape
    wires = hardware.wires.near_ends(rows, cols)
    return wire_model(
        rows,
        cols,
        r_wordline_ohm=as_ohm(wires.r_wordline_ohm),
        r_bitline_ohm=as_ohm(wires.r_bitline_ohm),
        r_driver_ohm=hardware.driver.r_driver_ohm,
        r_sense_ohm=torch.from_numpy(sweep.sense_ohm),
    )


def _at_read(sweep: WireSweep, cell: CellFit | None) -> torch.Tensor:
    """What the wires see of the cells: unit vectors are at the full read voltage."""
    programmed = torch.from_numpy(sweep.conductance_s)
    return programmed if cell is None else effective_s(cell.at_read, programmed)


def _unit_currents(sweep: WireSweep, plot: RawPlot) -> Array:
    return _currents(sweep, plot)[: len(sweep.conductance_s)]


def _currents(sweep: WireSweep, plot: RawPlot) -> Array:
    cols = sweep.conductance_s.shape[1]
    return plot.matrix([f"i(vsense_{col})" for col in range(cols)])
