"""JART VCM v1b, deterministic: oxygen vacancies move in a disc in front of a Schottky contact.

Equations and numbers: Cueppers et al., "Exploiting the switching dynamics of HfO2-based ReRAM
devices for reliable analog memristive behavior", APL Materials 7 (2019) 091105,
doi 10.1063/1.5108654; Bengel et al., IEEE TCAS-I 67 (2020) 4618, doi 10.1109/TCSI.2020.3018502; the
published Verilog-A (CC0), doi 10.26165/JUELICH-DATA/LUA8QY. SET at negative, RESET at positive
voltage.

The current is fixed by an equation: the Schottky contact in series with disc, plug and lines, both
heated by it. The unknown is the current itself, `i_ua`, and what has to be zero is the voltage at
which the contact carries it, less what the resistances leave: a logarithm and a straight line. From
any current Newton's method comes back from such a sum within a few steps. The current that an
exponential gives for a voltage sends it in circles, and with it the whole array around a cell.

Three things differ from the published text, all where it has a corner: the image force's argument
is rounded over 1 mV (its fourth root has an infinite slope at zero); vacancies turn round over
1 nV; and at high doping the barrier then rises within a millivolt of the Schottky voltage
`phi_b - phi_n`, so that up to three currents solve the equation. The device stays on the branch on
which it was until that branch ends.
"""

from __future__ import annotations

import sympy
from sympy import Abs, Max, Min, Piecewise, asin, exp, log, pi, sinh, sqrt, tanh

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Constant, Definition, Internal, Parameter, State, V

SOURCE = (
    "Cueppers et al., APL Mater. 7 (2019) 091105, doi 10.1063/1.5108654; "
    "Verilog-A, doi 10.26165/JUELICH-DATA/LUA8QY"
)

# Constants with the digits of the published text.
q_e = Constant("q_e", "C", "elementary charge", value=1.602e-19)
k_b = Constant("k_b", "J/K", "Boltzmann's constant", value=1.3807e-23)
h_planck = Constant("h_planck", "J*s", "Planck's constant", value=6.626e-34)
m_e = Constant("m_e", "kg", "electron mass", value=9.10938e-31)
eps_0 = Constant("eps_0", "F/m", "permittivity of vacuum", value=8.854e-12)
richardson = Constant("richardson", "A/(m^2*K^2)", "Richardson's constant", value=6.01e5)
i_unit = Constant("i_unit", "A", "unit of i_ua", value=1e-6)
v_round = Constant("v_round", "V", "rounding of the image force's argument", value=1e-3)

# Without barrier and voltage the root below would stand at zero, with an infinite slope.
v_tiny = Constant("v_tiny", "V", "least voltage under the root of field emission", value=1e-9)

# At rest in an array the sign of the voltage is rounding: what jumps with it does so smoothly.
v_still = Constant("v_still", "V", "voltage below which a device is at rest", value=1e-9)
sign = V / sqrt(V**2 + v_still**2)
along = Piecewise((1, V > 0), (-1, True))

t_ambient = Parameter("t_ambient", "K", "ambient temperature", above=0)
eps_r = Parameter("eps_r", "1", "static permittivity of the oxide", above=0)
eps_phi = Parameter("eps_phi", "1", "permittivity of barrier lowering", above=0)
phi_b0 = Parameter("phi_b0", "V", "nominal Schottky barrier", above=0)
phi_n = Parameter("phi_n", "V", "Fermi level below the conduction band", above=0)
mobility = Parameter("mobility", "m^2/(V*s)", "electron mobility", above=0)
n_min = Parameter("n_min", "1/m^3", "least vacancy concentration in the disc", above=0)
n_max = Parameter("n_max", "1/m^3", "largest vacancy concentration in the disc", above=0)
n_plug = Parameter("n_plug", "1/m^3", "vacancy concentration in the plug", above=0)
a_hop = Parameter("a_hop", "m", "hopping distance", above=0)
nu_0 = Parameter("nu_0", "Hz", "attempt frequency", above=0)
w_a = Parameter("w_a", "V", "activation energy of hopping", above=0)
r_th = Parameter("r_th", "K/W", "thermal resistance during SET", above=0)
r_th_scale = Parameter("r_th_scale", "1", "the same during RESET, as a fraction", above=0)
r_det = Parameter("r_det", "m", "radius of the filament", above=0)
l_cell = Parameter("l_cell", "m", "length of disc and plug", above=0)
l_det = Parameter("l_det", "m", "length of the disc", above=0)
r_tiox = Parameter("r_tiox", "ohm", "series resistance of the oxide below", low=0)
r_line = Parameter("r_line", "ohm", "resistance of the lines when cold", above=0)
r_th_line = Parameter("r_th_line", "K/W", "thermal resistance of the lines", low=0)
alpha_line = Parameter("alpha_line", "1/K", "temperature coefficient of the lines", low=0)
z_ion = 2  # charge number of a vacancy

