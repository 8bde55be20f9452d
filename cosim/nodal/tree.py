"""All joints of an array, those of its parts side by side on threads.

Half of the blocks of an array become one block that is half of the array, whatever the other half
is. torch's own threads share single operations, which are too short here to be worth it below 256
rows; a thread per part has its own core and its own cache up to the last few joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from cosim.budget.in_threads import in_threads, with_threads
from cosim.nodal.blocks import AtJoint, Blocks, Joint, Way, join
from cosim.nodal.leaves import Keep, Leaves, Shunts, blocks_of_cells

_WORTH_A_THREAD = 64 * 64  # cells; below, the threads wait for each other longer than they work
_WORTH_SHARING = 400  # ports of a part from which on torch shares single operations


@dataclass(frozen=True)
class Step:
    """What is asked of the joints of one level, see `cosim.nodal.blocks.join`."""

    following: Way
    outputs: tuple[str, str]
    inputs: tuple[str, str]


@dataclass(frozen=True)
class Tree:
    """The joints of an array.

    Attributes:
        parts: those inside every part of the array, each the first ones first; the parts are as
            large as each other and lie as the blocks do.
        top: the joints of the parts, likewise.
    """

    parts: tuple[tuple[Joint, ...], ...]
    top: tuple[Joint, ...]

    def inputs(self, of_whole: torch.Tensor, of_sources: Lifted | None = None) -> torch.Tensor:
        """The inputs of the smallest blocks from those of the whole, [..., block, input, vector].

        Args:
            of_whole: [..., 1, input, vector].
            of_sources: what sources inside the blocks do at the joints; None without.
        """
        nothing = Lifted(tuple((None,) * len(x) for x in self.parts), (None,) * len(self.top))
        at = nothing if of_sources is None else of_sources

        def down(
            joints: Sequence[Joint], at_joints: Sequence[AtJoint | None], found: torch.Tensor
        ) -> torch.Tensor:
            for joint, at_joint in zip(reversed(joints), reversed(at_joints), strict=True):
                found = joint.inputs(found, at_joint)
            return found

        found = down(self.top, at.top, of_whole)
        pieces = list(zip(self.parts, at.parts, self._cut(found), strict=True))
        return torch.cat(in_threads(lambda piece: down(*piece), pieces, len(pieces)), -3)

    def lifted(self, offset: torch.Tensor) -> tuple[torch.Tensor, Lifted]:
        """What sources inside the blocks do at the outputs of the whole, and at every joint.

        Args:
            offset: what they do at the smallest blocks' outputs, [..., block, output, vector].
        """

        def up(
            joints: Sequence[Joint], found: torch.Tensor
        ) -> tuple[torch.Tensor, tuple[AtJoint, ...]]:
            at_joints = []
            for joint in joints:
                found, at_joint = joint.lifted(found)
                at_joints.append(at_joint)
            return found, tuple(at_joints)

        pieces = list(zip(self.parts, self._cut(offset), strict=True))
        of_parts = in_threads(lambda piece: up(*piece), pieces, len(pieces))
        whole, at_top = up(self.top, torch.cat([one for one, _ in of_parts], -3))
        return whole, Lifted(tuple(at for _, at in of_parts), at_top)

    def congruent(self, of_whole: torch.Tensor) -> torch.Tensor:
        """P S P' for every smallest block; see `Joint.congruent`."""

        def down(joints: Sequence[Joint], found: torch.Tensor) -> torch.Tensor:
            for joint in reversed(joints):
                found = joint.congruent(found)
            return found

        pieces = list(zip(self.parts, self._cut(down(self.top, of_whole)), strict=True))
        return torch.cat(in_threads(lambda piece: down(*piece), pieces, len(pieces)), -3)

    def _cut(self, of_blocks: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return of_blocks.chunk(len(self.parts), -3)


@dataclass(frozen=True)
class Lifted:
    """What sources inside the blocks do at the joints of a `Tree`, as its joints lie."""

    parts: tuple[tuple[AtJoint | None, ...], ...]
    top: tuple[AtJoint | None, ...]


def join_all(
    blocks: Blocks, steps: Sequence[Step], parts: int, threads: int, *, keep: bool
) -> tuple[Blocks, Tree]:
    """All blocks as one, and the joints.

    Args:
        blocks: 2^n of them.
        steps: what is asked of every level, the first one first.
        parts: into how many the array is cut, a power of two.
        threads: what torch may use for the joints of large parts.
        keep: keep the joints; an empty tree otherwise.
    """
    own = len(steps) - (parts.bit_length() - 1)

    def joined(blocks: Blocks, steps: Sequence[Step]) -> tuple[Blocks, tuple[Joint, ...]]:
        joints = []
        for step in steps:
            blocks, joint = join(blocks, step.following, outputs=step.outputs, inputs=step.inputs)
            if keep:
                joints.append(joint)
        return blocks, tuple(joints)

    pieces = [
        Blocks(one, blocks.outputs, blocks.inputs, blocks.way)
        for one in blocks.hybrid.chunk(parts, -3)
    ]
    of_parts = in_threads(lambda piece: joined(piece, steps[:own]), pieces, parts)
    one = of_parts[0][0]
    halves = torch.cat([part.hybrid for part, _ in of_parts], -3)
    together = Blocks(halves, one.outputs, one.inputs, one.way)
    with with_threads(threads if halves.shape[-1] > _WORTH_SHARING else 1):
        whole, top = joined(together, steps[own:])
    return whole, Tree(tuple(joints for _, joints in of_parts), top)


def leaves_in_parts(
    conductance_s: torch.Tensor,
    wordline_ohm: torch.Tensor,
    bitline_ohm: torch.Tensor,
    way: Way,
    parts: int,
    *,
    keep: Keep,
    shunts: Shunts | None,
) -> tuple[Blocks, Leaves | None]:
    """`cosim.nodal.leaves.blocks_of_cells`, part by part."""
    wires = (
        ohm.chunk(parts, -3) if ohm.ndim > 2 else [ohm] * parts  # [row, col] for all
        for ohm in (wordline_ohm, bitline_ohm)
    )
    at_ports = [None] * parts if shunts is None else shunts.chunk(parts)

    def solved(
        piece: tuple[torch.Tensor, torch.Tensor, torch.Tensor, Shunts | None],
    ) -> tuple[Blocks, Leaves | None]:
        return blocks_of_cells(*piece[:3], way, keep=keep, shunts=piece[3])

    pieces = list(zip(conductance_s.chunk(parts, -3), *wires, at_ports, strict=True))
    found = in_threads(solved, pieces, parts)
    blocks, leaves = found[0]
    kept = [one for _, one in found if one is not None]
    if kept:
        leaves = Leaves(
            *(torch.cat([getattr(one, x.name) for one in kept], -3) for x in fields(Leaves))
        )
    return replace(blocks, hybrid=torch.cat([one.hybrid for one, _ in found], -3)), leaves


def parts_of(conductance_s: torch.Tensor, blocks: int) -> int:
    """Into how many parts an array is cut, a power of two.

    Args:
        conductance_s: [..., row, col] in siemens.
        blocks: how many there are, a power of two.
    """
    if conductance_s.device.type != "cpu":
        return 1
    most = min(torch.get_num_threads(), conductance_s.numel() // _WORTH_A_THREAD, blocks)
    return 1 << max(0, most.bit_length() - 1)
