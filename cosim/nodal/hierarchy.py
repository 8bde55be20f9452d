"""An array cut into small blocks, which are joined two by two, all of a level at once.

A joint of h ports costs O(h^3), so all together O(n^3) for n lines, as for nested dissection
(George, SIAM J. Numer. Anal. 10 (1973) 345, doi 10.1137/0710032). What happens at every joint can
be kept: then the way back down gives the inputs of every block, and with them every cell's current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from cosim.nodal.blocks import Blocks, Joint, Way, join, places
from cosim.nodal.ends import behind, held
from cosim.nodal.leaves import Keep, Leaves, blocks_of_cells
from cosim.nodal.lines import Lines, Ohm

_LARGEST = (4, 8)  # rows and columns of the blocks that are solved whole


@dataclass(frozen=True, eq=False)
class Grid:
    """How an array is cut: a power of two of blocks each way.

    What is missing is filled with cells of 0 S behind 0 ohm at the far side of the lines, which
    change nothing.

    Attributes:
        rows: of the array.
        cols: of the array.
        up: blocks above each other.
        across: blocks beside each other.
        ways: how the blocks are joined, the first time first.
        order: which block comes when, [block], for blocks counted row by row from the lower left
            one: those that are joined lie next to each other at every level.
    """

    rows: int
    cols: int
    up: int
    across: int
    ways: tuple[Way, ...]
    order: torch.Tensor

    @staticmethod
    @lru_cache(maxsize=64)
    def of(rows: int, cols: int) -> Grid:
        """For an array of that size."""
        up, across = (
            2 ** max(0, math.ceil(math.log2(n / most)))
            for n, most in zip((rows, cols), _LARGEST, strict=True)
        )
        ways = _ways(up, across, -(-rows // up), -(-cols // across))
        # Row and column of a block are bits; the bit that is joined first counts least.
        place = np.arange(up * across)
        row, col, ups, acrosses = 0 * place, 0 * place, 0, 0
        for level, way in enumerate(ways):
            bit = place >> level & 1
            if way == "up":
                row, ups = row | bit << ups, ups + 1
            else:
                col, acrosses = col | bit << acrosses, acrosses + 1
        return Grid(rows, cols, up, across, ways, torch.from_numpy(row * across + col))

    @property
    def high(self) -> int:
        """Rows of a block."""
        return -(-self.rows // self.up)

    @property
    def wide(self) -> int:
        """Columns of a block."""
        return -(-self.cols // self.across)

    def places(self) -> torch.Tensor:
        """Where each block lies, [block row, block col], rows counted from below."""
        found: torch.Tensor = torch.argsort(self.order).unflatten(0, (self.up, self.across))
        return found

    def cut(self, of_cells: torch.Tensor) -> torch.Tensor:
        """[..., row, col] as [..., block, row, col], rows counted from below."""
        right, top = self.wide * self.across - self.cols, self.high * self.up - self.rows
        filled = of_cells.flip(-2)
        if right or top:
            filled = torch.nn.functional.pad(filled, (0, right, 0, top))
        parts = filled.unflatten(-2, (self.up, self.high)).unflatten(-1, (self.across, self.wide))
        in_rows: torch.Tensor = parts.transpose(-3, -2).flatten(-4, -3)
        return in_rows.index_select(-3, self.order.to(of_cells.device))

    def put_together(self, blocks: torch.Tensor) -> torch.Tensor:
        """[..., block, row, col] as [..., row, col], rows counted from above."""
        place = self.places().to(blocks.device)
        in_rows = blocks.index_select(-3, place.flatten()).unflatten(-3, place.shape)
        whole: torch.Tensor = in_rows.transpose(-3, -2).flatten(-2).flatten(-3, -2)
        return whole[..., : self.rows, : self.cols].flip(-2)

    def segments(self, value: Ohm, far_end: Ohm | None, like: torch.Tensor) -> torch.Tensor:
        """Resistances of segments, cut; or [row, col] where they are the same in every block."""
        ohm = torch.as_tensor(value, dtype=like.dtype, device=like.device)
        filled = self.wide * self.across > self.cols or self.high * self.up > self.rows
        if ohm.ndim == 0 and not (filled and far_end is not None):
            return ohm.expand(self.high, self.wide)
        return self.cut(ohm.expand(*ohm.shape[:-2], self.rows, self.cols))

    def ends(self, value: Ohm, like: torch.Tensor, *, of_words: bool, far: bool) -> torch.Tensor:
        """Resistances at the ends of lines, [..., block, line]; lines that only fill end openly."""
        ohm = torch.as_tensor(value, dtype=like.dtype, device=like.device)
        count, blocks = (self.rows, self.up) if of_words else (self.cols, self.across)
        ohm = ohm.expand(*ohm.shape[:-1], count)
        ohm = ohm.flip(-1) if of_words else ohm
        size = -(-count // blocks)
        filled = torch.nn.functional.pad(
            ohm, (0, size * blocks - count), value=math.inf if far else 0.0
        )
        ends: torch.Tensor = filled.unflatten(-1, (blocks, size))
        return ends


@dataclass(frozen=True)
class Edge:
    """What the lines of the blocks at one edge of a grid end in.

    Attributes:
        group: which ends of the lines: L, R, B or T.
        blocks: which blocks these are, [block].
        place: the inputs of these blocks that it stands before.
        inner: what these are for unit inputs before it, [..., block, port, input].
        current: through what the lines end in, for unit inputs before it, likewise.
        out: the outputs of these blocks that the lines' ends are.
        answer: what the inner inputs get of these outputs, [..., block, port, port].
        column: what the outputs get of the inner inputs, [..., block, output, port].
    """

    group: str
    blocks: torch.Tensor
    place: slice
    inner: torch.Tensor
    current: torch.Tensor
    out: slice
    answer: torch.Tensor
    column: torch.Tensor

    def inputs(self, before: torch.Tensor, of_sources: torch.Tensor | None = None) -> torch.Tensor:
        """The inputs of the blocks themselves, [..., block, input, vector].

        Args:
            before: those before what the lines end in.
            of_sources: what sources inside the blocks add to them, from `lifted`.
        """
        edge = before.index_select(-3, self.blocks)
        inner = self.inner @ edge
        changed = edge.clone()
        changed[..., self.place, :] = inner if of_sources is None else inner + of_sources
        return before.index_copy(-3, self.blocks, changed)

    def lifted(self, offset: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What sources inside the blocks do before the ends, and what to the inner inputs.

        Args:
            offset: what they do at the outputs of the blocks, [..., block, output, vector].
        """
        edge = offset.index_select(-3, self.blocks)
        change = self.answer @ edge[..., self.out, :]
        edge = edge + self.column @ change
        if self.group in "RT":
            edge[..., self.out, :] = -change
        return offset.index_copy(-3, self.blocks, edge), change

    def congruent(self, before: torch.Tensor) -> torch.Tensor:
        """P S P' for every block, where P makes its inputs; see `Joint.congruent`."""
        rows = self.inputs(before)
        return self.inputs(rows.mT)


