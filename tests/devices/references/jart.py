"""JART VCM v1b, doi 10.26165/JUELICH-DATA/LUA8QY, in plain Python: brentq for the current."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

Numbers = dict[str, float]

E, K, H, M_E, EPS_0, A_R, Z = 1.602e-19, 1.3807e-23, 6.626e-34, 9.10938e-31, 8.854e-12, 6.01e5, 2


def area(p: Numbers) -> float:
    return math.pi * p["r_det"] ** 2


def schottky(v_s: float, t: float, n: float, p: Numbers) -> float:
    psi = p["phi_b0"] - p["phi_n"] - v_s
    psi = (psi + math.hypot(psi, 1e-3)) / 2  # the rounding that the model's docstring states
    phi = (
        p["phi_b0"] - (E**3 * Z * n * psi / (8 * math.pi**2 * (EPS_0 * p["eps_phi"]) ** 3)) ** 0.25
    )
    phi = max(phi, 0.0)
    if v_s >= 0:
        return area(p) * A_R * t**2 * math.exp(-E * phi / (K * t)) * math.expm1(E * v_s / (K * t))
    w_00 = E * H / (4 * math.pi) * math.sqrt(Z * n / (M_E * p["eps_r"] * EPS_0))
    a = w_00 / (K * t)
    root = math.sqrt(math.pi * w_00 * E * (-v_s + phi / math.cosh(a) ** 2))
    rise = math.expm1(-E * v_s * (a - math.tanh(a)) / w_00)
    return -area(p) * A_R * t / K * root * math.exp(-E * phi * math.tanh(a) / w_00) * rise


def divided(i: float, v: float, n: float, p: Numbers) -> tuple[float, float, float, float, float]:
    """Schottky voltage, temperature, and the resistances of disc, plug and everything."""
    disc = p["l_det"] / (n * Z * E * p["mobility"] * area(p))
    plug = (p["l_cell"] - p["l_det"]) / (p["n_plug"] * Z * E * p["mobility"] * area(p))
    whole = (
        disc
        + plug
        + p["r_tiox"]
        + p["r_line"] * (1 + p["r_line"] * p["alpha_line"] * i**2 * p["r_th_line"])
    )
    v_s = v - i * whole
    heated = (
        i
        * (v_s + (v - v_s) * (disc + plug) / whole)
        * p["r_th"]
        * (p["r_th_scale"] if v > 0 else 1)
    )
    return v_s, p["t_ambient"] + heated, disc, plug, whole


def residual(i: float, v: float, n: float, p: Numbers) -> float:
    v_s, t, *_ = divided(i, v, n, p)
    if v_s * v <= 0:  # beyond the end: more than all of the voltage on the resistances
        return math.copysign(1.0, v)
    return i - schottky(v_s, t, n, p)


def solutions(v: float, n: float, p: Numbers) -> list[float]:
    grid = math.copysign(1, v) * np.geomspace(1e-12, abs(v) / (p["r_tiox"] + p["r_line"]), 3000)
    values = [residual(i, v, n, p) for i in grid]
    return [
        float(brentq(residual, grid[k], grid[k + 1], args=(v, n, p), xtol=1e-18, rtol=1e-13))
        for k in np.nonzero(np.diff(np.sign(values)))[0]
    ]


def current(v: float, n: float, p: Numbers) -> float:
    end = v / (p["r_tiox"] + p["r_line"])
    return float(brentq(residual, 0.0, end, args=(v, n, p), xtol=1e-18, rtol=1e-13))


def rate(v: float, n: float, p: Numbers) -> float:
    i = current(v, n, p)
    v_s, t, disc, plug, whole = divided(i, v, n, p)
    if v > 0:
        field = (v_s + (v - v_s) * (disc + plug) / whole) / p["l_cell"]
        limit = 1 - (p["n_min"] / n) ** 10
    else:
        field = (v - v_s) * disc / whole / p["l_det"]
        limit = 1 - (n / p["n_max"]) ** 10
    g = Z * field * p["a_hop"] / (math.pi * p["w_a"])
    low, high = (
        p["w_a"] * (math.sqrt(1 - g * g) + sign * g * math.pi / 2 + g * math.asin(g))
        for sign in (-1, 1)
    )
    hops = math.exp(-E * low / (K * t)) - math.exp(-E * high / (K * t))
    ions = Z * E * (p["n_plug"] + n) / 2 * p["a_hop"] * p["nu_0"] * area(p) * hops * limit
    return -ions / (area(p) * p["l_det"] * E * Z)


def _current(v: float, x: Numbers, p: Numbers) -> float:
    return 0.0 if v == 0 else current(v, x["n_disc"], p)


def _rates(v: float, x: Numbers, p: Numbers) -> Numbers:
    return {"n_disc": 0.0 if v == 0 else rate(v, x["n_disc"], p)}


REFERENCES = {"jart_v1b": (_current, _rates)}
