"""Whether a user's amplifier and neuron do what a chip is mapped for: the sign, and the gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.calibration.periphery import BlockSweep
from cosim.ngspice import RawPlot
from netlists.chip import Chip

Array = NDArray[np.float64]

# Against rf: training takes any gain, but the range of the converters is planned with this one.
_FACTOR = 1.5
# What is smaller than that share of what was asked for has no sign.
_FLAT = 0.01


def check_amplifiers(
    chip: Chip, layer: int, sweep: BlockSweep, plots: Sequence[RawPlot]
) -> list[str]:
    """Holds a layer's amplifiers against -rf; returns a sentence if their gain is far off it.

    Args:
        chip: the chip.
        layer: index of the layer.
        sweep: the bench of its amplifiers.
        plots: what ngspice made of it.

    Raises:
        InputError: an output rises with the current into the input.
    """
    asked = sweep.instances.values["rf"]
    inside = np.abs(sweep.x) <= sweep.works
    out: Array = sweep.read("out", plots)[inside]
    slope = np.polyfit(sweep.x[inside], out, 1)[0]
    name = chip.plans[layer].name
    wrong = int(np.argmax(slope / asked))
    if slope[wrong] > _FLAT * asked[wrong]:
        raise InputError(
            "the amplifier has the wrong sign: its output rises with the current into its input",
            where=f"the user's tia, {name}",
            value=f"{slope[wrong]:+.3g} V/A",
            allowed=f"about {-asked[wrong]:.3g} V/A, which is -rf",
            hint="exchange the nodes of its output or of its controlling source",
        )
    ratio = -slope / asked
    furthest = int(np.argmax(np.abs(np.log(np.maximum(ratio, 1e-6)))))
    if 1 / _FACTOR <= ratio[furthest] <= _FACTOR:
        return []
    return [
        f"the user's tia, {name}: gives {slope[furthest]:.3g} V/A where the layer was planned with"
        f" -rf = {-asked[furthest]:.3g} ohm; training knows, but the range of the outputs does not:"
        " declare rf at .subckt and use it, or check the amplifier's gain and its [tia] v_rail_v"
    ]


def check_neurons(chip: Chip, layer: int, sweep: BlockSweep, plots: Sequence[RawPlot]) -> None:
    """Refuses neurons whose output falls from one end of their input range to the other.

    Args:
        chip: the chip.
        layer: index of the layer.
        sweep: the bench of its neurons.
        plots: what ngspice made of it.

    Raises:
        InputError: an output falls.
    """
    full = chip.hardware.adc.v_full_scale_v
    inside = np.flatnonzero(np.abs(sweep.x) <= full)
    out: Array = sweep.read("out", plots)
    rise = out[inside[-1]] - out[inside[0]]
    worst = int(np.argmin(rise))
    if rise[worst] < -_FLAT * full:
        raise InputError(
            "the neuron has the wrong sign: its output falls where its input rises",
            where=f"the user's neuron, {chip.plans[layer].name}",
            value=f"{rise[worst]:+.3g} V from {-full:.3g} V to {full:.3g} V at its input",
            allowed="an output that rises, as those of the activations do",
            hint="exchange the nodes of its input pair or of its output",
        )
