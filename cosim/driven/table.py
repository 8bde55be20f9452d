"""An array through a pulse by the update surrogate of its device: tables in place of equations.

The wires take their share from the pulse by the currents before it. Cells are seen one by one at
one voltage each: how that falls while a cell itself or a neighbour switches is left out. For cells
that move a little in each pulse that is near; where several of a line switch at once,
`ode` and `spice` know better.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.variation import component_rng
from cosim.devices.operating_point import operating_point
from cosim.devices.switching_time import switching_state
from cosim.driven.lines import voltages_across
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import Engine, PulseResult, lost
from cosim.ngspice import Outcome
from cosim.surrogate.update import UpdateSurrogate
from netlists.pulse import Pulse

ENGINE = "table"
MOST_SIGMA = 4.0  # of drawn switching voltages: a table of pulses has an end
_EXACT = 1e-4  # of the highest voltage: how exactly the wires are solved; the tables know no more


@dataclass(frozen=True, eq=False)
class Spread:
    """How cells differ from the mean device, and pulses from each other; drawn by `draw_spread`.

    Attributes:
        gain: a cell switches as the mean device does at `gain` times its voltage, [row, col]: the
            inverse of how much higher its switching voltages are. Its current stays the mean's.
        sigma_step: standard deviation of a step from pulse to pulse, as a part of the step.
        seed: the study's seed, >= 0.
        sample: the index of the sample, >= 0.
        path: the path of the array.
    """

    gain: NDArray[np.float64]
    sigma_step: float
    seed: int
    sample: int
    path: str

    def noise(self, pulse: int) -> NDArray[np.float64]:
        """By what the steps of one pulse are multiplied, [row, col]; never below 0."""
        rng = component_rng(self.seed, self.sample, f"{self.path}/pulse_{pulse}")
        return np.maximum(1 + self.sigma_step * rng.standard_normal(self.gain.shape), 0)


def draw_spread(
    shape: tuple[int, int],
    *,
    sigma_switching: float,
    sigma_step: float,
    seed: int,
    sample: int,
    path: str,
) -> Spread:
    """Cells with switching voltages of their own, the same for the same numbers.

    Args:
        shape: rows and columns.
        sigma_switching: standard deviation of the logarithm of switching voltages; what is beyond
            `MOST_SIGMA` of them is brought back to it.
        sigma_step: see `Spread`.
        seed: see `Spread`.
        sample: likewise.
        path: likewise.
    """
    drawn = component_rng(seed, sample, f"{path}/switching").standard_normal(shape)
    gain = np.exp(-sigma_switching * np.clip(drawn, -MOST_SIGMA, MOST_SIGMA))
    return Spread(gain, sigma_step, seed, sample, path)


def table_engine(*surrogates: UpdateSurrogate, spread: Spread | None = None) -> Engine:
    """Pulses of the timings for which there is a surrogate.

    The engine raises InputError for a stimulus that is no such pulse, for cells with a selector or
    transistor, with parameters of their own or of another device, and for a voltage beyond the
    surrogate's range. States other than the written one are left as they are.

    Args:
        surrogates: one or several.
        spread: of the cells of the one array that is pulsed, whose pulses are counted; None for the
            mean device.
    """
    pulses = itertools.count()

    def run(array: PulsedArray) -> PulseResult:
        with torch.no_grad():
            pulse = _pulse(array)
            fitting = [one for one in surrogates if _has_timing(one, pulse)]
            factors = None if spread is None else (spread.gain, spread.noise(next(pulses)))
            return _run(fitting[0] if fitting else surrogates[0], array, pulse, factors)

    return run


def _has_timing(surrogate: UpdateSurrogate, pulse: Pulse) -> bool:
    pairs = zip(surrogate.pulse.timing_s, pulse.timing_s, strict=True)
    return all(math.isclose(*pair, rel_tol=1e-9) for pair in pairs)


def _run(
    surrogate: UpdateSurrogate,
    array: PulsedArray,
    pulse: Pulse,
    factors: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> PulseResult:
    _check(surrogate, array, pulse)
    functions = torch_model(array.model)
    index = switching_state(array.model)
    stuck_s = np.full(array.shape, np.nan) if array.stuck_s is None else array.stuck_s
    works = np.isnan(stuck_s)
    p = functions.parameters(dict(array.parameter_set.values))
    lines = array.lines
    driven = torch.from_numpy(array.word_v[:, None, 1] - array.bit_v[None, :, 1])
    seen = (torch.from_numpy(works) & (driven != 0)).flatten()
    at = slice(None) if bool(seen.all()) else seen.nonzero().squeeze(1)  # of flat tables
    stuck = torch.from_numpy(np.where(works, 0.0, stuck_s))
    # The currents are those of the states before the pulse: a cell that switches does so at the
    # voltage that it has until then, and its own current comes too late to stop it.
    names = [x.name for x in array.model.states]
    begun = [torch.from_numpy(array.start(name)).flatten()[at] for name in names]
    before = dict(zip(names, begun, strict=True))

    def cell(u: torch.Tensor, _word_v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        point = operating_point(array.model, array.parameter_set.values, before, u.flatten()[at])
        current, slope = stuck * u, stuck.clone()
        current.flatten()[at], slope.flatten()[at] = point.current_a, point.conductance_s
        return current, slope

    word_v, bit_v = (torch.from_numpy(v[:, 1].copy()) for v in (array.word_v, array.bit_v))
    highest_v = float(driven.abs().max())
    across = voltages_across(cell, lines, word_v, bit_v, tolerance_v=_EXACT * highest_v)
    if not bool(across.converged):
        return lost(array, ENGINE, "the voltages across the cells were not found")
    u = across.voltage_v
    fractions = list(functions.fractions(begun, p))
    x = fractions[index].clamp(0, 1)
    if factors is None:
        fractions[index], energy_j = surrogate.pulse_on(x, u.flatten()[at])
    else:
        gain, noise = (torch.from_numpy(one).flatten()[at] for one in factors)
        after, energy_j = surrogate.pulse_on(x, u.flatten()[at] * gain)
        fractions[index] = (x + (after - x) * noise).clamp(0, 1)
        energy_j = energy_j / gain**2  # of its own voltage
    failed = "" if bool(torch.isfinite(fractions[index]).all()) else "the source had no answer"
    heat = stuck * u**2 * pulse.square_s
    heat.flatten()[at] = energy_j
    moved = fractions[index] != x  # the others keep their states to the last digit
    states = {}
    for name, start, after in zip(names, begun, functions.states(fractions, p), strict=True):
        table = torch.from_numpy(np.where(works, array.start(name), np.nan))
        table.flatten()[at] = torch.where(moved, after, start)
        states[name] = table.numpy()
    # Wires and drivers: what they take stands to what the cells get as at the pulse's top.
    top_w = float((across.current_a * u).sum())
    taken = float((across.current_a * driven).sum()) / top_w if top_w > 0 else 1.0
    outcome = Outcome.NO_CONVERGENCE if failed else Outcome.OK
    return PulseResult(states, heat.numpy(), taken * float(heat.sum()), ENGINE, outcome, failed)


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
            hint="take the fidelity ode or spice",
        )
