"""An array cut into small blocks, which are joined two by two, all of a level at once.

A joint of h ports costs O(h^3), so all together O(n^3) for n lines, as for nested dissection
(George, SIAM J. Numer. Anal. 10 (1973) 345, doi 10.1137/0710032). What happens at every joint can
be kept: then the way back down gives the inputs of every block, and with them every cell's current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from cosim.nodal.blocks import Blocks, Joint, Way, join, places
from cosim.nodal.ends import behind, held
from cosim.nodal.leaves import Keep, Leaves, blocks_of_cells
from cosim.nodal.lines import Lines, Ohm

_LARGEST = 4  # rows and columns of the blocks that are solved whole


@dataclass(frozen=True)
class Grid:
    """How an array is cut: a power of two of blocks each way.

    What is missing is filled with cells of 0 S behind 0 ohm at the far side of the lines, which
    change nothing.
    """

    rows: int
    cols: int
    up: int
    across: int

    @staticmethod
    def of(rows: int, cols: int) -> Grid:
        """For an array of that size."""
        up, across = (2 ** max(0, math.ceil(math.log2(n / _LARGEST))) for n in (rows, cols))
        return Grid(rows, cols, up, across)

    @property
    def high(self) -> int:
        """Rows of a block."""
        return -(-self.rows // self.up)

    @property
    def wide(self) -> int:
        """Columns of a block."""
        return -(-self.cols // self.across)

    def cut(self, of_cells: torch.Tensor) -> torch.Tensor:
        """[..., row, col] as [..., block row, block col, row, col], rows counted from below."""
        right, top = self.wide * self.across - self.cols, self.high * self.up - self.rows
        filled = torch.nn.functional.pad(of_cells.flip(-2), (0, right, 0, top))
        parts = filled.unflatten(-2, (self.up, self.high)).unflatten(-1, (self.across, self.wide))
        cut: torch.Tensor = parts.transpose(-3, -2)
        return cut

    def put_together(self, blocks: torch.Tensor) -> torch.Tensor:
        """[..., block row, block col, row, col] as [..., row, col], rows counted from above."""
        whole = blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2)
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
        axis: -3 for the left or right edge, -4 for the lower or upper one.
        index: the column or row of blocks that is meant.
        place: the inputs of these blocks that it stands before.
        inner: what these are for unit inputs before it, [..., block, port, input].
        current: through what the lines end in, for unit inputs before it, likewise.
        out: the outputs of these blocks that the lines' ends are.
        answer: what the inner inputs get of these outputs, [..., block, port, port].
        column: what the outputs get of the inner inputs, [..., block, output, port].
    """

    group: str
    axis: int
    index: int
    place: slice
    inner: torch.Tensor
    current: torch.Tensor
    out: slice
    answer: torch.Tensor
    column: torch.Tensor

    def inputs(self, before: torch.Tensor, of_sources: torch.Tensor | None = None) -> torch.Tensor:
        """The inputs of the blocks themselves, [..., block row, block col, input, vector].

        Args:
            before: those before what the lines end in.
            of_sources: what sources inside the blocks add to them, from `lifted`.
        """
        found = before.clone()
        edge = found.select(self.axis, self.index)
        inner = self.inner @ before.select(self.axis, self.index)
        edge[..., self.place, :] = inner if of_sources is None else inner + of_sources
        return found

    def lifted(self, offset: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What sources inside the blocks do before the ends, and what to the inner inputs.

        Args:
            offset: what they do at the outputs of the blocks, [..., output, vector].
        """
        found = offset.clone()
        edge = found.select(self.axis, self.index)
        change = self.answer @ edge[..., self.out, :]
        edge += self.column @ change
        if self.group in "RT":
            edge[..., self.out, :] = -change
        return found, change

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
        found = inputs[..., None, None, :, :]
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
        sources = self.grid.cut(source_a).movedim(-5, -1).flatten(-3, -2)
        offset = leaves.ports_of_sources @ sources
        at_edges, at_joints = [], []
        for edge in self.edges:
            offset, change = edge.lifted(offset)
            at_edges.append(change)
        for joint in self.joints:
            offset, at_joint = joint.lifted(offset)
            at_joints.append(at_joint)
        outputs = self.block.hybrid @ inputs + offset[..., 0, 0, :, :]
        found = inputs[..., None, None, :, :]
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
        """Of [..., block row, block col, inner, vector] the three parts, put together."""
        cells = inner.unflatten(-2, (3, self.grid.high, self.grid.wide))
        current, word, bit = self.grid.put_together(cells.movedim((-4, -1), (-6, -5))).unbind(-4)
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
    up, across = grid.up, grid.across
    blocks, inside = blocks_of_cells(
        grid.cut(conductance_s),
        grid.segments(lines.r_wordline_ohm, lines.r_driver_right_ohm, conductance_s),
        grid.segments(lines.r_bitline_ohm, lines.r_sense_top_ohm, conductance_s),
        _next_way(up, across, grid.high, grid.wide),
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
        blocks, edge = _at_edge(blocks, group, series)
        edges.append(edge)
    joints = []
    while up * across > 1:
        if blocks.way == "across":
            across //= 2
        else:
            up //= 2
        high = blocks.inputs["L"] * (2 if blocks.way == "up" else 1)
        wide = blocks.inputs["B"] * (2 if blocks.way == "across" else 1)
        way = _next_way(up, across, high, wide)
        blocks, joint = join(blocks, way, outputs, inputs, sources=keep == "sources")
        if keep != "nothing":
            joints.append(joint)
    whole = replace(blocks, hybrid=blocks.hybrid[..., 0, 0, :, :])
    return Whole(whole, tuple(joints), tuple(edges), inside, grid)


def _any_ohms(value: Ohm) -> bool:
    ohm = torch.as_tensor(value)
    return ohm.requires_grad or bool((ohm != 0).any())


def _at_edge(blocks: Blocks, group: str, series_ohm: torch.Tensor) -> tuple[Blocks, Edge]:
    """The grid with what its lines end in at one of its edges."""
    axis, first = -3 if group in "LR" else -4, group in "LB"
    count = blocks.hybrid.shape[axis]
    at_edge = replace(blocks, hybrid=blocks.hybrid.select(axis, 0 if first else count - 1))
    changed, inner, answer = (behind if first else held)(at_edge, group, series_ohm)
    edge = changed.hybrid.unsqueeze(axis)
    rest = blocks.hybrid.narrow(axis, 1 if first else 0, count - 1)
    rest = rest.expand(*edge.shape[:-4], *rest.shape[-4:])
    hybrid = torch.cat([edge, rest] if first else [rest, edge], axis)
    place = places(blocks.inputs, blocks.way)[group]
    out = places(blocks.outputs, blocks.way)[group]
    current = changed.hybrid[..., out, :]
    index = 0 if first else count - 1
    column = at_edge.hybrid[..., place]
    return replace(blocks, hybrid=hybrid), Edge(
        group, axis, index, place, inner, current, out, answer, column
    )


def _next_way(up: int, across: int, high: int, wide: int) -> Way:
    """How a grid of blocks is joined next: so that the blocks become squares."""
    if across == 1 or up == 1:
        return "across" if up == 1 else "up"
    return "across" if wide <= high else "up"
