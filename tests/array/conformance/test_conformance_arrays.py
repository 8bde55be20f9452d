"""Everything that is read and written as an array is: what it keeps, and what changes it.

By the exact solution unless who reads matters; `test_conformance_reads.py` holds all readers to
ngspice.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.surroundings import Ends, TileWires
from cosim.pulses.trains import UpdateRule, pulse_trains
from tests.array.conformance.arrays import KINDS, READ, SIGMA, Kind, one_drawn

LAYOUT = TileLayout((0, 3, 7), (0, 2, 4, 5))
ROW, OUT = TileLayout((0, 1), (0, 2, 3)), TileLayout((0, 3, 4), (0, 1))

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
kinds_read = pytest.mark.parametrize("kind", READ.values(), ids=list(READ))
pairs = pytest.mark.parametrize("pair", ["reference", "both"])
layouts = pytest.mark.parametrize("layout", [LAYOUT, ROW, OUT], ids=["tiles", "one row", "one out"])


def reads(layout: TileLayout, ohm: float, *, offsets: bool = True) -> ExactReads:
    shape = layout.tiles, layout.tile_cols
    lines = layout.tiles * layout.tile_cols
    held = torch.linspace(-1e-3, 2e-3, lines, dtype=torch.float64).view(shape)
    sense = torch.linspace(5.0, 30.0, lines, dtype=torch.float64).view(shape)
    ends = Ends(40.0, sense, held if offsets else None)
    return ExactReads(TileWires(ohm, 1.3 * ohm), ends, Ends(13.0, 70.0))


def volts(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).uniform(-1, 1, shape))


def pair_sums(one: Any, drive_v: torch.Tensor) -> torch.Tensor:
    """Currents of pairs, all tiles together, by reads tile by tile."""
    sums = one.layout.sum_rows(gained(one, one.read(one.layout.split_rows(drive_v))))
    return sums[..., 0] - sums[..., 1]


def gained(one: Any, current_a: torch.Tensor) -> torch.Tensor:
    """What amplifiers of the arrays' factors make of currents of tiles, over those of factor 1."""
    gains: torch.Tensor | None = getattr(one, "gains", None)
    return current_a if gains is None else current_a * gains[:, None, None]


def line_sums(one: Any, d: torch.Tensor) -> torch.Tensor:
    """Currents of word lines for voltages of pairs, likewise."""
    back = one.read_transposed(one.layout.split_cols(torch.stack([d, -d], -1)))
    sums: torch.Tensor = one.layout.sum_cols(gained(one, back))
    return sums


@kinds_read
@pairs
@layouts
def test_all_tiles_together_are_what_they_are_one_by_one(
    kind: Kind, pair: Pair, layout: TileLayout
) -> None:
    near = {"rtol": 1e-10, "atol": 1e-18}
    for how in (reads(layout, 8.0, offsets=False), IdealReads()):
        one = kind.drawn(layout, how, pair=pair)
        drive, d = volts(2, 3, layout.rows), volts(2, 3, layout.outs)
        forward, backward = pair_sums(one, drive), line_sums(one, d)
        torch.testing.assert_close(one.pair_current_a(drive), forward, **near)
        torch.testing.assert_close(one.line_current_a(d), backward, **near)
        torch.testing.assert_close(one.pair_current_a(drive, times=-3.0), -3 * forward, **near)
        # Block by block, without what lies side by side or one below the other.
        one_by_one = one.read(one.layout.split_rows(drive))
        torch.testing.assert_close(
            one.read_blocks(drive), one.layout.col_blocks_of(one_by_one), **near
        )
        one_by_one = one.read_transposed(one.layout.split_cols(torch.stack([d, -d], -1)))
        torch.testing.assert_close(
            one.read_blocks_transposed(d), one.layout.row_blocks_of(one_by_one), **near
        )
        torch.testing.assert_close(drive @ one.matrix(), forward, **near)
        torch.testing.assert_close(d @ one.matrix_transposed().mT, backward, **near)
    # Without wires both are products with the logical weights.
    torch.testing.assert_close(forward * one.weight_per_s, drive @ one.weight())
    torch.testing.assert_close(backward * one.weight_per_s, d @ one.weight().mT)


