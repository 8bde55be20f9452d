"""Linear ion drift, the memristor of HP: a boundary moves in proportion to the charge that passed.

Strukov, Snider, Stewart, Williams, "The missing memristor found", Nature 453 (2008) 80,
doi 10.1038/nature06932, eqs. (5) and (6). Four models that differ in the window, which slows the
boundary near the ends of the film: none; Joglekar and Wolf, Eur. J. Phys. 30 (2009) 661,
doi 10.1088/0143-0807/30/4/001; Z. Biolek, D. Biolek, Biolkova, Radioengineering 18 (2009) 210,
eqs. (10) and (11); Prodromakis et al., IEEE Trans. Electron Devices 58 (2011) 3099,
doi 10.1109/TED.2011.2158004. Positive voltage widens the doped region and lowers the resistance.

With Joglekar's window, and that of Prodromakis, a boundary that has come to an end of the film
stays there for good: its rate is zero for both polarities. Numbers that drive it there, such as
Biolek's Fig. 5 (c), have no answer that can be computed: it comes so near to the end that no
floating-point number is left between, and whether it returns is decided by rounding.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy import Abs, Max, Rational

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

r_on = Parameter("r_on", "ohm", "resistance of the fully doped film", above=0)
r_off = Parameter("r_off", "ohm", "resistance of the undoped film", above=0)
d_film = Parameter("d_film", "m", "thickness of the film", above=0)
mobility = Parameter("mobility", "m^2/(V*s)", "mobility of the dopants", above=0)
p_window = Parameter("p_window", "1", "exponent of the window", low=1)
j_window = Parameter("j_window", "1", "height of the window", above=0)

x = State("x", "1", "doped part of the film", lower=0, upper=1)

resistance = r_on * x + r_off * (1 - x)
drift = mobility * r_on / d_film**2 / resistance

STRUKOV = "Strukov et al., Nature 453 (2008) 80, doi 10.1038/nature06932"
BIOLEK = "Z. Biolek, D. Biolek, Biolkova, Radioengineering 18 (2009) 210"
TECHNION = (
    "Kvatinsky et al., Verilog-A for Memristor Models, CCIT report 801, Technion (2011): defaults"
)

_SOFT = {"r_on": 100.0, "r_off": 16e3, "d_film": 10e-9, "mobility": 1e-14}
_TECHNION = {"r_on": 100.0, "r_off": 200e3, "d_film": 3e-9, "mobility": 1e-15}


def _set(
    name: str,
    source: str,
    values: Mapping[str, float],
    resistance_ohm: float,
    amplitude_v: float,
    period_s: float,
) -> ParameterSet:
    """A set that starts at a given resistance."""
    start = (values["r_off"] - resistance_ohm) / (values["r_off"] - values["r_on"])
    return ParameterSet(
        name=name,
        source=source,
        values=dict(values),
        initial={"x": start},
        amplitude_v=amplitude_v,
        period_s=period_s,
    )


def _sets(window: Mapping[str, float], technion: Mapping[str, float]) -> tuple[ParameterSet, ...]:
    """The published devices with a window's numbers."""
    return (
        _set("hp", f"{BIOLEK}, Fig. 5 (a)", {**_SOFT, **window}, 11e3, 1.2, 1.0),
        _set("technion", TECHNION, {**_TECHNION, **technion}, 100_050.0, 1.0, 4.0),
    )


def _model(
    name: str, window: str, source: str, rate: sympy.Expr, sets: tuple[ParameterSet, ...]
) -> CompactModel:
    return CompactModel(
        name=name,
        title=f"linear ion drift, {window}",
        kind="dynamic",
        source=source,
        current=V / resistance,
        rates={x: rate},
        parameter_sets=sets,
        ordered=((r_on, r_off),),
    )


joglekar = 1 - Abs(2 * x - 1) ** (2 * p_window)
# Biolek's window asks where the boundary is going: with the two directions written apart, the rate
# is continuous at zero voltage. The guards keep a base from being negative a hair out of bounds.
biolek_up = 1 - Max(0, x) ** (2 * p_window)
biolek_down = 1 - Max(0, 1 - x) ** (2 * p_window)
prodromakis = j_window * (1 - ((x - Rational(1, 2)) ** 2 + Rational(3, 4)) ** p_window)

MODELS = (
    _model("ion_drift", "no window", STRUKOV, drift * V, _sets({}, {})),
    _model(
        "ion_drift_joglekar",
        "window of Joglekar",
        f"{STRUKOV}; Joglekar, Wolf, Eur. J. Phys. 30 (2009) 661, doi 10.1088/0143-0807/30/4/001",
        drift * V * joglekar,
        _sets({"p_window": 10.0}, {"p_window": 2.0}),
    ),
    _model(
        "ion_drift_biolek",
        "window of Biolek",
        f"{STRUKOV}; {BIOLEK}, eqs. (10), (11)",
        drift * (Max(0, V) * biolek_up - Max(0, -V) * biolek_down),
        _sets({"p_window": 10.0}, {"p_window": 2.0}),
    ),
    _model(
        "ion_drift_prodromakis",
        "window of Prodromakis",
        f"{STRUKOV}; Prodromakis et al., IEEE TED 58 (2011) 3099, doi 10.1109/TED.2011.2158004",
        drift * V * prodromakis,
        _sets({"p_window": 10.0, "j_window": 1.0}, {"p_window": 2.0, "j_window": 1.0}),
    ),
)
