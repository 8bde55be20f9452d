"""What a calibration can show for itself: held-out errors and measured curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.calibration.cells import CellFit
from cosim.calibration.drawn import Instances
from cosim.calibration.periphery import AmplifierFit, BlockSweep, LineFit, NeuronFit
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


def periphery_errors(
    chip: Chip,
    layer: int,
    sweeps: tuple[BlockSweep, BlockSweep, BlockSweep],
    amplifiers: AmplifierFit,
    neurons: NeuronFit,
    converters: LineFit,
) -> list[HeldOutError]:
    """Held-out errors of a layer's blocks, in LSB of its converter; at amplifiers' inputs in V."""
    plan = chip.plans[layer]
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=plan.signed_output)
    of_amplifiers, of_neurons, of_converters = (sweep.instances.held_out for sweep in sweeps)
    return [
        _row(f"{plan.name} amplifiers", of_amplifiers, amplifiers.error_v / lsb, "LSB"),
        _row(f"{plan.name} amplifiers' inputs", of_amplifiers, amplifiers.input_error_v, "V"),
        _row(f"{plan.name} neurons", of_neurons, neurons.error_v / lsb, "LSB"),
        _row(f"{plan.name} converters", of_converters, converters.error, "LSB"),
    ]


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
    name = (
        f"{plan.name} wires {layout.tile_rows}x{layout.tile_cols},"
        f" {100 * fit.mean_drop:.1f} % mean current loss"
    )
    in_lsb = fit.vector_error_a * (plan.r_feedback_ohm / lsb)
    return [
        _row(f"{name}: transfer (Frobenius)", "arrays", 100 * fit.array_error, "%"),
        _row(f"{name}: currents", "vectors", in_lsb, "LSB"),
    ]


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


def periphery_curves(
    chip: Chip,
    layer: int,
    sweeps: tuple[BlockSweep, BlockSweep, BlockSweep],
    plots: Sequence[Sequence[RawPlot]],
    fits: tuple[AmplifierFit, NeuronFit, LineFit],
) -> list[MeasuredCurve]:
    """Transfer curves of one held-out instance of each block, on held-out points only."""
    plan = chip.plans[layer]
    signed = plan.signed_output
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=signed)
    low, high = quantiser.code_range(chip.hardware.adc, signed=signed)
    amplifiers, neurons, converters = fits
    first = [
        (sweep.x[1::2], sweep.read("out", of_sweep)[1::2, _one(sweep.instances)])
        for sweep, of_sweep in zip(sweeps, plots, strict=True)
    ]
    (amp_x, amp_y), (neuron_x, neuron_y), (adc_x, adc_y) = first
    of_amplifier, of_neuron, of_converter = (
        [one[_one(sweep.instances)] for one in sweep.instances.tensors()] for sweep in sweeps
    )
    gain, offset = converters.gain.at(*of_converter), converters.offset_v.at(*of_converter)
    line = (adc_x * float(gain) + float(offset)) / lsb
    return [
        MeasuredCurve(
            f"{plan.name} amplifier",
            "tia",
            amp_x * 1e6,
            "input current (µA)",
            amp_y,
            _read(amplifiers.curves, of_amplifier, amp_x),
            "output (V)",
            f"closed-loop transimpedance {_resistance(plan.r_feedback_ohm)} nominal",
        ),
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


def _read(curves: BlockCurves, drawn: list[torch.Tensor], x: Array) -> Array:
    """Outputs of one instance, [point]."""
    placed = curves.at(*(one.reshape(1, 1) for one in drawn))
    return np.asarray(placed(torch.from_numpy(x[:, None])).numpy()[:, 0])


def _one(of: Instances) -> int:
    """A held-out instance; the block itself where nothing is drawn."""
    return of.fitted if of.fitted < len(of) else 0
