"""Phase-change memory as it is read: a programmed conductance that drifts with its age.

G(age) = G(t_c) (age / t_c)^-nu: Le Gallo, Krebs, Zipoli, Salinga, Sebastian, "Collective structural
relaxation in phase-change memory devices", Adv. Electron. Mater. 4 (2018) 1700627, doi
10.1002/aelm.201700627; Joshi et al., "Accurate deep neural network inference using computational
phase-change memory", Nat. Commun. 11 (2020) 2473, doi 10.1038/s41467-020-16108-9. As rates that is
dg/dt = -nu g / age and d(age)/dt = 1, so that a run can start at any age: give g as it is then. How
g and nu scatter and what noise a read has is in `compact_models.pcm_statistics`.
"""

from __future__ import annotations

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

g_max = Parameter("g_max", "S", "largest conductance that is programmed", above=0)
nu = Parameter("nu", "1", "drift exponent", low=0)
t_c = Parameter("t_c", "s", "ordinary age at the first read", above=0)
# Programming scatters beyond the conductance aimed at: half of the cells aimed at g_max lie above.
most = sympy.Rational(3, 2) * g_max
g = State("g", "S", "conductance", lower=0, upper=most)
age = State("age", "s", "time since programming", scale=t_c)

# An iteration of a simulator may try an age of nothing or less.
young = t_c / 1000

MODEL = CompactModel(
    name="pcm",
    title="phase-change memory, read only, with drift",
    kind="read",
    source="Joshi et al., Nat. Commun. 11 (2020) 2473, doi 10.1038/s41467-020-16108-9",
    current=g * V,
    rates={g: -nu * g / sympy.Max(age, young), age: sympy.Integer(1)},
    parameter_sets=(
        ParameterSet(
            name="joshi",
            source="doped Ge2Sb2Te5 of doi 10.1038/s41467-020-16108-9: 25 uS at most; nu is the "
            "mean at half of that by the coefficients of aihwkit 1.2.0 (PCMLikeNoiseModel), from "
            "20 s on",
            values={"g_max": 2.5e-5, "nu": 0.049, "t_c": 20.0},
            initial={"g": 1.25e-5, "age": 20.0},
            amplitude_v=0.2,
            period_s=1e-6,
        ),
    ),
)
