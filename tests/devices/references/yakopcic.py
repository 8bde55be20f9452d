"""Yakopcic's model as in the author's SPICE text: I = a x sinh(b V), dx/dt = g(V) f(V, x)."""

from __future__ import annotations

import math

Numbers = dict[str, float]


def current(v: float, x: Numbers, p: Numbers) -> float:
    return (p["a_1"] if v >= 0 else p["a_2"]) * x["x"] * math.sinh(p["b"] * v)


def threshold(v: float, p: Numbers) -> float:
    if v > p["v_p"]:
        return p["a_p"] * (math.exp(v) - math.exp(p["v_p"]))
    if v < -p["v_n"]:
        return -p["a_n"] * (math.exp(-v) - math.exp(p["v_n"]))
    return 0.0


def motion(v: float, x: float, p: Numbers) -> float:
    if v >= 0:
        if x < p["x_p"]:
            return 1.0
        w = (p["x_p"] - x) / (1 - p["x_p"]) + 1
        return math.exp(-p["alpha_p"] * (x - p["x_p"])) * w
    if x > 1 - p["x_n"]:
        return 1.0
    return math.exp(p["alpha_n"] * (x + p["x_n"] - 1)) * x / (1 - p["x_n"])


def rates(v: float, x: Numbers, p: Numbers) -> Numbers:
    return {"x": threshold(v, p) * motion(v, x["x"], p)}


REFERENCES = {"yakopcic": (current, rates)}
