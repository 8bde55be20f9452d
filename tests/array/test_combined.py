"""What only a sum of arrays has; `conformance` holds it to what every array does."""

from __future__ import annotations

import pytest
import torch

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.array.combined import Combined
from cosim.array.layout import TileLayout
from cosim.array.protocols import Moved
from cosim.array.reads.ideal import IdealReads
from cosim.ngspice import Outcome
from cosim.pulses.trains import UpdateRule, pulse_trains
from tests.array.conformance.arrays import one_drawn

LAYOUT = TileLayout((0, 2, 5), (0, 3))


def arrays(count: int = 3, layout: TileLayout = LAYOUT) -> list:
    return [one_drawn(layout, IdealReads(), path=f"a_{k}", sigma={}) for k in range(count)]


def trains_of(rows: int, outs: int) -> list:
    x, d = torch.ones(8, rows).double(), torch.ones(8, outs).double()
    rule = UpdateRule(0.01, 0.001)
    return [pulse_trains(x, d, rule, Stream(0, chip).at("u", 0)) for chip in range(2)]


def test_a_weight_is_the_weighted_sum_of_those_of_the_arrays() -> None:
    parts = arrays()
    for k, one in enumerate(parts):
        one.program(torch.full((5, 3), 0.1 * (k + 1)).double())
    one = Combined(parts, [2.0, 0.0, 0.5])
    wanted = torch.full((2, 5, 3), 2 * 0.1 + 0.5 * 0.3).double()
    torch.testing.assert_close(one.weight(), wanted)
    torch.testing.assert_close(one.matrix() * one.weight_per_s, wanted)
    assert one.gains.tolist() == [2.0, 2.0, 0.0, 0.0, 0.5, 0.5]
    # An array that is changed by itself, as an algorithm does it, is another in the sum.
    version = one.version
    parts[2].program(torch.zeros(5, 3).double())
    assert one.version > version
    torch.testing.assert_close(one.weight(), torch.full((2, 5, 3), 0.2).double())


def test_pulses_go_by_the_policy() -> None:
    def moved(one: Combined) -> list[bool]:
        before = [part.w.clone() for part in one.each]
        one.update(trains_of(5, 3), None)
        return [not torch.equal(part.w, then) for part, then in zip(one.each, before, strict=True)]

    assert moved(Combined(arrays(), [1.0, 1.0, 1.0], updates="all")) == [True] * 3
    one = Combined(arrays(), [1.0, 1.0, 1.0], updates="in turn")
    assert [moved(one) for _ in range(2)] == [[True, False, False], [False, True, False]]
    # Whose turn it is belongs to the state, so that a training goes on where it stopped.
    other = Combined(arrays(), [1.0, 1.0, 1.0], updates="in turn")
    other.load_state_dict(one.state_dict())
    assert moved(other) == [False, False, True]
    with pytest.raises(InputError, match="which of them are to move"):
        Combined(arrays(), [1.0, 1.0, 1.0]).update(trains_of(5, 3), None)


@pytest.mark.parametrize(
    ("parts", "factors", "policy", "said"),
    [
        (arrays(2), [1.0], "all", "factors: one factor for every array"),
        ([], [], "all", "at least 1"),
        (arrays(2), [1.0, -0.5], "all", "exchanges the plus and minus lines"),
        (arrays(2), [0.0, 0.0], "all", "one of them > 0"),
        (arrays(2), [1.0, float("nan")], "all", "finite"),
        (arrays(2), [1.0, 1.0], "random", "refused, all, in turn"),
        (
            [*arrays(1), *arrays(1, TileLayout((0, 5), (0, 3)))],
            [1.0, 1.0],
            "all",
            r"arrays\[1\]: .*one shape",
        ),
    ],
)
def test_what_no_circuit_sums_is_refused(
    parts: list, factors: list[float], policy: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Combined(parts, factors, updates=policy)  # type: ignore[arg-type]


def test_a_siemens_is_one_weight_in_all_arrays() -> None:
    one, other = arrays(2)
    other.unit = 2.0
    with pytest.raises(InputError, match="another weight in one array"):
        Combined([one, other], [1.0, 1.0])


def test_an_update_that_one_array_could_not_do_did_not_end_well() -> None:
    parts = arrays()
    stopped = Moved(0, 0, outcome=Outcome.NO_CONVERGENCE, reason="update 3: no voltages")
    parts[1].update = lambda *_given: stopped
    moved = Combined(parts, [1.0, 1.0, 1.0], updates="all").update(trains_of(5, 3), None)
    assert (moved.outcome, moved.reason) == (stopped.outcome, stopped.reason)
