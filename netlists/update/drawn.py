"""What a sample draws of the pulse generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netlists.chip import Array, Draws
from netlists.tiles import LayerPlan
from netlists.update.spec import PulseSpec


@dataclass(frozen=True, eq=False)
class TilePulses:
    """The generators of a tile: factors about 1 on the amplitudes and widths of their pulses.

    Args:
        word_amplitude: [row].
        word_width: [row].
        bit_amplitude: [col].
        bit_width: [col].
    """

    word_amplitude: Array
    word_width: Array
    bit_amplitude: Array
    bit_width: Array


def draw_pulses(
    spec: PulseSpec, plans: Sequence[LayerPlan], *, seed: int, sample: int
) -> tuple[tuple[TilePulses, ...], ...]:
    """Draws the generators of one sample, [layer][tile].

    Args:
        spec: the pulses.
        plans: the layers.
        seed: the study's seed.
        sample: which chip of the study.
    """
    draws = Draws(seed, sample)

    def lines(path: str, count: int) -> tuple[Array, Array]:
        amplitude = draws.factor(f"{path}/amplitude", spec.sigma_amplitude, count)
        return amplitude, draws.factor(f"{path}/width", spec.sigma_width, count)

    return tuple(
        tuple(
            TilePulses(
                *lines(f"{plan.name}/{tile.name}/pulse/word", tile.rows),
                *lines(f"{plan.name}/{tile.name}/pulse/bit", tile.cols),
            )
            for tile in plan.tiles
        )
        for plan in plans
    )
