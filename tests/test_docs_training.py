"""What docs/training.md shows is run, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from workflows.config import load_config
from workflows.study_checks import check_study

TEXT = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_its_studies_can_be_trained(tmp_path: Path) -> None:
    named = []
    for study in blocks("toml"):
        (tmp_path / "study.toml").write_text(study)
        config = load_config(tmp_path / "study.toml")
        check_study(config)
        named.append((config.train.algorithm, config.device.name))
    devices = ("constant_step", "vteam", "soft_bounds", "soft_bounds")
    assert named == [("pulsed_sgd", one) for one in devices]


def test_its_loop_learns_in_cells() -> None:
    scope: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, scope)  # noqa: S102  # the page's own lines are what is tested
    assert scope["accuracy"] > 0.9
    counts = scope["optimiser"].counts
    assert sum(int(one.sum()) for one in scope["steps"]) == counts.coincidences
    assert counts.energy_j > 0
    assert scope["in_float"] == pytest.approx(scope["accuracy"], abs=0.03)
    on_chip, wanted = scope["same"]
    assert float((on_chip - wanted).abs().mean()) < 0.1 * float(wanted.std())
    assert scope["optimiser_of_states"].counts.coincidences > 0
    assert bool(scope["dynamic"].chain[0].array.steps.any())
    weight = scope["model"].chain[0].weight
    assert weight.grad is None
    assert bool(torch.isfinite(weight).all())
