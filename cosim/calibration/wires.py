"""Calibrating the closed form of the wires on arrays that ngspice has solved.

The arrays are built of the chip's own cells. The closed form takes ohmic cells; the user's enter
it by their curves, and the held-out vectors, at all levels of the drivers, show what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        vectors_v: [vector, row]; the first `row` of them are unit vectors times the read voltage.
        deck: the bench.
    """

    conductance_s: Array
    vectors_v: Array
    deck: Deck


@dataclass(frozen=True, eq=False)
class WireFit:
    """The closed form of a tile with its errors.

    Args:
        model: the fitted closed form.
        array_error: relative Frobenius error of the transfer on each held-out array.
        vector_error_a: held-out vectors on held-out arrays, current errors [vector, col].
        mean_drop: mean current lost to the wires in the held-out arrays.
    """

    model: WireModel
    array_error: Array
    vector_error_a: Array
    mean_drop: float


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
        sweeps.append(WireSweep(conductance, vectors, deck))
    return tuple(sweeps)


def fit_wires(
    hardware: Hardware,
    sense_ohm: Array,
    sweeps: tuple[WireSweep, ...],
    plots: tuple[RawPlot, ...],
    *,
    held_out: int,
    cell: CellFit | None = None,
) -> WireFit:
    """Fits the closed form to all but the last `held_out` arrays and measures it on those.

    Args:
        hardware: the chip's description.
        sense_ohm: resistance at each sense node, [col].
        sweeps: the arrays.
        plots: what ngspice made of them.
        held_out: how many arrays only measure.
        cell: the curves of the user's own cell; without it cells are ohmic.
    """
    measured = [_currents(sweep, plot) for sweep, plot in zip(sweeps, plots, strict=True)]
    rows, cols = sweeps[0].conductance_s.shape
    v_read = hardware.driver.v_read_v
    transfers = [torch.from_numpy(current[:rows] / v_read) for current in measured]
    conductances = [torch.from_numpy(sweep.conductance_s) for sweep in sweeps]
    fitted = len(sweeps) - held_out
    wires = hardware.wires.near_ends(rows, cols)

    def model(weights: tuple[float, float, float, float]) -> WireModel:
        return wire_model(
            rows,
            cols,
            r_wordline_ohm=as_ohm(wires.r_wordline_ohm),
            r_bitline_ohm=as_ohm(wires.r_bitline_ohm),
            r_driver_ohm=hardware.driver.r_driver_ohm,
            r_sense_ohm=torch.from_numpy(sense_ohm),
            weights=weights,
        )

    theory = model((1.0, 1.0, 1.0, 1.0))
    # Unit vectors are at the full read voltage: what cells conduct there is what the wires see.
    at_read = [g if cell is None else effective_s(cell.at_read, g) for g in conductances]
    best = model(fit_weights(theory, at_read[:fitted], transfers[:fitted]))
    if cell is not None:
        best = OwnCellWires(best.word, best.bit, best.weights, cell=cell.mean)
    errors, vectors, drops = [], [], []
    for k in range(fitted, len(sweeps)):
        predicted, _, _ = best.with_losses(conductances[k])  # the error is what is asked for
        errors.append(float((predicted - transfers[k]).norm() / transfers[k].norm()))
        vectors.append(sweeps[k].vectors_v[rows:] @ predicted.numpy() - measured[k][rows:])
        drops.append(1 - float(transfers[k].sum() / at_read[k].sum()))
    return WireFit(best, np.array(errors), np.concatenate(vectors), float(np.mean(drops)))


def _currents(sweep: WireSweep, plot: RawPlot) -> Array:
    cols = sweep.conductance_s.shape[1]
    return plot.matrix([f"i(vsense_{col})" for col in range(cols)])
