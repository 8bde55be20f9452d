"""What a calibration can show for itself: held-out errors and measured curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.calibration.cells import CellFit
from cosim.calibration.periphery import AmplifierFit, BlockSweep, LineFit, NeuronFit, times
from cosim.calibration.wires import WireFit
from cosim.ngspice import RawPlot
from cosim.surrogate.drawn_curves import BlockCurves
from netlists.adcs import quantiser
from netlists.chip import Chip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutError:
    """How far the surrogate is from ngspice on data that it was not fitted to.

    Attributes:
        quantity: what was calibrated.
        held_out: what was held out: `vectors`, `arrays` or `instances` of a block.
        n: how many values the quantiles are taken over.
        median: median absolute error, in `unit`.
        p95: 95th percentile of the absolute error.
        worst: the largest absolute error.
        unit: unit of the three numbers: `%`, `LSB`, `V`.
    """

    quantity: str
    held_out: str
    n: int
    median: float
    p95: float
    worst: float
    unit: str


@dataclass(frozen=True, eq=False)
class MeasuredCurve:
    """One block's transfer curve in ngspice and in the surrogate, for figures.

    Attributes:
        name: which block it is, unique among the curves of a chip.
        kind: what sort of block.
        x: `[n]` input, in the unit that `x_label` names.
        x_label: what is on the x axis, with its unit.
        spice_y: `[n]` simulated output, NaN where the simulation failed.
        surrogate_y: `[n]` output of the surrogate at the same inputs.
        y_label: what is on the y axis, with its unit.
        note: one sentence for a caption, or empty.
    """

    name: str
    kind: Literal["tia", "neuron", "adc"]
    x: Array
    x_label: str
    spice_y: Array
    surrogate_y: Array
    y_label: str
    note: str = ""

    def __post_init__(self) -> None:
        """Checks that the three columns have one length."""
        if not self.x.shape == self.spice_y.shape == self.surrogate_y.shape or self.x.ndim != 1:
            raise ValueError(
                f"curve {self.name}: x {self.x.shape}, spice_y {self.spice_y.shape} and "
                f"surrogate_y {self.surrogate_y.shape} must be of one shape [n]"
            )


@dataclass(frozen=True, eq=False)
class LayerBench:
    """The benches of a layer's blocks, what ngspice made of them, and what was fitted.

    Attributes:
        amplifiers: by the factor of their arrays (`LayerPlan.factors`).
        neurons: of all outputs.
        converters: likewise.
    """

    amplifiers: Mapping[float, tuple[BlockSweep, Sequence[RawPlot], AmplifierFit]]
    neurons: tuple[BlockSweep, Sequence[RawPlot], NeuronFit]
    converters: tuple[BlockSweep, Sequence[RawPlot], LineFit]


def periphery_errors(chip: Chip, layer: int, bench: LayerBench) -> list[HeldOutError]:
    """Held-out errors of a layer's blocks, in LSB of its converter; at amplifiers' inputs in V."""
    plan = chip.plans[layer]
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=plan.signed_output)
    rows = []
    for factor, (sweep, _, fit) in bench.amplifiers.items():
        held_out, name = sweep.instances.held_out, times(factor)
        rows += [
            _row(f"{plan.name} amplifiers{name}", held_out, fit.error_v / lsb, "LSB"),
            _row(f"{plan.name} amplifiers' inputs{name}", held_out, fit.input_error_v, "V"),
        ]
    (of_neurons, _, neurons), (of_converters, _, converters) = bench.neurons, bench.converters
    held_out = of_neurons.instances.held_out
    rows.append(_row(f"{plan.name} neurons", held_out, neurons.error_v / lsb, "LSB"))
    held_out = of_converters.instances.held_out
    rows.append(_row(f"{plan.name} converters", held_out, converters.error, "LSB"))
    return rows


def driver_errors(chip: Chip, layer: int, drivers: LineFit) -> list[HeldOutError]:
    """Held-out errors of a layer's drivers, of the read voltage."""
    share = 100 * drivers.error / chip.hardware.driver.v_read_v
    return [_row(f"{chip.plans[layer].name} drivers", "instances", share, "%")]


def cell_errors(chip: Chip, layer: int, cell: CellFit) -> list[HeldOutError]:
    """What a user's cell does that the surrogate's two-terminal cell does not."""
    name = f"{chip.plans[layer].name} cells: current that the bit line does not get"
    return [_row(name, "vectors", 100 * cell.kept, "%")]


