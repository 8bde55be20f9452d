"""What one pulse does to a device, as a table: the surrogate of an update.

A device that runs away turns a smooth start into a cliff: over the state x before a pulse the state
y after it rises like a step, and where the step is changes with the voltage. A table over x would
blend two such steps into two half ones. Here the table is over u = x + y and holds w = y - x. As
long as y falls nowhere as fast as x rises, w is a function of u and never steeper than 1: a cliff
is a slope of 1, to be followed with few points. States are fractions of their range, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from compact_models.errors import InputError
from compact_models.variation import component_rng
from netlists.pulse import Pulse

Array = NDArray[np.float64]

# Of u, from 0 to 2: even, and nearer and nearer to the ends, where a bound cuts small steps short.
_TO_END = np.geomspace(1e-6, 1e-2, 60)
PLACES = np.unique(np.concatenate([np.linspace(0, 2, 4001), _TO_END, 2 - _TO_END]))
_TINY = 1e-300
_STILL = 1e-9  # of a range: a level at which no state moves further is one at which none moves
_STEEPEST = 0.9  # of w beyond the range: with 1 no state would ever be reached
_HAIR = 1e-9  # of a range, by which a value may lie out of it: rounding


@dataclass(frozen=True)
class HeldOut:
    """How far the surrogate is from its source on points that it was not made from.

    Attributes:
        points: how many points were compared.
        lost: how many more the source could not solve.
        nrmse: rms of the error of the change of state over the rms of the change.
        worst: the largest error, as a fraction of the state's range.
        energy_nrmse: as `nrmse`, of the energy of a pulse.
    """

    points: int
    lost: int
    nrmse: float
    worst: float
    energy_nrmse: float


@dataclass(frozen=True)
class UpdateNoise:
    """Noise of the steps from pulse to pulse, the same for the same numbers.

    Attributes:
        sigma: standard deviation of a step, as a part of the step.
        seed: the study's seed, >= 0.
        sample: the index of the sample, >= 0.
        path: the path of the array or the cell.
    """

    sigma: float
    seed: int
    sample: int
    path: str


@dataclass(frozen=True, eq=False)
class UpdateSurrogate:
    """The state after one pulse and the pulse's energy, over the state before and the voltage.

    Attributes:
        model: the device's name.
        parameter_set: its set, which says the temperature too.
        pulse: one pulse with the timing that holds here; its level is the highest.
        state: the state that is meant; others start where the set's initial values are.
        source: who measured it: `torch` or an ngspice.
        voltage_v: levels of the table [V], rising, [level].
        change: w over the levels and over `PLACES` of u, [level, place].
        change_slope: its derivative by the voltage, likewise; None for straight lines.
        heat_j_per_v2: the energy of a pulse over the square of its level [J/V^2], [level, place].
        reason: why the first run that failed did; empty if none has.
        held_out: its error; None before it has been measured.
    """

    model: str
    parameter_set: str
    pulse: Pulse
    state: str
    source: str
    voltage_v: torch.Tensor
    change: torch.Tensor
    change_slope: torch.Tensor | None
    heat_j_per_v2: torch.Tensor
    reason: str = ""
    held_out: HeldOut | None = None

    @property
    def range_v(self) -> tuple[float, float]:
        """The least and the greatest level that it knows [V]."""
        return float(self.voltage_v[0]), float(self.voltage_v[-1])

    def inside(self, x: torch.Tensor, voltage_v: torch.Tensor) -> torch.Tensor:
        """Where it holds: within the range of state and voltage, where the source had an answer.

        Args:
            x: fractions of the state [...].
            voltage_v: levels of the pulse [V], of a shape that goes with it.
        """
        low, high = self.range_v
        hair_v = _HAIR * (high - low)
        x, v = torch.broadcast_tensors(x, voltage_v)
        with torch.no_grad():
            after, energy = self._read(x, v)
        fits = (x >= -_HAIR) & (x <= 1 + _HAIR) & (v >= low - hair_v) & (v <= high + hair_v)
        known = torch.isfinite(after) & torch.isfinite(energy)
        return torch.logical_and(fits, known)

    def after(
        self, x: torch.Tensor, voltage_v: torch.Tensor, noise: UpdateNoise | None = None
    ) -> torch.Tensor:
        """The state after one pulse, in [0, 1]; gradients flow to both arguments.

        Args:
            x: fractions of the state before [...].
            voltage_v: levels of the pulse [V], of a shape that goes with it.
            noise: of the step; None for the mean device.

        Raises:
            InputError: a state or a level is out of the table; `inside` says which.
        """
        self._check(x, voltage_v)
        x, v = torch.broadcast_tensors(x.to(torch.float64), voltage_v.to(torch.float64))
        after, _ = self._read(x, v)
        if noise is not None:
            drawn = component_rng(noise.seed, noise.sample, noise.path)
            xi = torch.from_numpy(np.asarray(drawn.standard_normal(tuple(x.shape))))
            after = x + (after - x) * (1 + noise.sigma * xi.to(x.device))
        return after.clamp(0, 1)

    def step(self, x: torch.Tensor, voltage_v: torch.Tensor) -> torch.Tensor:
        """The change of the state by one pulse; see `after`."""
        return self.after(x, voltage_v) - x

    def energy(self, x: torch.Tensor, voltage_v: torch.Tensor) -> torch.Tensor:
        """What one pulse turns into heat in the device [J]; see `after`."""
        self._check(x, voltage_v)
        x, v = torch.broadcast_tensors(x.to(torch.float64), voltage_v.to(torch.float64))
        return self._read(x, v)[1]

    def check_timing(self, pulse: Pulse) -> None:
        """Refuses a pulse that this surrogate was not made for.

        Raises:
            InputError: rise, width or fall is another one, or the level is out of the table.
        """
        for name, own, asked in zip(
            ("rise_s", "width_s", "fall_s"), self.pulse.timing_s, pulse.timing_s, strict=True
        ):
            if abs(asked - own) > 1e-9 * own:
                raise InputError(
                    "the surrogate was made for another pulse",
                    where=name,
                    value=asked,
                    allowed=f"{own:g} s",
                    hint="calibrate one with this timing",
                )
        self._check_range(
            "amplitude_v", torch.tensor(pulse.amplitude_v, dtype=torch.float64), *self.range_v, " V"
        )

    def _check(self, x: torch.Tensor, voltage_v: torch.Tensor) -> None:
        self._check_range("x", x, 0.0, 1.0, " of the state's range")
        self._check_range("voltage_v", voltage_v, *self.range_v, " V")

    def _check_range(
        self, where: str, given: torch.Tensor, low: float, high: float, unit: str
    ) -> None:
        values = given.detach().reshape(-1)
        hair = _HAIR * (high - low)
        bad = ~((values >= low - hair) & (values <= high + hair))
        if bool(bad.any()):
            raise InputError(
                f"outside what the update surrogate of {self.model} was calibrated for",
                where=where,
                value=float(values[int(bad.to(torch.int8).argmax())]),
                allowed=f"{low:g} to {high:g}{unit}",
                hint="calibrate a wider one, or integrate the device",
            )

    def _read(self, x: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States after a pulse and energies [...]; NaN where the source had no answer."""
        nodes = self.voltage_v
        level = torch.searchsorted(nodes, v.detach().contiguous(), right=True) - 1
        level = level.clamp(0, len(nodes) - 2)
        # Most cells of an array are half-selected: where no state moves there is nothing to find.
        quiet = self.change.abs().amax(-1) < _STILL  # False for NaN
        still = quiet[level] & quiet[level + 1]
        if not bool(still.any()):
            return self._moving(x, v, level)
        moving = ~still
        after, energy = x.clone(), torch.zeros_like(x)
        energy[still] = self._heat_at_rest(x[still], v[still], level[still])
        if bool(moving.any()):
            after[moving], energy[moving] = self._moving(x[moving], v[moving], level[moving])
        return torch.where(torch.isfinite(energy), after, torch.nan), energy

    def _heat_at_rest(self, x: torch.Tensor, v: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Energies where the state stays, so that u is 2 x [J]."""
        nodes, heat = self.voltage_v, self.heat_j_per_v2
        place = torch.from_numpy(PLACES).to(nodes.device)
        below = torch.searchsorted(place, 2 * x.detach(), right=True) - 1
        below = below.clamp(0, len(PLACES) - 2)
        part = ((2 * x - place[below]) / (place[below + 1] - place[below])).clamp(0, 1)
        t = ((v - nodes[level]) / (nodes[level + 1] - nodes[level])).clamp(0, 1)
        e0 = torch.lerp(heat[level, below], heat[level + 1, below], t)
        e1 = torch.lerp(heat[level, below + 1], heat[level + 1, below + 1], t)
        return torch.lerp(e0, e1, part) * v**2

    def _moving(
        self, x: torch.Tensor, v: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`_read` for states that move, whose levels are in the interval above `level`."""
        nodes = self.voltage_v
        length = nodes[level + 1] - nodes[level]
        t = ((v - nodes[level]) / length).clamp(0, 1)
        place = torch.from_numpy(PLACES).to(nodes.device)
        last = len(PLACES) - 1

        def change(k: torch.Tensor) -> torch.Tensor:
            y0, y1 = self.change[level, k], self.change[level + 1, k]
            if self.change_slope is None:
                return torch.lerp(y0, y1, t)
            m0 = self.change_slope[level, k] * length
            m1 = self.change_slope[level + 1, k] * length
            return y0 + t * (
                m0 + t * (-3 * (y0 - y1) - 2 * m0 - m1 + t * (2 * (y0 - y1) + m0 + m1))
            )

        # u - w(u) = 2 x, whose left side rises with u: by halving, then on one straight line.
        below = torch.zeros_like(level)
        with torch.no_grad():
            above = torch.full_like(level, last)
            while int((above - below).max() if level.numel() else 0) > 1:
                middle = (below + above) // 2
                left = place[middle] - change(middle) <= 2 * x
                below = torch.where(left, middle, below)
                above = torch.where(left, above, middle)
            below = below.clamp(0, last - 1)
        first = place[below] - change(below)
        rise = place[below + 1] - change(below + 1) - first
        part = (2 * x - first) / torch.where(rise > 1e-12, rise, torch.ones_like(rise))
        # On a cliff every place is right; gradients are those of a very steep line at most.
        part = torch.where(rise > 1e-12, part, 0.5 + 0 * part).clamp(0, 1)
        after = (torch.lerp(place[below], place[below + 1], part) - x).clamp(0, 1)
        heat = self.heat_j_per_v2
        e0 = torch.lerp(heat[level, below], heat[level + 1, below], t)
        e1 = torch.lerp(heat[level, below + 1], heat[level + 1, below + 1], t)
        energy = torch.lerp(e0, e1, part) * v**2
        return torch.where(torch.isfinite(energy), after, torch.nan), energy


@dataclass(frozen=True, eq=False)
class Row:
    """Pulses of one level, measured.

    Attributes:
        voltage_v: the level [V].
        x: states before, rising, 0 and 1 among them [point].
        after: states after [point]; NaN where the source has no answer.
        energy_j: energies [J], [point].
    """

    voltage_v: float
    x: Array
    after: Array
    energy_j: Array

    def table(self) -> tuple[Array, Array]:
        """The change w and energy [J] over `PLACES`, each [place].

        Beside an unknown point the energy is NaN, which says so of both.
        """
        place = PLACES
        known = np.isfinite(self.after) & np.isfinite(self.energy_j)
        if known.sum() < 2:
            return np.zeros(len(PLACES)), np.full(len(PLACES), np.nan)
        x = self.x[known]
        # What a simulator's error turns round is put right: u has to rise with x.
        u = np.maximum.accumulate(x + np.clip(self.after[known], 0, 1))
        w = u - 2 * x
        # Below and above what any state leads to it goes on straight, so that there is no corner.
        ends = np.concatenate([[0.0], u, [2.0]])
        steep = [(w[i] - w[j]) / max(u[i] - u[j], _TINY) for i, j in ((1, 0), (-1, -2))]
        slopes = np.clip(steep, -1.0, _STEEPEST)
        heights = [w[0] - slopes[0] * u[0], *w, w[-1] + slopes[1] * (2.0 - u[-1])]
        change = np.interp(place, ends, heights)
        energy = np.interp(place, u, self.energy_j[known])
        for k in np.flatnonzero(~known):
            near = [self.x[j] for j in (k - 1, k + 1) if 0 <= j < len(self.x)]
            doubt = (place - change >= 2 * min(near)) & (place - change <= 2 * max(near))
            energy = np.where(doubt, np.nan, energy)
        return change, energy


def from_rows(
    rows: list[Row],
    *,
    model: str,
    parameter_set: str,
    pulse: Pulse,
    state: str,
    source: str,
    smooth: bool,
) -> UpdateSurrogate:
    """The table through measured rows.

    Args:
        rows: of rising levels, two at least.
        model: the device's name.
        parameter_set: its set's.
        pulse: a pulse of the timing that was measured.
        state: the state's name.
        source: who measured.
        smooth: monotone cubics over the voltage (Fritsch and Carlson, SIAM J. Numer. Anal. 17,
            1980, through scipy); False for straight lines.
    """
    change, energy = (np.stack(column) for column in zip(*(r.table() for r in rows), strict=True))
    levels = np.array([row.voltage_v for row in rows])
    heat = np.empty_like(energy)
    heat[levels != 0] = energy[levels != 0] / levels[levels != 0, None] ** 2
    for k in np.flatnonzero(levels == 0):  # where it is 0 / 0: as beside it
        beside = [heat[j] for j in (k - 1, k + 1) if 0 <= j < len(levels)]
        heat[k] = np.mean(beside, axis=0)
    slope = None
    if smooth:
        found = PchipInterpolator(levels, change, axis=0).derivative()(levels)
        slope = torch.from_numpy(found)
    return UpdateSurrogate(
        model=model,
        parameter_set=parameter_set,
        pulse=pulse.at(float(levels[np.argmax(np.abs(levels))])),
        state=state,
        source=source,
        voltage_v=torch.from_numpy(levels),
        change=torch.from_numpy(change),
        change_slope=slope,
        heat_j_per_v2=torch.from_numpy(heat),
    )


def compared(
    surrogate: UpdateSurrogate, x: Array, voltage_v: Array, after: Array, energy_j: Array
) -> HeldOut:
    """The error of a surrogate on measured points, each array [point]."""
    ours, energy = surrogate._read(torch.from_numpy(x), torch.from_numpy(voltage_v))
    known = np.isfinite(after) & np.isfinite(ours.numpy()) & np.isfinite(energy_j)
    error = (ours.numpy() - after)[known]
    heat = (energy.numpy() - energy_j)[known]
    return HeldOut(
        points=int(known.sum()),
        lost=int((~known).sum()),
        nrmse=_over(error, (after - x)[known]),
        worst=float(np.abs(error).max(initial=0.0)),
        energy_nrmse=_over(heat, energy_j[known]),
    )


def ideal_step(surrogate: UpdateSurrogate) -> UpdateSurrogate:
    """The negative control: one step for all states and voltages of a sign, as ideal devices have.

    It is that of the middle of the range at the full level, cut short by the bounds. It gives up
    how the step depends on the state and on the voltage that arrives.
    """
    levels = surrogate.voltage_v
    full = torch.where(levels > 0, levels[-1], levels[0]) * (levels != 0)
    middle = torch.full_like(levels, 0.5)
    step = (surrogate._read(middle, full)[0] - middle).numpy()
    rows = []
    for level, one in zip(surrogate.voltage_v.tolist(), step.tolist(), strict=True):
        x = np.unique(np.clip(np.array([0.0, -one, 1 - one, 1.0]), 0, 1))
        rows.append(Row(level, x, np.clip(x + one, 0, 1), np.zeros_like(x)))
    made = from_rows(
        rows,
        model=surrogate.model,
        parameter_set=surrogate.parameter_set,
        pulse=surrogate.pulse,
        state=surrogate.state,
        source="constant step",
        smooth=False,
    )
    return replace(made, held_out=None)


def _over(error: Array, size: Array) -> float:
    if not size.size:
        return float("nan")
    return float(np.sqrt(np.mean(error**2) / max(float(np.mean(size**2)), _TINY)))
