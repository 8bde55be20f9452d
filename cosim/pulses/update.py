"""A pulsed update of an array: trains on its lines, then the steps of its cells.

Three routes to the weights. `update_by_pulses` takes every cell through every pulse, in torch: the
reference. `visit` does the same for the cells that are hit, and for nothing else. Where the step is
straight in the weight (soft bounds, constant and linear steps) and most cells are hit, n pulses of
one sign are one map (`one_map`): with the mean device the same numbers, with noise the same mean
and variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.model import CompactModel
from compact_models.variation import Draw
from cosim.budget.in_threads import in_threads
from cosim.pulses.cells import PulseCells, Values
from cosim.pulses.device_steps import apply_pulses
from cosim.pulses.one_map import map_rows
from cosim.pulses.random_numbers import hashes
from cosim.pulses.trains import (
    PulseTrains,
    Slots,
    UpdateRule,
    coincidence_counts,
    on_host,
    pulse_trains,
)

# What a coincidence takes that is visited, and what a word line with a pulse and each of its cells
# take in one map [ns]: measured on one machine, at 10 to 512 columns, within a third. Their ratio
# is what counts.
_VISIT_NS, _ROW_NS, _CELL_NS = 8.0, 60.0, 3.4
_THREAD_NS = 50_000.0  # work that is worth another thread
_NONE = np.empty((0, 0), np.int32)


@dataclass(frozen=True, eq=False)
class Updated:
    """What an update did.

    Attributes:
        trains: what was on the lines; `trains.clipped` says how many probabilities were too large.
        steps_up: coincidences that asked for a step up, of all cells and samples.
        steps_down: those for a step down.
        word_pulses: pulses on word lines.
        bit_pulses: pulses on bit lines.
        mean_coincidences: steps per cell and sample.
    """

    trains: PulseTrains
    steps_up: int
    steps_down: int
    word_pulses: int
    bit_pulses: int

    @property
    def mean_coincidences(self) -> float:
        """Steps per cell and sample."""
        (samples, rows), cols = self.trains.words.shape, self.trains.bits.shape[1]
        return (self.steps_up + self.steps_down) / max(1, samples * rows * cols)

    @property
    def clipped_share(self) -> float:
        """The part of the probabilities above 0 that was clipped at 1."""
        return self.trains.clipped / max(1, self.trains.of)


def pulsed_update(
    cells: PulseCells,
    w: torch.Tensor,
    x: torch.Tensor,
    d: torch.Tensor,
    rule: UpdateRule,
    draw: Draw,
    *,
    noisy: bool = True,
    counts: torch.Tensor | None = None,
    threads: int = 1,
) -> Updated:
    """Moves weights, in place, by -lr x d^T in the mean, sample after sample.

    Args:
        cells: of the array, prepared for its shape and dtype.
        w: weights [row, col], float32 or float64; changed.
        x: activations [batch, row].
        d: gradients at the outputs [batch, col].
        rule: lengths and probabilities of the trains.
        draw: where pulses and noise are drawn from: another step in each update. The trains are
            those of `pulse_trains` with the same draw.
        noisy: with the noise from pulse to pulse.
        counts: see `apply_trains`.
        threads: see `apply_trains`.

    Raises:
        InputError: a shape or dtype does not fit, or a number is not finite; nothing has moved.
    """
    _check_cells(cells, w, counts)
    trains = pulse_trains(x, d, rule, draw)
    return apply_trains(cells, w, trains, draw if noisy else None, counts=counts, threads=threads)


def apply_trains(
    cells: PulseCells,
    w: torch.Tensor,
    trains: PulseTrains,
    noise: Draw | None = None,
    *,
    counts: torch.Tensor | None = None,
    threads: int = 1,
) -> Updated:
    """Moves weights, in place, by the coincidences of trains, sample after sample.

    Args:
        cells: of the array, prepared for its shape and dtype.
        w: weights [row, col], float32 or float64; changed.
        trains: of a batch.
        noise: where the noise from pulse to pulse is drawn from; None for the mean device. It may
            be the draw of the trains: what it gives them is something else.
        counts: the steps that every cell was asked for, int32 [row, col], to which these are added;
            None where nobody counts.
        threads: how many may share the rows, where there is work for them; the result is the same.

    Raises:
        InputError: a shape or dtype does not fit; nothing has moved.
    """
    _check_cells(cells, w, counts)
    _check_shape(w, trains)
    now, counted = on_host(w), _NONE if counts is None else on_host(counts)
    ups, downs = move_cells(cells, now, trains.slots, noise, counted, threads=threads)
    _put_back(w, now)
    if counts is not None:
        _put_back(counts, counted)
    slots = trains.slots
    return Updated(trains, ups, downs, slots.word_pulses, len(slots.lines))


def move_cells(
    cells: PulseCells,
    now: NDArray[Any],
    slots: Slots,
    noise: Draw | None,
    counted: NDArray[np.int32],
    *,
    threads: int = 1,
) -> tuple[int, int]:
    """The same of weights on the host, which are not checked; see `apply_trains`.

    Args:
        cells: of the array.
        now: weights [row, col]; changed.
        slots: of the trains.
        noise: where the noise is drawn from; None for the mean device.
        counted: steps of every cell [row, col], which are added; [0, 0] where nobody counts.
        threads: see `apply_trains`.

    Returns:
        How many steps went up, and how many down.
    """
    words, bits = slots.words, slots.bits
    given: tuple[Any, ...]
    keys = noise.keys() if noise is not None else (0, 0, 0, 0)
    cell, shared = cells.on_host
    visits_ns = slots.coincidences * _VISIT_NS
    map_ns = slots.active * (_ROW_NS + now.shape[1] * _CELL_NS)
    if cells.map_noise is not None and visits_ns > map_ns:
        map_keys = _map_keys(keys[3], len(words))
        move: Callable[..., tuple[int, int]] = map_rows
        given = (
            now, cell, bool(cells.map_noise), words, bits, map_keys, noise is not None, counted,
        )  # fmt: skip
    else:
        move = cells.visit
        given = (
            now, cell, shared, words, slots.starts, slots.lines, np.uint64(keys[2]),
            noise is not None, counted,
        )  # fmt: skip

    parts = max(1, min(threads, len(now), int(min(visits_ns, map_ns) / _THREAD_NS)))
    if parts == 1:
        return move(*given, 0, len(now))
    pieces = list(pairwise(len(now) * k // parts for k in range(parts + 1)))
    done = in_threads(lambda piece: move(*given, *piece), pieces, threads)
    ups, downs = (sum(column) for column in zip(*done, strict=True))
    return ups, downs


def update_by_pulses(
    model: CompactModel,
    values: Values,
    w: torch.Tensor,
    trains: PulseTrains,
    noise: Draw | None = None,
) -> torch.Tensor:
    """One pulse after another, each clipped at the bounds: any pulse device; the reference.

    Args:
        model: a pulse device.
        values: its parameters: floats, or tensors [row, col].
        w: weights before the update [row, col].
        trains: of a batch.
        noise: the source of the noise from pulse to pulse; None for the mean device.

    Returns:
        The weights [row, col] in the dtype of `w`, computed in float64.

    Raises:
        InputError: a shape does not fit, or the model is no pulse device.
    """
    _check_shape(w, trains)
    now = w.to(torch.float64)
    for k, counts in enumerate(coincidence_counts(trains)):
        most = int(counts.abs().max()) if counts.numel() else 0
        if most:
            which = torch.arange(most) < counts.abs()[..., None]
            own = noise.part(f"steps_{k}") if noise else None
            directions = which * counts.sign()[..., None]
            now = apply_pulses(model, values, now, directions, own)[..., -1]
    return now.to(w.dtype)


def _put_back(tensor: torch.Tensor, moved: NDArray[Any]) -> None:
    """What was moved on the host, where that is not the tensor's own memory."""
    if tensor.data_ptr() != moved.__array_interface__["data"][0]:
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(moved))


