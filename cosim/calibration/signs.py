"""Whether a user's amplifier and neuron do what a chip is mapped for.

Of an amplifier: sign, reach, feedback and gain. Sign is that of the slope where no current flows;
how far the output follows is another question, with another answer for its designer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.calibration.periphery import BlockSweep, times
from cosim.ngspice import RawPlot
from netlists.chip import Chip
from netlists.mapping import RAIL_SHARE

Array = NDArray[np.float64]

# Against rf: training takes any gain, but the range of the converters is planned with this one.
_FACTOR = 1.5
# Off by that factor it is not the gain of an amplifier in its feedback.
_LOST = 10.0
# What is smaller than that share of what was asked for has no sign.
_FLAT = 0.01
# The share of the range of work around 0 that has the sign.
_AROUND_ZERO = 1 / 32
# Short of its line by that share at the end of the range of work; a tanh with its rails at v_rail_v
# is 10 % short there.
_SHORT = 0.15
# Below that share of v_rail_v the rails are others than configured; that tanh reaches 90 %.
_RAIL_MET = 0.85
# Back by that share of what it had reached it does not clip, it collapses.
_TURNED = 0.25
# Feedback of gain A moves the input by rf / A: what is smaller than these shares of rf, or than so
# many times what a straight line leaves of the input, is the solver's.
_LEAST_SLOPE = 1e-9
_ABOVE_REST = 10.0
# Which share of the converters' full scale a neuron gives: more clips, less wastes codes.
_LEAST_SHARE, _MOST_SHARE = 0.5, 1.1


def spread_without_effect(chip: Chip) -> list[str]:
    """Keys of the configuration that draw nothing, since the user's block lacks the parameter."""
    tia, neuron = chip.hardware.tia, chip.hardware.neuron
    keys = (
        ("tia", "vos", "sigma_offset_v", tia.sigma_offset_v),
        ("tia", "rf", "sigma_feedback", tia.sigma_feedback),
        ("neuron", "vos", "sigma_offset_v", neuron.sigma_offset_v),
        ("neuron", "gain", "sigma_gain", neuron.sigma_gain),
    )
    return [
        f"the user's {role} has no parameter {parameter}: [{role}] {key} = {sigma:g} draws nothing,"
        f" and all its instances are alike; declare {parameter} at .subckt and use it, or set"
        f" {key} = 0"
        for role, parameter, key, sigma in keys
        if role in chip.hardware.blocks
        and sigma > 0
        and parameter not in chip.hardware.blocks[role].parameters
    ]


def check_amplifiers(
    chip: Chip, layer: int, sweep: BlockSweep, plots: Sequence[RawPlot], *, factor: float = 1.0
) -> list[str]:
    """Holds a layer's amplifiers against -rf; returns sentences about their gain and rails.

    Args:
        chip: the chip.
        layer: index of the layer.
        sweep: the bench of its amplifiers.
        plots: what ngspice made of it.
        factor: of the arrays whose amplifiers they are.

    Raises:
        InputError: an output rises with the current into the input; it clips, or turns back, at
            currents that the layer is planned for; the input falls with the current, which is
            positive feedback; or the gain is off by a factor of ten and more.
    """
    asked = sweep.instances.values["rf"]
    whole, whole_v = sweep.x, sweep.read("out", plots)
    inside = np.abs(whole) <= sweep.works
    x, out, at_input = whole[inside], whole_v[inside], sweep.read("in", plots)[inside]
    around = np.abs(whole) <= _AROUND_ZERO * sweep.works
    small, start_v = np.polyfit(whole[around], whole_v[around], 1)
    where = f"the user's tia, {chip.plans[layer].name}{times(factor)}"
    wrong = int(np.argmax(small / asked))
    if small[wrong] > _FLAT * asked[wrong]:
        raise InputError(
            "the amplifier has the wrong sign: its output rises with the current into its input",
            where=where,
            value=f"{small[wrong]:+.3g} V/A",
            allowed=f"about {-asked[wrong]:.3g} V/A, which is -rf",
            hint="exchange the nodes of its output or of its controlling source; a feedback"
            " resistor has the value {rf}, without a minus",
        )
    notes: list[str] = []
    follows = -small / asked
    if follows.min() > 1 / _LOST:  # otherwise it is stuck, and reaches nothing
        reaches = [
            _reach(whole, whole_v[:, k], start_v[k], small[k], sweep.works)
            for k in range(len(asked))
        ]
        notes = _check_reach(where, reaches, sweep.works, chip.hardware.tia.v_rail_v)
    _check_feedback(where, x, at_input, asked)
    slope = np.polyfit(x, out, 1)[0]
    ratio = -slope / asked
    furthest = int(np.argmax(np.abs(np.log(np.maximum(ratio, 1e-6)))))
    if 1 / _FACTOR <= ratio[furthest] <= _FACTOR:
        return notes
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
        *notes,
        f"{where}: gives {given} where the layer was planned with {wanted}; training knows, but the"
        " range of the outputs does not: declare rf at .subckt and use it, or check the"
        " amplifier's gain and its [tia] v_rail_v",
    ]


