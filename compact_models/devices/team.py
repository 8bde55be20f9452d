"""TEAM: a memristor that moves only beyond a current threshold.

Kvatinsky, Friedman, Kolodny, Weiser, "TEAM: ThrEshold Adaptive Memristor Model", IEEE TCAS-I 60
(2013) 211, doi 10.1109/TCSI.2012.2215714; the state equation with a window of ones, and both of its
relations between current and voltage: a resistance that is linear or exponential in the state. The
state x grows towards the OFF side for positive current.

The resistance does not depend on the current, so the current is explicit in the voltage.
"""

from __future__ import annotations

import sympy
from sympy import Max, exp, log

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Definition, Parameter, State, V

SOURCE = "Kvatinsky et al., IEEE TCAS-I 60 (2013) 211, doi 10.1109/TCSI.2012.2215714"

r_on = Parameter("r_on", "ohm", "resistance at x_on", above=0)
r_off = Parameter("r_off", "ohm", "resistance at x_off", above=0)
x_on = Parameter("x_on", "m", "least state")
x_off = Parameter("x_off", "m", "largest state")
i_on = Parameter("i_on", "A", "threshold of switching on", below=0)
i_off = Parameter("i_off", "A", "threshold of switching off", above=0)
k_on = Parameter("k_on", "m/s", "speed of switching on", below=0)
k_off = Parameter("k_off", "m/s", "speed of switching off", above=0)
alpha_on = Parameter("alpha_on", "1", "exponent of switching on", low=1)
alpha_off = Parameter("alpha_off", "1", "exponent of switching off", low=1)

x = State("x", "m", "width of the undoped region", lower=x_on, upper=x_off)

part = (x - x_on) / (x_off - x_on)
linear = r_on + (r_off - r_on) * part
exponential = r_on * exp(log(r_off / r_on) * part)

_KINETICS = {
    "x_on": 0.0,
    "x_off": 3e-9,
    "i_on": -8.9e-6,
    "i_off": 115e-6,
    "k_on": -8e-13,
    "k_off": 8e-13,
    "alpha_on": 3.0,
    "alpha_off": 3.0,
}
_SIGN = "i_on taken as negative, as in the state equation"
_TECHNION = ParameterSet(
    name="technion",
    source="Kvatinsky et al., Verilog-A for Memristor Models, CCIT report 801, Technion (2011): "
    f"defaults; {_SIGN}",
    values={"r_on": 100.0, "r_off": 200e3, **_KINETICS},
    initial={"x": 1.5e-9},
    amplitude_v=1.0,
    period_s=2.0,
)
_XYCE = ParameterSet(
    name="xyce",
    source=f"Xyce 7.10, MEMRISTOR level 2: defaults; {_SIGN}",
    values={"r_on": 50.0, "r_off": 1e3, **_KINETICS},
    initial={"x": 1.5e-9},
    amplitude_v=0.2,
    period_s=2.0,
)


def _model(
    name: str, relation: str, resistance: sympy.Expr, sets: tuple[ParameterSet, ...]
) -> CompactModel:
    current = Definition("i_cell", "A", "current", V / resistance)
    off = k_off * Max(0, current / i_off - 1) ** alpha_off
    on = k_on * Max(0, current / i_on - 1) ** alpha_on
    return CompactModel(
        name=name,
        title=f"TEAM, current threshold, {relation} resistance",
        kind="dynamic",
        source=SOURCE,
        current=current,
        rates={x: off + on},
        parameter_sets=sets,
        ordered=((r_on, r_off),),
    )


MODELS = (
    _model("team", "linear", linear, (_XYCE,)),
    _model("team_exp", "exponential", exponential, (_TECHNION, _XYCE)),
)
