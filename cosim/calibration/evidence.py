"""What a calibration can show for itself: held-out errors and measured curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.calibration.cells import CellFit
from cosim.calibration.periphery import AmplifierFit, BlockSweep, ConverterFit, DriverFit, NeuronFit
from cosim.calibration.wires import WireFit
from cosim.ngspice import RawPlot
from cosim.periphery.surrogate import FittedPeriphery
from cosim.surrogate.curves import Curves
from netlists.adcs import quantiser
from netlists.chip import Chip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutError:
    """How far the surrogate is from ngspice on data that it was not fitted to.

    Attributes:
        quantity: what was calibrated.
        held_out: what was held out: `vectors` or `arrays`.
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
    chip: Chip, layer: int, amplifiers: AmplifierFit, neurons: NeuronFit, converters: ConverterFit
) -> list[HeldOutError]:
    """Held-out errors of a layer's blocks, in LSB of its converter; at amplifiers' inputs in V."""
    plan = chip.plans[layer]
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=plan.signed_output)
    return [
        _row(f"{plan.name} amplifiers", "vectors", amplifiers.error_v / lsb, "LSB"),
        _row(f"{plan.name} amplifiers' inputs", "vectors", amplifiers.input_error_v, "V"),
        _row(f"{plan.name} neurons", "vectors", neurons.error_v / lsb, "LSB"),
        _row(f"{plan.name} converters", "vectors", converters.error_lsb, "LSB"),
    ]


def driver_errors(chip: Chip, layer: int, drivers: DriverFit) -> list[HeldOutError]:
    """Held-out errors of a layer's drivers, of the read voltage."""
    share = 100 * drivers.error_v / chip.hardware.driver.v_read_v
    return [_row(f"{chip.plans[layer].name} drivers", "vectors", share, "%")]


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
    plots: tuple[RawPlot, ...],
    fitted: FittedPeriphery,
) -> list[MeasuredCurve]:
    """Transfer curves of the first instance of each block, on held-out points only."""
    plan = chip.plans[layer]
    signed = plan.signed_output
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=signed)
    low, high = quantiser.code_range(chip.hardware.adc, signed=signed)
    first = [
        (sweep.x[1::2], plot.signal(sweep.outputs[0])[1::2])
        for sweep, plot in zip(sweeps, plots, strict=True)
    ]
    (amp_x, amp_y), (neuron_x, neuron_y), (adc_x, adc_y) = first
    line = (adc_x * float(fitted.adc_gain[0]) + float(fitted.adc_offset_v[0])) / lsb
    return [
        MeasuredCurve(
            f"{plan.name} xtia_0_0",
            "tia",
            amp_x * 1e6,
            "input current [uA]",
            amp_y,
            _read(fitted.amplifiers, amp_x),
            "output [V]",
            f"closed-loop transimpedance {plan.r_feedback_ohm:.0f} ohm nominal",
        ),
        MeasuredCurve(
            f"{plan.name} xneuron_0",
            "neuron",
            neuron_x,
            "input [V]",
            neuron_y,
            _read(fitted.neurons, neuron_x),
            "output [V]",
            f"{plan.neuron}; {chip.hardware.adc.v_full_scale_v:g} V stands for {plan.span:.3g}",
        ),
        MeasuredCurve(
            f"{plan.name} xadc_0",
            "adc",
            adc_x,
            "input [V]",
            adc_y,
            np.clip(np.floor(line + 0.5), low, high),
            "code",
            f"1 LSB = {lsb * 1e3:.3f} mV",
        ),
    ]


def _read(curves: Curves, x: Array) -> Array:
    """The first of some curves."""
    first = (0,) * (curves.value.ndim - 1)
    one = Curves(curves.start, curves.step, curves.value[first], curves.slope[first])
    return np.asarray(one(torch.from_numpy(x)).numpy())
