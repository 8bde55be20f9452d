"""What one pulse does to a device, as a table: the surrogate of an update.

A device that runs away turns a smooth start into a cliff: over the state x before a pulse the state
y after it rises like a step, and where the step is changes with the voltage. A table over x would
blend two such steps into two half ones. Here the table is over u = x + y and holds w = y - x. As
long as y falls nowhere as fast as x rises, w is a function of u and never steeper than 1: a cliff
is a slope of 1, to be followed with few points. States are fractions of their range, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import Draw
from netlists.pulse import Pulse

Array = NDArray[np.float64]

# Of u, from 0 to 2: even, and nearer and nearer to the ends, where a bound cuts small steps short.
_TO_END = np.geomspace(1e-6, 1e-2, 60)
PLACES = np.unique(np.concatenate([np.linspace(0, 2, 4001), _TO_END, 2 - _TO_END]))
# Where the even ones are among them: found without a search.
_STEPS = 4000
_EVEN = torch.from_numpy(np.searchsorted(PLACES, np.linspace(0, 2, _STEPS + 1)))
_STILL = 1e-9  # of a range: a level at which no state moves further is one at which none moves
_FEW = 2048  # cells
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
    """Noise of the steps from pulse to pulse.

    Attributes:
        sigma: standard deviation of a step, as a part of the step.
        draw: where it is drawn from: another step for each pulse.
    """

    sigma: float
    draw: Draw


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
            after, energy = self.lookup(x, v)
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
        after, _ = self.lookup(x, v)
        if noise is not None:
            drawn = noise.draw.rng().standard_normal(tuple(x.shape))
            xi = torch.from_numpy(np.asarray(drawn))
            after = x + (after - x) * (1 + noise.sigma * xi.to(x.device))
        return after.clamp(0, 1)

    def pulse_on(
        self, x: torch.Tensor, voltage_v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`after` and `energy` [J], which are found together."""
        self._check(x, voltage_v)
        x, v = torch.broadcast_tensors(x.to(torch.float64), voltage_v.to(torch.float64))
        after, energy = self.lookup(x, v)
        return after.clamp(0, 1), energy

    def step(self, x: torch.Tensor, voltage_v: torch.Tensor) -> torch.Tensor:
        """The change of the state by one pulse; see `after`."""
        return self.after(x, voltage_v) - x

    def energy(self, x: torch.Tensor, voltage_v: torch.Tensor) -> torch.Tensor:
        """What one pulse turns into heat in the device [J]; see `after`."""
        return self.pulse_on(x, voltage_v)[1]

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

    def lookup(self, x: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`pulse_on` without a look at the range: float64 of one shape, NaN where unknown."""
        nodes = self.voltage_v
        level = torch.searchsorted(nodes, v.detach().contiguous(), right=True) - 1
        level = level.clamp(0, len(nodes) - 2)
        # Most cells of an array are half-selected: where no state moves there is nothing to find.
        moving = self._moves[level]
        if bool(moving.all()):
            return self._moving(x, v, level)
        # Moving cells are asked too, and written over: no gradient may come from there.
        at_rest = [torch.where(moving, one.detach(), one) for one in (x, v)]
        after, energy = x, self._heat_at_rest(at_rest[0], at_rest[1], level)
        at = moving.nonzero(as_tuple=True)
        if at[0].numel():
            found = self._moving(x[at], v[at], level[at])
            after, energy = (
                whole.index_put(at, part)
                for whole, part in zip((after, energy), found, strict=True)
            )
        return torch.where(torch.isfinite(energy), after, torch.nan), energy

    @cached_property
    def change_by_place(self) -> torch.Tensor:
        """`change`, [place, level]: what is read over all levels lies side by side."""
        return self.change.T.contiguous()

    @cached_property
    def slope_by_place(self) -> torch.Tensor | None:
        """`change_slope` likewise."""
        return None if self.change_slope is None else self.change_slope.T.contiguous()

    @cached_property
    def _moves(self) -> torch.Tensor:
        """Whether any state moves at levels of an interval of the table, [level - 1]."""
        moves = ~(self.change.abs().amax(-1) < _STILL)  # True for NaN
        return moves[:-1] | moves[1:]

    def _heat_at_rest(self, x: torch.Tensor, v: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Energies where the state stays, so that u is 2 x [J]."""
        nodes, heat = self.voltage_v, self.heat_j_per_v2
        exact = (_STEPS * x).clamp(0, _STEPS)
        k = exact.detach().to(torch.int64).clamp(0, _STEPS - 1)
        part, even = exact - k, _EVEN.to(nodes.device)
        t = ((v - nodes[level]) / (nodes[level + 1] - nodes[level])).clamp(0, 1)
        # Flat places of the table: a gather by one index is twice as fast as by two.
        flat, width = heat.reshape(-1), len(PLACES)
        row = level * width
        below, above = row + even[k], row + even[k + 1]
        e0 = torch.lerp(flat[below], flat[below + width], t)
        e1 = torch.lerp(flat[above], flat[above + width], t)
        return torch.lerp(e0, e1, part) * v**2

    def _moving(
        self, x: torch.Tensor, v: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`lookup` for states that move, whose levels are in the interval above `level`."""
        nodes = self.voltage_v
        length = nodes[level + 1] - nodes[level]
        t = ((v - nodes[level]) / length).clamp(0, 1)
        place = torch.from_numpy(PLACES).to(nodes.device)
        last = len(PLACES) - 1

        row = level * len(PLACES)  # flat places, as in `_heat_at_rest`
        table, slope = self.change.reshape(-1), self.change_slope
        slopes = None if slope is None else slope.reshape(-1)

        def change(k: torch.Tensor) -> torch.Tensor:
            lower = row + k
            upper = lower + len(PLACES)
            y0, y1 = table[lower], table[upper]
            if slopes is None:
                return torch.lerp(y0, y1, t)
            m0, m1 = slopes[lower] * length, slopes[upper] * length
            fall = y0 - y1
            return y0 + t * (m0 + t * (-3 * fall - 2 * m0 - m1 + t * (2 * fall + m0 + m1)))

        # u - w(u) = 2 x, whose left side rises with u: part by part, then on one straight line.
        below = torch.zeros_like(level)
        # For few cells calls cost more than numbers: then more parts at a time and fewer times.
        parts, stretch = (17 if x.numel() < _FEW else 2), last
        with torch.no_grad():
            inner = torch.arange(1, parts, device=x.device).view(-1, *(1,) * x.ndim)
            while stretch > 1:
                stretch = -(-stretch // parts)
                tried = (below + inner * stretch).clamp(max=last)
                left = place[tried] - change(tried) <= 2 * x  # False for NaN
                below = below + stretch * left.cumprod(0).sum(0)
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
