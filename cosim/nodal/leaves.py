"""Small blocks of cells, each solved whole: what the joining of an array begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch

from cosim.nodal.blocks import Blocks, Way, places
from cosim.nodal.dense import inverse, solve

# What is kept of the way to a solution: nothing, what the inputs do inside, or sources as well.
Keep = Literal["nothing", "inside", "sources"]


@dataclass(frozen=True)
class Leaves:
    """What is inside small blocks, for a unit of every input and of every source.

    Inside are the currents of the cells, then the voltages of their word-line nodes, then those of
    their bit-line nodes. A source is a current through a cell beside that of its conductance.

    Attributes:
        inner: [..., inner, input].
        inner_of_sources: [..., inner, cell]; without any cell where sources were not asked for.
        ports_of_sources: what the sources do at the outputs, [..., output, cell]; likewise.
    """

    inner: torch.Tensor
    inner_of_sources: torch.Tensor
    ports_of_sources: torch.Tensor


def blocks_of_cells(
    conductance_s: torch.Tensor,
    wordline_ohm: torch.Tensor,
    bitline_ohm: torch.Tensor,
    way: Way,
    *,
    keep: Keep,
    shunts: Shunts | None = None,
) -> tuple[Blocks, Leaves | None]:
    """Blocks, and what is inside them if `keep` asks for it.

    With the drop R c that the wires have from the cells' own currents, c = G (P x - R c). An open
    segment is one unknown more, the voltage across it, and one equation, that no current flows.

    Args:
        conductance_s: [..., block, row, col], rows counted from below.
        wordline_ohm: of the segment on the left of every cell, [..., row, col] broadcast to them.
        bitline_ohm: of the segment below every cell, likewise.
        way: how the blocks are joined next.
        keep: what is returned beside the blocks.
        shunts: what stands at the ports where segments are open; None where none is.
    """
    rows, cols = conductance_s.shape[-2:]
    size = {"L": rows, "R": rows, "B": cols, "T": cols}
    place = places(size, way)
    g = conductance_s.flatten(-2).unsqueeze(-1)
    opens = None
    if shunts is not None:
        wordline_ohm, bitline_ohm, opens = _without_opens(wordline_ohm, bitline_ohm, shunts)
    wires = _of_wires(wordline_ohm, bitline_ohm, way)
    if opens is not None and shunts is not None:
        answer, leaves = _around_opens(g, wires, opens, shunts, place, keep)
    elif keep == "sources":
        answer, leaves = _with_sources(g, wires)
    else:
        answer, leaves = _by_halves(g, wires, keep)
    hybrid = answer + wires.straight
    if shunts is not None:
        hybrid = hybrid + torch.diag_embed(shunts.taken_back(place))
    return Blocks(hybrid, size, size, way), leaves


@dataclass(frozen=True)
class Shunts:
    """What stands at the ports of blocks with open segments, see `cosim.nodal.opens` [S].

    Attributes:
        right: from the right ends of word lines to ground, [..., block, row].
        top: from the upper ends of bit lines, [..., block, col].
        left: what is taken back at the left ends, [..., block, row].
        below: what is taken back at the lower ends, [..., block, col].
        in_word: what leaks through open word-line segments, [..., block, row, col]; 0 for most.
        in_bit: what leaks through open bit-line segments, likewise.
    """

    right: torch.Tensor
    top: torch.Tensor
    left: torch.Tensor
    below: torch.Tensor
    in_word: torch.Tensor
    in_bit: torch.Tensor

    def chunk(self, parts: int) -> list[Shunts]:
        """Those of so many equal parts of the blocks."""
        ports = (x.chunk(parts, -2) for x in (self.right, self.top, self.left, self.below))
        leaks = (x.chunk(parts, -3) for x in (self.in_word, self.in_bit))
        return [Shunts(*part) for part in zip(*ports, *leaks, strict=True)]

    def taken_back(self, place: Mapping[str, slice]) -> torch.Tensor:
        """What is added to the currents at the near ends per volt there, [..., block, port]."""
        found = self.left.new_zeros(*self.left.shape[:-1], max(x.stop for x in place.values()))
        found[..., place["L"]] = -self.left
        found[..., place["B"]] = self.below
        return found


@dataclass(frozen=True)
class _Wires:
    """What the wires of blocks do without any cell, and what the cells' currents do in them.

    Attributes:
        of_word: voltages of word-line nodes for unit inputs, [..., cell, input].
        of_bit: of bit-line nodes, likewise.
        straight: from the inputs to the outputs, [..., output, input].
        drop_word: by how much currents through cells lower word-line nodes, [..., cell, cell].
        drop_bit: by how much they raise bit-line nodes, likewise.
        signs: -1 for the ports of bit lines, [input]: they act on a cell with the other sign than
            on its node.
    """

    of_word: torch.Tensor
    of_bit: torch.Tensor
    straight: torch.Tensor
    drop_word: torch.Tensor
    drop_bit: torch.Tensor
    signs: torch.Tensor

    @property
    def given(self) -> torch.Tensor:
        """Of an output by a cell's current, which is of the cell's node by that input."""
        return self.of_word + self.of_bit

    def inner(
        self, currents: torch.Tensor, more: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """What is inside, for the inputs and whatever further columns the currents have.

        Args:
            currents: of the cells, [..., cell, column].
            more: what open segments add to the voltages of word-line and of bit-line nodes,
                likewise.
        """
        word_v, bit_v = -(self.drop_word @ currents), self.drop_bit @ currents
        if more is not None:
            word_v, bit_v = word_v + more[0], bit_v + more[1]
        count = self.of_word.shape[-1]
        word_v[..., :count] += self.of_word
        bit_v[..., :count] += self.of_bit
        return torch.cat([currents, word_v, bit_v], -2)

    def leaves(self, inner: torch.Tensor, answer: torch.Tensor) -> Leaves:
        """Of columns of inputs and then of sources."""
        count = self.of_word.shape[-1]
        return Leaves(inner[..., :count], inner[..., count:], answer[..., count:])


def _by_halves(g: torch.Tensor, wires: _Wires, keep: Keep) -> tuple[torch.Tensor, Leaves | None]:
    """With D the root of G, the cells conduct D (1 + D R D)^-1 D, symmetric and positive.

    X'X with X = L^-1 D P, where L is Cholesky's factor: half of the work of an inverse and less.
    The root has no derivative at 0 S: where one is asked for, c = (1 + G R)^-1 G P.
    """
    if g.requires_grad and torch.is_grad_enabled():
        full = g * (wires.drop_word + wires.drop_bit)
        full = full + torch.eye(full.shape[-1], dtype=full.dtype, device=full.device)
        currents = solve(full, g * (wires.given * wires.signs))
        answer = wires.given.mT @ currents
        return answer, None if keep == "nothing" else wires.leaves(wires.inner(currents), answer)
    root = g.sqrt()
    matrix = root * (wires.drop_word + wires.drop_bit) * root.mT
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    factor, _ = torch.linalg.cholesky_ex(matrix)
    half = torch.linalg.solve_triangular(factor, root * wires.given, upper=False)
    answer = (half.mT @ half).mul_(wires.signs)
    if keep == "nothing":
        return answer, None
    currents = root * torch.linalg.solve_triangular(factor.mT, half, upper=True) * wires.signs
    return answer, wires.leaves(wires.inner(currents), answer)


def _with_sources(g: torch.Tensor, wires: _Wires) -> tuple[torch.Tensor, Leaves]:
    """By the inverse, which is what the cells' currents are for currents beside their own."""
    matrix = g * (wires.drop_word + wires.drop_bit)
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    of_sources = inverse(matrix.flatten(0, -3)).view(matrix.shape)
    # For voltages in series with the cells: symmetric, and LAPACK's answer lies column by column.
    admits = (of_sources * g.mT).mT
    currents = torch.cat([_times(admits, wires.given * wires.signs), of_sources], -1)
    answer = wires.given.mT @ currents
    leaves = wires.leaves(wires.inner(currents), answer)
    return answer[..., : wires.straight.shape[-1]], leaves


