"""Whether a user's amplifier and neuron do what a chip is mapped for: sign, feedback and gain."""

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
# Off by that factor it is not the gain of an amplifier in its feedback.
_LOST = 10.0
# What is smaller than that share of what was asked for has no sign.
_FLAT = 0.01
# Feedback of gain A moves the input by rf / A: what is smaller than these shares of rf, or than so
# many times what a straight line leaves of the input, is the solver's.
_LEAST_SLOPE = 1e-9
_ABOVE_REST = 10.0
# Which share of the converters' full scale a neuron gives: more clips, less wastes codes.
_LEAST_SHARE, _MOST_SHARE = 0.5, 1.1


def check_amplifiers(
    chip: Chip, layer: int, sweep: BlockSweep, plots: Sequence[RawPlot]
) -> list[str]:
    """Holds a layer's amplifiers against -rf; returns a sentence if their gain is off it.

    Args:
        chip: the chip.
        layer: index of the layer.
        sweep: the bench of its amplifiers.
        plots: what ngspice made of it.

    Raises:
        InputError: an output rises with the current into the input; the input falls with it, which
            is positive feedback; or the gain is off by a factor of ten and more.
    """
    asked = sweep.instances.values["rf"]
    inside = np.abs(sweep.x) <= sweep.works
    x: Array = sweep.x[inside]
    out, at_input = (sweep.read(node, plots)[inside] for node in ("out", "in"))
    slope = np.polyfit(x, out, 1)[0]
    where = f"the user's tia, {chip.plans[layer].name}"
    wrong = int(np.argmax(slope / asked))
    if slope[wrong] > _FLAT * asked[wrong]:
        raise InputError(
            "the amplifier has the wrong sign: its output rises with the current into its input",
            where=where,
            value=f"{slope[wrong]:+.3g} V/A",
            allowed=f"about {-asked[wrong]:.3g} V/A, which is -rf",
            hint="exchange the nodes of its output or of its controlling source",
        )
    _check_feedback(where, x, at_input, asked)
    ratio = -slope / asked
    furthest = int(np.argmax(np.abs(np.log(np.maximum(ratio, 1e-6)))))
    if 1 / _FACTOR <= ratio[furthest] <= _FACTOR:
        return []
    given, wanted = f"{slope[furthest]:.3g} V/A", f"-rf = {-asked[furthest]:.3g} ohm"
    if ratio[furthest] <= 1 / _LOST:
        raise InputError(
            "the output hardly follows the current: the amplifier is stuck at a rail, or nothing"
            " feeds its output back",
            where=where,
            value=f"{given}, output at {out[len(out) // 2, furthest]:+.3g} V without a current",
            allowed=f"about {wanted}",
            hint="see whether the op-amp's inputs are exchanged, whether a resistor of {rf} goes"
            " from out to in, and what its supply and [tia] v_rail_v are",
        )
    if ratio[furthest] >= _LOST:
        raise InputError(
            "the amplifier gives ten times what it was asked for, and more",
            where=where,
            value=given,
            allowed=f"about {wanted}",
            hint="declare rf at .subckt and use it, or check its feedback",
        )
    return [
        f"{where}: gives {given} where the layer was planned with {wanted}; training knows, but the"
        " range of the outputs does not: declare rf at .subckt and use it, or check the"
        " amplifier's gain and its [tia] v_rail_v"
    ]


def _check_feedback(where: str, x: Array, at_input: Array, asked: Array) -> None:
    """Refuses amplifiers whose input falls with the current into it.

    With a resistor rf and an op-amp of gain A it rises by rf / (1 + A) per ampere, and with the
    op-amp's inputs exchanged it falls by rf / (A - 1): the output is the same, and runs away.

    Args:
        where: names the block, for errors.
        x: currents, [point].
        at_input: voltages there, [point, instance].
        asked: rf of every instance [ohm].

    Raises:
        InputError: one of them does.
    """
    slope, start = np.polyfit(x, at_input, 1)
    rest_v = np.sqrt(np.mean((at_input - start - slope * x[:, None]) ** 2, axis=0))
    least_ohm = np.maximum(_LEAST_SLOPE * asked, _ABOVE_REST * rest_v / np.ptp(x))
    worst = int(np.argmin(slope + least_ohm))
    if slope[worst] < -least_ohm[worst]:
        raise InputError(
            "positive feedback: the op-amp's inputs are exchanged; ngspice finds this solution, but"
            " a circuit runs away from it into a rail",
            where=where,
            value=f"{slope[worst]:+.3g} V/A at its input, which falls with the current into it",
            allowed=f"an input that rises, by about rf / gain (rf = {asked[worst]:.3g} ohm)",
            hint="exchange the two inputs of the op-amp",
        )


def check_neurons(chip: Chip, layer: int, sweep: BlockSweep, plots: Sequence[RawPlot]) -> list[str]:
    """Refuses neurons whose output falls from one end of their input range to the other.

    Args:
        chip: the chip.
        layer: index of the layer.
        sweep: the bench of its neurons.
        plots: what ngspice made of it.

    Returns:
        A sentence if the outputs' full scale is not the converters'.

    Raises:
        InputError: an output falls.
    """
    if chip.plans[layer].neuron == "identity":  # a buffer of ours
        return []
    full = chip.hardware.adc.v_full_scale_v
    inside = np.flatnonzero(np.abs(sweep.x) <= full)
    out: Array = sweep.read("out", plots)
    rise = out[inside[-1]] - out[inside[0]]
    worst = int(np.argmin(rise))
    where = f"the user's neuron, {chip.plans[layer].name}"
    if rise[worst] < -_FLAT * full:
        raise InputError(
            "the neuron has the wrong sign: its output falls where its input rises",
            where=where,
            value=f"{rise[worst]:+.3g} V from {-full:.3g} V to {full:.3g} V at its input",
            allowed="an output that rises, as those of the activations do",
            hint="exchange the nodes of its input pair or of its output",
        )
    reach = float(np.median(np.abs(out[inside]).max(axis=0)))
    if _LEAST_SHARE * full <= reach <= _MOST_SHARE * full:
        return []
    what = "what is beyond clips" if reach > full else "most codes are never used"
    return [
        f"{where}: gives up to {reach:.2g} V for inputs up to {full:.3g} V, where the converters'"
        f" full scale is {full:.3g} V ([adc] v_full_scale_v): {what}; set v_full_scale_v to what it"
        " reaches (its inputs are planned for that too), or give it another gain"
    ]
