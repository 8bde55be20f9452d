"""Running many decks side by side, and stopping all of them at once.

Threads are enough: each only waits for a process. What needs care is the end. Ctrl-C, an exception
in one run or in the caller's own callback kills every running simulator, starts no further one,
waits until the temporary folders are gone, and only then goes on its way.

Plain threads and two queues, not an executor: Ctrl-C may strike the main thread anywhere, and when
it strikes between two locks of an executor's futures the workers wait for those locks for ever. The
main thread here holds no lock that a worker needs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from compact_models.errors import InputError
from cosim.ngspice.binary import Ngspice
from cosim.ngspice.deck import Deck
from cosim.ngspice.process import Children
from cosim.ngspice.result import SimulationResult
from cosim.ngspice.runner import run_deck


def run_decks(
    decks: Sequence[Deck],
    ngspice: Ngspice,
    *,
    jobs: int,
    timeout_s: Callable[[Deck], float] | float,
    on_done: Callable[[int, SimulationResult], None] | None = None,
) -> list[SimulationResult]:
    """Runs decks in parallel.

    Args:
        decks: what to run.
        ngspice: from `find_ngspice`.
        jobs: how many processes at a time, >= 1.
        timeout_s: the limit of each run in seconds, or a function that gives it for a deck.
        on_done: called in the calling thread as `on_done(index, result)` after each run, in the
            order in which they end.

    Returns:
        The results in the order of `decks`, failed ones included.

    Raises:
        InputError: `jobs` is less than one, or a run could not be started (see `run_deck`).
    """
    if jobs < 1:
        raise InputError("at least one job is needed", where="jobs", value=jobs, allowed=">= 1")
    children = Children()
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[int, SimulationResult | BaseException]] = queue.SimpleQueue()
    for index in range(len(decks)):
        waiting.put(index)

    def work() -> None:
        while not children.closed:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            ended.put((index, _run_or_error(decks[index], ngspice, timeout_s, children)))

    threads = [
        # Daemons, so that a second Ctrl-C need not wait for them; their children die with them.
        threading.Thread(target=work, name=f"ngspice-{number}", daemon=True)
        for number in range(min(jobs, len(decks)))
    ]
    results: dict[int, SimulationResult] = {}
    try:
        for thread in threads:
            thread.start()
        for _ in decks:
            index, end = ended.get()
            if isinstance(end, BaseException):
                raise end
            results[index] = end
            if on_done is not None:
                on_done(index, end)
    except BaseException:
        children.kill_all()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    return [results[index] for index in range(len(decks))]


def _run_or_error(
    deck: Deck,
    ngspice: Ngspice,
    timeout_s: Callable[[Deck], float] | float,
    children: Children,
) -> SimulationResult | BaseException:
    """The result, or what was raised, to be raised again in the thread that called the pool."""
    try:
        limit_s = timeout_s(deck) if callable(timeout_s) else timeout_s
        return run_deck(deck, ngspice, timeout_s=limit_s, children=children)
    except BaseException as error:
        return error