def wire_errors(chip: Chip, layer: int, fit: WireFit) -> list[HeldOutError]:
    """Held-out errors of a layer's tiles: transfers, and currents as the converter sees them."""
    plan = chip.plans[layer]
    layout = TileLayout.of(plan)
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=plan.signed_output)
    rows = []
    for factor, off in fit.errors.items():
        name = (
            f"{plan.name} wires {layout.tile_rows}x{layout.tile_cols}{times(factor)},"
            f" {100 * off.mean_drop:.1f} % mean current loss"
        )
        in_lsb = off.vector_a * (factor * plan.r_feedback_ohm / lsb)
        rows += [
            _row(f"{name}: transfer (Frobenius)", "arrays", 100 * off.array, "%"),
            _row(f"{name}: currents", "vectors", in_lsb, "LSB"),
        ]
    return rows


def _row(quantity: str, held_out: str, error: Array, unit: str) -> HeldOutError:
    size = np.abs(error)
    return HeldOutError(
        quantity,
        held_out,
        int(size.size),
        float(np.median(size)),
        float(np.quantile(size, 0.95)),
        float(size.max()),
        unit,
    )


def periphery_curves(chip: Chip, layer: int, bench: LayerBench) -> list[MeasuredCurve]:
    """Transfer curves of one held-out instance of each block, on held-out points only."""
    plan = chip.plans[layer]
    signed = plan.signed_output
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=signed)
    low, high = quantiser.code_range(chip.hardware.adc, signed=signed)
    (sweep, plots, neurons), (of_adc, adc_plots, converters) = bench.neurons, bench.converters
    neuron_x, neuron_y, of_neuron = _held_out_curve(sweep, plots)
    adc_x, adc_y, of_converter = _held_out_curve(of_adc, adc_plots)
    gain, offset = converters.gain.at(*of_converter), converters.offset_v.at(*of_converter)
    line = (adc_x * float(gain) + float(offset)) / lsb
    amplifiers = []
    for factor, (of_factor, of_plots, fit) in bench.amplifiers.items():
        x, y, of_amplifier = _held_out_curve(of_factor, of_plots)
        amplifiers.append(
            MeasuredCurve(
                f"{plan.name} amplifier{times(factor)}",
                "tia",
                x * 1e6,
                "input current (µA)",
                y,
                _read(fit.curves, of_amplifier, x),
                "output (V)",
                f"closed-loop transimpedance {_resistance(factor * plan.r_feedback_ohm)} nominal",
            )
        )
    return [
        *amplifiers,
        MeasuredCurve(
            f"{plan.name} neuron",
            "neuron",
            neuron_x,
            "input (V)",
            neuron_y,
            _read(neurons.curves, of_neuron, neuron_x),
            "output (V)",
            f"{plan.neuron}; {chip.hardware.adc.v_full_scale_v:g} V stands for {plan.span:.3g}",
        ),
        MeasuredCurve(
            f"{plan.name} converter",
            "adc",
            adc_x,
            "input (V)",
            adc_y,
            np.clip(np.floor(line + 0.5), low, high),
            "code (LSB)",
            f"1 LSB = {lsb * 1e3:.3f} mV",
        ),
    ]


def _resistance(ohm: float) -> str:
    """With the prefix in which it reads easily."""
    for size, prefix in ((1e6, "M"), (1e3, "k")):
        if ohm >= size:
            return f"{ohm / size:.4g} {prefix}Ω"
    return f"{ohm:.4g} Ω"


def _held_out_curve(
    sweep: BlockSweep, plots: Sequence[RawPlot]
) -> tuple[Array, Array, list[torch.Tensor]]:
    """Inputs and outputs of one instance, [point] each, and what it has drawn.

    It is a held-out one; the block itself where nothing is drawn.
    """
    of = sweep.instances
    one = of.fitted if of.fitted < len(of) else 0
    drawn = [values[one] for values in of.tensors()]
    return sweep.x[1::2], sweep.read("out", plots)[1::2, one], drawn


def _read(curves: BlockCurves, drawn: list[torch.Tensor], x: Array) -> Array:
    """Outputs of one instance, [point]."""
    placed = curves.at(*(one.reshape(1, 1) for one in drawn))
    return np.asarray(placed(torch.from_numpy(x[:, None])).numpy()[:, 0])
