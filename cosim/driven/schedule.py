"""Pulses one after the other in a single run: what a train or a whole write puts on the lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.writable import WritableArray
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme

Array = NDArray[np.float64]

_MOST = 3.0
"""What a model is good for, over the amplitude of its parameter set."""


@dataclass(frozen=True, eq=False)
class Event:
    """One pulse of a schedule.

    Attributes:
        start_s: when it begins.
        pulse: its timing.
        amplitude_v: what every cell should see [V], [row, col]; 0 where it is not selected.
        gate_v: voltage of the selected row's gates, with transistors.
    """

    start_s: float
    pulse: Pulse
    amplitude_v: Array
    gate_v: float | None = None

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.pulse.duration_s


def train(
    amplitude_v: Array, pulse: Pulse, count: int, *, rest_s: float, gate_v: float | None = None
) -> list[Event]:
    """The same pulse again and again.

    Args:
        amplitude_v: what every cell should see [V], [row, col].
        pulse: its timing.
        count: how many.
        rest_s: between the end of one and the beginning of the next, > 0.
        gate_v: see `Event`.
    """
    period_s = pulse.duration_s + rest_s
    return [Event(k * period_s, pulse, amplitude_v, gate_v) for k in range(count)]


def scheduled(
    array: WritableArray,
    scheme: WriteScheme,
    events: Sequence[Event],
    *,
    end_s: float | None = None,
) -> PulsedArray:
    """The array with all pulses of a schedule on its lines, as one stimulus from 0 s.

    Gates change from one pulse's voltage to the next one's in the rest between the two, or where
    there is none while the next one rises.

    Args:
        array: before the first pulse.
        scheme: what other lines carry.
        events: in the order of their beginnings.
        end_s: when the run ends; None with the last pulse.

    Raises:
        InputError: there are no pulses, one selects no cell, two overlap, one begins before 0 s or
            ends after the run, or a voltage is beyond what the model is good for.
    """
    if not events:
        raise InputError(
            "the schedule never selects a cell", where="events", hint="give it a pulse at least"
        )
    _check_order(events, end_s)
    highest_v = _MOST * array.parameter_set.amplitude_v
    pieces = []
    for k, event in enumerate(events):
        wrong = ~(np.abs(event.amplitude_v) <= highest_v)
        if event.amplitude_v.shape != array.shape:
            raise InputError(
                "wrong shape",
                where=f"events[{k}].amplitude_v",
                value=event.amplitude_v.shape,
                allowed=f"{array.shape}",
            )
        if wrong.any():
            row, col = (int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                "a voltage beyond what the model is good for",
                where=f"events[{k}].amplitude_v[{row}, {col}]",
                value=float(event.amplitude_v[row, col]),
                allowed=f"{-highest_v:g} to {highest_v:g} V, {_MOST:g} times the amplitude of"
                f" set {array.parameter_set.name!r}",
            )
        try:
            levels = scheme.levels(event.amplitude_v, gate_v=event.gate_v)
        except InputError as error:
            raise error.within(f"events[{k}]") from error
        pieces.append(array.under(levels, event.pulse))
    # Lines are at 0 V before and after a pulse, gates as they are in it: they open before it.
    times, tables = [np.zeros(1)], [[_line(pieces[0], name)[:, :1]] for name in _LINES]
    for event, piece in zip(events, pieces, strict=True):
        start = event.start_s + piece.time_s
        first = 1 if start[0] <= times[-1][-1] else 0  # a pulse that begins where another ended
        times.append(start[first:])
        for table, name in zip(tables, _LINES, strict=True):
            table.append(_line(piece, name)[:, first:])
    if end_s is not None and end_s > times[-1][-1]:
        times.append(np.array([end_s]))
        for table, name in zip(tables, _LINES, strict=True):
            table.append(_line(pieces[-1], name)[:, -1:])
    word_v, bit_v, gate_v = (np.concatenate(table, axis=1) for table in tables)
    gated = pieces[0].gate_v is not None
    return replace(
        pieces[0],
        time_s=np.concatenate(times),
        word_v=word_v,
        bit_v=bit_v,
        gate_v=gate_v if gated else None,
    )


_LINES = ("word_v", "bit_v", "gate_v")


def _line(piece: PulsedArray, name: str) -> Array:
    table = getattr(piece, name)
    if table is None:
        return np.zeros_like(piece.word_v)
    found: Array = table
    return found


def _check_order(events: Sequence[Event], end_s: float | None) -> None:
    last_s, before = 0.0, "the run"
    for k, event in enumerate(events):
        if not event.start_s >= last_s * (1 - 1e-12):
            raise InputError(
                "pulses overlap" if k else "a pulse begins before the run",
                where=f"events[{k}].start_s",
                value=event.start_s,
                allowed=f"{last_s:g} s or later, when {before} has {'ended' if k else 'begun'}",
            )
        last_s, before = event.end_s, f"events[{k}]"
    if end_s is not None and not end_s >= last_s * (1 - 1e-12):
        raise InputError(
            "the run ends before its last pulse",
            where="end_s",
            value=end_s,
            allowed=f"{last_s:g} s or later",
        )
