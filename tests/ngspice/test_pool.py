"""Many decks at once: their order, and that nothing survives an interrupted pool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from compact_models.errors import InputError
from cosim.ngspice import Deck, Ngspice, Outcome, SimulationResult, run_decks
from tests.ngspice.processes import hear_ctrl_c, wait_for_simulators

pytestmark = pytest.mark.ngspice

ROOT = Path(__file__).parents[2]
ENDLESS = "* endless\nV1 a 0 sin(0 1 1e6)\nR1 a 0 1\n.save v(a)\n.tran 1n 10\n.end\n"
PARENT = """
import sys
from cosim.ngspice import Deck, find_ngspice, run_deck, run_decks
deck = Deck(sys.argv[1])
if sys.argv[2] == "pool":
    run_decks([deck] * 5, find_ngspice(), jobs=2, timeout_s=60)
else:
    run_deck(deck, find_ngspice(), timeout_s=60)
"""


def source(volts: float, *, name: str = "deck", stop: str = "1n") -> Deck:
    return Deck(f"* t\nV1 a 0 {volts!r}\nR1 a 0 1\n.tran 1p {stop}\n.end\n", name=name)


def parent_of(simulators: str, temporary: Path) -> subprocess.Popen[bytes]:
    """A Python process that runs endless decks, with its temporary folders in a place of ours."""
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, ENDLESS, simulators],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c,
    )


def test_results_are_in_the_order_of_the_decks(ngspice: Ngspice) -> None:
    # The first take longest, so they end in another order than they began.
    decks = [
        source(k, name=f"d{k}", stop=stop)
        for k, stop in enumerate(["100n", "1n", "50n", "1n", "1n", "20n"], 1)
    ]
    ends: list[int] = []
    results = run_decks(
        decks, ngspice, jobs=3, timeout_s=30, on_done=lambda index, _: ends.append(index)
    )
    assert [result.plot.signal("v(a)")[-1] for result in results] == [1, 2, 3, 4, 5, 6]
    assert [result.deck_name for result in results] == [deck.name for deck in decks]
    assert sorted(ends) == list(range(6))


def test_a_failed_deck_is_a_result_among_the_others(ngspice: Ngspice) -> None:
    decks = [source(1.0), Deck("* bad\nfoo\n.end\n"), Deck(ENDLESS, name="slow"), source(2.0)]
    results = run_decks(
        decks, ngspice, jobs=2, timeout_s=lambda deck: 0.3 if deck.name == "slow" else 30.0
    )
    assert [result.outcome for result in results] == [
        Outcome.OK,
        Outcome.CRASHED,
        Outcome.TIMEOUT,
        Outcome.OK,
    ]


def test_no_decks_no_results(ngspice: Ngspice) -> None:
    assert run_decks([], ngspice, jobs=2, timeout_s=1.0) == []


def test_an_exception_in_the_callback_stops_the_others(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def refuse(_index: int, _result: SimulationResult) -> None:
        raise LookupError("no place for it")

    start = time.monotonic()
    with pytest.raises(LookupError, match="no place"):
        run_decks(
            [Deck(ENDLESS), source(1.0), Deck(ENDLESS)],
            ngspice,
            jobs=2,
            timeout_s=30,
            on_done=refuse,
        )
    assert time.monotonic() - start < 10
    assert wait_for_simulators(tmp_path, 0) == []
    assert list(tmp_path.iterdir()) == []


def test_an_exception_in_one_run_stops_the_others(ngspice: Ngspice) -> None:
    def limit_s(deck: Deck) -> float:
        if deck.name == "broken":
            raise LookupError("no limit known")
        return 30.0

    start = time.monotonic()
    with pytest.raises(LookupError, match="no limit known"):
        run_decks([Deck(ENDLESS), Deck(ENDLESS, name="broken")], ngspice, jobs=2, timeout_s=limit_s)
    assert time.monotonic() - start < 10


def test_at_least_one_job_is_needed(ngspice: Ngspice) -> None:
    with pytest.raises(InputError, match="at least one job"):
        run_decks([source(1.0)], ngspice, jobs=0, timeout_s=1.0)


@pytest.mark.parametrize(("mode", "running"), [("pool", 2), ("single", 1)])
def test_no_simulator_outlives_a_killed_parent(mode: str, running: int, tmp_path: Path) -> None:
    parent = parent_of(mode, tmp_path)
    try:
        assert len(wait_for_simulators(tmp_path, running)) == running
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for_simulators(tmp_path, 0, timeout_s=5) == []


@pytest.mark.parametrize(("mode", "running"), [("pool", 2), ("single", 1)])
def test_ctrl_c_ends_all_and_leaves_nothing(mode: str, running: int, tmp_path: Path) -> None:
    parent = parent_of(mode, tmp_path)
    try:
        assert len(wait_for_simulators(tmp_path, running)) == running
        parent.send_signal(signal.SIGINT)
        _, stderr = parent.communicate(timeout=30)
    finally:
        parent.kill()
        parent.communicate()
    assert b"KeyboardInterrupt" in stderr
    assert parent.returncode != 0
    assert wait_for_simulators(tmp_path, 0, timeout_s=5) == []
    assert list(tmp_path.iterdir()) == []


def test_the_pool_can_be_used_from_another_thread(ngspice: Ngspice) -> None:
    results: list[SimulationResult] = []
    thread = threading.Thread(
        target=lambda: results.extend(run_decks([source(3.0)], ngspice, jobs=1, timeout_s=30))
    )
    thread.start()
    thread.join()
    assert results[0].plot.signal("v(a)")[0] == 3.0
