"""What pulses of updates put across the cells of a pulse device, and how long they move it."""

from __future__ import annotations

import torch

from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.pulses.pulse_law import PulseLaw
from netlists.pulse import Pulse
from netlists.update.spec import PulseSpec

_OF_A_PULSE = ("amplitude_v", "amplitude_down_v", "width_s", "edge_s")
_EDGE = 0.01  # of a width


def cell_pulses(nominal: ParameterSet, spec: PulseSpec) -> tuple[Pulse, Pulse]:
    """What a cell sees where two pulses meet, in a step up and in one down.

    A pulse device has its pulses in its parameter set: the amplitude of an ordinary sweep, of which
    half does not switch it, and the width that its steps are of. They hold unless the levels and
    times of `[pulse]` are others than its defaults.

    Args:
        nominal: the parameter set of a pulse device.
        spec: `[pulse]`.
    """
    usual = PulseSpec()
    if any(getattr(spec, name) != getattr(usual, name) for name in _OF_A_PULSE):
        return spec.nominal, spec.nominal.at(-spec.amplitude_down_v)
    width_s = nominal.values["width_s"]
    edge_s = _EDGE * width_s
    # Edges heat a third of their length: as much as the rectangle of the set in all.
    up = Pulse(nominal.amplitude_v, width_s - 2 * edge_s / 3, edge_s, edge_s)
    return up, up.at(-nominal.amplitude_v)


def driven_widths(model: CompactModel, nominal: ParameterSet, pulses: tuple[Pulse, Pulse]) -> float:
    """For how long pulses are beyond the threshold of a cell, in widths of its set; the mean.

    Args:
        model: a pulse device.
        nominal: its parameter set.
        pulses: what a cell sees in a step up and in one down, from `cell_pulses`.

    Raises:
        InputError: a pulse stays below the threshold, or half of its level does not.
    """
    up, down = pulses
    levels = torch.tensor([up.amplitude_v, down.amplitude_v], dtype=torch.float64)
    law = PulseLaw(model, up)
    whole, half = (law.widths(part * levels, nominal.values) for part in (1.0, 0.5))
    threshold_v = nominal.values["threshold_v"]
    why = ""
    if not bool(whole.all()):
        why = f"these pulses do not step cells, whose threshold is {threshold_v:g} V"
    elif bool(half.any()):
        why = (
            "these pulses move cells of which only one line has a pulse: half of the level is"
            f" beyond the threshold, {threshold_v:g} V"
        )
    if why:
        raise InputError(
            why,
            where="[pulse] amplitude_v, amplitude_down_v",
            value=(abs(up.amplitude_v), abs(down.amplitude_v)),
            allowed=f"above {threshold_v:g} V, up to {2 * threshold_v:g} V",
            hint=f"leave [pulse] out for those of {model.name} {nominal.name}:"
            f" {nominal.amplitude_v:g} V, {nominal.values['width_s']:g} s",
        )
    return float(whole.mean())
