"""What pulses of updates put across the cells of a pulse device."""

from __future__ import annotations

from compact_models.model import ParameterSet
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
