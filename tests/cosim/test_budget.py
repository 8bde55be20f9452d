"""What a computation may take of the machine is asked for in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cosim.budget.budget import Budget

ROOT = Path(__file__).parents[2]
# The process, and what belongs to all of it.
ASKED = re.compile(r"sched_getaffinity|cpu_count|set_num_\w*threads\(|umask\(|environ\[.*\] =")


def test_only_the_budget_asks_the_process() -> None:
    product = [*(ROOT / "compact_models").rglob("*.py"), *(ROOT / "netlists").rglob("*.py"),
               *(ROOT / "cosim").rglob("*.py"), *(ROOT / "workflows").rglob("*.py")]  # fmt: skip
    asking = {
        str(file.relative_to(ROOT))
        for file in product
        for line in file.read_text(encoding="utf-8").splitlines()
        if ASKED.search(line) and "`" not in line  # in words
    }
    assert asking == {"cosim/budget/budget.py"}


def test_a_small_network_has_one_thread_and_as_many_decks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 5})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert Budget.of_process() == Budget(threads=3, decks=3)
    assert Budget.of_process(decks=7).for_cells(199_999) == Budget(threads=1, decks=7)
    assert Budget.of_process().for_cells(200_000) == Budget(threads=3, decks=3)


def test_threads_are_those_of_the_caller_alone() -> None:
    before = torch.get_num_threads()
    with Budget(threads=1, decks=1).in_use():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
