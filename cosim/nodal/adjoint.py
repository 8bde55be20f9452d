"""The port matrix of an array, and its gradient by the adjoint network: by the network itself.

With the signs of `_SIGN` the hybrid matrix of a block is symmetric: its network is reciprocal. Then
a change of a conductance changes an entry by the product of two voltages across it, a change of a
resistance by that of two currents through it (Director and Rohrer, IEEE Trans. Circuit Theory 16
(1969) 318, doi 10.1109/TCT.1969.1082965). So the gradient S of a loss by the matrix goes down
through the joints by S -> P S P', where P makes the inputs of the parts from those of the whole:
matrix products, no solution, and of the forward way nothing but the joints.
"""

from __future__ import annotations

from typing import Any

import torch

from compact_models.errors import InputError
from cosim.nodal.blocks import places
from cosim.nodal.hierarchy import Whole, joined
from cosim.nodal.lines import Lines, Ohm

_SIGN = {"L": 1.0, "R": 1.0, "B": -1.0, "T": -1.0}
_ENDS = ("L", "B", "R", "T")  # in the order in which `Lines` names their resistances


def port_matrix(
    conductance_s: torch.Tensor, lines: Lines, outputs: str, inputs: str
) -> tuple[Whole, torch.Tensor]:
    """The array as one block, and its hybrid matrix with gradients [..., output, input].

    Args:
        conductance_s: [..., row, col] in siemens.
        lines: what runs through it; checked.
        outputs: groups of ports whose outputs are asked for; all of them among `inputs`.
        inputs: groups whose inputs are not zero.
    """
    given = (
        conductance_s,
        lines.r_wordline_ohm,
        lines.r_bitline_ohm,
        lines.r_driver_ohm,
        lines.r_sense_ohm,
        lines.r_driver_right_ohm,
        lines.r_sense_top_ohm,
    )
    wanted = torch.is_grad_enabled() and any(
        isinstance(x, torch.Tensor) and x.requires_grad for x in given
    )
    if not wanted:
        with torch.inference_mode():  # a tenth faster than without gradients, for small arrays
            whole = joined(conductance_s, lines, outputs=outputs, inputs=inputs, keep="nothing")
        return whole, whole.block.hybrid.clone()
    with torch.no_grad():
        whole = joined(conductance_s, lines, outputs=outputs, inputs=inputs, keep="inside")
    found: torch.Tensor = _PortMatrix.apply(whole, *given)  # type: ignore[no-untyped-call]  # torch
    return whole, found


class _PortMatrix(torch.autograd.Function):
    """The hybrid matrix that has been computed, and its gradient."""

    @staticmethod
    def forward(ctx: Any, whole: Whole, *given: torch.Tensor | Ohm | None) -> torch.Tensor:
        """The matrix itself."""
        ctx.whole = whole
        # To hang second derivatives on; nothing of them is read.
        ctx.trained = [x for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
        ctx.shapes = [x.shape if isinstance(x, torch.Tensor) else None for x in given]
        return whole.block.hybrid.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of the conductances, then of the resistances as `Lines` has them."""
        again = torch.is_grad_enabled()
        with torch.no_grad():
            found = _PortMatrix._gradients(ctx, gradient)
        if again:
            found = tuple(
                x if x is None else _OnlyOnce.apply(x, gradient, *ctx.trained)  # type: ignore[no-untyped-call]  # torch
                for x in found
            )
        return found

    @staticmethod
    def _gradients(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        whole: Whole = ctx.whole
        at_parts, at_ends = _go_down(whole, gradient)
        cells, word, bit = _of_leaves(whole, at_parts)
        of_ends = [at_ends.get(group) for group in _ENDS]
        found: list[torch.Tensor | None] = [cells, word, bit, *of_ends]
        return (
            None,
            *(
                x.sum_to_size(shape) if needed and x is not None else None
                for x, shape, needed in zip(
                    found, ctx.shapes, ctx.needs_input_grad[1:], strict=True
                )
            ),
        )


class _OnlyOnce(torch.autograd.Function):
    """A gradient that depends on what it is given but has no derivative by it here."""

    @staticmethod
    def forward(ctx: Any, found: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        """The gradient itself."""
        return found.clone()

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ARG004
        """Says what has one."""
        raise InputError(
            "the exact transfer has no second derivatives",
            where="solve_transfer",
            hint="take them from the currents of solve_state",
        )


def _go_down(whole: Whole, gradient: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """S of every smallest block, and the gradients of the resistances at the ends, by group."""
    block, grid = whole.block, whole.grid
    rows, cols = places(block.outputs, block.way), places(block.inputs, block.way)
    s = gradient.new_zeros(*gradient.shape[:-2], *[gradient.shape[-1]] * 2)
    for group, sign in _SIGN.items():
        if block.outputs[group]:
            s[..., cols[group], :] = sign * gradient[..., rows[group], :]
    s = whole.joints.congruent((0.5 * (s + s.mT))[..., None, :, :])
    at_ends = {}
    for edge in reversed(whole.edges):
        at_edge = s.index_select(-3, edge.blocks)
        change = -((edge.current @ at_edge) * edge.current).sum(-1).flatten(-2)
        is_word = edge.group in "LR"
        change = change[..., : grid.rows if is_word else grid.cols]
        at_ends[edge.group] = change.flip(-1) if is_word else change
        s = edge.congruent(s)
    return s, at_ends


def _of_leaves(whole: Whole, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of conductances, word-line and bit-line segments, each [..., row, col]."""
    if whole.inside is None:
        raise AssertionError("the joints were not kept")
    grid = whole.grid
    high, wide = grid.high, grid.wide
    way = grid.ways[0] if grid.ways else whole.block.way
    place = places({"L": high, "R": high, "B": wide, "T": wide}, way)
    current, word_v, bit_v = whole.inside.inner.unflatten(-2, (3, high, wide)).unbind(-4)

    def both(of_inputs: torch.Tensor) -> torch.Tensor:
        flat = of_inputs.flatten(-3, -2)
        return grid.put_together(((flat @ s) * flat).sum(-1).unflatten(-1, (high, wide)))

    in_word = current.flip(-2).cumsum(-2).flip(-2)
    in_bit = current.flip(-3).cumsum(-3).flip(-3)
    eye_row, eye_col = (torch.eye(n, dtype=s.dtype, device=s.device) for n in (high, wide))
    in_word[..., place["R"]] += eye_row[:, None, :]
    in_bit[..., place["T"]] += eye_col
    if whole.shunts is not None:
        in_word = in_word + whole.shunts.right[..., None, None] * word_v[..., -1:, :]
        in_bit = in_bit - whole.shunts.top[..., None, :, None] * bit_v[..., -1:, :, :]
    cells = both(word_v - bit_v)
    if whole.opens is not None:
        cells = cells.masked_fill(whole.opens.cell_floats, 0.0)
    return cells, -both(in_word), -both(in_bit)
