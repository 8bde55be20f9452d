"""One array: what it reads, what it keeps, what pulses and programming do to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model
from compact_models.variation import Stream
from cosim.array.analog_array import AnalogArray, Reads
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.pulse_pairs import draw_pairs
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.surroundings import Ends, TileWires
from cosim.array.updates.step import StepUpdates
from cosim.pulses.trains import UpdateRule, pulse_trains

SIGMA = {"dw_min": 0.3, "w_max": 0.3, "w_min": 0.3, "up_down": 0.01}
LAYOUT = TileLayout((0, 3, 7), (0, 2, 4, 5))


def reads(ohm: float, *, offsets: bool = True) -> ExactReads:
    held = torch.linspace(-1e-3, 2e-3, 6 * 4, dtype=torch.float64).view(6, 4)
    sense = torch.linspace(5.0, 30.0, 6 * 4, dtype=torch.float64).view(6, 4)
    ends = Ends(40.0, sense, held if offsets else None)
    return ExactReads(TileWires(ohm, 1.3 * ohm), ends, Ends(13.0, 70.0))


def array(
    how: Reads, *, pair: Pair = "reference", chips: int = 2, device: str = "soft_bounds"
) -> AnalogArray:
    model = find_model(device)
    cells = draw_pairs(
        model,
        model.parameter_sets[0],
        SIGMA,
        (LAYOUT.rows, LAYOUT.outs),
        pair=pair,
        seed=5,
        samples=tuple(range(chips)),
        path="layer_0",
    )
    made = AnalogArray(LAYOUT, cells, how, StepUpdates(), chips=chips)
    made.program(torch.from_numpy(np.random.default_rng(2).uniform(-0.4, 0.4, (7, 5))))
    return made


def pairs_of(one: AnalogArray, drive_v: torch.Tensor) -> torch.Tensor:
    """Currents of pairs, all tiles together, by reads tile by tile."""
    sums = one.layout.sum_rows(one.read(one.layout.split_rows(drive_v)))
    return sums[..., 0] - sums[..., 1]


@pytest.mark.parametrize("pair", ["reference", "both"])
def test_a_matrix_is_what_all_tiles_read_together(pair: Pair) -> None:
    one = array(reads(8.0, offsets=False), pair=pair)
    drive = torch.rand(2, 3, 7, dtype=torch.float64)
    torch.testing.assert_close(drive @ one.matrix(), pairs_of(one, drive), rtol=1e-10, atol=1e-18)
    d = torch.rand(2, 3, 5, dtype=torch.float64)
    back = one.read_transposed(one.layout.split_cols(torch.stack([d, -d], -1)))
    torch.testing.assert_close(
        d @ one.matrix_transposed().mT, one.layout.sum_cols(back), rtol=1e-10, atol=1e-18
    )


def test_ideal_reads_are_the_weights() -> None:
    one = array(IdealReads())
    torch.testing.assert_close(one.matrix() * one.weight_per_s, one.weight())
    drive = torch.rand(2, 3, 7, dtype=torch.float64)
    torch.testing.assert_close(pairs_of(one, drive) * one.weight_per_s, drive @ one.weight())


@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize("pair", ["reference", "both"])
def test_a_surrogate_on_its_way_stays_within_its_tolerance_of_exact(
    pair: Pair, offsets: bool
) -> None:
    tolerance = 2e-3
    truth = reads(60.0, offsets=offsets)
    how = AnchoredReads(truth, tolerance)
    one, exact = array(how, pair=pair, chips=1), array(truth, pair=pair, chips=1)
    lost = 1 - float(one.transfer().transfer_s.sum() / one.conductance_s().sum())
    assert lost > 0.02  # the wires matter
    rng = np.random.default_rng(0)
    for step in range(30):
        x, d = (torch.from_numpy(rng.standard_normal((2, n))) for n in (7, 5))
        draw = Stream(1).at("moves", step)
        rule = UpdateRule(0.004, one.cells.dw_min)
        one.update([pulse_trains(x, d, rule, draw)], draw.part("noise"))
        exact.w.copy_(one.w)
        exact.version += 1
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
    assert one._matrices[0].refreshes < 15  # most steps took the cheap way


def test_a_perturbed_read_is_the_read_of_an_array_that_is_so() -> None:
    one = array(reads(8.0), chips=1)
    drive = one.layout.split_rows(torch.rand(1, 2, 7, dtype=torch.float64))
    before = one.read(drive)
    cells = torch.tensor([[0, 4, 3], [1, 0, 1]])
    delta = torch.tensor([0.3, -0.2], dtype=torch.float64) * one.cells.slope_s
    changed = one.read_perturbed(drive, cells, delta)
    assert torch.equal(one.read(drive), before)  # nothing is kept
    for (side, row, out), step in zip(cells.tolist(), (0.3, -0.2), strict=True):
        one.w[0, side, row, out] += step
    one.version += 1
    torch.testing.assert_close(changed, one.read(drive))
    assert float((changed - before).norm() / before.norm()) > 1e-3


@pytest.mark.parametrize("pair", ["reference", "both"])
def test_pulses_move_weights_against_the_product_of_activation_and_error(pair: Pair) -> None:
    one = array(IdealReads(), pair=pair, device="constant_step")
    lr, dw = 3e-4, one.cells.dw_min
    x = torch.tensor([[1.0, -0.5, 0.0, 0.25, 0.9, 0.1, -1.0]], dtype=torch.float64)
    d = torch.tensor([[0.5, -1.0, 0.3, 0.0, 0.8]], dtype=torch.float64)
    rule = UpdateRule(lr, dw * (2 if pair == "both" else 1))
    before, start, version = one.weight(), one.w.clone(), one.version
    calls, batch = 3, 100
    for step in range(calls):
        draws = [Stream(0, chip).at("u", step) for chip in range(2)]
        many = x.expand(batch, -1), d.expand(batch, -1)
        one.update([pulse_trains(*many, rule, draw) for draw in draws], draws[0].part("noise"))
    assert one.version == version + calls
    moved = one.weight() - before
    wanted = -lr * calls * batch * (x.mT @ d)
    slope = float((moved * wanted).sum() / wanted.square().expand_as(moved).sum())
    assert slope == pytest.approx(1.0, abs=0.15)  # spread of dw_min and of the draws
    assert not torch.equal(moved[0], moved[1])  # chips have devices and pulses of their own
    if pair == "reference":
        assert not one.w[:, 1].any()
    else:
        plus, minus = (one.w - start).unbind(1)
        # Steps that differ by 30 % from cell to cell: -1 / 1.09 in the mean, and 40 cells.
        assert float((plus * minus).sum() / (plus.norm() * minus.norm())) < -0.8


def test_programming_says_what_cells_are_short_of() -> None:
    one = array(IdealReads(), chips=1)
    low, high = one.cells.bounds(one.w)
    wanted = torch.full((7, 5), 2.0, dtype=torch.float64)
    short = one.program(wanted)
    torch.testing.assert_close(short[0], 2.0 - high[0, 0])
    assert one.probe().at_bound == 1.0
    assert bool((one.conductance_s() >= 0).all())
    with pytest.raises(InputError, match=r"weight: .*\(7, 5\)"):
        one.program(wanted.T)
    with pytest.raises(InputError, match="less than nothing"):
        one.read_perturbed(
            torch.zeros(1, 6, 1, 4, dtype=torch.float64),
            torch.tensor([[0, 0, 0]]),
            torch.tensor([-1.0]),
        )
    assert float(one.cells.conductance_s(low).min()) >= 0.0
    assert one.cells.floored > 0
