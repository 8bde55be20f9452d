"""What docs/exact.md shows is run, in order, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.command import spiceloop

PAGE = Path(__file__).parents[1] / "docs" / "exact.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # it writes a file
    text = PAGE.read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, scope)  # noqa: S102  # the page's own lines are what is tested
    assert scope["current"].shape == (1000, 48)
    # Row 3 does next to nothing behind its gap, and what it did before it still does.
    whole, broken = scope["found"].transfer_s.detach(), scope["broken"].transfer_s
    assert float((broken[3, 10:] / whole[3, 10:]).abs().max()) < 0.1
    assert float((broken[2, 10:] / whole[2, 10:]).min()) > 0.8
    assert float((broken[3, :10] / whole[3, :10]).min()) > 0.8
    assert float(broken[7].abs().max()) < 1e-15
    assert bool(torch.isfinite(scope["trained"].grad).all())
    assert bool(scope["read"].converged.all())
    assert scope["at_exact"].outcome == "ok"
    assert spiceloop("solve", "array.npz", "-o", "currents.csv").code == 0
    title, line = Path("currents.csv").read_text().splitlines()
    assert title == "input,bl_0 [A],bl_1 [A],bl_2 [A]"
    assert [float(x) for x in line.split(",")] == [0, *scope["at_exact"].current_a[0]]
    assert float(scope["state"].power_w.min()) > 0
