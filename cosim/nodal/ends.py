"""What the lines of an array end in: resistances, drivers at the far end, and nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from cosim.nodal.blocks import Blocks, places
from cosim.nodal.dense import solve

# What holds a floating line, in siemens: far below any cell, so that its voltage is theirs.
_FLOATING_S = 1e-22


def behind(
    blocks: Blocks, group: str, series_ohm: torch.Tensor
) -> tuple[Blocks, torch.Tensor, torch.Tensor]:
    """Blocks with a resistance in series at the near ends of their lines, infinite for none at all.

    Returns them, the voltages at these ends for unit inputs [..., port, input], and by how much
    these change per unit of the group's own output before.

    Args:
        blocks: the blocks.
        group: "L" for word lines, "B" for bit lines.
        series_ohm: [..., port], broadcast against the blocks.
    """
    rows, cols = places(blocks.outputs, blocks.way), places(blocks.inputs, blocks.way)
    floats = torch.isinf(series_ohm)
    # A driver's voltage falls by the current into the line, a sense node's rises by that out of it:
    # the change u of the voltage is s i, or (1 / s) u = i where s is infinite.
    sign = -1.0 if group == "L" else 1.0
    scale = torch.where(floats, 1.0, sign * series_ohm)
    own = torch.where(floats, sign * _FLOATING_S, 1.0)
    matrix = torch.diag_embed(own) - scale.unsqueeze(-1) * blocks.part(group, group)
    answer = solve(matrix, torch.diag_embed(scale).expand(matrix.shape))
    change = answer @ blocks.hybrid[..., rows[group], :]
    hybrid = blocks.hybrid + blocks.hybrid[..., cols[group]] @ change
    end_v = change.clone()
    end_v[..., cols[group]] += torch.eye(change.shape[-2], dtype=own.dtype, device=own.device)
    return replace(blocks, hybrid=hybrid), end_v, answer


def held(
    blocks: Blocks, group: str, series_ohm: torch.Tensor
) -> tuple[Blocks, torch.Tensor, torch.Tensor]:
    """Blocks whose lines are held at their far ends as well, by a voltage behind a resistance.

    The group's input becomes that voltage, and its output the current from it into the line (R) or
    out of the line to it (T).

    Returns them, the currents at these ends for unit inputs, drawn out of a word line (R) or into
    a bit line (T), [..., port, input], and by how much these change per unit of the group's own
    output before.

    Args:
        blocks: the blocks.
        group: "R" for word lines, "T" for bit lines.
        series_ohm: [..., port], broadcast against the blocks; infinite where a line is open.
    """
    rows, cols = places(blocks.outputs, blocks.way), places(blocks.inputs, blocks.way)
    # The current i is drawn out of a word line, v = v_held + r i, and into a bit line from above,
    # v = v_held - r i; with v = row + h i, all of it times 1 / r where r is large.
    sign = 1.0 if group == "R" else -1.0
    large = series_ohm > 1.0
    scale = torch.where(large, 1.0 / series_ohm, 1.0)
    own = torch.where(large, 1.0, series_ohm)
    matrix = torch.diag_embed(own) - sign * scale.unsqueeze(-1) * blocks.part(group, group)
    row = blocks.hybrid[..., rows[group], :].clone()
    row[..., cols[group]] = -torch.eye(row.shape[-2], dtype=row.dtype, device=row.device)
    answer = solve(matrix, torch.diag_embed(sign * scale).expand(matrix.shape))
    current = answer @ row
    hybrid = blocks.hybrid.clone()
    column = hybrid[..., cols[group]].clone()
    hybrid[..., cols[group]] = 0.0
    hybrid = hybrid + column @ current
    # From the source into a word line, out of a bit line to the node: against i, both.
    hybrid[..., rows[group], :] = -current
    return replace(blocks, hybrid=hybrid), current, answer