def _map_keys(key: int, samples: int) -> NDArray[np.uint32]:
    """Keys of 32 bits: one of the cells, and one of each sample, an even number of them."""
    return hashes(np.uint64(key), 1 + samples + samples % 2)


def _check_cells(cells: PulseCells, w: torch.Tensor, counts: torch.Tensor | None) -> None:
    if cells.cells.shape[:-1] != w.shape or cells.cells.dtype != w.dtype:
        raise InputError(
            "the cells are not those of the weights",
            where="w",
            value=(tuple(w.shape), w.dtype),
            allowed=f"{tuple(cells.cells.shape[:-1])} of {cells.cells.dtype}",
        )
    if counts is not None and (counts.shape != w.shape or counts.dtype != torch.int32):
        raise InputError(
            "these are no counts of steps",
            where="counts",
            value=(tuple(counts.shape), counts.dtype),
            allowed=f"{tuple(w.shape)} of torch.int32",
        )


def _check_shape(w: torch.Tensor, trains: PulseTrains) -> None:
    wanted = (trains.words.shape[1], trains.bits.shape[1])
    if tuple(w.shape) != wanted:
        raise InputError(
            "wrong shape",
            where="w",
            value=tuple(w.shape),
            allowed=f"{wanted}: word lines and bit lines of the trains",
        )