@dataclass(frozen=True)
class Whole:
    """An array as one block.

    Attributes:
        block: its ports are the ends of the lines, rows counted from below; those of lines that
            exist only to fill up the blocks come last.
        joints: every level's, the first joints first; empty if they were not kept.
        edges: what the lines end in, in the order in which it was added.
        inside: what is inside the smallest blocks; None if it was not kept.
        grid: how the array was cut.
    """

    block: Blocks
    joints: tuple[Joint, ...]
    edges: tuple[Edge, ...]
    inside: Leaves | None
    grid: Grid

    def inner(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Currents of the cells [A], voltages of their word-line and of their bit-line nodes [V].

        Each is [..., vector, row, col], rows counted from above.

        Args:
            inputs: of the block, [..., input, vector].
        """
        found = inputs[..., None, :, :]
        for joint in reversed(self.joints):
            found = joint.inputs(found)
        for edge in reversed(self.edges):
            found = edge.inputs(found)
        return self._of_cells(self._kept().inner @ found)

    def answer(
        self, inputs: torch.Tensor, source_a: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs [..., output, vector], and what `inner` gives, with sources beside the cells.

        Args:
            inputs: of the block, [..., input, vector].
            source_a: a current through every cell beside that of its conductance, from word line
                to bit line [A], [..., vector, row, col].
        """
        leaves = self._kept()
        sources = self.grid.cut(source_a).movedim(-4, -1).flatten(-3, -2)
        offset = leaves.ports_of_sources @ sources
        at_edges, at_joints = [], []
        for edge in self.edges:
            offset, change = edge.lifted(offset)
            at_edges.append(change)
        for joint in self.joints:
            offset, at_joint = joint.lifted(offset)
            at_joints.append(at_joint)
        outputs = self.block.hybrid @ inputs + offset[..., 0, :, :]
        found = inputs[..., None, :, :]
        for joint, at_joint in zip(reversed(self.joints), reversed(at_joints), strict=True):
            found = joint.inputs(found, at_joint)
        for edge, change in zip(reversed(self.edges), reversed(at_edges), strict=True):
            found = edge.inputs(found, change)
        inner = leaves.inner @ found + leaves.inner_of_sources @ sources
        return (outputs, *self._of_cells(inner))

    def _kept(self) -> Leaves:
        if self.inside is None:
            raise AssertionError("asked for what was not kept")
        return self.inside

    def _of_cells(self, inner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of [..., block, inner, vector] the three parts, put together."""
        cells = inner.unflatten(-2, (3, self.grid.high, self.grid.wide))
        current, word, bit = self.grid.put_together(cells.movedim((-4, -1), (-5, -4))).unbind(-4)
        return current, word, bit


def joined(
    conductance_s: torch.Tensor, lines: Lines, *, outputs: str, inputs: str, keep: Keep
) -> Whole:
    """The array as one block.

    Args:
        conductance_s: [..., row, col] in siemens.
        lines: what runs through it; checked.
        outputs: groups of ports (L, R, B, T) whose outputs are asked for.
        inputs: groups whose inputs are not zero.
        keep: keep what the way back down needs.
    """
    grid = Grid.of(*conductance_s.shape[-2:])
    ways: tuple[Way, ...] = (*grid.ways, "up")
    blocks, inside = blocks_of_cells(
        grid.cut(conductance_s),
        grid.segments(lines.r_wordline_ohm, lines.r_driver_right_ohm, conductance_s),
        grid.segments(lines.r_bitline_ohm, lines.r_sense_top_ohm, conductance_s),
        ways[0],
        keep=keep,
    )
    edges: list[Edge] = []
    for group, value, far in (
        ("L", lines.r_driver_ohm, False),
        ("B", lines.r_sense_ohm, False),
        ("R", lines.r_driver_right_ohm, True),
        ("T", lines.r_sense_top_ohm, True),
    ):
        if value is None or not (far or _any_ohms(value)):
            continue
        series = grid.ends(value, conductance_s, of_words=group in "LR", far=far)
        blocks, edge = _at_edge(blocks, grid, group, series)
        edges.append(edge)
    joints = []
    left = {"up": grid.up, "across": grid.across}
    for way, following in zip(grid.ways, ways[1:], strict=True):
        left[way] //= 2
        whole = left[way] == 1  # the outer ports of the two are edges of the array
        blocks, joint = join(
            blocks,
            following,
            outputs=_kept(way, outputs) if whole else ("LRBT", "LRBT"),
            inputs=_kept(way, inputs) if whole else ("LRBT", "LRBT"),
        )
        if keep != "nothing":
            joints.append(joint)
    one = replace(blocks, hybrid=blocks.hybrid[..., 0, :, :])
    return Whole(one, tuple(joints), tuple(edges), inside, grid)


def _any_ohms(value: Ohm) -> bool:
    ohm = torch.as_tensor(value)
    return ohm.requires_grad or bool((ohm != 0).any())


def _kept(way: Way, wanted: str) -> tuple[str, str]:
    """Groups of the nearer and of the farther block, without an edge that nobody asks for."""
    near, far = ("L", "R") if way == "across" else ("B", "T")
    return (
        "LRBT" if near in wanted else "LRBT".replace(near, ""),
        "LRBT" if far in wanted else "LRBT".replace(far, ""),
    )


def _at_edge(
    blocks: Blocks, grid: Grid, group: str, series_ohm: torch.Tensor
) -> tuple[Blocks, Edge]:
    """The blocks with what their lines end in at one edge of the array."""
    places_of = grid.places()
    at = {"L": places_of[:, 0], "R": places_of[:, -1], "B": places_of[0], "T": places_of[-1]}
    index = at[group].to(blocks.hybrid.device)
    at_edge = replace(blocks, hybrid=blocks.hybrid.index_select(-3, index))
    end = behind if group in "LB" else held
    changed, inner, answer = end(at_edge, group, series_ohm)
    hybrid = blocks.hybrid.expand(*changed.hybrid.shape[:-3], *blocks.hybrid.shape[-3:])
    place = places(blocks.inputs, blocks.way)[group]
    out = places(blocks.outputs, blocks.way)[group]
    current = changed.hybrid[..., out, :]
    column = at_edge.hybrid[..., place]
    return replace(blocks, hybrid=hybrid.index_copy(-3, index, changed.hybrid)), Edge(
        group, index, place, inner, current, out, answer, column
    )


def _ways(up: int, across: int, high: int, wide: int) -> tuple[Way, ...]:
    """How a grid of blocks is joined: so that the blocks become squares."""
    found: list[Way] = []
    while up * across > 1:
        if across > 1 and (up == 1 or wide <= high):
            found.append("across")
            across, wide = across // 2, 2 * wide
        else:
            found.append("up")
            up, high = up // 2, 2 * high
    return tuple(found)
