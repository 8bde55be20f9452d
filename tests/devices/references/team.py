"""TEAM, doi 10.1109/TCSI.2012.2215714, with a window of ones.

The public Verilog-A has i_on = +8.9e-6 A and asks for i <= i_on; the paper's state equation asks
for i < i_on < 0. This is the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Numbers = dict[str, float]


def linear(v: float, x: Numbers, p: Numbers) -> float:
    share = (x["x"] - p["x_on"]) / (p["x_off"] - p["x_on"])
    return v / (p["r_off"] * share + p["r_on"] * (1 - share))


def exponential(v: float, x: Numbers, p: Numbers) -> float:
    lam = math.log(p["r_off"]) - math.log(p["r_on"])
    return v / p["r_on"] * math.exp(-lam * (x["x"] - p["x_on"]) / (p["x_off"] - p["x_on"]))


def with_current(
    current: Callable[[float, Numbers, Numbers], float],
) -> Callable[[float, Numbers, Numbers], Numbers]:
    def rates(v: float, x: Numbers, p: Numbers) -> Numbers:
        i = current(v, x, p)
        if 0 < p["i_off"] < i:
            return {"x": p["k_off"] * (i / p["i_off"] - 1) ** p["alpha_off"]}
        if i < p["i_on"] < 0:
            return {"x": p["k_on"] * (i / p["i_on"] - 1) ** p["alpha_on"]}
        return {"x": 0.0}

    return rates


REFERENCES = {
    "team": (linear, with_current(linear)),
    "team_exp": (exponential, with_current(exponential)),
}