def _around_opens(
    g: torch.Tensor,
    wires: _Wires,
    opens: _Opens,
    shunts: Shunts,
    place: Mapping[str, slice],
    keep: Keep,
) -> tuple[torch.Tensor, Leaves | None]:
    """With the voltages across open segments and the currents of the shunts as further unknowns.

    A shunt's current is one more that is drawn at its port: an input beside those from outside.
    """
    at = list(range(place["R"].start, place["R"].stop))
    at += range(place["T"].start, place["T"].stop)
    signs = wires.signs[at]
    shunt = torch.cat([shunts.right, shunts.top], -1).unsqueeze(-1)
    ends, behind = opens.ends(place), opens.word_cells + opens.bit_cells
    matrix = g * (wires.drop_word + wires.drop_bit)
    matrix = matrix + torch.eye(matrix.shape[-1], dtype=g.dtype, device=g.device)
    driven, outer = g * (wires.given * wires.signs), -ends.abs()
    own = torch.diag_embed(-opens.leak - (1.0 - opens.real))
    unit = torch.eye(len(at), dtype=g.dtype, device=g.device)
    of_port = shunt * wires.straight[..., at, :]
    rows = [
        [matrix, g * behind, -driven[..., at] * signs, driven],
        [behind.mT, own, -outer[..., at] * signs, outer],
        [
            -shunt * wires.given.mT[..., at, :],
            -shunt * ends.mT[..., at, :],
            unit - of_port[..., at] * signs,
            of_port,
        ],
    ]
    shape = torch.broadcast_shapes(*(x.shape[:-2] for row in rows for x in row))
    system = torch.cat([torch.cat([x.expand(*shape, -1, -1) for x in row], -1) for row in rows], -2)
    unknowns, (cells, count) = system.shape[-2], driven.shape[-2:]
    whole, right = system[..., :unknowns], system[..., unknowns:]
    if keep == "sources":
        sources = torch.eye(unknowns, cells, dtype=g.dtype, device=g.device)
        right = torch.cat([right, sources.expand(*shape, -1, -1)], -1)
    currents, over, drawn = solve(whole, right).split([cells, behind.shape[-1], len(at)], -2)
    drawn = drawn * signs.unsqueeze(-1)
    answer = wires.given.mT @ currents + ends.mT @ over + wires.straight[..., at] @ drawn
    if keep == "nothing":
        return answer, None
    more = (
        wires.of_word[..., at] @ drawn - opens.word_cells @ over,
        wires.of_bit[..., at] @ drawn + opens.bit_cells @ over,
    )
    return answer[..., :count], wires.leaves(wires.inner(currents, more), answer)