@kinds_read
def test_without_wires_how_a_matrix_is_cut_changes_nothing(kind: Kind) -> None:
    whole = TileLayout((0, 7), (0, 5))
    drive, d = volts(2, 3, 7), volts(2, 3, 5)
    bare = ExactReads(TileWires(), Ends(), Ends())
    cut, one = (kind.drawn(layout, bare) for layout in (LAYOUT, whole))
    assert torch.equal(cut.weight(), one.weight())
    torch.testing.assert_close(pair_sums(cut, drive), pair_sums(one, drive), rtol=1e-11, atol=0)
    torch.testing.assert_close(line_sums(cut, d), line_sums(one, d), rtol=1e-11, atol=0)


@kinds_read
def test_many_chips_are_what_each_of_them_is_alone(kind: Kind) -> None:
    how = reads(LAYOUT, 8.0)
    many = kind.drawn(LAYOUT, how, chips=3)
    layout = many.layout
    split, back = layout.split_rows(volts(3, 2, 7)), layout.split_cols(volts(3, 2, 5, 2))
    forward, backward = many.read(split), many.read_transposed(back)
    assert not torch.equal(forward[0], forward[1])
    for chip in range(3):
        alone = kind.drawn(LAYOUT, how, samples=(chip,))
        here = slice(chip, chip + 1)
        assert torch.equal(alone.read(split[here])[0], forward[chip])
        assert torch.equal(alone.read_transposed(back[here])[0], backward[chip])


@kinds_read
@pytest.mark.parametrize(("pair", "offsets"), [("reference", True), ("both", False)])
def test_a_surrogate_on_its_way_stays_within_its_tolerance_of_exact(
    kind: Kind, pair: Pair, offsets: bool
) -> None:
    tolerance = 2e-3
    truth = reads(LAYOUT, 60.0, offsets=offsets)
    one = kind.drawn(LAYOUT, AnchoredReads(truth, tolerance), pair=pair, chips=1)
    exact = kind.drawn(LAYOUT, truth, pair=pair, chips=1)
    lost = 1 - float(one.transfer().transfer_s.sum() / one.conductance_s().sum())
    assert lost > 0.02  # the wires matter
    rng = np.random.default_rng(0)
    for step in range(20):
        x, d = (torch.from_numpy(rng.standard_normal((2, n))) for n in (7, 5))
        draw = Stream(1).at("moves", step)
        rule = UpdateRule(0.004, one.cells.dw_min)
        one.update([pulse_trains(x, d, rule, draw)], draw.part("noise"))
        exact.load_state_dict(one.state_dict())
        for own, other in (
            (one.transfer(), exact.transfer()),
            (one.transposed(), exact.transposed()),
        ):
            off = own.transfer_s - other.transfer_s
            each = off.norm(dim=(-2, -1)) / other.transfer_s.norm(dim=(-2, -1))
            assert float(each.max()) <= tolerance
            off = own.at_rest_a - other.at_rest_a
            assert float(off.norm()) <= 0.02 * float(other.at_rest_a.norm())
        if not offsets:
            found, right = one.matrix(), exact.matrix()
            # The pair's difference is smaller than the currents that the tolerance is of.
            size = exact.layout.join_cells(exact.transfer().transfer_s).norm()
            assert float((found - right).norm() / size) <= tolerance
    assert kind.refreshes(one) < 10  # most steps took the cheap way


