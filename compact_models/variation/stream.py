"""Where what happens again and again draws from: noise of updates, of reads, of training steps.

What a chip is made of is drawn once (`component_rng`). What is done to it is done many times, and
each time must draw anew: the step is part of the address, so that no two calls share random
numbers unless they are asked for by the same step, and a run that goes on from a step draws what
it would have drawn.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np

from compact_models.errors import InputError
from compact_models.variation.seeds import path_words


@dataclass(frozen=True)
class Stream:
    """All draws of one sample of a study.

    Attributes:
        seed: the study's seed, >= 0.
        sample: which chip of the study, >= 0; never a step.

    Raises:
        InputError: a number is not whole or is negative.
    """

    seed: int
    sample: int = 0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check("seed", self.seed)
        _check("sample", self.sample)

    def at(self, path: str, step: int) -> Draw:
        """What one call draws from.

        Args:
            path: the component's path, e.g. `layer_0/tile_1/update`.
            step: which call it is at that path, >= 0: another one draws something else.

        Raises:
            InputError: the step is not whole or is negative.
        """
        return Draw(self.seed, self.sample, path, step)


@dataclass(frozen=True)
class Draw:
    """The address of the random numbers of one call; made by `Stream.at`.

    Attributes:
        seed: see `Stream`.
        sample: see `Stream`.
        path: see `Stream.at`.
        step: see `Stream.at`.

    Raises:
        InputError: the step is not whole or is negative.
    """

    seed: int
    sample: int
    path: str
    step: int

    def __post_init__(self) -> None:
        """Checks the step."""
        _check("step", self.step)

    def part(self, name: str) -> Draw:
        """A part of the same call that draws numbers of its own."""
        return Draw(self.seed, self.sample, f"{self.path}/{name}", self.step)

    def rng(self) -> np.random.Generator:
        """A generator at its start: the same numbers each time."""
        # One word more than `component_rng` has: the two never meet.
        key = (self.sample, self.step, *path_words(self.path))
        return np.random.default_rng(np.random.SeedSequence(entropy=self.seed, spawn_key=key))

    def keys(self) -> tuple[int, int, int, int]:
        """Four numbers of 64 bits, for loops that make random numbers of keys and counters.

        They are a hash of the address: setting up a generator takes ten times as long.
        """
        address = f"{self.seed} {self.sample} {self.step} {self.path}"
        one, two, three, four = struct.unpack("<4Q", hashlib.sha256(address.encode()).digest())
        return one, two, three, four


def _check(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError("no address of a draw", where=name, value=value, allowed="whole, >= 0")
