"""Blocks of an array, known by what they do at their ports, and how two neighbours become one.

A block has four groups of ports: the word lines' left ends L and right ends R, the bit lines' lower
ends B and upper ends T. It maps (v_L, i_R, v_B, i_T) to (i_L, v_R, i_B, v_T), where i_L flows in,
i_R is drawn out to the right, i_T comes in from above and i_B flows out below: a hybrid matrix. In
this form wires of 0 ohm and cells of 0 S are numbers like all others, and joining two blocks solves
with I + (resistance) (conductance): no digits are lost where an admittance matrix of 1 S wires and
1 uS cells loses six.

Every word-line segment belongs to the cell on its right, every bit-line segment to the one above.
Blocks lie in the order in which they are joined: a block and its neighbour are next to each other,
the nearer one first; across that is the left one, up the lower one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch

from cosim.nodal.dense import inverse

Way = Literal["across", "up"]
# The order of the groups in a matrix that is about to be joined: the near ports of the farther
# block first, the far ports of the nearer one last. What remains is one piece, and so is what
# remains without the outermost group, which ends at the edge of the array.
_ORDER: dict[Way, str] = {"across": "LBTR", "up": "BLRT"}


@dataclass(frozen=True)
class Blocks:
    """Blocks of one size.

    Attributes:
        hybrid: [..., block, output, input], in siemens, ohm and ratios.
        outputs: how many outputs each group of ports has; 0 where nobody asks for them.
        inputs: the same for inputs; 0 where they are always zero.
        way: how the blocks are joined next, which is the order of the groups.
    """

    hybrid: torch.Tensor
    outputs: Mapping[str, int]
    inputs: Mapping[str, int]
    way: Way

    def part(self, outputs: str, inputs: str) -> torch.Tensor:
        """The matrix from a group of inputs to a group of outputs."""
        row = places(self.outputs, self.way)[outputs]
        return self.hybrid[..., row, places(self.inputs, self.way)[inputs]]


@dataclass(frozen=True)
class AtJoint:
    """What is at a joint because of sources inside the blocks: [..., port, vector]."""

    voltage: torch.Tensor
    current: torch.Tensor


@dataclass(frozen=True)
class Joint:
    """The ports at which two blocks became one, for unit inputs of the whole.

    Attributes:
        voltage: of the joint, [..., pair, port, input].
        current: through it, to the right or downwards, [..., pair, port, input].
        answer: voltages of the joint for voltages impressed on it, [..., pair, port, port].
        near: where the inputs of the nearer block are among those of the whole, by group.
        far: where those of the farther one are.
        blocks: the blocks before.
        following: how the result is joined next.
        kept: groups of the nearer and of the farther block whose outputs were kept.
    """

    voltage: torch.Tensor
    current: torch.Tensor
    answer: torch.Tensor
    near: Mapping[str, slice]
    far: Mapping[str, slice]
    blocks: Blocks
    following: Way
    kept: tuple[str, str]

    def inputs(self, of_whole: torch.Tensor, of_sources: AtJoint | None = None) -> torch.Tensor:
        """The inputs of the blocks, from those of the joined ones.

        Args:
            of_whole: [..., pair, input, vector].
            of_sources: what sources inside the blocks do at the joint; None without.
        """
        order = _ORDER[self.blocks.way]
        near = [self._part(of_whole, self.near, k) for k in order[:-1]]
        far = [self._part(of_whole, self.far, k) for k in order[1:]]
        voltage, current = self.voltage @ of_whole, self.current @ of_whole
        if of_sources is not None:
            voltage, current = voltage + of_sources.voltage, current + of_sources.current
        return _in_turn(torch.cat([*near, current], -2), torch.cat([voltage, *far], -2))

    def lifted(self, offset: torch.Tensor) -> tuple[torch.Tensor, AtJoint]:
        """What sources inside the blocks do at the ports of the whole, and at the joint.

        Args:
            offset: what they do at the ports of the blocks, [..., block, output, vector].
        """
        grid = self.blocks
        order = _ORDER[grid.way]
        first, last = order[0], order[-1]
        rows, cols = places(grid.outputs, grid.way), places(grid.inputs, grid.way)
        near, far = _pairs(grid.hybrid)
        of_near, of_far = _pairs(offset)
        out, conducts = near[..., rows[last], cols[last]], far[..., rows[first], cols[first]]
        drawn = of_far[..., rows[first], :]
        voltage = self.answer @ (of_near[..., rows[last], :] + out @ drawn)
        current = conducts @ voltage + drawn
        pieces = []
        for one, offsets, group, at_joint, keep in (
            (near, of_near, last, current, self.kept[0]),
            (far, of_far, first, voltage, self.kept[1]),
        ):
            change = offsets + one[..., cols[group]] @ at_joint
            pieces.append({k: change[..., rows[k], :] for k in keep})
        parts = [one[k] for k in _ORDER[self.following] for one in pieces if k in one]
        return torch.cat(parts, -2), AtJoint(voltage, current)

    def congruent(self, of_whole: torch.Tensor) -> torch.Tensor:
        """P S P' for both blocks, where P makes their inputs from those of the whole.

        Args:
            of_whole: S, symmetric, [..., pair, input, input].
        """
        order = _ORDER[self.blocks.way]
        found = []
        for joint, at, groups, last in (
            (self.current, self.near, order[:-1], True),
            (self.voltage, self.far, order[1:], False),
        ):
            at_joint = joint @ of_whole
            rest = torch.cat([self._part(of_whole, at, k) for k in groups], -2).mT
            rest = torch.cat([self._part(rest, at, k) for k in groups], -2)
            across = torch.cat([self._part(at_joint.mT, at, k) for k in groups], -2)
            own = at_joint @ joint.mT
            upper, lower = [rest, across], [across.mT, own]
            if not last:
                upper, lower = [own, across.mT], [across, rest]
            found.append(torch.cat([torch.cat(upper, -1), torch.cat(lower, -1)], -2))
        return _in_turn(*found)

    def _part(self, of_whole: torch.Tensor, at: Mapping[str, slice], group: str) -> torch.Tensor:
        if group in at:
            return of_whole[..., at[group], :]
        count = self.blocks.inputs[group]
        return of_whole.new_zeros(*of_whole.shape[:-2], count, of_whole.shape[-1])


@dataclass(frozen=True)
class _Side:
    """One of two blocks that become one.

    Attributes:
        outputs: its groups that stay and how many outputs each has, in their order.
        inputs: likewise.
        rows: where these outputs are in its matrix.
        cols: where these inputs are.
        row: where the outputs at the joint are.
        col: where the inputs at the joint are.
        at: where these inputs are among those of the whole, by group.
    """

    outputs: Mapping[str, int]
    inputs: Mapping[str, int]
    rows: slice
    cols: slice
    row: slice
    col: slice
    at: Mapping[str, slice]


@dataclass(frozen=True)
class _Plan:
    """How two blocks become one; the same for all pairs.

    Attributes:
        near: the nearer one.
        far: the farther one.
        wanted: which block (0 the nearer one) and which group the inputs of the whole are, in
            their order.
        kept: the same for the outputs.
        outputs: how many outputs each group of the whole has.
        inputs: likewise.
    """

    near: _Side
    far: _Side
    wanted: tuple[tuple[int, str], ...]
    kept: tuple[tuple[int, str], ...]
    outputs: Mapping[str, int]
    inputs: Mapping[str, int]


# Joining looks up the same few plans again and again; making one costs as much as its arithmetic.
@lru_cache(maxsize=256)
def _plan(
    way: Way,
    following: Way,
    sizes: tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]],
    outputs: tuple[str, str],
    inputs: tuple[str, str],
) -> _Plan:
    """The plan for blocks with so many outputs and inputs, of whose groups only some stay."""
    of_rows, of_cols = dict(sizes[0]), dict(sizes[1])
    rows, cols = places(of_rows, way), places(of_cols, way)
    joints = _ORDER[way][-1], _ORDER[way][0]
    kept, wanted = [], []
    for joined, stay, driven in zip(joints, outputs, inputs, strict=True):
        rest = _ORDER[way].replace(joined, "")
        kept.append({k: of_rows[k] for k in rest if k in stay and of_rows[k]})
        wanted.append({k: of_cols[k] for k in rest if k in driven and of_cols[k]})
    in_order = [(k, group) for group in _ORDER[following] for k in (0, 1) if group in wanted[k]]
    at: tuple[dict[str, slice], dict[str, slice]] = ({}, {})
    start = 0
    for k, group in in_order:
        at[k][group] = slice(start, start + wanted[k][group])
        start += wanted[k][group]
    near, far = (
        _Side(
            kept[k], wanted[k], _span(rows, kept[k]), _span(cols, wanted[k]),
            rows[joints[k]], cols[joints[k]], at[k],
        )
        for k in (0, 1)
    )  # fmt: skip
    return _Plan(
        near,
        far,
        tuple(in_order),
        tuple((k, group) for group in _ORDER[following] for k in (0, 1) if group in kept[k]),
        {k: kept[0].get(k, 0) + kept[1].get(k, 0) for k in "LRBT"},
        {k: wanted[0].get(k, 0) + wanted[1].get(k, 0) for k in "LRBT"},
    )


def join(
    blocks: Blocks, following: Way, *, outputs: tuple[str, str], inputs: tuple[str, str]
) -> tuple[Blocks, Joint]:
    """Every other block and its neighbour as one, and what is at their joint.

    Args:
        blocks: an even number of them.
        following: how the result is joined next.
        outputs: groups of the nearer and of the farther block whose outputs are asked for.
        inputs: the same for inputs that are not zero.
    """
    sizes = tuple(blocks.outputs.items()), tuple(blocks.inputs.items())
    plan = _plan(blocks.way, following, sizes, outputs, inputs)
    one, other = plan.near, plan.far
    lead = blocks.hybrid.shape[:-3]
    near, far = _pairs(blocks.hybrid.flatten(0, -3))
    out, conducts = near[:, one.row, one.col], far[:, other.row, other.col]
    drawn = far[:, other.row, other.cols]
    # Resistances times conductances, and resistances have a minus here.
    unit = torch.eye(out.shape[-1], dtype=out.dtype, device=out.device)
    answer = inverse(torch.baddbmm(unit, out, conducts, alpha=-1.0))
    sources = (
        _cut(near[:, one.row, one.cols], one.inputs),
        _cut(torch.bmm(out, drawn), other.inputs),
    )
    voltage = torch.bmm(answer, torch.cat([sources[k][group] for k, group in plan.wanted], -1))
    current = torch.bmm(conducts, voltage)
    for group, part in _cut(drawn, other.inputs).items():
        current[:, :, other.at[group]].add_(part)  # not +=, which copies the slice to itself
    pieces = []
    for matrix, side, at_joint in ((near, one, current), (far, other, voltage)):
        change = torch.bmm(matrix[:, side.rows, side.col], at_joint)
        for group, part in _cut(matrix[:, side.rows, side.cols], side.inputs).items():
            change[:, :, side.at[group]].add_(part)
        pieces.append(_cut(change, side.outputs, -2))
    hybrid = torch.cat([pieces[k][group] for k, group in plan.kept], -2)
    if len(lead):
        hybrid, voltage, current, answer = (
            x.unflatten(0, (*lead, -1)) for x in (hybrid, voltage, current, answer)
        )
    kept = "".join(one.outputs), "".join(other.outputs)
    return (
        Blocks(hybrid, plan.outputs, plan.inputs, following),
        Joint(voltage, current, answer, one.at, other.at, blocks, following, kept),
    )


def places(sizes: Mapping[str, int], way: Way) -> dict[str, slice]:
    """Where each group of ports lies in a matrix of blocks that are joined that way next."""
    found, start = {}, 0
    for group in _ORDER[way]:
        found[group] = slice(start, start + sizes[group])
        start += sizes[group]
    return found


def _pairs(of_blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearer and the farther blocks, [..., pair, row, col]."""
    pairs = of_blocks.unflatten(-3, (-1, 2))
    return pairs[..., 0, :, :], pairs[..., 1, :, :]


def _in_turn(near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """All blocks, from the nearer and the farther ones."""
    return torch.stack((near, far), -3).flatten(-4, -3)


def _cut(matrix: torch.Tensor, sizes: Mapping[str, int], dim: int = -1) -> dict[str, torch.Tensor]:
    """Its columns or rows by groups of ports."""
    return dict(zip(sizes, matrix.split_with_sizes(tuple(sizes.values()), dim), strict=True))


def _span(place: Mapping[str, slice], groups: Mapping[str, int]) -> slice:
    """From the first to the last of groups that lie side by side."""
    found = [place[k] for k in groups]
    if not found:
        return slice(0, 0)
    if sum(one.stop - one.start for one in found) != found[-1].stop - found[0].start:
        raise AssertionError("groups that do not lie side by side")
    return slice(found[0].start, found[-1].stop)
