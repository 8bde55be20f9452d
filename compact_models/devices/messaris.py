"""Data-driven TiO2 cells of Messaris: the resistance runs towards a limit set by the voltage.

Messaris, Serb, Stathopoulos, Khiat, Nikolaidis, Prodromakis, "A data-driven Verilog-A ReRAM model",
IEEE TCAD 37 (2018) 3151, doi 10.1109/TCAD.2018.2791468; its first form in "A compact Verilog-A
ReRAM switching model", arXiv:1703.01167, eqs. (5), (7), (8). The rate is quadratic in the distance
to the limit, so the response to a constant voltage has a closed form.

Two models. In `messaris` positive voltage raises the resistance, and the current is V / R, because
the paper defines R as the static resistance. In `messaris_2021`, the later numbers, positive
voltage lowers it, the exponents fall with voltage so that the speed saturates, and the current is
a sinh.
"""

from __future__ import annotations

import sympy
from sympy import Max, exp, sinh

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Definition, Parameter, State, V

SOURCE = (
    "Messaris et al., IEEE TCAD 37 (2018) 3151, doi 10.1109/TCAD.2018.2791468; "
    "arXiv:1703.01167, eqs. (5), (7), (8)"
)

r_low = Parameter("r_low", "ohm", "least resistance of the model", above=0)
r_high = Parameter("r_high", "ohm", "largest resistance of the model", above=0)
a_p = Parameter("a_p", "1/(ohm*s)", "speed at positive voltage", above=0)
a_n = Parameter("a_n", "1/(ohm*s)", "speed at negative voltage", above=0)
t_p = Parameter("t_p", "V", "voltage scale of the speed, positive voltage", above=0)
t_n = Parameter("t_n", "V", "voltage scale of the speed, negative voltage", above=0)
a_0 = Parameter("a_0", "ohm", "limit towards zero positive voltage", above=0)
a_1 = Parameter("a_1", "ohm/V", "its change with voltage")
b_0 = Parameter("b_0", "ohm", "limit towards zero negative voltage", above=0)
b_1 = Parameter("b_1", "ohm/V", "its change with voltage")
a_i = Parameter("a_i", "V", "scale of the current", above=0)
b_i = Parameter("b_i", "1/V", "curvature of the current", above=0)

r = State("r", "ohm", "resistance", lower=r_low, upper=r_high)

up, down = Max(0, V), Max(0, -V)
limit_p = Definition("limit_p", "ohm", "where positive voltage leads", a_0 + a_1 * V)
limit_n = Definition("limit_n", "ohm", "where negative voltage leads", b_0 + b_1 * V)

growing: sympy.Expr = (
    a_p * (exp(up / t_p) - 1) * Max(0, limit_p - r) ** 2
    - a_n * (exp(down / t_n) - 1) * Max(0, r - limit_n) ** 2
)
saturating: sympy.Expr = (
    a_n * (1 - exp(-down / t_n)) * Max(0, limit_n - r) ** 2
    - a_p * (1 - exp(-up / t_p)) * Max(0, r - limit_p) ** 2
)

MODELS = (
    CompactModel(
        name="messaris",
        title="data-driven TiO2, ohmic",
        kind="dynamic",
        source=SOURCE,
        current=V / r,
        rates={r: growing},
        parameter_sets=(
            ParameterSet(
                name="tio2",
                source="arXiv:1703.01167, eqs. (9) and (10); range of R as in its Fig. 6. Speeds "
                "by magnitude: the signs printed in (10) would lead away from the limits",
                values={
                    "r_low": 10e3,
                    "r_high": 18e3,
                    "a_p": 4.86e-5,
                    "a_n": 1.09e-3,
                    "t_p": 0.12,
                    "t_n": 0.18,
                    "a_0": 17.16e3,
                    "a_1": 0.15e3,
                    "b_0": 24.81e3,
                    "b_1": 17.91e3,
                },
                initial={"r": 13.65e3},
                amplitude_v=0.8,
                period_s=2e-2,
            ),
        ),
    ),
    CompactModel(
        name="messaris_2021",
        title="data-driven TiO2, sinh current",
        kind="dynamic",
        source=f"{SOURCE}; arXiv:2012.02267",
        current=a_i / r * sinh(b_i * V),
        rates={r: saturating},
        parameter_sets=(
            ParameterSet(
                name="tio2",
                source="the model of arXiv:2012.02267 with the numbers of MemTorch's "
                "Data_Driven2021, which are not in the paper's text",
                values={
                    "r_low": 1600.0,
                    "r_high": 3000.0,
                    "a_p": 600.10075,
                    "a_n": 34.5988399,
                    "t_p": 0.0212028,
                    "t_n": 0.05343997,
                    "a_0": 2699.2336,
                    "a_1": -672.930205,
                    "b_0": 649.413746,
                    "b_1": -1474.32358,
                    "a_i": 0.32046175,
                    "b_i": 2.71689828,
                },
                initial={"r": 1600.0},
                amplitude_v=1.5,
                period_s=1e-4,
                confirmed=False,
            ),
        ),
    ),
)
