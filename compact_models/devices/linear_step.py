"""Linear step: the step falls in a straight line as the weight nears the bound ahead of it.

up(w) = dw_up (1 - gamma_up w / w_max), down(w) = -dw_down (1 - gamma_down w / w_min), clipped at
the bounds: Rasch et al., "A flexible and fast PyTorch toolkit for simulating training and inference
on analog crossbar arrays", IEEE AICAS (2021), doi 10.1109/AICAS51828.2021.9458494. With gamma = 0
it is the constant step, with gamma = 1 the soft bounds.
"""

from __future__ import annotations

from compact_models.model import CompactModel, ParameterSet
from compact_models.pulse_response import pulse_numbers, rates, weight
from compact_models.symbols import Parameter

SYMBOLS = weight()
gamma_up = Parameter("gamma_up", "1", "part of the step up that is gone at w_max", low=0)
gamma_down = Parameter("gamma_down", "1", "part of the step down that is gone at w_min", low=0)

PULSE = SYMBOLS.response(
    SYMBOLS.dw_up * (1 - gamma_up * SYMBOLS.w / SYMBOLS.w_max),
    -SYMBOLS.dw_down * (1 - gamma_down * SYMBOLS.w / SYMBOLS.w_min),
)

MODEL = CompactModel(
    name="linear_step",
    title="pulse device, step that falls in a straight line",
    kind="pulse",
    source="Rasch et al., IEEE AICAS (2021), doi 10.1109/AICAS51828.2021.9458494",
    current=SYMBOLS.current,
    rates=rates(PULSE),
    pulse=PULSE,
    ordered=SYMBOLS.ordered,
    parameter_sets=(
        ParameterSet(
            name="ecram",
            source="lithium ECRAM of Tang et al., IEDM (2018), doi 10.1109/IEDM.2018.8614551, as "
            "fitted in the preset EcRam of aihwkit 1.2.0; conductances, threshold and width are "
            "circuit choices",
            values={
                **pulse_numbers(
                    dw_min=0.002,
                    w_min=-0.8276,
                    w_max=1.1724,
                    dw_min_std=0.3,
                    g_min=1e-8,
                    g_max=1e-7,
                    threshold_v=0.5,
                    width_s=1e-6,
                ),
                "gamma_up": 0.1153,
                "gamma_down": 0.5085,
            },
            initial={"w": 0.0},
            amplitude_v=1.0,
            period_s=4e-6,
        ),
        ParameterSet(
            name="ecram_mo",
            source="metal-oxide ECRAM of Kim et al., IEDM (2019), doi "
            "10.1109/IEDM19573.2019.8993463, as fitted in the preset EcRamMO of aihwkit 1.2.0; "
            "conductances, threshold and width are circuit choices",
            values={
                **pulse_numbers(
                    dw_min=2.8214e-4,
                    w_min=-0.8286,
                    w_max=1.1714,
                    dw_min_std=2.0,
                    g_min=1e-8,
                    g_max=1e-7,
                    threshold_v=0.5,
                    width_s=1e-6,
                ),
                "gamma_up": 0.4152,
                "gamma_down": 0.7342,
            },
            initial={"w": 0.0},
            amplitude_v=1.0,
            period_s=4e-6,
        ),
    ),
)
