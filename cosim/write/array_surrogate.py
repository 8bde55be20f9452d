"""An array through a pulse by the update surrogate of its device: tables in place of equations.

The wires take their share from the pulse by the currents before it. Cells are seen one by one at
one voltage each: how that falls while a cell itself or a neighbour switches is left out. For cells
that move a little in each pulse that is near; where several of a line switch at once,
`torch_engine` and `ngspice_engine` know better.
"""

from __future__ import annotations

import numpy as np
import torch

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from cosim.devices.operating_point import operating_point
from cosim.devices.switching_time import switching_state
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.driven_lines import DrivenLines
from cosim.write.engines import Pulsed, WriteEngine
from cosim.write.pulsed_array import PulsedArray
from netlists.pulse import Pulse

_ROUNDS = 4  # of currents and voltages: each is the drop times smaller than the one before


def surrogate_engine(*surrogates: UpdateSurrogate) -> WriteEngine:
    """Pulses of the timings for which there is a surrogate.

    The engine raises InputError for a stimulus that is no such pulse, for cells with a selector or
    transistor, with parameters of their own or of another device, and for a voltage beyond the
    surrogate's range. States other than the written one are left as they are.
    """

    def run(array: PulsedArray) -> Pulsed:
        with torch.no_grad():
            pulse = _pulse(array)
            fitting = [one for one in surrogates if _has_timing(one, pulse)]
            return _run(fitting[0] if fitting else surrogates[0], array, pulse)

    return run


def _has_timing(surrogate: UpdateSurrogate, pulse: Pulse) -> bool:
    return bool(np.allclose(surrogate.pulse.timing_s, pulse.timing_s, rtol=1e-9, atol=0))


def _run(surrogate: UpdateSurrogate, array: PulsedArray, pulse: Pulse) -> Pulsed:
    _check(surrogate, array, pulse)
    functions = torch_model(array.model)
    index = switching_state(array.model)
    stuck_s = np.full(array.shape, np.nan) if array.stuck_s is None else array.stuck_s
    works = np.isnan(stuck_s)
    p = functions.parameters(dict(array.parameter_set.values))
    begun = [torch.from_numpy(array.start(x.name)) for x in array.model.states]
    fractions = list(functions.fractions(begun, p))
    lines = DrivenLines.of(
        array.shape,
        r_wordline_ohm=array.wires.r_wordline_ohm,
        r_bitline_ohm=array.wires.r_bitline_ohm,
        r_driver_ohm=array.r_driver_ohm,
    )
    driven = torch.from_numpy(array.word_v[:, None, 1] - array.bit_v[None, :, 1])
    seen = torch.from_numpy(works) & (driven != 0)
    stuck = torch.from_numpy(np.where(works, 0.0, stuck_s))
    x, u = fractions[index][seen].clamp(0, 1), driven.clone()
    # The currents are those of the states before the pulse: a cell that switches does so at the
    # voltage that it has until then, and its own current comes too late to stop it.
    before = {x.name: torch.from_numpy(array.start(x.name))[seen] for x in array.model.states}
    for _ in range(0 if lines.ideal else _ROUNDS):
        current = stuck * u
        current[seen] = operating_point(
            array.model, array.parameter_set.values, before, u[seen]
        ).current_a
        # A drop that would turn a cell's voltage round is none of these pulses'.
        u = driven - lines.drop_v(current)
        u = torch.where(u * driven > 0, u, 1e-3 * driven)
    heat = stuck * u**2 * pulse.square_s
    heat[seen] = surrogate.energy(x, u[seen])
    after = surrogate.after(x, u[seen])
    failed = "" if bool(torch.isfinite(after).all()) else "the surrogate's source had no answer"
    fractions[index] = fractions[index].clone()
    fractions[index][seen] = after
    physical = functions.states(fractions, p)
    states = {
        state.name: np.where(works, value.numpy(), np.nan)
        for state, value in zip(array.model.states, physical, strict=True)
    }
    # Cells and lines: what the drop takes goes with what the cells get.
    given = float((heat * driven / torch.where(u == 0, 1.0, u)).sum())
    return Pulsed(states, heat.numpy(), given, failed)


def _pulse(array: PulsedArray) -> Pulse:
    """The pulse that all lines of an array carry, at different levels."""
    lines_v = np.concatenate([array.word_v, array.bit_v])
    if len(array.time_s) != 4 or lines_v[:, [0, 3]].any() or (np.diff(lines_v[:, 1:3]) != 0).any():
        raise InputError(
            "the update surrogate knows single pulses only",
            where="time_s",
            value=len(array.time_s),
            allowed="four corners, at 0 V in the beginning and at the end",
        )
    rise_s, width_s, fall_s = np.diff(array.time_s).tolist()
    return Pulse(float(np.abs(lines_v).max()), width_s, rise_s, fall_s)


def _check(surrogate: UpdateSurrogate, array: PulsedArray, pulse: Pulse) -> None:
    surrogate.check_timing(pulse.at(surrogate.pulse.amplitude_v))
    made_for = (surrogate.model, surrogate.parameter_set)
    given = (array.model.name, array.parameter_set.name)
    if given != made_for:
        raise InputError(
            "the update surrogate is of another device",
            where="array",
            value=" ".join(given),
            allowed=" ".join(made_for),
        )
    if array.access is not None or array.values:
        raise InputError(
            "the update surrogate is of the bare device with the numbers of its set",
            where="array: " + ("values" if array.values else "access"),
            hint="take torch_engine or ngspice_engine",
        )