def _signs(place: Mapping[str, slice], like: torch.Tensor) -> torch.Tensor:
    """-1 for the ports of bit lines, [port]."""
    signs = like.new_ones(max(one.stop for one in place.values()))
    for group in "BT":
        signs[..., place[group]] = -1.0
    return signs


def _times(many: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A product with a matrix for every block, or with one for all of them at once."""
    if other.ndim > 2:
        return many @ other
    product: torch.Tensor = (many.reshape(-1, many.shape[-1]) @ other).view(
        *many.shape[:-1], other.shape[-1]
    )
    return product


def _of_wires(word: torch.Tensor, bit: torch.Tensor, way: Way) -> _Wires:
    """What inputs and currents do in blocks with these wires."""
    same = all(not any(x.stride()) and not x.requires_grad for x in (word, bit))
    if same and word.device.type == "cpu":
        return _of_equal_wires(float(word[0, 0]), float(bit[0, 0]), tuple(word.shape), way)
    right, up = word.cumsum(-1), bit.cumsum(-2)  # from the near end of a line to each cell
    rows, cols = right.shape[-2:]
    place = places({"L": rows, "R": rows, "B": cols, "T": cols}, way)
    return _Wires(*_of_inputs(right, up, place), *_drops(right, up), _signs(place, like=word))


@lru_cache(maxsize=64)
def _of_equal_wires(word_ohm: float, bit_ohm: float, shape: tuple[int, int], way: Way) -> _Wires:
    """The same for equal segments: once for all arrays of a study."""
    with torch.inference_mode(mode=False):  # for callers in any mode
        word, bit = (torch.full(shape, x, dtype=torch.float64) for x in (word_ohm, bit_ohm))
        return _of_wires(word, bit, way)


def _of_inputs(
    right: torch.Tensor, up: torch.Tensor, place: Mapping[str, slice]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the inputs do without any cell: at word-line nodes, at bit-line nodes, at the ports."""
    right, up = torch.broadcast_tensors(
        right, up
    )  # one kind of wire may differ from block to block
    rows, cols = right.shape[-2:]
    eye_row, eye_col = (torch.eye(n, dtype=right.dtype, device=right.device) for n in (rows, cols))
    count = max(one.stop for one in place.values())
    of_word, of_bit = (right.new_zeros(*right.shape, count) for _ in range(2))
    of_word[..., place["L"]] = eye_row[:, None, :]
    of_word[..., place["R"]] = -eye_row[:, None, :] * right.unsqueeze(-1)
    of_bit[..., place["B"]] = eye_col
    of_bit[..., place["T"]] = eye_col * up.unsqueeze(-1)
    straight = right.new_zeros(*right.shape[:-2], count, count)
    for near, far, eye, end in (
        ("L", "R", eye_row, -right[..., -1]),
        ("B", "T", eye_col, up[..., -1, :]),
    ):
        straight[..., place[near], place[far]] = eye
        straight[..., place[far], place[near]] = eye
        straight[..., place[far], place[far]] = end.unsqueeze(-1) * eye
    return of_word.flatten(-3, -2), of_bit.flatten(-3, -2), straight


def _drops(right: torch.Tensor, up: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By how much cells' currents lower word-line nodes and raise bit-line ones, [cell, cell]."""
    rows, cols = right.shape[-2:]
    eye_row, eye_col = (torch.eye(n, dtype=right.dtype, device=right.device) for n in (rows, cols))
    row, col = torch.arange(rows), torch.arange(cols)
    along = right[..., torch.minimum(col[:, None], col)]  # [..., row, col, col]
    above = up[..., torch.minimum(row[:, None], row), :].movedim(-1, -2)  # [..., row, col, row]
    word = eye_row[:, None, :, None] * along.unsqueeze(-2)
    bit = eye_col[:, None, :] * above.unsqueeze(-1)
    return word.flatten(-4, -3).flatten(-2), bit.flatten(-4, -3).flatten(-2)


@dataclass(frozen=True)
class _Opens:
    """The open segments of blocks, a few in each; what is missing to the largest number is no open.

    Attributes:
        word_cells: 1 for the cells behind an open segment of a word line, [..., cell, open].
        bit_cells: 1 for the cells behind an open segment of a bit line, [..., cell, open].
        words: 1 for the word line that it is in, [..., open, row]; 0 for one in a bit line.
        bits: 1 for the bit line that it is in, [..., open, col].
        real: 1 for an open segment, 0 for one that is not there, [..., open].
        leak: what leaks through it [S], likewise; 0 for most.
    """

    word_cells: torch.Tensor
    bit_cells: torch.Tensor
    words: torch.Tensor
    bits: torch.Tensor
    real: torch.Tensor
    leak: torch.Tensor

    def ends(self, place: Mapping[str, slice]) -> torch.Tensor:
        """What the voltages at the far ends of the lines get of those across the opens."""
        found = self.real.new_zeros(*self.real.shape, max(one.stop for one in place.values()))
        found[..., place["R"]] = -self.words
        found[..., place["T"]] = self.bits
        return found


def _without_opens(
    wordline_ohm: torch.Tensor, bitline_ohm: torch.Tensor, shunts: Shunts
) -> tuple[torch.Tensor, torch.Tensor, _Opens]:
    """The resistances with 0 for the open segments, and these."""
    in_word, in_bit = torch.isinf(wordline_ohm), torch.isinf(bitline_ohm)
    word, bit = wordline_ohm.masked_fill(in_word, 0.0), bitline_ohm.masked_fill(in_bit, 0.0)
    in_word, in_bit = torch.broadcast_tensors(in_word, in_bit)
    rows, cols = in_word.shape[-2:]
    eye_row, eye_col = (word.new_ones(n).diag() for n in (rows, cols))
    # Of a word-line segment [row, col] the cells of its row from its column on; of a bit-line one
    # the cells of its column from its row on: [segment, cell].
    behind_word = torch.kron(eye_row, word.new_ones(cols, cols).triu())
    behind_bit = torch.kron(word.new_ones(rows, rows).triu(), eye_col)
    real = torch.cat([in_word.flatten(-2), in_bit.flatten(-2)], -1).to(word.dtype)
    most = int(real.sum(-1).amax())
    real, index = real.sort(dim=-1, descending=True, stable=True)
    real, index = real[..., :most], index[..., :most]
    none = word.new_zeros(rows * cols, rows + cols)
    no_cells = word.new_zeros(rows * cols, rows * cols)
    word_cells = torch.cat([behind_word, no_cells])[index] * real.unsqueeze(-1)
    bit_cells = torch.cat([no_cells, behind_bit])[index] * real.unsqueeze(-1)
    of_row, of_col = eye_row.repeat_interleave(cols, 0), eye_col.repeat(rows, 1)
    words = torch.cat([of_row, none[:, :rows]])[index] * real.unsqueeze(-1)
    bits = torch.cat([none[:, :cols], of_col])[index] * real.unsqueeze(-1)
    leak = torch.cat([shunts.in_word.flatten(-2), shunts.in_bit.flatten(-2)], -1)
    several = torch.broadcast_shapes(index.shape[:-1], leak.shape[:-1])
    leak = leak.expand(*several, -1).gather(-1, index.expand(*several, -1)) * real
    return word, bit, _Opens(word_cells.mT, bit_cells.mT, words, bits, real, leak)
