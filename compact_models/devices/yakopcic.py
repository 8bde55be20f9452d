"""Yakopcic's generalised memristor: a sinh of the voltage, times a state with two thresholds.

Yakopcic, Taha, Subramanyam, Pino, "Generalized memristive device SPICE model and its application in
circuit design", IEEE TCAD 32 (2013) 1201, doi 10.1109/TCAD.2013.2252057; first in IEEE Electron
Device Letters 32 (2011) 1436, doi 10.1109/LED.2011.2163292. Positive voltage raises the state
(eta = 1 of the paper; for eta = -1 swap the terminals).

A state of exactly zero carries no current and stays zero under negative voltage.
"""

from __future__ import annotations

from sympy import Max, Piecewise, exp, sinh

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Constant, Parameter, State, V

SOURCE = "Yakopcic et al., IEEE TCAD 32 (2013) 1201, doi 10.1109/TCAD.2013.2252057"

# The paper writes exp(V) with V in volts.
v_unit = Constant("v_unit", "V", "unit of the voltage in an exponent", value=1.0)

a_1 = Parameter("a_1", "A", "current scale, positive voltage", above=0)
a_2 = Parameter("a_2", "A", "current scale, negative voltage", above=0)
b = Parameter("b", "1/V", "curvature of the current", above=0)
v_p = Parameter("v_p", "V", "positive threshold", above=0)
v_n = Parameter("v_n", "V", "magnitude of the negative threshold", above=0)
a_p = Parameter("a_p", "1/s", "speed above the positive threshold", above=0)
a_n = Parameter("a_n", "1/s", "speed beyond the negative threshold", above=0)
x_p = Parameter("x_p", "1", "state above which a rise is slowed", above=0, below=1)
x_n = Parameter("x_n", "1", "one minus the state below which a fall is slowed", above=0, below=1)
alpha_p = Parameter("alpha_p", "1", "how strongly a rise is slowed", low=0)
alpha_n = Parameter("alpha_n", "1", "how strongly a fall is slowed", low=0)

x = State("x", "1", "state", lower=0, upper=1)

# How far the state is into the region where its motion is slowed.
into_p = Max(0, x - x_p)
into_n = Max(0, 1 - x_n - x)
rise = (
    a_p
    * (exp(Max(V, v_p) / v_unit) - exp(v_p / v_unit))
    * exp(-alpha_p * into_p)
    * (1 - into_p / (1 - x_p))
)
fall = (
    a_n
    * (exp(Max(-V, v_n) / v_unit) - exp(v_n / v_unit))
    * exp(-alpha_n * into_n)
    * (1 - into_n / (1 - x_n))
)

_A = {
    "a_1": 0.17,
    "a_2": 0.17,
    "b": 0.05,
    "v_p": 0.16,
    "v_n": 0.15,
    "a_p": 4000.0,
    "a_n": 4000.0,
    "x_p": 0.3,
    "x_n": 0.5,
    "alpha_p": 1.0,
    "alpha_n": 5.0,
}

MODEL = CompactModel(
    name="yakopcic",
    title="Yakopcic's generalised memristor",
    kind="dynamic",
    source=SOURCE,
    current=Piecewise((a_1, V >= 0), (a_2, True)) * x * sinh(b * V),
    rates={x: rise - fall},
    parameter_sets=(
        ParameterSet(
            name="oblea",
            source=f"{SOURCE}, device of Oblea et al.; numbers as in public copies of the author's "
            "SPICE text and in the example of Xyce's MEMRISTOR level 3",
            values=_A,
            initial={"x": 0.11},
            amplitude_v=0.45,
            period_s=1e-2,
        ),
        ParameterSet(
            name="high_threshold",
            source="the numbers of oblea with thresholds of 0.65 V and 0.56 V, as circulated in "
            "crossbar simulators; fitted to no published device",
            values=_A | {"v_p": 0.65, "v_n": 0.56},
            initial={"x": 0.11},
            amplitude_v=0.9,
            period_s=1e-2,
            confirmed=False,
        ),
        ParameterSet(
            name="aguirre",
            source="Aguirre et al., repository aguirref/memristive_ANN_sim, Yakopcic's model in "
            "HSPICE: numbers of the subcircuit memdiode",
            values={
                "a_1": 7e-5,
                "a_2": 7e-5,
                "b": 1.9,
                "v_p": 0.4,
                "v_n": 0.3,
                "a_p": 1.0,
                "a_n": 1.0,
                "x_p": 0.9,
                "x_n": 0.7,
                "alpha_p": 3.0,
                "alpha_n": 8.0,
            },
            initial={"x": 1e-6},
            amplitude_v=1.0,
            period_s=1.0,
        ),
    ),
)