@dataclass(frozen=True)
class _Reach:
    """How far an amplifier's output goes on one side.

    Args:
        at_a: the current where it goes furthest.
        furthest_v: the output there.
        turned: it comes back behind that.
        short: how much of its line is missing at the end of the range of work, of that line.
        of_line: where it goes furthest, as a share of the line at the end of the sweep.
    """

    at_a: float
    furthest_v: float
    turned: bool
    short: float
    of_line: float


def _reach(x: Array, out: Array, start_v: float, slope: float, works: float) -> tuple[_Reach, ...]:
    """One amplifier's reach for currents below and above 0.

    Args:
        x: all currents of the sweep, [point], rising.
        out: output, [point].
        start_v: output without a current.
        slope: around it.
        works: largest current in the range of work.
    """
    found = []
    for side in (-1, 1):
        outward = np.flatnonzero(side * x >= 0)[::side]
        current, gone = x[outward], (out[outward] - start_v) / slope * side  # as currents
        work = int(np.flatnonzero(np.abs(current) <= works)[-1])
        top = int(np.argmax(gone))
        # Of a flat top, the beginning: behind it lie rounding and the last of a soft rail.
        at = int(np.flatnonzero(gone >= (1 - 0.02) * gone[top])[0])
        behind = gone[top : max(work, top) + 1]
        found.append(
            _Reach(
                float(current[at]),
                float(out[outward[top]]),
                bool(behind.min() < (1 - _TURNED) * gone[top]),
                float(1 - gone[work] / abs(current[work])),
                float(gone[top] / abs(current[-1])),
            )
        )
    return tuple(found)


def _check_reach(
    where: str, reaches: Sequence[tuple[_Reach, ...]], works: float, v_rail_v: float
) -> list[str]:
    """Refuses amplifiers that do not follow the currents that their layer is planned for.

    Args:
        where: names the block, for errors.
        reaches: of every instance.
        works: largest current of the plan.
        v_rail_v: the range that the plan was made with.

    Returns:
        A sentence if the rails are closer than that range, and what is planned for is not clipped.

    Raises:
        InputError: an output clips, or turns back, within the plan.
    """
    sides = [side for instance in reaches for side in instance]
    worst = max(sides, key=lambda side: side.short)
    if worst.short > _SHORT and worst.turned:
        raise InputError(
            "it cannot drive the currents of its layer: around 0 the amplifier is right, but its"
            " output stage runs out of current",
            where=where,
            value=f"an output that turns back at {worst.at_a:.3g} A, {worst.furthest_v:.3g} V",
            allowed=f"currents from {-works:.3g} to {works:.3g} A",
            hint="give the output more bias current or a class-AB stage, or have less current:"
            " smaller [cell] g_on_s, [driver] v_read_v, or fewer rows a tile",
        )
    clips = min(sides, key=lambda side: abs(side.furthest_v))
    reached_v = abs(clips.furthest_v)
    follows = clips.of_line > _RAIL_MET  # to the end of the sweep: it has no rails there
    if worst.short > _SHORT or (not follows and reached_v < RAIL_SHARE * v_rail_v):
        raise InputError(
            f"its output clips at {reached_v:.3g} V where [tia] v_rail_v says"
            f" {v_rail_v:.3g} V: what the layer is planned for does not come out",
            where=where,
            value=f"off its line from {worst.at_a:.3g} A on",
            allowed=f"currents from {-works:.3g} to {works:.3g} A, which are outputs up to"
            f" {RAIL_SHARE * v_rail_v:.3g} V, {RAIL_SHARE:g} of v_rail_v",
            hint=f"set [tia] v_rail_v = {reached_v:.2g}, or give the amplifier more"
            " supply or a stronger output",
        )
    if reached_v >= _RAIL_MET * v_rail_v or follows:
        return []
    return [
        f"{where}: its output clips at {reached_v:.3g} V where [tia] v_rail_v says"
        f" {v_rail_v:.3g} V; what the layer is planned for stays below, but set v_rail_v ="
        f" {reached_v:.2g}"
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
