"""Linear ion drift with the windows as printed, current-driven: dx/dt = mu Ron / D^2 i f(x, i).

Strukov et al., doi 10.1038/nature06932; windows in Table 3 of Kvatinsky et al., Verilog-A for
Memristor Models (2011), Biolek's with stp(-i).
"""

from __future__ import annotations

from collections.abc import Callable

Numbers = dict[str, float]


def current(v: float, x: Numbers, p: Numbers) -> float:
    return v / (p["r_on"] * x["x"] + p["r_off"] * (1 - x["x"]))


def none(_x: float, _i: float, _p: Numbers) -> float:
    return 1.0


def joglekar(x: float, _i: float, p: Numbers) -> float:
    return 1 - (2 * x - 1) ** int(2 * p["p_window"])


def biolek(x: float, i: float, p: Numbers) -> float:
    step = 0.0 if i > 0 else 1.0
    return 1 - (x - step) ** int(2 * p["p_window"])


def prodromakis(x: float, _i: float, p: Numbers) -> float:
    return p["j_window"] * (1 - ((x - 0.5) ** 2 + 0.75) ** p["p_window"])


def with_window(
    window: Callable[[float, float, Numbers], float],
) -> Callable[[float, Numbers, Numbers], Numbers]:
    def rates(v: float, x: Numbers, p: Numbers) -> Numbers:
        i = current(v, x, p)
        speed = p["mobility"] * p["r_on"] / p["d_film"] ** 2
        return {"x": speed * i * window(x["x"], i, p)}

    return rates


REFERENCES = {
    "ion_drift": (current, with_window(none)),
    "ion_drift_joglekar": (current, with_window(joglekar)),
    "ion_drift_biolek": (current, with_window(biolek)),
    "ion_drift_prodromakis": (current, with_window(prodromakis)),
}
