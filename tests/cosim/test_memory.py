"""Freed memory that stays with the process, seen by the pages that the system hands out again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, torch
from cosim.budget.memory import keep_freed_memory
def step():
    return sum([torch.ones(1 << 18, dtype=torch.float64) for _ in range(12)])
def pages():
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = pages()
assert keep_freed_memory()
pages()
print(first, pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_steps_do_not_ask_for_the_same_pages_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=120
    )
    before, after = (int(word) for word in done.stdout.split())
    assert before > 1000
    assert after < 0.1 * before
