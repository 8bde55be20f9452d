"""Optimisers with their schedules, as the algorithms of this folder are given them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

Optimised = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]
MakeOptimiser = Callable[[Iterator[nn.Parameter], Sequence[float], int], Optimised]
"""Of parameters, a learning rate for each, and the steps of the whole training."""


def adam_with_cosine(
    parameters: Iterator[nn.Parameter], learning_rates: Sequence[float], steps: int
) -> Optimised:
    """Adam, whose learning rates fall to nothing along a cosine."""
    optimiser = _without_compiler(torch.optim.Adam)(_groups(parameters, learning_rates))
    return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)


def plain_sgd(
    parameters: Iterator[nn.Parameter], learning_rates: Sequence[float], _steps: int
) -> Optimised:
    """Gradient descent whose learning rates stay as they are."""
    optimiser = _without_compiler(torch.optim.SGD)(_groups(parameters, learning_rates))
    return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)


@cache
def _without_compiler(kind: Callable[..., torch.optim.Optimizer]) -> Callable[..., Any]:
    """A kind of torch's optimisers that does not load torch's compiler, which takes a second.

    torch wraps these methods so that compiled code calls them as they are; what is wrapped is
    called here. Where a version of torch does not wrap them they are its own.
    """
    names = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(methods["step"])
    return type(getattr(kind, "__name__", ""), (kind,), methods)  # type: ignore[arg-type]  # a class


def _groups(
    parameters: Iterator[nn.Parameter], learning_rates: Sequence[float]
) -> list[dict[str, object]]:
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter, rate in zip(parameters, learning_rates, strict=True):
        groups.setdefault(rate, []).append(parameter)
    return [{"params": some, "lr": rate} for rate, some in groups.items()]
