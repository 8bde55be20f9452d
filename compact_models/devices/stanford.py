"""Stanford's filament model: a tunnelling gap that vacancies fill, heated by the current.

Guan, Yu, Wong, "A SPICE compact model of metal oxide resistive switching memory with variations",
IEEE Electron Device Letters 33 (2012) 1405, doi 10.1109/LED.2012.2210856; Chen, Yu, "Compact
modeling of RRAM devices and its applications in 1T1R and 1S1R array design", IEEE TED 62 (2015)
4022, doi 10.1109/TED.2015.2492421. SkyWater's sky130 ReRAM cell has the same equations for the
length of the filament, which is `l_oxide - gap`. SET, a shrinking gap, at positive voltage.

The published Verilog-A steps gap and temperature forward by hand, so that its answers depend on the
simulator's step; these are the differential equations behind it. Between a thin gap and the current
there is positive feedback: without a resistance in series the SET ends at the bound at once.
"""

from __future__ import annotations

from sympy import Abs, Max, Min, exp, sinh

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Constant, Definition, Parameter, State, V

SOURCE = (
    "Guan et al., IEEE EDL 33 (2012) 1405, doi 10.1109/LED.2012.2210856; "
    "Chen, Yu, IEEE TED 62 (2015) 4022, doi 10.1109/TED.2015.2492421"
)

k_over_q = Constant("k_over_q", "V/K", "Boltzmann's constant over the charge", value=8.617333e-5)
gap_unit = Constant("gap_unit", "m", "unit of the gap in the field enhancement", value=1e-9)

i_0 = Parameter("i_0", "A", "current scale", above=0)
g_0 = Parameter("g_0", "m", "gap over which the current falls by e", above=0)
v_0 = Parameter("v_0", "V", "curvature of the current", above=0)
velocity = Parameter("velocity", "m/s", "attempt velocity of the filament's end", above=0)
gamma_0 = Parameter("gamma_0", "1", "field enhancement without a gap", above=0)
beta = Parameter("beta", "1", "loss of field enhancement by a gap of 1 nm", low=0)
e_generation = Parameter("e_generation", "V", "activation energy of generation", above=0)
e_recombination = Parameter("e_recombination", "V", "activation energy of recombination", above=0)
a_hop = Parameter("a_hop", "m", "distance between atoms", above=0)
l_oxide = Parameter("l_oxide", "m", "thickness of the oxide", above=0)
gap_min = Parameter("gap_min", "m", "least gap", above=0)
gap_max = Parameter("gap_max", "m", "largest gap", above=0)
t_ambient = Parameter("t_ambient", "K", "ambient temperature", above=0)
c_thermal = Parameter("c_thermal", "J/K", "thermal capacitance of the filament", above=0)
tau_thermal = Parameter("tau_thermal", "s", "thermal time constant of the filament", above=0)

gap = State("gap", "m", "gap between filament and electrode", lower=gap_min, upper=gap_max)
temperature = State("temperature", "K", "temperature of the filament", scale=100)

current = i_0 * exp(-gap / g_0) * sinh(V / v_0)
# Only a solver on its way to the solution can ask below the ambient temperature.
v_thermal = Definition(
    "v_thermal", "V", "thermal voltage", k_over_q * Max(temperature, t_ambient)
)  # fmt: skip
lowering = Definition(
    "lowering",
    "V",
    "voltage by which the field lowers the barrier",
    (gamma_0 - beta * (gap / gap_unit) ** 3) * a_hop / l_oxide * V,
)
# A field that has taken the barrier away altogether lowers it no further: nothing moves faster than
# the attempt velocity. As published the rate goes on, to 1e43 gaps per second at 6.6 V.
closing = velocity * (
    exp(Min(0, (lowering - e_generation) / v_thermal))
    - exp(Min(0, (-lowering - e_recombination) / v_thermal))
)

_VALUES = {
    "i_0": 6.14e-5,
    "g_0": 2.7505e-10,
    "v_0": 0.43,
    "velocity": 150.0,
    "gamma_0": 16.5,
    "beta": 1.25,
    "e_generation": 1.501,
    "e_recombination": 1.5,
    "a_hop": 2.5e-10,
    "l_oxide": 5e-9,
    "gap_min": 1e-10,
    "gap_max": 1.7e-9,
    "t_ambient": 298.0,
    "c_thermal": 3.1825e-16,
    "tau_thermal": 2.3e-10,
}

MODEL = CompactModel(
    name="stanford",
    title="Stanford filament gap with a heated filament; the sky130 ReRAM cell",
    kind="dynamic",
    source=SOURCE,
    current=current,
    rates={
        gap: -closing,
        temperature: Abs(V * current) / c_thermal - (temperature - t_ambient) / tau_thermal,
    },
    parameter_sets=(
        ParameterSet(
            name="sky130",
            source="SkyWater, sky130_fd_pr_reram__reram_cell.va (Apache-2.0), "
            "google/skywater-pdk-libs-sky130_fd_pr_reram; gap = Tox - Tfilament",
            values={**_VALUES, "g_0": 5e-9 - 4.7249e-9, "t_ambient": 300.0},
            initial={"gap": 1.7e-9, "temperature": 300.0},
            amplitude_v=2.2,
            period_s=2e-4,
        ),
        ParameterSet(
            name="asu",
            source="Verilog-A of Stanford and ASU, version 1; a copy of it on GitHub",
            values=_VALUES,
            initial={"gap": 1.7e-9, "temperature": 298.0},
            amplitude_v=2.2,
            period_s=2e-4,
        ),
    ),
)
