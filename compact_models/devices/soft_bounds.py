"""Soft bounds: the step falls in a straight line to nothing at the bound ahead of it.

up(w) = dw_up (1 - w / w_max), down(w) = -dw_down (1 - w / w_min); a row of pulses is a geometric
approach to the bound. Frascaroli, Brivio, Covi, Spiga, "Evidence of soft bound behaviour in
analogue memristive devices for neuromorphic computing", Sci. Rep. 8 (2018) 7178, doi
10.1038/s41598-018-25376-x. The noise of a step does not fall with the step.
"""

from __future__ import annotations

from compact_models.model import CompactModel, ParameterSet
from compact_models.pulse_response import pulse_numbers, rates, weight

SYMBOLS = weight()
PULSE = SYMBOLS.response(
    SYMBOLS.dw_up * (1 - SYMBOLS.w / SYMBOLS.w_max),
    -SYMBOLS.dw_down * (1 - SYMBOLS.w / SYMBOLS.w_min),
    SYMBOLS.dw_min_std * SYMBOLS.dw_up,
    SYMBOLS.dw_min_std * SYMBOLS.dw_down,
)

_ARRAY = "Gong, Rasch et al., IEDM (2022), doi 10.1109/IEDM45625.2022.10019569"
_CHOICES = "conductances, threshold and width are circuit choices"
# A filamentary cell of some tens of microsiemens, written by pulses of 300 ns.
_CIRCUIT = {"g_min": 5e-6, "g_max": 5e-5, "threshold_v": 0.8, "width_s": 3e-7}

MODEL = CompactModel(
    name="soft_bounds",
    title="pulse device, step that falls to nothing at the bound",
    kind="pulse",
    source="Frascaroli et al., Sci. Rep. 8 (2018) 7178, doi 10.1038/s41598-018-25376-x",
    current=SYMBOLS.current,
    rates=rates(PULSE),
    pulse=PULSE,
    ordered=SYMBOLS.ordered,
    parameter_sets=(
        ParameterSet(
            name="rpu",
            source="the RPU baseline of doi 10.3389/fnins.2016.00333 with soft bounds: step 0.001 "
            "at weight 0, bounds 0.6, that is 1200 states; steps vary by 30 % from pulse to pulse "
            "and from cell to cell, bounds by 30 %, up against down by 2 %, as the defaults of "
            f"aihwkit 1.2.0; {_CHOICES}",
            values=pulse_numbers(dw_min=0.001, w_min=-0.6, w_max=0.6, dw_min_std=0.3, **_CIRCUIT),
            initial={"w": 0.0},
            amplitude_v=1.5,
            period_s=1.2e-6,
            d2d={"dw_min": 0.3, "w_min": 0.3, "w_max": 0.3, "up_down": 0.01},
        ),
        ParameterSet(
            name="reram_array_hfo2",
            source=f"baseline HfO2 array of {_ARRAY}, mean device as fitted in the preset "
            f"ReRamArrayHfO2 of aihwkit 1.2.0, without its reference device; {_CHOICES}",
            values=pulse_numbers(
                dw_min=0.4622, w_min=-1.0, w_max=1.0, dw_min_std=0.2174, **_CIRCUIT
            ),
            initial={"w": 0.0},
            amplitude_v=1.5,
            period_s=1.2e-6,
        ),
        ParameterSet(
            name="reram_array_om",
            source=f"optimized-material array of {_ARRAY}, mean device as fitted in the preset "
            f"ReRamArrayOM of aihwkit 1.2.0, without its reference device; {_CHOICES}",
            values=pulse_numbers(
                dw_min=0.0949, w_min=-1.0, w_max=1.0, dw_min_std=0.4158, **_CIRCUIT
            ),
            initial={"w": 0.0},
            amplitude_v=1.5,
            period_s=1.2e-6,
        ),
        ParameterSet(
            name="reram_sb",
            source="loose fit to Gong et al., Nat. Commun. 9 (2018) 2102, doi "
            "10.1038/s41467-018-04485-1, as in the preset ReRamSB of aihwkit 1.2.0; "
            f"{_CHOICES}",
            values=pulse_numbers(
                dw_min=0.002, w_min=-0.75, w_max=1.25, dw_min_std=3.75, **_CIRCUIT
            ),
            initial={"w": 0.0},
            amplitude_v=1.5,
            period_s=1.2e-6,
        ),
    ),
)
