"""Data files that nothing can be learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workflows.command import names_all, refused

X = np.random.default_rng(1).uniform(0, 1, (20, 3))
Y = np.arange(20) % 2
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no labels": ({"x": X}, ["no array 'y'", "['x']"]),
    "no inputs": ({"y": Y}, ["no array 'x'"]),
    "other lengths": ({"x": X, "y": Y[:-1]}, ["(20, 3)", "(19,)", "[sample, feature]"]),
    "images in two dimensions": ({"x": X.reshape(20, 3, 1), "y": Y}, ["(20, 3, 1)"]),
    "labels that are measured": ({"x": X, "y": Y + 0.5}, ["y[0]", "classes", "0.5"]),
    "two ones in a row": ({"x": X, "y": np.eye(3)[Y] + np.eye(3)[1 - Y]}, ["y[0]", "one-hot"]),
    "labels in three dimensions": ({"x": X, "y": np.zeros((20, 2, 2))}, ["(20, 2, 2)", "one-hot"]),
    "NaN": ({"x": np.where(X > 0.5, np.nan, X), "y": Y}, ["x", "finite"]),
    "raw pixels": ({"x": X * 255, "y": Y}, ["share", "scales x"]),
    "no samples": ({"x": X[:0], "y": Y[:0]}, ["nothing to learn", "(0, 3)"]),
    "no features": ({"x": X[:, :0], "y": Y}, ["nothing to learn", "(20, 0)"]),
    "one class": ({"x": X, "y": 0 * Y}, ["of one class"]),
    "a class of one": ({"x": X, "y": np.arange(20) // 19}, ["too few samples", "1 in the small"]),
    "objects": ({"x": X, "y": Y.astype(object)}, ["data.npz", "plain arrays"]),
    "complex": ({"x": X + 0j, "y": Y}, ["data.npz: x", "complex128"]),
    "more than doubles hold": ({"x": X.astype(np.longdouble) * np.longdouble("1e4000"), "y": Y},
                               ["x", "finite"]),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "words"), CASES.values(), ids=CASES)
def test_bad_data_are_refused_by_name(
    arrays: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    config = tmp_path / "chip.toml"
    config.write_text('[data]\nfile = "data.npz"\n')
    names_all(refused(tmp_path, "netlist", config, "-o", tmp_path / "deck"), *words)
