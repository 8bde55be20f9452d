"""What is said once while a stage runs, by a clock that the test sets."""

from __future__ import annotations

from pathlib import Path

from workflows.slow import said_if_slow, said_of_measuring


def test_what_is_faster_is_said_at_the_first_long_estimate_and_once() -> None:
    times = iter([0.0, 5.0, 40.0, 41.0])
    said: list[str] = []
    seen: list[tuple[int, int]] = []
    progress = said_if_slow(
        lambda done, total: seen.append((done, total)), said.append, "use another",
        clock=lambda: next(times),
    )  # fmt: skip
    progress(1, 10)  # 45 s left
    assert said == []
    progress(2, 10)  # 160 s
    progress(3, 10)
    assert said == ["    about 160 s left; use another"]
    assert seen == [(1, 10), (2, 10), (3, 10)]


def test_measuring_says_once_where_it_is_kept_and_that_it_can_be_stopped() -> None:
    said: list[str] = []
    progress = said_of_measuring(lambda *_: None, said.append, Path("/kept/here"))
    assert said == []  # from the cache: nothing is measured
    progress(1, 10)
    progress(2, 10)
    (words,) = said
    assert "once for a device" in words
    assert "kept in /kept/here; stopped before its end, it goes on" in words
