"""A calibration on disk: `calibration.json` for what is read, `calibration.npz` for the numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.array.reads.surrogate import stacked_wires
from cosim.calibration.calibrate import Calibration
from cosim.calibration.evidence import HeldOutError, MeasuredCurve
from cosim.network.models import tile_wires
from cosim.network.surrogate import FittedLayer, SurrogateModel
from cosim.network.whole_chip import SimulationRecord
from cosim.periphery.surrogate import FittedPeriphery
from cosim.surrogate.cells import OwnCellWires
from cosim.surrogate.curves import Curves
from cosim.surrogate.wires import wire_model
from netlists.chip import Chip
from workflows.runfolder import Stored, read_json, write_json, write_npz

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class _CurveText:
    name: str
    kind: Literal["tia", "neuron", "adc"]
    x_label: str
    y_label: str
    note: str


@dataclasses.dataclass(frozen=True)
class _Text:
    engine: str
    errors: tuple[HeldOutError, ...]
    simulations: tuple[SimulationRecord, ...]
    curves: tuple[_CurveText, ...]


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Writes a calibration."""
    arrays: dict[str, Array] = {}
    for k, layer in enumerate(calibration.model.fitted):
        name, fitted = f"layer_{k}", layer.periphery
        _put_curves(arrays, f"{name}.neurons", fitted.neurons)
        _put_curves(arrays, f"{name}.amplifiers", fitted.amplifiers)
        arrays[f"{name}.driver_gain"] = fitted.driver_gain.numpy()
        arrays[f"{name}.driver_offset_v"] = fitted.driver_offset_v.numpy()
        arrays[f"{name}.adc_gain"] = fitted.adc_gain.numpy()
        arrays[f"{name}.adc_offset_v"] = fitted.adc_offset_v.numpy()
        arrays[f"{name}.held_v"] = layer.held_v.numpy()
        arrays[f"{name}.sense_ohm"] = layer.wires.bit.sense_ohm.numpy()
        arrays[f"{name}.wire_weights"] = np.array(layer.wires.weights)
        if isinstance(layer.wires, OwnCellWires):
            _put_curves(arrays, f"{name}.cell", layer.wires.cell)
    texts = []
    for n, curve in enumerate(calibration.curves):
        arrays[f"curve_{n}"] = np.stack([curve.x, curve.spice_y, curve.surrogate_y])
        texts.append(_CurveText(curve.name, curve.kind, curve.x_label, curve.y_label, curve.note))
    write_npz(folder / "calibration.npz", arrays)
    write_json(
        folder / "calibration.json",
        dataclasses.asdict(
            _Text(calibration.engine, calibration.errors, calibration.simulations, tuple(texts))
        ),
    )


def _put_curves(arrays: dict[str, Array], name: str, curves: Curves) -> None:
    arrays[f"{name}.grid"] = np.array([curves.start, curves.step])
    arrays[f"{name}.value"] = curves.value.numpy()
    arrays[f"{name}.slope"] = curves.slope.numpy()


def read_calibration(run: Path, chip: Chip) -> Calibration:
    """Reads the calibration of a run, the surrogate included.

    Raises:
        InputError: a file is missing or is not what it should be.
    """
    text: _Text = read_json(run / "calibration.json", _Text)
    stored = Stored(run / "calibration.npz")
    hardware = chip.hardware
    layers: list[FittedLayer] = []
    for k, plan in enumerate(chip.plans):
        name, layout = f"layer_{k}", TileLayout.of(plan)
        bit_lines = (layout.tiles, layout.tile_cols)
        word_lines = (layout.tiles, 1, layout.tile_rows)
        t0, t1, t2, t3 = stored[f"{name}.wire_weights", (4,)].tolist()
        segments = tile_wires(hardware, layout)
        wires = wire_model(
            layout.tile_rows,
            layout.tile_cols,
            r_wordline_ohm=segments.r_wordline_ohm,
            r_bitline_ohm=segments.r_bitline_ohm,
            r_driver_ohm=hardware.driver.r_driver_ohm,
            weights=(t0, t1, t2, t3),
        )
        if "cell" in hardware.blocks:
            cell = _take_curves(stored, f"{name}.cell", (1,))
            wires = OwnCellWires(wires.word, wires.bit, wires.weights, cell=cell)
        sense = torch.from_numpy(stored[f"{name}.sense_ohm", bit_lines])
        layers.append(
            FittedLayer(
                stacked_wires(wires, layout, sense),
                torch.from_numpy(stored[f"{name}.held_v", bit_lines]),
                FittedPeriphery(
                    hardware,
                    plan,
                    torch.from_numpy(stored[f"{name}.driver_gain", word_lines]),
                    torch.from_numpy(stored[f"{name}.driver_offset_v", word_lines]),
                    _take_curves(stored, f"{name}.amplifiers", (layout.tiles, 1, layout.tile_cols)),
                    _take_curves(stored, f"{name}.neurons", (plan.outputs,)),
                    torch.from_numpy(stored[f"{name}.adc_gain", (plan.outputs,)]),
                    torch.from_numpy(stored[f"{name}.adc_offset_v", (plan.outputs,)]),
                ),
            )
        )
    curves = []
    for n, curve in enumerate(text.curves):
        x, spice_y, surrogate_y = stored[f"curve_{n}", (3, -1)]
        curves.append(
            MeasuredCurve(
                curve.name,
                curve.kind,
                x,
                curve.x_label,
                spice_y,
                surrogate_y,
                curve.y_label,
                curve.note,
            )
        )
    model = SurrogateModel(hardware, chip.plans, layers)
    return Calibration(model, text.errors, tuple(curves), text.simulations, text.engine)


def _take_curves(stored: Stored, name: str, shape: tuple[int, ...]) -> Curves:
    start, step = stored[f"{name}.grid", (2,)].tolist()
    value = stored[f"{name}.value", (*shape, -1)]
    if step <= 0 or value.shape[-1] < 2:
        raise stored.wrong(f"{name} is no curve: {value.shape[-1]} samples, step {step:g}")
    slope = stored[f"{name}.slope", value.shape]
    return Curves(start, step, torch.from_numpy(value), torch.from_numpy(slope))
