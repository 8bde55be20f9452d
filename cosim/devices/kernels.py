"""The computations of a step, operation by operation or compiled to one loop over the cells.

An operation on a million numbers waits for memory, and a step of a filament model has hundreds.
torch.compile makes one loop of them: several times as fast, after half a minute of compilation that
is kept on disk.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from compact_models.emit.torch_code import Function, Value
from compact_models.emit.torch_model import TorchModel
from compact_models.errors import InputError
from cosim.devices.cells import Cells
from cosim.devices.rosenbrock import Columns, Slopes, Tried, linearised, rosenbrock_step
from cosim.devices.step_size import judge, limit_step

P = Mapping[str, Value]


@dataclass(frozen=True)
class Kernels:
    """What the integrator asks of a model in every step.

    Attributes:
        functions: the model; its equations and its residual may be compiled.
        linearised: `rosenbrock.linearised` for it: the arguments after the model.
        step: `rosenbrock.rosenbrock_step` for it, likewise.
        limit_step: `step_size.limit_step`.
        judge: `step_size.judge`.
    """

    functions: TorchModel
    linearised: Callable[..., Slopes]
    step: Callable[..., Tried]
    limit_step: Callable[..., torch.Tensor]
    judge: Callable[..., tuple[Cells, torch.Tensor, torch.Tensor]]


MakeKernels = Callable[[TorchModel], Kernels]

# With fewer cells a call costs more than its loop, and each new shape could mean compiling anew.
_WORTH_IT = 2048


def eager(functions: TorchModel) -> Kernels:
    """The computations operation by operation: for any number of cells, with gradients."""
    return Kernels(
        functions,
        partial(linearised, functions),
        partial(rosenbrock_step, functions),
        limit_step,
        judge,
    )


def compiled(functions: TorchModel) -> Kernels:
    """The computations compiled by torch: for very many cells, without gradients.

    Few cells, and cells that need gradients, are computed as in `eager`.

    Raises:
        InputError: there is no C++ compiler.
    """
    if not find_compiler():
        raise InputError(
            "compiled kernels need a C++ compiler and Python's headers, and one is missing",
            where="kernels",
            hint="install g++ and python3-dev, name a compiler in the variable CXX, or use "
            "cosim.devices.kernels.eager",
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

    fast = replace(
        functions,
        equations=_faster(functions.equations),
        residual=None if functions.residual is None else _faster(functions.residual),
    )
    return Kernels(fast, at_start, step, _limit_step, _judge)


def _faster(function: Function) -> Function:
    """The function, compiled where it is asked for many cells."""
    fast = _compile(function.body)

    def body(*arguments: Any) -> tuple[Value, ...]:
        *values, p = arguments
        tensors = [x for x in values if isinstance(x, torch.Tensor)]
        is_batch = len(tensors) == len(values) and _is_worth_it(p, tensors[1:], tensors[0])
        return (fast if is_batch else function.body)(*arguments)

    return replace(function, body=body)


def _limit_step(
    slopes: Slopes,
    fractions: Columns,
    bounded: Sequence[bool],
    ramp: torch.Tensor | None,
    step: torch.Tensor,
    failed: torch.Tensor,
    at_rest: float,
) -> torch.Tensor:
    choose = limit_step
    if _is_worth_it({}, (*fractions, *slopes.values), step):
        choose = _compile(limit_step)
        ramp = torch.zeros_like(step) if ramp is None else ramp
    return choose(slopes, fractions, tuple(bounded), ramp, step, failed, at_rest)


def _judge(
    before: Cells, tried: Tried, slopes: Slopes, ramp: torch.Tensor | None, step: torch.Tensor,
    done: torch.Tensor, running: torch.Tensor, bounded: Sequence[bool],
    duration_s: float | torch.Tensor, tolerance: float, internal_scale: float, free_in_edge: bool,
) -> tuple[Cells, torch.Tensor, torch.Tensor]:  # fmt: skip
    choose = judge
    if _is_worth_it({}, (*before.fractions, *tried.fractions), step):
        choose = _compile(judge)
        ramp = torch.zeros_like(step) if ramp is None else ramp
        # A float would be a constant of the compiled function, and every duration a new one.
        duration_s = torch.as_tensor(duration_s, dtype=step.dtype, device=step.device)
    return choose(
        before, tried, slopes, ramp, step, done, running, tuple(bounded), duration_s, tolerance,
        internal_scale, free_in_edge,
    )  # fmt: skip


def _is_worth_it(p: P, s: Sequence[torch.Tensor], v: torch.Tensor) -> bool:
    if v.numel() < _WORTH_IT:
        return False
    given = [*s, v, *(x for x in p.values() if isinstance(x, torch.Tensor))]
    return not (torch.is_grad_enabled() and any(x.requires_grad for x in given))


@dataclass(frozen=True)
class _Bodies:
    """The part of a `TorchModel` that a step uses, without what a tracer cannot follow."""

    equations: Callable[..., tuple[Value, ...]]
    equations_slopes: Callable[..., tuple[Value, ...]]


@lru_cache(maxsize=128)  # a compiled model each
def _compiled(
    equations: Callable[..., tuple[Value, ...]], equations_slopes: Callable[..., tuple[Value, ...]]
) -> tuple[Callable[..., Slopes], Callable[..., Tried]]:
    bodies: Any = _Bodies(equations, equations_slopes)

    def at_start(*arguments: Any) -> Slopes:
        return linearised(bodies, *arguments)

    def step(*arguments: Any) -> Tried:
        return rosenbrock_step(bodies, *arguments)

    return _compile(at_start), _compile(step)


@lru_cache(maxsize=128)  # a compiled model each
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)


def find_compiler() -> str | None:
    """The C++ compiler that `torch.compile` finds; None without one or without Python's headers."""
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return None
    named = os.environ.get("CXX")
    return next((x for x in (named, "g++", "clang++") if x and shutil.which(x)), None)
