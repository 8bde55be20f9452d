"""What the lines of an array end in: resistances, drivers at the far end, and nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from cosim.nodal.blocks import Blocks, places
from cosim.nodal.dense import solve


def behind(
    blocks: Blocks, group: str, series_ohm: torch.Tensor
) -> tuple[Blocks, torch.Tensor, torch.Tensor]:
    """Blocks with a resistance in series at the near ends of their lines.

    Returns them, the voltages at these ends for unit inputs [..., port, input], and by how much
    these change per unit of the group's own output before.

    Args:
        blocks: the blocks.
        group: "L" for word lines, "B" for bit lines.
        series_ohm: [..., port], broadcast against the blocks; finite, since an open end is an open
            segment: `cosim.nodal.opens`.
    """
    rows, cols = places(blocks.outputs, blocks.way), places(blocks.inputs, blocks.way)
    # A driver's voltage falls by the current into the line, a sense node's rises by that out of it.
    scale = -series_ohm if group == "L" else series_ohm
    own = torch.ones_like(scale)
    matrix = torch.diag_embed(own) - scale.unsqueeze(-1) * blocks.part(group, group)
    answer = solve(matrix, torch.diag_embed(scale).expand(matrix.shape))
    change = answer @ blocks.hybrid[..., rows[group], :]
    hybrid = blocks.hybrid + blocks.hybrid[..., cols[group]] @ change
    end_v = change.clone()
    end_v[..., cols[group]] += torch.eye(change.shape[-2], dtype=own.dtype, device=own.device)
    return replace(blocks, hybrid=hybrid), end_v, answer


def held(
    blocks: Blocks, group: str, series_ohm: torch.Tensor, shunt_s: torch.Tensor | None = None
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
        shunt_s: what the blocks have there to ground and is taken back, likewise.
    """
    rows, cols = places(blocks.outputs, blocks.way), places(blocks.inputs, blocks.way)
    # The current j is drawn out of a word line, v = v_held + r j, and into a bit line from above,
    # v = v_held - r j; with v = row + h i and i = j -+ shunt v all of it times 1 / r where r is
    # large.
    sign = 1.0 if group == "R" else -1.0
    large = series_ohm > 1.0
    scale = torch.where(large, 1.0 / series_ohm, 1.0)
    own = torch.where(large, 1.0, series_ohm)
    of_line = scale if shunt_s is None else scale - own * shunt_s
    part = blocks.part(group, group)
    matrix = torch.diag_embed(own) - sign * of_line.unsqueeze(-1) * part
    given = [torch.diag_embed(sign * x).expand(matrix.shape) for x in (of_line, scale)]
    answer, of_held = solve(matrix, torch.stack(given))
    row = blocks.hybrid[..., rows[group], :].clone()
    row[..., cols[group]] = 0.0
    current = answer @ row
    current[..., cols[group]] = -of_held
    hybrid = blocks.hybrid.clone()
    column = hybrid[..., cols[group]].clone()
    hybrid[..., cols[group]] = 0.0
    hybrid = hybrid + column @ current
    # From the source into a word line, out of a bit line to the node: against j, both.
    through = current
    if shunt_s is not None:
        through = current + sign * shunt_s.unsqueeze(-1) * hybrid[..., rows[group], :]
    hybrid[..., rows[group], :] = -through
    return replace(blocks, hybrid=hybrid), current, answer
