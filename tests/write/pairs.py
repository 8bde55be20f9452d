"""Pairs of activations and errors that trains are drawn for."""

from __future__ import annotations

import numpy as np
import torch

from compact_models.variation import Stream

ROWS, COLS = 5, 3
DRAW = Stream(7, 0).at("tile_0", 0)


def batch(count: int, rows: int = ROWS, cols: int = COLS) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(2)
    return (
        torch.from_numpy(rng.uniform(-1, 1, (count, rows))),
        torch.from_numpy(rng.uniform(-1, 1, (count, cols))),
    )