def test_a_cell_that_begins_to_conduct_is_read_at_once() -> None:
    """As its word line and its bit line let it, and not only when all is computed again."""
    truth = reads(LAYOUT, 60.0, offsets=False)
    named: dict[str, Any] = {"chips": 1, "device": "constant_step", "sigma": {}}
    one = one_drawn(LAYOUT, AnchoredReads(truth, 2e-3), **named)
    nothing = one.cells.weight_of(torch.tensor(1e-16, dtype=torch.float64))
    one.w[:, 0, 2:4, 1] = nothing
    one.transfer(), one.transposed()
    computed = [matrix.refreshes for matrix in one._matrices]
    one.w[:, 0, 2, 1] += 0.01
    exact = one_drawn(LAYOUT, truth, **named)
    exact.load_state_dict(one.state_dict())
    for found, right in (
        (one.transfer().transfer_s, exact.transfer().transfer_s),
        (one.transposed().transfer_s.mT, exact.transposed().transfer_s.mT),
    ):
        cell, wanted = (float(LAYOUT.join_cells(way)[0, 0, 2, 1]) for way in (found, right))
        assert cell == pytest.approx(wanted, rel=0.01)
    assert [matrix.refreshes for matrix in one._matrices] == computed


@kinds
@pairs
@layouts
def test_pulses_move_weights_against_the_product_of_activation_and_error(
    kind: Kind, pair: Pair, layout: TileLayout
) -> None:
    sigma = SIGMA if layout is LAYOUT else {}  # which takes cells to average over
    one = kind.drawn(layout, IdealReads(), pair=pair, device="constant_step", sigma=sigma)
    lr, dw = 3e-4, one.cells.dw_min
    x = torch.tensor([[1.0, -0.5, 0.0, 0.25, 0.9, 0.1, -1.0]], dtype=torch.float64)[
        :, : layout.rows
    ]
    d = torch.tensor([[0.5, -1.0, 0.3, 0.0, 0.8]], dtype=torch.float64)[:, : layout.outs]
    rule = UpdateRule(lr, dw * (2 if pair == "both" else 1))
    before, start, version = one.weight(), one.w.clone(), one.version
    one.matrix()
    calls, batch, steps = 4, 75, 0  # every array has its turn as often as the others
    for step in range(calls):
        draws = [Stream(0, chip).at("u", step) for chip in range(2)]
        many = x.expand(batch, -1), d.expand(batch, -1)
        trains = [pulse_trains(*many, rule, draw) for draw in draws]
        steps += one.update(trains, draws[0].part("noise")).coincidences
        assert one.version > version
        version = one.version
    assert int(one.probe().steps.sum()) == steps
    moved = one.weight() - before
    wanted = -lr * calls * batch * (x.mT @ d)
    slope = float((moved * wanted).sum() / wanted.square().expand_as(moved).sum())
    # Spread of dw_min and of the draws; single lines make some hundred steps in all.
    assert slope == pytest.approx(1.0, abs=0.15 if layout is LAYOUT else 0.35)
    assert not torch.equal(moved[0], moved[1])  # chips have devices and pulses of their own
    drive = volts(2, 3, layout.rows)  # what was computed of the old state is of no use
    torch.testing.assert_close(pair_sums(one, drive) * one.weight_per_s, drive @ one.weight())
    if pair == "reference":
        assert torch.equal(one.w[:, 1], start[:, 1])
    else:
        plus, minus = (one.w - start).unbind(1)
        # Steps that differ by 30 % from cell to cell: -1 / 1.09 in the mean, and few cells.
        assert float((plus * minus).sum() / (plus.norm() * minus.norm())) < -0.8


@kinds
def test_trains_for_every_chip(kind: Kind) -> None:
    one = kind.drawn(LAYOUT, IdealReads())
    with pytest.raises(InputError, match="one set of trains for every chip"):
        one.update([], None)


