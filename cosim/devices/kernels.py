"""The two computations of a step, operation by operation or compiled to one loop over the cells.

An operation on a million numbers waits for memory, and a step of a filament model has hundreds.
torch.compile makes one loop of them: several times as fast, after half a minute of compilation that
is kept on disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from compact_models.errors import InputError
from cosim.devices.rosenbrock import Columns, Slopes, Tried, linearised, rosenbrock_step

P = Mapping[str, Value]


@dataclass(frozen=True)
class Kernels:
    """What the integrator asks of a model in every step.

    Attributes:
        functions: the model.
        linearised: `rosenbrock.linearised` for it: the arguments after the model.
        step: `rosenbrock.rosenbrock_step` for it, likewise.
    """

    functions: TorchModel
    linearised: Callable[..., Slopes]
    step: Callable[..., Tried]


MakeKernels = Callable[[TorchModel], Kernels]

# With fewer cells a call costs more than its loop, and each new shape could mean compiling anew.
_WORTH_IT = 2048


def eager(functions: TorchModel) -> Kernels:
    """The computations operation by operation: for any number of cells, with gradients."""
    return Kernels(functions, partial(linearised, functions), partial(rosenbrock_step, functions))


def compiled(functions: TorchModel) -> Kernels:
    """The computations compiled by torch: for very many cells, without gradients.

    Few cells, and cells that need gradients, are computed as in `eager`.

    Raises:
        InputError: there is no C++ compiler.
    """
    if not _find_compiler():
        raise InputError(
            "compiled kernels need a C++ compiler and there is none",
            where="kernels",
            hint="install g++, name one in the variable CXX, or use cosim.devices.kernels.eager",
        )
    plain = eager(functions)
    fast_linearised, fast_step = _compiled(
        functions.equations.body, functions.equations_slopes.body
    )

    def at_start(p: P, s: Columns, y: torch.Tensor | None, v: torch.Tensor) -> Slopes:
        return (fast_linearised if _is_worth_it(p, s, v) else plain.linearised)(p, s, y, v)

    def step(
        p: P,
        s: Columns,
        y: torch.Tensor | None,
        slopes: Slopes,
        v: torch.Tensor,
        ramp: torch.Tensor | None,
        h: torch.Tensor,
    ) -> Tried:
        if not _is_worth_it(p, s, v):
            return plain.step(p, s, y, slopes, v, ramp, h)
        # One compilation for ramps and for constant voltages.
        return fast_step(p, s, y, slopes, v, torch.zeros_like(v) if ramp is None else ramp, h)

    return Kernels(functions, at_start, step)


def _is_worth_it(p: P, s: Columns, v: torch.Tensor) -> bool:
    if v.numel() < _WORTH_IT:
        return False
    given = [*s, v, *(x for x in p.values() if isinstance(x, torch.Tensor))]
    return not (torch.is_grad_enabled() and any(x.requires_grad for x in given))


@dataclass(frozen=True)
class _Bodies:
    """The part of a `TorchModel` that a step uses, without what a tracer cannot follow."""

    equations: Callable[..., tuple[Value, ...]]
    equations_slopes: Callable[..., tuple[Value, ...]]


@cache
def _compiled(
    equations: Callable[..., tuple[Value, ...]], equations_slopes: Callable[..., tuple[Value, ...]]
) -> tuple[Callable[..., Slopes], Callable[..., Tried]]:
    bodies: Any = _Bodies(equations, equations_slopes)

    def at_start(*arguments: Any) -> Slopes:
        return linearised(bodies, *arguments)

    def step(*arguments: Any) -> Tried:
        return rosenbrock_step(bodies, *arguments)

    return torch.compile(at_start, dynamic=True), torch.compile(step, dynamic=True)


def _find_compiler() -> str | None:
    named = os.environ.get("CXX")
    return next((x for x in (named, "g++", "clang++") if x and shutil.which(x)), None)
