"""Cutting a layer into tiles and weights into pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compact_models.errors import InputError
from compact_models.ohmic import OhmicCell
from netlists.drivers.level import DriverSpec
from netlists.graph import LinearStage
from netlists.hardware import Hardware, TileSpec
from netlists.mapping import plan_layers
from netlists.tiles import augmented, cut, differential

sizes = st.integers(1, 40)


@settings(deadline=None)
@given(rows=sizes, outputs=sizes, max_rows=sizes, max_cols=st.integers(2, 40))
def test_tiles_cover_every_row_and_output_once(
    rows: int, outputs: int, max_rows: int, max_cols: int
) -> None:
    tiles = cut(rows, outputs, TileSpec(max_rows=max_rows, max_cols=max_cols))
    covered = np.zeros((rows, outputs), dtype=int)
    for tile in tiles:
        covered[tile.row_start : tile.row_stop, tile.out_start : tile.out_stop] += 1
        assert 1 <= tile.rows <= max_rows
        assert 2 <= tile.cols <= max_cols
    assert (covered == 1).all()
    assert [tile.name for tile in tiles] == [f"tile_{k}" for k in range(len(tiles))]


@settings(deadline=None)
@given(size=st.integers(1, 3000), largest=st.integers(1, 200))
def test_tiles_of_a_layer_differ_by_one_row_at_most(size: int, largest: int) -> None:
    rows = {tile.rows for tile in cut(size, 1, TileSpec(max_rows=largest))}
    assert max(rows) - min(rows) <= 1


def test_a_weight_becomes_a_pair_with_plus_first() -> None:
    cell = OhmicCell(g_off_s=1e-6, g_on_s=1e-4)
    pairs = differential(torch.tensor([[1.0, -1.0, 0.0, 0.5, 9.0]], dtype=torch.float64), cell)
    expected = [[1e-4, 1e-6, 1e-6, 1e-4, 1e-6, 1e-6, 5.05e-5, 1e-6, 1e-4, 1e-6]]
    assert pairs.numpy() == pytest.approx(np.array(expected), rel=1e-12)


def test_the_bias_is_the_last_word_line_in_units_of_the_input() -> None:
    rows = augmented(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([10.0, 20.0]), 5.0)
    assert rows.tolist() == [[1, 4], [2, 5], [3, 6], [2, 4]]


def stage(weight: object, bias: object = None, activation: str = "identity") -> LinearStage:
    array = None if bias is None else np.asarray(bias, dtype=float)
    return LinearStage("net", np.asarray(weight, dtype=float), array, activation)


INPUTS = np.random.default_rng(2).uniform(0, 1, (50, 3))


def test_a_plan_holds_the_range_of_what_it_has_seen() -> None:
    weight = np.array([[1.0, -2.0, 0.5], [0.25, 0.0, -4.0]])
    (plan,) = plan_layers([stage(weight, [0.5, -0.5])], Hardware(), INPUTS)
    assert (plan.inputs, plan.outputs, plan.rows, plan.has_bias) == (3, 2, 4, True)
    assert plan.weight_scale == 4.0
    assert plan.span >= 0.98 * np.abs(INPUTS @ weight.T + [0.5, -0.5]).max()
    assert plan.signed_output
    assert not plan.signed_input


def test_inputs_of_both_signs_ask_for_signed_drivers() -> None:
    weight = [[1.0, -2.0, 0.5]]
    assert plan_layers([stage(weight)], Hardware(), INPUTS - 0.5)[0].signed_input


def test_a_layer_of_zeros_can_be_planned() -> None:
    (plan,) = plan_layers([stage(np.zeros((2, 3)))], Hardware(), INPUTS)
    assert plan.weight_scale == plan.span == 1.0
    assert np.isfinite(plan.r_feedback_ohm)


@pytest.mark.parametrize("inputs", [np.zeros((2, 4)), np.zeros((0, 3)), np.zeros(3),
                                    np.full((2, 3), np.nan), np.full((2, 3), 1.5)])  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(inputs: np.ndarray) -> None:
    with pytest.raises(InputError, match="sample inputs"):
        plan_layers([stage(np.ones((2, 3)))], Hardware(), inputs)


def test_a_feedback_resistor_that_nobody_builds_is_refused() -> None:
    hardware = Hardware(driver=DriverSpec(v_read_v=1e-20))
    with pytest.raises(InputError, match=r"layer_0 \(net\).*feedback.*v_read_v"):
        plan_layers([stage(np.ones((2, 3)))], hardware, INPUTS)
