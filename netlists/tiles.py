"""How a layer lies in tiles: cuts, differential pairs of bit lines, target conductances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.ohmic import OhmicCell, ReferencedCell
from netlists.hardware import TileSpec
from netlists.names import identifier
from netlists.neurons.spec import neuron_by_name

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TilePlan:
    """The part of a layer that one array holds: word lines and outputs, both half-open ranges."""

    name: str
    row_start: int
    row_stop: int
    out_start: int
    out_stop: int

    @property
    def rows(self) -> int:
        """Number of word lines."""
        return self.row_stop - self.row_start

    @property
    def cols(self) -> int:
        """Number of bit lines, two per output."""
        return 2 * (self.out_stop - self.out_start)


@dataclass(frozen=True)
class LayerPlan:
    """How one stage becomes tiles.

    Args:
        name: `layer_<n>`, the name in the netlist.
        source: the module's path in the user's network.
        neuron: name of the activation.
        inputs: values that enter the layer, bias not counted.
        outputs: values that leave it.
        has_bias: whether the last word line is the bias.
        signed_input: whether its inputs take both signs.
        weight_scale: the weight that a fully-on cell stands for.
        input_scale: the input that a digital 1 stands for.
        span: the pre-activation that full-scale voltage stands for.
        r_feedback_ohm: nominal feedback resistance of amplifiers of factor 1.
        tiles: its tiles, array by array.
        factors: of the arrays whose weighted sum the layer is: the gain of their amplifiers, whose
            feedback is so many times `r_feedback_ohm`. Each array holds all weights in tiles of its
            own, cut and driven as those of the others.
    """

    name: str
    source: str
    neuron: str
    inputs: int
    outputs: int
    has_bias: bool
    signed_input: bool
    weight_scale: float
    input_scale: float
    span: float
    r_feedback_ohm: float
    tiles: tuple[TilePlan, ...]
    factors: tuple[float, ...] = (1.0,)

    @property
    def arrays(self) -> int:
        """How many arrays hold its weights together."""
        return len(self.factors)

    def factor_of(self, tile: int) -> float:
        """The factor of the array that a tile is a part of."""
        return self.factors[tile * self.arrays // len(self.tiles)]

    @property
    def distinct_factors(self) -> tuple[float, ...]:
        """Every factor once, as they come."""
        return tuple(dict.fromkeys(self.factors))

    @property
    def rows(self) -> int:
        """Word lines of the whole layer, of one of its arrays."""
        return self.inputs + int(self.has_bias)

    @property
    def output_scale(self) -> float:
        """The activation that a full code of its converter stands for."""
        return neuron_by_name(self.neuron).output_span(self.span)

    @property
    def signed_output(self) -> bool:
        """Whether its converter is signed."""
        return neuron_by_name(self.neuron).signed


def cut(rows: int, outputs: int, spec: TileSpec, *, arrays: int = 1) -> tuple[TilePlan, ...]:
    """Cuts a layer into tiles of nearly equal size, row by row of tiles, array by array."""
    row_edges = _even_edges(rows, spec.max_rows)
    out_edges = _even_edges(outputs, spec.max_cols // 2)
    spans = [(r0, r1, o0, o1) for r0, r1 in pairwise(row_edges) for o0, o1 in pairwise(out_edges)]
    return tuple(TilePlan(f"tile_{k}", *span) for k, span in enumerate(spans * arrays))


def _even_edges(size: int, largest: int) -> list[int]:
    parts = math.ceil(size / largest)
    return [size * k // parts for k in range(parts + 1)]


def augmented(weight: Array, bias: Array | None, input_scale: float) -> Array:
    """The weights as they stand in the array: [row, out], the bias as the last word line."""
    columns = np.asarray(weight, dtype=np.float64).T
    if bias is None:
        return columns
    return np.concatenate([columns, (np.asarray(bias) / input_scale)[None, :]], axis=0)


def share_pairs(share: torch.Tensor, cell: OhmicCell) -> torch.Tensor:
    """Target conductances of weights.

    One cell of a pair carries the weight and the other is off; where a weight of 0 is a conductance
    in between, both stand there and one moves, or both move apart.

    Args:
        share: weights as shares of the weight scale, [row, out]; clipped to what cells reach.
        cell: the conductance range.

    Returns:
        Conductances in siemens, [side, row, out]: plus, then minus.
    """
    span = cell.g_on_s - cell.g_off_s
    if not isinstance(cell, ReferencedCell):
        pair = torch.stack([share.clamp(0, 1), (-share).clamp(0, 1)])
        return cell.g_off_s + span * pair
    parts = (0.5 * share, -0.5 * share) if cell.both else (share, torch.zeros_like(share))
    pair = cell.reference_s + span * torch.stack(parts)
    return pair.clamp(cell.g_off_s, cell.g_on_s)


def differential(share: torch.Tensor, cell: OhmicCell) -> torch.Tensor:
    """The same as it lies in a tile, [row, 2 * out]: plus and minus bit lines in turn."""
    return share_pairs(share, cell).movedim(0, -1).flatten(start_dim=-2)


def tile_targets(plan: LayerPlan, share: torch.Tensor, cell: OhmicCell) -> list[torch.Tensor]:
    """Target conductances of a layer's tiles, each [row, col] in siemens.

    Args:
        plan: the layer.
        share: its weights as shares of the weight scale, [row, out].
        cell: the conductance range.
    """
    return [
        differential(share[tile.row_start : tile.row_stop, tile.out_start : tile.out_stop], cell)
        for tile in plan.tiles
    ]


def block_name(layer: LayerPlan, tile: TilePlan) -> str:
    """The name of a tile's subcircuit."""
    return identifier(f"{layer.name}_{tile.name}")


def of_arrays(plan: LayerPlan) -> str:
    """What a netlist says of a layer that several arrays hold; empty where one does."""
    if plan.arrays == 1:
        return ""
    factors = ", ".join(f"{one:g}" for one in plan.factors)
    each = len(plan.tiles) // plan.arrays
    return f" times {factors}: {plan.arrays} arrays of {each} tiles each are summed"
