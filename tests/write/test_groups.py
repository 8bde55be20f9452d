"""Which cells of an array are written at the same time."""

from __future__ import annotations

import tracemalloc

import pytest

from cosim.write.verify import VerifySpec, groups_of


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ("row", [[0, 1], [2], [3, 4], [5]]),
        ("column", [[0, 3], [1, 4], [2, 5]]),
        ("cell", [[0], [1], [2], [3], [4], [5]]),
    ],
)
def test_every_cell_is_in_one_group(order: str, wanted: list[list[int]]) -> None:
    """Of 2 x 3 cells, numbered along the rows, two of a line at once."""
    groups = groups_of((2, 3), VerifySpec(1e-6, order=order, at_once=2))
    assert [group.tolist() for group in groups] == wanted


def test_cell_by_cell_takes_memory_of_the_order_of_the_array() -> None:
    """A mask for each of 65,536 cells would be 4.3 GB."""
    tracemalloc.start()
    groups = groups_of((256, 256), VerifySpec(1e-6, order="cell"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(groups) == 256 * 256
    assert peak < 32e6
