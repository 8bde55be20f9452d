"""Messaris' data-driven TiO2 model, arXiv:1703.01167 eq. (8), and the later form in MemTorch.

The sign of the printed A_p = -4.86e-5 and A_n = 1.09e-3 1/(ohm s) cannot be meant with eq. (8): a
negative A_p lowers R at positive voltage, away from r_p(v) > R, while the text says that positive
voltage pushes R to R_max = r_p(v) and no further, and its Fig. 3 has r_p near 17 kohm above the
range of the device and r_n(v) below it. The magnitudes are used with the signs that do what the
text says: A_p > 0 and A_n < 0. In the later form both t are negative, so exp(|v| / t) - 1 goes to
-1 and the printed A_p > 0, A_n < 0 lead down at positive and up at negative voltage.
"""

from __future__ import annotations

import math

Numbers = dict[str, float]


def ohmic(v: float, x: Numbers, _p: Numbers) -> float:
    return v / x["r"]


def hyperbolic(v: float, x: Numbers, p: Numbers) -> float:
    return p["a_i"] * math.sinh(p["b_i"] * v) / x["r"]


def rates_2018(v: float, x: Numbers, p: Numbers) -> Numbers:
    r = x["r"]
    if v > 0:
        limit = p["a_0"] + p["a_1"] * v
        speed = p["a_p"] * (-1 + math.exp(abs(v) / p["t_p"]))
        return {"r": speed * (limit - r) ** 2 if r < limit else 0.0}
    limit = p["b_0"] + p["b_1"] * v
    speed = -p["a_n"] * (-1 + math.exp(abs(v) / p["t_n"]))
    return {"r": speed * (r - limit) ** 2 if r > limit else 0.0}


def rates_2021(v: float, x: Numbers, p: Numbers) -> Numbers:
    r = x["r"]
    if v > 0:
        limit = p["a_0"] + p["a_1"] * v
        speed = p["a_p"] * (math.exp(abs(v) / -p["t_p"]) - 1)
        return {"r": speed * (limit - r) ** 2 if r > limit else 0.0}
    limit = p["b_0"] + p["b_1"] * v
    speed = -p["a_n"] * (math.exp(abs(v) / -p["t_n"]) - 1)
    return {"r": speed * (r - limit) ** 2 if r < limit else 0.0}


REFERENCES = {"messaris": (ohmic, rates_2018), "messaris_2021": (hyperbolic, rates_2021)}
