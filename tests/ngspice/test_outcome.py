"""The judgement of a run from its parts, where a real run cannot produce the part on demand."""

from __future__ import annotations

import math
import struct

import pytest

from cosim.ngspice import Deck, Outcome
from cosim.ngspice.outcome import ProcessEnd, classify
from cosim.ngspice.raw import RawPlot, parse_raw

DECK = Deck("* t\nV1 a 0 1\nR1 a 0 1\n.op\n.end\n")
GOOD = ProcessEnd(returncode=0, timed_out=False, timeout_s=10)


def plots(*values: float, points: int | None = None) -> tuple[RawPlot, ...]:
    """A raw file with one signal, v(a), in a sweep."""
    count = len(values) if points is None else points
    header = (
        "Title: t\nDate: d\nPlotname: DC transfer characteristic\nFlags: real\n"
        f"No. Variables: 1\nNo. Points: {count}\nVariables:\n\t0\tv(a)\tvoltage\nBinary:\n"
    )
    return parse_raw(header.encode() + struct.pack(f"<{len(values)}d", *values))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -2e9])
def test_a_bad_value_is_named_with_its_point(bad: float) -> None:
    verdict = classify(DECK, GOOD, "", plots(1.0, 2.0, bad, 3.0), "", {})
    assert verdict.outcome is Outcome.INVALID
    assert "v(a)" in verdict.reason
    assert "point 2" in verdict.reason


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, ""), (2, "; 1 other signal is bad too"), (3, "; 2 other signals are bad")],
)
def test_other_bad_signals_are_counted(count: int, said: str) -> None:
    names = "".join(f"\t{k}\tv(n{k})\tvoltage\n" for k in range(count))
    header = (
        "Title: t\nDate: d\nPlotname: DC transfer characteristic\nFlags: real\n"
        f"No. Variables: {count}\nNo. Points: 1\nVariables:\n{names}Binary:\n"
    )
    raw = parse_raw(header.encode() + struct.pack(f"<{count}d", *[2e9] * count))
    reason = classify(DECK, GOOD, "", raw, "", {}).reason
    assert "is beyond the limit of 1e+09" + said in reason
    assert ("other" in reason) == (count > 1)


@pytest.mark.parametrize("point", [0, 70_000, 149_999])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -2e9])
def test_a_bad_value_is_found_anywhere_in_a_long_plot(bad: float, point: int) -> None:
    values = [0.5] * 150_000
    values[point] = bad
    verdict = classify(DECK, GOOD, "", plots(*values), "", {})
    assert verdict.outcome is Outcome.INVALID
    assert f"at point {point} " in verdict.reason


def test_values_up_to_the_limit_are_fine() -> None:
    assert classify(DECK, GOOD, "", plots(1e9, -1e9), "", {}).outcome is Outcome.OK


def test_a_killed_process_is_a_crash_whatever_it_left() -> None:
    end = ProcessEnd(returncode=-11, timed_out=False, timeout_s=10)
    verdict = classify(DECK, end, "", plots(1.0), "", {})
    assert verdict.outcome is Outcome.CRASHED
    assert "signal 11, SIGSEGV" in verdict.reason


def test_a_late_process_is_a_timeout_although_it_was_killed_for_it() -> None:
    end = ProcessEnd(returncode=-9, timed_out=True, timeout_s=2.5)
    verdict = classify(DECK, end, "", (), "", {})
    assert verdict.outcome is Outcome.TIMEOUT
    assert "2.5 s" in verdict.reason


def test_an_exit_code_without_an_error_line_is_a_crash() -> None:
    end = ProcessEnd(returncode=3, timed_out=False, timeout_s=10)
    verdict = classify(DECK, end, "Circuit: * t\n", plots(1.0), "", {})
    assert verdict.outcome is Outcome.CRASHED
    assert "exit code 3" in verdict.reason


def test_a_raw_file_that_ends_early_is_invalid_with_exit_code_0() -> None:
    verdict = classify(DECK, GOOD, "", plots(1.0, 2.0, points=5), "", {})
    assert verdict.outcome is Outcome.INVALID
    assert "2 of 5 points" in verdict.reason


def test_a_measure_beyond_the_limit_is_invalid() -> None:
    verdict = classify(DECK, GOOD, "", plots(1.0), "", {"gain": 1e32})
    assert verdict.outcome is Outcome.INVALID
    assert "'gain' = 1e+32" in verdict.reason


def test_failed_stepping_counts_unless_another_way_got_there() -> None:
    failed, done = "Warning: Dynamic gmin stepping failed\n", "Note: Source stepping completed\n"
    started = "Note: Transient op started\n"
    for log, outcome in (
        (failed + done, Outcome.OK),
        (failed + failed + done, Outcome.OK),
        (done + failed, Outcome.INVALID),
        (failed + started + done, Outcome.INVALID),
    ):
        assert classify(DECK, GOOD, log, plots(1.0), "", {}).outcome is outcome, log