n_disc = State("n_disc", "1/m^3", "vacancy concentration in the disc", lower=n_min, upper=n_max,
               log=True)  # fmt: skip
i_ua = Internal(
    "i_ua",
    "1",
    "current / i_unit",
    low=0,
    high=V / ((r_tiox + r_line) * i_unit),
    scale=1000.0,
)

current = i_unit * i_ua
# On its way Newton's method may try currents against the voltage.
forward = Definition("i_forward", "A", "current in the direction of the voltage", along * current)
magnitude = Abs(current)
area = pi * r_det**2
r_disc = Definition(
    "r_disc", "ohm", "resistance of the disc", l_det / (n_disc * z_ion * q_e * mobility * area)
)
r_ions = Definition(
    "r_ions",
    "ohm",
    "resistance of disc and plug",
    r_disc + (l_cell - l_det) / (n_plug * z_ion * q_e * mobility * area),
    low=0,
    high=2 * l_cell / (n_min * z_ion * q_e * mobility * area),
)
r_series = r_tiox + r_line * (1 + r_line * alpha_line * r_th_line * current**2)
v_left = Definition(
    "v_left",
    "V",
    "what the resistances leave of the voltage",
    Abs(V) - forward * (r_ions + r_series),
)
# The bracket of i_ua keeps this positive at the solution; on its way there Newton may leave it.
v_schottky = Definition(
    "v_schottky",
    "V",
    "magnitude of the Schottky voltage",
    Max(0, v_left),
    low=0,
    high=Abs(V) + v_round,
)
temperature = Definition(
    "temperature",
    "K",
    "temperature of the filament",
    t_ambient
    + magnitude
    * (v_schottky + magnitude * r_ions)
    * r_th
    * Piecewise((r_th_scale, V > 0), (1, True)),
    low=t_ambient / 2,
    high=20 * t_ambient,
)
v_thermal = Definition("v_thermal", "V", "thermal voltage", k_b * temperature / q_e)

psi = phi_b0 - phi_n - v_schottky * Piecewise((1, V > 0), (-1, True))
psi_rounded = (psi + sqrt(psi**2 + v_round**2)) / 2
lowering = (
    q_e * z_ion * n_disc * psi_rounded / (8 * pi**2 * (eps_phi * eps_0) ** 3 / q_e**2)
) ** sympy.Rational(1, 4)
phi_b = Definition("phi_b", "V", "Schottky barrier", Max(0, phi_b0 - lowering), low=0, high=phi_b0)