@kinds
@pairs
def test_programming_says_what_cells_are_short_of(kind: Kind, pair: Pair) -> None:
    one = kind.drawn(LAYOUT, IdealReads(), chips=1, pair=pair)
    version = one.version
    wanted = torch.linspace(-0.3, 0.3, 35, dtype=torch.float64).view(7, 5)
    short = one.program(wanted)
    torch.testing.assert_close(one.weight() + short, wanted.expand(1, 7, 5))
    assert float(short.abs().median()) < 1e-12
    short = one.program(torch.full((7, 5), 9.0, dtype=torch.float64))
    assert one.version > version
    torch.testing.assert_close(short, 9.0 - one.weight())
    assert one.probe().at_bound == 1.0
    assert bool((one.conductance_s() >= 0).all())
    with pytest.raises(InputError, match=r"weight: .*\(7, 5\)"):
        one.program(wanted.T)
    with pytest.raises(InputError, match="less than nothing"):
        one.read_perturbed(
            torch.zeros(1, one.layout.tiles, 1, 4, dtype=torch.float64),
            torch.tensor([[0, 0, 0]]),
            torch.tensor([-1.0]),
        )
    low, _ = one.cells.bounds(one.w)
    assert float(one.cells.conductance_s(low).min()) >= 0.0
    assert all(own.floored > 0 for own in getattr(one.cells, "parts", [one.cells]))


@kinds_read
def test_its_state_is_its_cells_and_nothing_else(kind: Kind) -> None:
    how = reads(LAYOUT, 8.0)
    one, other = kind.drawn(LAYOUT, how), kind.drawn(LAYOUT, how)
    drive = one.layout.split_rows(volts(2, 2, 7))
    other.program(torch.zeros(7, 5))
    away = other.read(drive)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.read(drive), one.read(drive))
    assert not torch.equal(other.read(drive), away)
    again = copy.deepcopy(one)
    again.program(torch.zeros(7, 5))
    assert torch.equal(again.read(drive), away)
    assert torch.equal(other.read(drive), one.read(drive))  # the copy shares no cell
    single = kind.drawn(LAYOUT, IdealReads()).float()
    found = single.pair_current_a(volts(2, 2, 7).float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found * single.weight_per_s, volts(2, 2, 7).float() @ single.weight()
    )


@kinds_read
def test_a_second_one_like_it_has_devices_of_its_own(kind: Kind) -> None:
    how = reads(LAYOUT, 8.0)
    one = kind.drawn(LAYOUT, how)
    read = one.read(drive := one.layout.split_rows(volts(2, 2, 7)))
    other = one.like(Stream(5), "fast")
    assert not other.weight().any()
    same, another = one.like(Stream(5), "fast"), one.like(Stream(5), "slow")
    (low, high), (mine, _), (again, _), (third, _) = (
        x.cells.bounds(x.w) for x in (one, other, same, another)
    )
    assert torch.equal(mine, again)
    assert not torch.equal(mine, low)
    assert not torch.equal(mine, third)
    assert not torch.equal(mine[0], mine[1])  # chips differ
    # The same kind: its spread and its reads; and nothing that is done to it reaches the first.
    assert float(mine.std() / low.std()) == pytest.approx(1.0, abs=0.3)
    assert float(high.std()) > 0
    other.program(one.weight())
    torch.testing.assert_close(other.read(drive), read, rtol=0.2, atol=float(read.abs().max()) / 9)
    assert torch.equal(one.read(drive), read)


@kinds_read
def test_what_torch_writes_past_the_array_is_read(kind: Kind) -> None:
    """The state is a buffer that anyone can write to: no read may go on with what was kept."""
    one, other = (kind.drawn(LAYOUT, reads(LAYOUT, 8.0)) for _ in range(2))
    drive, d = volts(2, 3, LAYOUT.rows), volts(2, 3, LAYOUT.outs)

    def read(of: Any) -> list[torch.Tensor]:
        return [
            pair_sums(of, drive), line_sums(of, d), of.matrix(), of.matrix_transposed(),
            of.read_blocks(drive), of.read_blocks_transposed(d), of.weight(),
        ]  # fmt: skip

    read(one)
    version = one.version
    for written, programmed in zip(one.each, other.each, strict=True):
        with torch.no_grad():
            written.w.copy_(programmed.w + 0.05)
        programmed.load_state_dict(written.state_dict())
    for found, wanted in zip(read(one), read(other), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-18)
    assert one.version > version
