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

from cosim.budget.in_threads import with_threads
from cosim.nodal.blocks import Blocks, Way, places
from cosim.nodal.ends import behind, held
from cosim.nodal.leaves import Keep, Leaves, Shunts
from cosim.nodal.lines import Lines, Ohm
from cosim.nodal.opens import Opens, find_opens
from cosim.nodal.tree import Step, Tree, join_all, leaves_in_parts, parts_of

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
        with torch.inference_mode(mode=False):  # for callers in any mode
            order = torch.from_numpy(row * across + col)
        return Grid(rows, cols, up, across, ways, order)

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
        shunt_s: what the blocks have at these ends, [..., block, port]; None without opens.
    """

    group: str
    blocks: torch.Tensor
    place: slice
    inner: torch.Tensor
    current: torch.Tensor
    out: slice
    answer: torch.Tensor
    column: torch.Tensor
    shunt_s: torch.Tensor | None = None

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
            through = change
            if self.shunt_s is not None:
                drawn = self.shunt_s.unsqueeze(-1) * edge[..., self.out, :]
                through = change + drawn if self.group == "R" else change - drawn
            edge[..., self.out, :] = -through
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
        joints: of the smallest blocks; empty if they were not kept.
        edges: what the lines end in, in the order in which it was added.
        inside: what is inside the smallest blocks; None if it was not kept.
        grid: how the array was cut.
        opens: what open segments do; None where there are none.
        shunts: what stands at the ports of the smallest blocks because of them; likewise.
    """

    block: Blocks
    joints: Tree
    edges: tuple[Edge, ...]
    inside: Leaves | None
    grid: Grid
    opens: Opens | None = None
    shunts: Shunts | None = None

    def inner(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Currents of the cells [A], voltages of their word-line and of their bit-line nodes [V].

        Each is [..., vector, row, col], rows counted from above. What nothing drives is at 0 V.

        Args:
            inputs: of the block, [..., input, vector].
        """
        found = self.joints.inputs(inputs[..., None, :, :])
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
        at_edges = []
        for edge in self.edges:
            offset, change = edge.lifted(offset)
            at_edges.append(change)
        offset, at_joints = self.joints.lifted(offset)
        outputs = self.block.hybrid @ inputs + offset[..., 0, :, :]
        found = self.joints.inputs(inputs[..., None, :, :], at_joints)
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
        if self.opens is None:
            return current, word, bit
        masks = (self.opens.cell_floats, self.opens.word_floats, self.opens.bit_floats)
        one, two, three = (
            x.masked_fill(mask.unsqueeze(-3), 0.0)
            for x, mask in zip((current, word, bit), masks, strict=True)
        )
        return one, two, three


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
    trained = [_is_trained(x) for x in (lines.r_driver_ohm, lines.r_sense_ohm)]
    lines, opens = find_opens(conductance_s, lines)
    shunts = None
    if opens is not None:
        shunts = _shunts(grid, opens, lines)
        # A cell of 0 S at a floating piece: nothing flows, however little it began to conduct.
        conductance_s = torch.where(opens.cell_floats, conductance_s.detach(), conductance_s)
    parts = parts_of(conductance_s, grid.up * grid.across)
    with with_threads(1) as threads:
        blocks, inside = leaves_in_parts(
            grid.cut(conductance_s),
            grid.segments(lines.r_wordline_ohm, lines.r_driver_right_ohm, conductance_s),
            grid.segments(lines.r_bitline_ohm, lines.r_sense_top_ohm, conductance_s),
            ways[0],
            parts,
            keep=keep,
            shunts=shunts,
        )
        edges: list[Edge] = []
        for group, value, needed in (
            ("L", lines.r_driver_ohm, trained[0] or _any_ohms(lines.r_driver_ohm)),
            ("B", lines.r_sense_ohm, trained[1] or _any_ohms(lines.r_sense_ohm)),
            ("R", lines.r_driver_right_ohm, True),
            ("T", lines.r_sense_top_ohm, True),
        ):
            if value is None or not needed:
                continue
            series = grid.ends(value, conductance_s, of_words=group in "LR", far=group in "RT")
            blocks, edge = _at_edge(blocks, grid, group, series, shunts)
            edges.append(edge)
        steps = []
        left = {"up": grid.up, "across": grid.across}
        for way, following in zip(grid.ways, ways[1:], strict=True):
            left[way] //= 2
            whole = left[way] == 1  # the outer ports of the two are edges of the array
            stay = (_kept(way, asked) if whole else ("LRBT", "LRBT") for asked in (outputs, inputs))
            steps.append(Step(following, *stay))
        blocks, joints = join_all(blocks, steps, parts, threads, keep=keep != "nothing")
    one = replace(blocks, hybrid=blocks.hybrid[..., 0, :, :])
    return Whole(one, joints, tuple(edges), inside, grid, opens, shunts)


def _is_trained(value: Ohm) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def _any_ohms(value: Ohm) -> bool:
    return bool((torch.as_tensor(value) != 0).any())


def _shunts(grid: Grid, opens: Opens, lines: Lines) -> Shunts:
    """Shunts at all ports that take a current, but for ends of lines at which there is nothing."""
    across, up = grid.order % grid.across, grid.order // grid.across
    size = opens.shunt_s.unsqueeze(-3)  # [..., 1, 1, 1] for blocks of rows and columns
    right = across + 1 < grid.across if lines.r_driver_right_ohm is None else across >= 0
    top = up + 1 < grid.up if lines.r_sense_top_ohm is None else up >= 0
    there = ((right, grid.high), (top, grid.wide), (across > 0, grid.high), (up > 0, grid.wide))
    ports = (size[..., 0] * x.to(size).unsqueeze(-1).expand(-1, count) for x, count in there)
    leaks = (grid.cut(x.to(size)) * size for x in (opens.word_leaks, opens.bit_leaks))
    return Shunts(*ports, *leaks)


def _kept(way: Way, wanted: str) -> tuple[str, str]:
    """Groups of the nearer and of the farther block, without an edge that nobody asks for."""
    near, far = ("L", "R") if way == "across" else ("B", "T")
    return (
        "LRBT" if near in wanted else "LRBT".replace(near, ""),
        "LRBT" if far in wanted else "LRBT".replace(far, ""),
    )


def _at_edge(
    blocks: Blocks, grid: Grid, group: str, series_ohm: torch.Tensor, shunts: Shunts | None
) -> tuple[Blocks, Edge]:
    """The blocks with what their lines end in at one edge of the array."""
    places_of = grid.places()
    at = {"L": places_of[:, 0], "R": places_of[:, -1], "B": places_of[0], "T": places_of[-1]}
    index = at[group].to(blocks.hybrid.device)
    at_edge = replace(blocks, hybrid=blocks.hybrid.index_select(-3, index))
    shunt = None
    if group in "LB":
        changed, inner, answer = behind(at_edge, group, series_ohm)
    else:
        if shunts is not None:
            of_lines = shunts.right if group == "R" else shunts.top
            shunt = of_lines.index_select(-2, index)
        changed, inner, answer = held(at_edge, group, series_ohm, shunt)
    hybrid = blocks.hybrid.expand(*changed.hybrid.shape[:-3], *blocks.hybrid.shape[-3:])
    place = places(blocks.inputs, blocks.way)[group]
    out = places(blocks.outputs, blocks.way)[group]
    current = changed.hybrid[..., out, :]
    column = at_edge.hybrid[..., place]
    return replace(blocks, hybrid=hybrid.index_copy(-3, index, changed.hybrid)), Edge(
        group, index, place, inner, current, out, answer, column, shunt
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
