"""Stanford's filament model as in SkyWater's sky130 cell: the filament's length, not the gap.

dTfil/dt and dT/dt of the published text without its hand-made time steps.
"""

from __future__ import annotations

import math

Numbers = dict[str, float]

P_K, P_Q = 1.3806505e-23, 1.602176e-19


def current(v: float, x: Numbers, p: Numbers) -> float:
    filament, reference = p["l_oxide"] - x["gap"], p["l_oxide"] - p["g_0"]
    shrink = math.exp(-(p["l_oxide"] - filament) / (p["l_oxide"] - reference))
    return p["i_0"] * shrink * math.sinh(v / p["v_0"])


def rates(v: float, x: Numbers, p: Numbers) -> Numbers:
    filament = p["l_oxide"] - x["gap"]
    gamma = p["gamma_0"] - p["beta"] * math.pow((p["l_oxide"] - filament) / 1e-9, 3)
    energy = P_K * x["temperature"] / P_Q
    field = gamma * p["a_hop"] / p["l_oxide"] * v
    growth = p["velocity"] * (
        math.exp(-p["e_generation"] / energy) * math.exp(field / energy)
        - math.exp(-p["e_recombination"] / energy) * math.exp(-field / energy)
    )
    heating = abs(v * current(v, x, p)) / p["c_thermal"]
    cooling = (x["temperature"] - p["t_ambient"]) / p["tau_thermal"]
    return {"gap": -growth, "temperature": heating - cooling}


REFERENCES = {"stanford": (current, rates)}