# Both laws are i = i_0 (exp(v/v_0) - 1). Thermionic emission, V > 0, with v_0 = v_thermal.
i_emission = area * richardson * temperature**2 * exp(-phi_b / v_thermal)
# Thermionic field emission, V < 0, with v_0 = v_tunnel.
e_00 = Definition(
    "e_00",
    "V",
    "tunnelling energy",
    h_planck / (4 * pi) * sqrt(z_ion * n_disc / (m_e * eps_r * eps_0)),
    low=h_planck / (8 * pi) * sqrt(z_ion * n_min / (m_e * eps_r * eps_0)),
    high=h_planck / (2 * pi) * sqrt(z_ion * n_max / (m_e * eps_r * eps_0)),
)
ratio = Definition("ratio", "1", "tunnelling over thermal energy", e_00 / v_thermal)
tanh_ratio = Definition("tanh_ratio", "1", "its hyperbolic tangent", tanh(ratio))
i_field = (
    area
    * richardson
    * temperature**2
    * sqrt(pi * e_00 * (v_schottky + phi_b * (1 - tanh_ratio**2) + v_tiny))
    / v_thermal
    * exp(-phi_b * tanh_ratio / e_00)
)
v_tunnel = e_00 / (ratio - tanh_ratio)


def _forward_v(i_0: sympy.Expr, v_0: sympy.Expr) -> sympy.Expr:
    """The voltage at which a contact carries the current; the tangent for currents against it."""
    return v_0 * (log(1 + Max(0, forward) / i_0) + Min(0, forward) / i_0)


v_contact = Definition(
    "v_contact",
    "V",
    "voltage at which the contact carries the current",
    Piecewise((_forward_v(i_emission, v_thermal), V > 0), (_forward_v(i_field, v_tunnel), True)),
)

field = Definition(
    "field",
    "V/m",
    "field that moves the vacancies",
    Piecewise(
        ((v_schottky + magnitude * r_ions) / l_cell, V > 0), (magnitude * r_disc / l_det, True)
    ),
)
gamma = Definition(
    "gamma_f",
    "1",
    "field over barrier",
    Min(0.999, z_ion * field * a_hop / (pi * w_a)),
    low=0,
    high=0.999,
)
# A quotient of its own, since a tenth power of a concentration leaves the range of numbers.
nearness = Definition(
    "nearness",
    "1",
    "how near the disc is to the bound ahead of it",
    (n_min / n_disc * (1 + sign) + n_disc / n_max * (1 - sign)) / 2,
    low=0,
    high=2,
)
hop = (
    (n_plug + n_disc)
    * a_hop
    * nu_0
    * exp(-w_a * (sqrt(1 - gamma**2) + gamma * asin(gamma)) / v_thermal)
    * sinh(w_a * gamma * pi / 2 / v_thermal)
)

_VALUES = {
    "t_ambient": 293.0,
    "eps_r": 17.0,
    "eps_phi": 5.5,
    "phi_b0": 0.18,
    "phi_n": 0.1,
    "mobility": 4e-6,
    "n_min": 8e23,
    "n_max": 2e27,
    "n_plug": 2e27,
    "a_hop": 2.5e-10,
    "nu_0": 2e13,
    "w_a": 1.35,
    "r_th": 15.72e6,
    "r_th_scale": 0.27,
    "r_det": 45e-9,
    "l_cell": 3e-9,
    "l_det": 0.4e-9,
    "r_tiox": 650.0,
    "r_line": 719.244,
    "r_th_line": 90471.47,
    "alpha_line": 3.92e-3,
}

MODEL = CompactModel(
    name="jart_v1b",
    title="JART VCM v1b, deterministic",
    kind="dynamic",
    source=SOURCE,
    current=current,
    rates={n_disc: -sign * hop * (1 - nearness**10) / l_det},
    implicit={i_ua: along * (v_contact - v_left) / ((r_tiox + r_line) * i_unit)},
    ordered=((l_det, l_cell),),
    parameter_sets=(
        ParameterSet(
            name="hfo2",
            source=f"{SOURCE}: thermal resistance 15.72e6 K/W",
            values=_VALUES,
            initial={"n_disc": 8e23},
            amplitude_v=1.5,
            period_s=4e-3,
        ),
        ParameterSet(
            name="hfo2_rth10",
            source="the same numbers with 10e6 K/W, as in public copies of the variability model",
            values={**_VALUES, "r_th": 10e6},
            initial={"n_disc": 8e23},
            amplitude_v=1.5,
            period_s=4e-3,
        ),
    ),
)
