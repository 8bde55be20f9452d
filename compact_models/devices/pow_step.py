"""Power step: the step goes with a power of the distance to the bound ahead.

up(w) = dw_up ((w_max - w) / (w_max - w_min))^gamma_up and
down(w) = -dw_down ((w - w_min) / (w_max - w_min))^gamma_down. Fusi, Abbott, "Limits on the memory
storage capacity of bounded synapses", Nat. Neurosci. 10 (2007) 485, doi 10.1038/nn1859; with these
names in the PowStepDevice of aihwkit 1.2.0.
"""

from __future__ import annotations

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.pulse_response import pulse_numbers, rates, weight
from compact_models.symbols import Parameter

# At the bound itself a power below 1 has no slope to solve with.
_LEAST_DISTANCE = sympy.Float(1e-9)

SYMBOLS = weight()
gamma_up = Parameter("gamma_up", "1", "exponent of the step up", above=0)
gamma_down = Parameter("gamma_down", "1", "exponent of the step down", above=0)

PULSE = SYMBOLS.response(
    SYMBOLS.dw_up * sympy.Max(_LEAST_DISTANCE, 1 - SYMBOLS.place) ** gamma_up,
    -SYMBOLS.dw_down * sympy.Max(_LEAST_DISTANCE, SYMBOLS.place) ** gamma_down,
)

MODEL = CompactModel(
    name="pow_step",
    title="pulse device, step with a power of the distance to the bound",
    kind="pulse",
    source="Fusi and Abbott, Nat. Neurosci. 10 (2007) 485, doi 10.1038/nn1859",
    current=SYMBOLS.current,
    rates=rates(PULSE),
    pulse=PULSE,
    ordered=SYMBOLS.ordered,
    parameter_sets=(
        ParameterSet(
            name="example",
            source="round numbers that show the law: quadratic up, cubic down",
            values={
                **pulse_numbers(
                    dw_min=0.01,
                    w_min=-0.6,
                    w_max=0.6,
                    dw_min_std=0.3,
                    g_min=1e-6,
                    g_max=2e-5,
                    threshold_v=0.8,
                    width_s=1e-7,
                ),
                "gamma_up": 2.0,
                "gamma_down": 3.0,
            },
            initial={"w": 0.0},
            amplitude_v=1.5,
            period_s=4e-7,
        ),
    ),
)
