"""What a sample draws of the circuits of the backward phase.

Drawn apart from those of the forward phase: that forward and backward do not fit together is what
training on such a chip has to stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netlists.backward.scale import feedback_ohm
from netlists.chip import Array, Draws, TilePeriphery
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class LayerBackward:
    """The backward circuits of a layer.

    Args:
        tiles: amplifiers at the word lines and drivers at the bit lines, tile by tile.
        adc_offset_v: [in].
        adc_gain: [in], about 1.
    """

    tiles: tuple[TilePeriphery, ...]
    adc_offset_v: Array
    adc_gain: Array


def draw_backward(
    hardware: Hardware, plans: Sequence[LayerPlan], *, seed: int, sample: int
) -> tuple[LayerBackward, ...]:
    """Draws the backward circuits of one sample, layer by layer.

    Raises:
        InputError: a layer asks for amplifiers that nobody builds.
    """
    spec, draws = hardware.backward, Draws(seed, sample)
    found = []
    for plan in plans:
        at, nominal_ohm = f"{plan.name}/backward", feedback_ohm(hardware, plan)
        tiles = tuple(
            draws.tile(
                f"{plan.name}/{tile.name}/backward",
                (spec.driver, tile.cols),
                (spec.tia, tile.rows),
                nominal_ohm * plan.factor_of(number),
            )
            for number, tile in enumerate(plan.tiles)
        )
        offset = draws.normal(f"{at}/adc/vos", spec.adc.sigma_offset_v, plan.inputs)
        gain = draws.factor(f"{at}/adc/gain", spec.adc.sigma_gain, plan.inputs)
        found.append(LayerBackward(tiles, offset, gain))
    return tuple(found)
