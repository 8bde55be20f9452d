"""From what one pulse does to a device, what a voltage does to it: the rates of pulse devices.

Devices for training on a crossbar are published by their response to a pulse: a weight w between
w_min and w_max that one pulse moves by up(w) or down(w). In a circuit there is a voltage instead.
While it is above +threshold the weight moves so that it has made the step up when the pulse width
has passed, and likewise below -threshold; between them it rests. A pulse twice as long is two
pulses.

How near that is to the step of the publication: where up(w) is straight in w, the same at every
width and height of step, because the speed is chosen so that the exponential approach covers just
the step. Where it is curved, one pulse differs from its step by up * up' / 2, which beside the step
is of the order of the step.

The conductance is g_min at w_min and g_max at w_max, straight between them. Noise from pulse to
pulse is in `PulseResponse` and drawn in `cosim.pulses.device_steps`; the rates are those of the
mean device. A write noise, by which a weight reads otherwise than it is kept, is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from compact_models.model import PulseResponse
from compact_models.symbols import Definition, Parameter, State, V

# A straight step that changes by a smaller or larger part of itself than this is taken to change
# by this: log(1 + x) / x has no value at 0 and none below -1.
_LEAST_SLOPE, _MOST_SLOPE = sympy.Float(1e-6), sympy.Float(1 - 1e-6)


@dataclass(frozen=True)
class Weight:
    """The symbols that all pulse devices share; made anew for each by `weight`.

    Attributes:
        w: the state, between `w_min` and `w_max`.
        w_min: least weight, below 0.
        w_max: largest weight, above 0.
        dw_min: mean step of one pulse, as its publication defines it.
        up_down: how much larger the step up is than the step down, as a part of `dw_min`.
        dw_up: the step up that follows from `dw_min` and `up_down`.
        dw_down: the step down, likewise; positive.
        dw_min_std: standard deviation of a step from pulse to pulse, as a part of it.
        threshold_v: how high a pulse must be [V].
        width_s: how long a pulse is [s].
        g_min: conductance at `w_min` [S].
        g_max: conductance at `w_max` [S].
        current: the current through the device [A].
    """

    w: State
    w_min: Parameter
    w_max: Parameter
    dw_min: Parameter
    up_down: Parameter
    dw_up: Definition
    dw_down: Definition
    dw_min_std: Parameter
    threshold_v: Parameter
    width_s: Parameter
    g_min: Parameter
    g_max: Parameter
    current: sympy.Expr

    @property
    def ordered(self) -> tuple[tuple[Parameter, Parameter], ...]:
        """Pairs of which the first is never above the second, for `CompactModel.ordered`."""
        return ((self.g_min, self.g_max),)

    @property
    def place(self) -> sympy.Expr:
        """Where w is between its bounds, 0 to 1."""
        return (self.w - self.w_min) / (self.w_max - self.w_min)

    def response(
        self,
        up: sympy.Expr,
        down: sympy.Expr,
        spread_up: sympy.Expr | None = None,
        spread_down: sympy.Expr | None = None,
    ) -> PulseResponse:
        """The response of a device to one pulse.

        Args:
            up: change by a pulse up.
            down: change by a pulse down, negative where the weight falls.
            spread_up: standard deviation of `up`; None where it is `dw_min_std` of it.
            spread_down: the same of `down`.
        """
        noise = self.dw_min_std
        return PulseResponse(
            self.w,
            up,
            down,
            self.threshold_v,
            self.width_s,
            noise * sympy.Abs(up) if spread_up is None else spread_up,
            noise * sympy.Abs(down) if spread_down is None else spread_down,
        )


def weight(w_min: Parameter | None = None) -> Weight:
    """The symbols that all pulse devices share.

    Args:
        w_min: the least weight, where it need not be below 0.
    """
    w_min = w_min or Parameter("w_min", "1", "least weight", below=0)
    w_max = Parameter("w_max", "1", "largest weight", above=0)
    dw_min = Parameter("dw_min", "1", "mean step of one pulse", above=0)
    up_down = Parameter(
        "up_down", "1", "how much larger the step up is than the step down", above=-1, below=1
    )
    g_min = Parameter("g_min", "S", "conductance at w_min", low=0)
    g_max = Parameter("g_max", "S", "conductance at w_max", above=0)
    w = State("w", "1", "weight", lower=w_min, upper=w_max)
    # As halves: at 0, where both meet, their gradients are the mean of those on both sides.
    smaller = (up_down - sympy.Abs(up_down)) / 2
    larger = (up_down + sympy.Abs(up_down)) / 2
    return Weight(
        w=w,
        w_min=w_min,
        w_max=w_max,
        dw_min=dw_min,
        up_down=up_down,
        dw_up=Definition("dw_up", "1", "step up where the law is 1", dw_min * (1 + smaller)),
        dw_down=Definition("dw_down", "1", "step down where the law is 1", dw_min * (1 - larger)),
        dw_min_std=Parameter(
            "dw_min_std", "1", "standard deviation of a step, as a part of it", low=0
        ),
        threshold_v=Parameter("threshold_v", "V", "how high a pulse must be", above=0),
        width_s=Parameter("width_s", "s", "how long a pulse is", above=0),
        g_min=g_min,
        g_max=g_max,
        current=(g_min + (w - w_min) / (w_max - w_min) * (g_max - g_min)) * V,
    )


def rates(pulse: PulseResponse) -> Mapping[State, sympy.Expr]:
    """The rate of the state under a voltage, for `CompactModel.rates`.

    Args:
        pulse: what one pulse does.
    """
    up, down = (_speed(step, pulse.state) / pulse.width_s for step in (pulse.up, pulse.down))
    above = sympy.Gt(V, pulse.threshold_v)
    below = sympy.Lt(V, -pulse.threshold_v)
    return {pulse.state: sympy.Piecewise((up, above), (down, below), (0, True))}


def _speed(step: sympy.Expr, state: State) -> sympy.Expr:
    """The speed, in steps per width, with which the state has made the step after one width."""
    slope = sympy.diff(step, state)
    if slope.is_zero or slope.has(state):
        return step
    # dw/dt = k step(w) decays towards the zero of the step as (1 + slope)^t if k is this.
    safe = -sympy.Max(_LEAST_SLOPE, sympy.Min(_MOST_SLOPE, -slope))
    return step * sympy.log(1 + safe) / safe


def pulse_numbers(
    *,
    dw_min: float,
    w_min: float,
    w_max: float,
    dw_min_std: float,
    g_min: float,
    g_max: float,
    threshold_v: float,
    width_s: float,
    up_down: float = 0.0,
) -> dict[str, float]:
    """The values of the shared parameters, for a `ParameterSet`.

    Args:
        dw_min: mean step of one pulse.
        w_min: least weight.
        w_max: largest weight.
        dw_min_std: standard deviation of a step, as a part of it.
        g_min: conductance at `w_min` [S].
        g_max: conductance at `w_max` [S].
        threshold_v: how high a pulse must be [V].
        width_s: how long a pulse is [s].
        up_down: how much larger the step up is than the step down.
    """
    return {
        "dw_min": dw_min,
        "w_min": w_min,
        "w_max": w_max,
        "dw_min_std": dw_min_std,
        "g_min": g_min,
        "g_max": g_max,
        "threshold_v": threshold_v,
        "width_s": width_s,
        "up_down": up_down,
    }
