"""VTEAM: a memristor that moves only beyond a voltage threshold.

Kvatinsky, Ramadan, Friedman, Kolodny, "VTEAM: A General Model for Voltage-Controlled Memristors",
IEEE TCAS-II 62 (2015) 786, doi 10.1109/TCSII.2015.2433536; its state equation with a window of
ones, and both its relations between current and voltage: a resistance linear in the state or
exponential in it. The state w grows towards the OFF side for positive voltage.
"""

from __future__ import annotations

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

r_on = Parameter("r_on", "ohm", "resistance at w_on", above=0)
r_off = Parameter("r_off", "ohm", "resistance at w_off", above=0)
w_on = Parameter("w_on", "m", "least state")
w_off = Parameter("w_off", "m", "largest state")
v_on = Parameter("v_on", "V", "threshold of switching on", below=0)
v_off = Parameter("v_off", "V", "threshold of switching off", above=0)
k_on = Parameter("k_on", "m/s", "speed of switching on", below=0)
k_off = Parameter("k_off", "m/s", "speed of switching off", above=0)
alpha_on = Parameter("alpha_on", "1", "exponent of switching on", low=1)
alpha_off = Parameter("alpha_off", "1", "exponent of switching off", low=1)

w = State("w", "m", "state", lower=w_on, upper=w_off)

part = (w - w_on) / (w_off - w_on)
linear = r_on + (r_off - r_on) * part
exponential = r_on * sympy.exp(sympy.log(r_off / r_on) * part)
off = k_off * sympy.Max(0, V / v_off - 1) ** alpha_off
on = k_on * sympy.Max(0, V / v_on - 1) ** alpha_on

SETS = (
    ParameterSet(
        name="sine",
        source="the paper's sine example, as in the defaults of MemTorch",
        values={
            "r_on": 50.0,
            "r_off": 1e3,
            "w_on": 0.0,
            "w_off": 3e-9,
            "v_on": -0.2,
            "v_off": 0.02,
            "k_on": -10.0,
            "k_off": 5e-4,
            "alpha_on": 3.0,
            "alpha_off": 1.0,
        },
        initial={"w": 1.5e-9},
        amplitude_v=0.25,
        period_s=2e-7,
    ),
    ParameterSet(
        name="pt_hf_ti",
        source="the paper's fit of Pt-Hf-Ti devices, as recalled: found in no public copy",
        values={
            "r_on": 100.0,
            "r_off": 2.5e3,
            "w_on": 0.0,
            "w_off": 3e-9,
            "v_on": -0.53,
            "v_off": 0.5,
            "k_on": -80.0,
            "k_off": 4.03e-8,
            "alpha_on": 3.0,
            "alpha_off": 1.0,
        },
        initial={"w": 6e-10},
        amplitude_v=1.0,
        period_s=1e-6,
        confirmed=False,
    ),
    # For arrays that learn: as fast one way as the other, at rest under half of 1.6 V, and of
    # resistances that hundreds of ohm of wires and drivers are little beside.
    ParameterSet(
        name="symmetric",
        source="no measured device: thresholds and speeds alike both ways, choices for arrays that"
        " learn by pulses of 1.6 V and 50 ns",
        values={
            "r_on": 2e4,
            "r_off": 8e4,
            "w_on": 0.0,
            "w_off": 3e-9,
            "v_on": -1.0,
            "v_off": 1.0,
            "k_on": -2e-4,
            "k_off": 2e-4,
            "alpha_on": 1.0,
            "alpha_off": 1.0,
        },
        initial={"w": 1.5e-9},
        amplitude_v=1.6,
        period_s=1e-4,
        confirmed=False,
    ),
)


def _model(name: str, relation: str, resistance: sympy.Expr) -> CompactModel:
    return CompactModel(
        name=name,
        title=f"VTEAM, voltage threshold, {relation} resistance",
        kind="dynamic",
        source="Kvatinsky et al., IEEE TCAS-II 62 (2015) 786, doi 10.1109/TCSII.2015.2433536",
        current=V / resistance,
        rates={w: off + on},
        parameter_sets=SETS,
        ordered=((r_on, r_off),),
    )


MODEL = _model("vteam", "linear", linear)
MODELS = (MODEL, _model("vteam_exp", "exponential", exponential))
