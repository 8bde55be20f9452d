"""What docs/exact.md shows is run, in order, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

PAGE = Path(__file__).parents[1] / "docs" / "exact.md"


def test_the_page_runs() -> None:
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
    assert float(scope["state"].power_w.min()) > 0
