"""A calibration on disk: `calibration.json` for what is read, `calibration.npz` for the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.calibration.calibrate import Calibration
from cosim.calibration.evidence import HeldOutError, MeasuredCurve
from cosim.network.models import tile_wires
from cosim.network.surrogate import FittedLayer, SurrogateModel
from cosim.network.whole_chip import SimulationRecord
from cosim.periphery.surrogate import FittedAmplifiers, FittedBlocks
from cosim.surrogate.cells import OwnCellWires
from cosim.surrogate.curves import Curves
from cosim.surrogate.drawn_curves import BlockCurves, DrawnValue
from cosim.surrogate.wires import wire_model
from netlists.chip import Chip
from workflows.runfolder import Stored, read_json, write_json, write_npz

Array = NDArray[np.float64]


VALUES = ("driver_gain", "driver_offset_v", "adc_gain", "adc_offset_v")
"""Numbers of blocks."""
OF_INPUT = ("input_ohm", "held_v")
"""Those of amplifiers, by the factor of their arrays: the second has `_1` behind its names."""
PLACES = ("scale", "shift", "out_scale", "out_shift")
"""How instances place a curve; the last two may be missing."""
# What a block's instances draw, two numbers, and the monomials of these.
_DRAWN, _TERMS = 2, 6


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
        name, blocks = f"layer_{k}", layer.blocks
        _put_block(arrays, f"{name}.neurons", blocks.neurons)
        for ending, amplifiers in zip(_endings(), blocks.amplifiers.values(), strict=False):
            _put_block(arrays, f"{name}.amplifiers{ending}", amplifiers.curves)
            for role in OF_INPUT:
                _put_value(arrays, f"{name}.{role}{ending}", getattr(amplifiers, role))
        for role in VALUES:
            _put_value(arrays, f"{name}.{role}", getattr(blocks, role))
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


def _endings() -> Iterator[str]:
    """What stands behind the names of amplifiers, by factor."""
    yield ""
    for number in count(1):
        yield f"_{number}"


def _put_curves(arrays: dict[str, Array], name: str, curves: Curves) -> None:
    arrays[f"{name}.grid"] = np.array([curves.start, curves.step])
    arrays[f"{name}.value"] = curves.value.numpy()
    arrays[f"{name}.slope"] = curves.slope.numpy()


def _put_value(arrays: dict[str, Array], name: str, value: DrawnValue) -> None:
    arrays[name] = torch.cat([value.nominal, value.scale, value.coefficients]).numpy()


def _put_block(arrays: dict[str, Array], name: str, block: BlockCurves) -> None:
    _put_curves(arrays, name, block.master)
    for part in PLACES:
        value = getattr(block, part)
        if value is not None:
            _put_value(arrays, f"{name}.{part}", value)


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
        parts = {role: _take_value(stored, f"{name}.{role}") for role in VALUES}
        amplifiers = {
            factor: FittedAmplifiers(
                _take_block(stored, f"{name}.amplifiers{ending}"),
                *(_take_value(stored, f"{name}.{role}{ending}") for role in OF_INPUT),
            )
            for factor, ending in zip(plan.distinct_factors, _endings(), strict=False)
        }
        neurons = _take_block(stored, f"{name}.neurons")
        layers.append(
            FittedLayer(wires, FittedBlocks(amplifiers=amplifiers, neurons=neurons, **parts))
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
    model = SurrogateModel(hardware, chip.plans, layers, [chip.periphery])
    return Calibration(model, text.errors, tuple(curves), text.simulations, text.engine)


def _take_curves(stored: Stored, name: str, shape: tuple[int, ...]) -> Curves:
    start, step = stored[f"{name}.grid", (2,)].tolist()
    value = stored[f"{name}.value", (*shape, -1)]
    if step <= 0 or value.shape[-1] < 2:
        raise stored.wrong(f"{name} is no curve: {value.shape[-1]} samples, step {step:g}")
    slope = stored[f"{name}.slope", value.shape]
    return Curves(start, step, torch.from_numpy(value), torch.from_numpy(slope))


def _take_value(stored: Stored, name: str) -> DrawnValue:
    nominal, scale, coefficients = np.split(
        stored[name, (2 * _DRAWN + _TERMS,)], [_DRAWN, 2 * _DRAWN]
    )
    if not (scale > 0).all():
        raise stored.wrong(f"{name} is scaled by {scale.min():g}")
    return DrawnValue(*(torch.from_numpy(x) for x in (nominal, scale, coefficients)))


def _take_block(stored: Stored, name: str) -> BlockCurves:
    some = [part for part in PLACES if part in PLACES[:2] or f"{name}.{PLACES[2]}" in stored]
    places = {part: _take_value(stored, f"{name}.{part}") for part in some}
    return BlockCurves(_take_curves(stored, name, ()), **places)
