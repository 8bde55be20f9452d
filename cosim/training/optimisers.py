"""Optimisers with their schedules, as the algorithms of this folder are given them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

Optimised = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]
MakeOptimiser = Callable[[Iterator[nn.Parameter], Sequence[float], int], Optimised]
"""Of parameters, a learning rate for each, and the steps of the whole training."""


def adam_with_cosine(
    parameters: Iterator[nn.Parameter], learning_rates: Sequence[float], steps: int
) -> Optimised:
    """Adam, whose learning rates fall to nothing along a cosine."""
    optimiser = torch.optim.Adam(_groups(parameters, learning_rates))
    return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)


def plain_sgd(
    parameters: Iterator[nn.Parameter], learning_rates: Sequence[float], _steps: int
) -> Optimised:
    """Gradient descent whose learning rates stay as they are."""
    optimiser = torch.optim.SGD(_groups(parameters, learning_rates))
    return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)


def _groups(
    parameters: Iterator[nn.Parameter], learning_rates: Sequence[float]
) -> list[dict[str, object]]:
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter, rate in zip(parameters, learning_rates, strict=True):
        groups.setdefault(rate, []).append(parameter)
    return [{"params": some, "lr": rate} for rate, some in groups.items()]
