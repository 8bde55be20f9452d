"""VTEAM, doi 10.1109/TCSII.2015.2433536, with a window of ones."""

from __future__ import annotations

import math

Numbers = dict[str, float]


def rates(v: float, _x: Numbers, p: Numbers) -> Numbers:
    if v > p["v_off"]:
        return {"w": p["k_off"] * (v / p["v_off"] - 1) ** p["alpha_off"]}
    if v < p["v_on"]:
        return {"w": p["k_on"] * (v / p["v_on"] - 1) ** p["alpha_on"]}
    return {"w": 0.0}


def linear(v: float, x: Numbers, p: Numbers) -> float:
    slope = (p["r_off"] - p["r_on"]) / (p["w_off"] - p["w_on"])
    return v / (p["r_on"] + slope * (x["w"] - p["w_on"]))


def exponential(v: float, x: Numbers, p: Numbers) -> float:
    lam = math.log(p["r_off"] / p["r_on"])
    return v * math.exp(-lam * (x["w"] - p["w_on"]) / (p["w_off"] - p["w_on"])) / p["r_on"]


REFERENCES = {"vteam": (linear, rates), "vteam_exp": (exponential, rates)}
