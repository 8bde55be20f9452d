"""Models small enough to be solved on paper, for the tests of what all models share."""

from __future__ import annotations

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Definition, Internal, Parameter, State, V

k = Parameter("k", "1/s", "speed", above=0)
v_one = Parameter("v_one", "V", "voltage that asks for x = 1", above=0)
g = Parameter("g", "S", "conductance at x = 1", above=0)
x = State("x", "1", "state", lower=0, upper=1)

# x follows v / v_one with the speed k: linear, so a ramp has a closed form.
FOLLOWER = CompactModel(
    name="follower",
    title="a state that follows the voltage",
    kind="dynamic",
    source="made for tests",
    current=g * x * V,
    rates={x: k * (V / v_one - x)},
    parameter_sets=(
        ParameterSet(
            name="one",
            source="made for tests",
            values={"k": 1e6, "v_one": 2.0, "g": 1e-3},
            initial={"x": 0.25},
            amplitude_v=1.0,
            period_s=1e-5,
        ),
    ),
)

i_0 = Parameter("i_0", "A", "current scale of the junction", above=0)
v_0 = Parameter("v_0", "V", "voltage scale of the junction", above=0)
r_s = Parameter("r_s", "ohm", "series resistance", above=0)
r_x = Parameter("r_x", "ohm", "resistance that the state removes", low=0)
inner = Internal("i_in", "A", "current", low=0, high=V / r_s, scale=1e-6)
resistance = Definition("resistance", "ohm", "in series", r_s + r_x * (1 - x))
v_j = Definition("v_j", "V", "across the junction", V - inner * resistance)
q = Parameter("q", "1/(V*s)", "speed")

# A junction in series with a resistance; the state moves with the junction's voltage.
JUNCTION = CompactModel(
    name="junction",
    title="a junction behind a resistance",
    kind="dynamic",
    source="made for tests",
    current=inner,
    rates={x: q * v_j},
    implicit={inner: inner - i_0 * sympy.sinh(v_j / v_0)},
    parameter_sets=(
        ParameterSet(
            name="one",
            source="made for tests",
            values={"i_0": 1e-6, "v_0": 0.1, "r_s": 1e3, "r_x": 9e3, "q": 3e6},
            initial={"x": 0.4},
            amplitude_v=1.0,
            period_s=1e-6,
        ),
    ),
)

heat = State("heat", "K", "temperature above the room's", scale=100)
r_th = Parameter("r_th", "K/W", "thermal resistance", above=0)
tau = Parameter("tau", "s", "thermal time constant", above=0)
t_ref = Parameter("t_ref", "K", "temperature that doubles the speed", above=0)

# Two states, one of them fast, without bounds and driven by the other.
HEATED = CompactModel(
    name="heated",
    title="a state that moves faster when it is hot",
    kind="dynamic",
    source="made for tests",
    current=g * (sympy.Rational(1, 10) + x) * V,
    rates={
        x: k * (V / v_one) * (1 + heat / t_ref),
        heat: (r_th * g * (sympy.Rational(1, 10) + x) * V**2 - heat) / tau,
    },
    parameter_sets=(
        ParameterSet(
            name="one",
            source="made for tests",
            values={"k": 1e5, "v_one": 2.0, "g": 1e-3, "r_th": 1e5, "tau": 1e-9, "t_ref": 50.0},
            initial={"x": 0.2, "heat": 0.0},
            amplitude_v=1.0,
            period_s=1e-5,
        ),
    ),
)

i_t = Parameter("i_t", "A", "current above which z rises", above=0)
k_z = Parameter("k_z", "1/s", "speed of z at twice that current", above=0)
z = State("z", "1", "a second state", lower=0, upper=1)
both_current = g * (sympy.Rational(1, 50) + x * z) * V

# Two states with bounds that drive each other, one by a threshold in the current.
COUPLED = CompactModel(
    name="coupled",
    title="two states with bounds",
    kind="dynamic",
    source="made for tests",
    current=both_current,
    rates={
        x: q * V * (1 + 4 * z),
        z: k_z * sympy.sign(V) * sympy.Max(0, sympy.Abs(both_current) / i_t - 1) ** 2
        - (z - sympy.Rational(1, 4)) / tau,
    },
    parameter_sets=(
        ParameterSet(
            name="one",
            source="made for tests",
            values={"q": 3e6, "k_z": 1e7, "g": 1e-3, "i_t": 1e-5, "tau": 1e-5},
            initial={"x": 0.3, "z": 0.25},
            amplitude_v=1.0,
            period_s=1e-5,
        ),
    ),
)
