"""How a network is trained: what every algorithm takes, and which algorithms there are.

An algorithm is two files beside this one: `NAME_spec.py` with its keys and their defaults, a
subclass of `TrainSpec` called `SPEC`, and `NAME.py`, which trains. A configuration is read before
torch is, so that the first loads nothing of the second.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import ClassVar

from pydantic import Field, field_validator

import cosim.training
from compact_models.spec import Spec

_SPEC = "_spec"
_FILES = {info.name for info in pkgutil.iter_modules(cosim.training.__path__)} - {"train_spec"}
ALGORITHMS = tuple(sorted(name.removesuffix(_SPEC) for name in _FILES if name.endswith(_SPEC)))
"""The names of all algorithms."""


class TrainSpec(Spec):
    """How to train, whichever the algorithm.

    Attributes:
        OF_A_LAYER: keys that a layer may have of its own.
    """

    OF_A_LAYER: ClassVar[tuple[str, ...]] = ("learning_rate", "max_surrogate_error")

    algorithm: str = Field(
        "backprop", json_schema_extra={"enum": list(ALGORITHMS)}, description="how weights learn"
    )
    epochs: int = Field(40, ge=1, le=100_000, description="passes over the training samples")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="samples per step")
    learning_rate: float = Field(5e-3, gt=0, le=10, description="at the start")
    read: str = Field("surrogate", description="who computes the arrays while they train")
    max_surrogate_error: float = Field(
        0.01,
        gt=0,
        le=1,
        description="how far an array's currents may be off `exact` in training (Frobenius,"
        " relative); beyond it the surrogate is anchored on the exact solution",
    )
    spice_check_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of an epoch's inputs that ngspice reads as well at its end, every array;"
        " what is further off than max_surrogate_error is said",
    )

    @field_validator("algorithm")
    @classmethod
    def _there_is_one(cls, name: str) -> str:
        if name not in ALGORITHMS:
            raise ValueError("no such algorithm")
        return name


@cache
def algorithm_specs() -> dict[str, type[TrainSpec]]:
    """The keys of every algorithm, by its name."""
    modules = {
        name: importlib.import_module(f"cosim.training.{name}{_SPEC}") for name in ALGORITHMS
    }
    return {name: module.SPEC for name, module in modules.items()}
