"""What the trains of a batch do to one tile of dynamic cells, whoever computes it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import cosim.array.updates
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from cosim.devices.switching_time import switching_state
from cosim.driven.engines import Means
from cosim.driven.result import Engine
from cosim.driven.train_pulses import TrainPulses, TrainSlots, train_slots
from cosim.driven.train_waveforms import train_waveforms
from cosim.driven.writable import WritableArray
from cosim.ngspice import Outcome
from cosim.pulses.trains import PulseTrains
from cosim.surrogate.update import UpdateNoise

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TileUpdate:
    """A tile after the updates of a batch.

    Attributes:
        array: the tile in its states after the updates that ended well.
        energy_j: what every cell has turned into heat [J], [row, col].
        given_j: what all sources have given [J].
        pulses: pulses on lines.
        coincidences: steps that cells were asked for.
        done: updates that ended well; the batch ends with the first one that does not.
        outcome: `ok`, or how that one ended.
        reason: why.
    """

    array: WritableArray
    energy_j: Array
    given_j: float
    pulses: int
    coincidences: int
    done: int
    outcome: Outcome = Outcome.OK
    reason: str = ""


class UpdatesTile(Protocol):
    """Applies the updates of a batch to a tile, one after the other: a file in this folder."""

    def __call__(
        self,
        array: WritableArray,
        trains: PulseTrains,
        pulses: TrainPulses,
        means: Means,
        noise: UpdateNoise | None = None,
    ) -> TileUpdate:
        """See `update_tile`."""
        ...


@cache
def _registry() -> dict[str, UpdatesTile]:
    """What every file beside this one offers as `UPDATES`, by its name; files are read once."""
    found: dict[str, UpdatesTile] = {}
    for module in pkgutil.iter_modules(cosim.array.updates.__path__):
        if module.name != "tile":
            loaded = importlib.import_module(f"cosim.array.updates.{module.name}")
            one = getattr(loaded, "UPDATES", None)
            if one is not None:
                found[module.name] = one
    return found


def update_tile(
    fidelity: str,
    array: WritableArray,
    trains: PulseTrains,
    pulses: TrainPulses,
    means: Means,
    noise: UpdateNoise | None = None,
) -> TileUpdate:
    """The tile after the updates of a batch, one after the other.

    Half-selected cells, of which only one line has a pulse, move as their device does.

    Args:
        fidelity: who computes it, the name of a file of this folder: `table`, `ode` or `spice`.
        array: the tile before.
        trains: words on its word lines [batch, row] and on its bit lines [batch, col].
        pulses: what a line carries.
        means: what the fidelity computes with.
        noise: from pulse to pulse: every change of a state is multiplied by a factor of mean 1,
            drawn by numpy, so each slot is a run of its own; None for the mean device.

    Raises:
        InputError: there is no such fidelity, what it computes with is missing, or a shape does not
            fit.
    """
    known = _registry()
    if fidelity not in known:
        raise InputError(
            "no fidelity of updates of a tile of dynamic cells",
            where="fidelity",
            value=fidelity,
            allowed=", ".join(sorted(known)),
        )
    check_tile(array, trains, pulses)
    return known[fidelity](array, trains, pulses, means, noise)


def check_tile(array: WritableArray, trains: PulseTrains, pulses: TrainPulses) -> None:
    """Refuses trains or factors of another array.

    Raises:
        InputError: they are.
    """
    wanted = (trains.words.shape[1], trains.bits.shape[1])
    if array.shape != wanted:
        raise InputError(
            "wrong shape", where="array", value=array.shape, allowed=f"{wanted}, as the trains"
        )
    pulses.check_lines(array.shape)


def by_engine(
    engine: Callable[[int], Engine],
    array: WritableArray,
    trains: PulseTrains,
    pulses: TrainPulses,
    noise: UpdateNoise | None,
) -> TileUpdate:
    """Updates as voltages in time: one run an update, one a slot with noise.

    Args:
        engine: from how many slots a run has to what carries the tile through it.
        array: see `update_tile`.
        trains: likewise.
        pulses: likewise.
        noise: likewise.
    """
    energy_j, given_j, count, steps = np.zeros(array.shape), 0.0, 0, 0
    for sample in range(len(trains.words)):
        slots = train_slots(trains, sample)
        now = array
        for first, last in _runs(slots, each=noise is not None):
            some = slots.part(first, last)
            found = engine(len(some))(train_waveforms(now.at_rest(), some, pulses))
            if not found.ok:
                return TileUpdate(
                    array, energy_j, given_j, count, steps, sample, found.outcome,
                    f"update {sample}: {found.reason}",
                )  # fmt: skip
            factor = None if noise is None else slot_factor(noise, sample, first, array.shape)
            now = _after(now, {k: np.asarray(x) for k, x in found.states.items()}, factor)
            energy_j = energy_j + found.energy_j
            given_j += found.given_j
        array = now
        count, steps = count + slots.pulses, steps + slots.coincidences
    return TileUpdate(array, energy_j, given_j, count, steps, len(trains.words))


def _runs(slots: TrainSlots, *, each: bool) -> list[tuple[int, int]]:
    if not len(slots):
        return []
    return [(k, k + 1) for k in range(len(slots))] if each else [(0, len(slots))]


def slot_factor(
    noise: UpdateNoise, sample: int, slot: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """By what the changes of a slot are multiplied, [row, col]; never below 0.

    The same for all fidelities.
    """
    rng = noise.draw.part(f"update_{sample}/slot_{slot}").rng()
    return np.maximum(1 + noise.sigma * rng.standard_normal(shape), 0.0)


def _after(array: WritableArray, states: dict[str, Array], factor: Array | None) -> WritableArray:
    """The tile in new states, within their bounds; the change of the written one by a factor."""
    functions = torch_model(array.model)
    index = switching_state(array.model)
    p = functions.parameters(array.parameters())
    names = [x.name for x in array.model.states]
    before, after = (
        list(functions.fractions([torch.from_numpy(np.asarray(t[k])) for k in names], p))
        for t in (array.states, states)
    )
    if factor is not None:
        change = after[index] - before[index]
        after[index] = before[index] + change * torch.from_numpy(factor)
    bounded = [
        x if one.lower is None else x.clamp(0, 1)
        for one, x in zip(array.model.states, after, strict=True)
    ]
    found = functions.states(bounded, p)
    return array.after({k: x.numpy() for k, x in zip(names, found, strict=True)})
