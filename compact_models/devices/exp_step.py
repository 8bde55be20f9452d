"""Exponential step: the step is a constant less an exponential of the weight, never below nothing.

With z = z_slope 2 w / (w_max - w_min) + z_offset,
up(w) = dw_up max(0, 1 - a_up exp(gamma_up z)), down(w) = -dw_down max(0, 1 - a_down exp(-gamma_down
z)), clipped at the bounds. The standard deviation of a step dw is
dw_min_std (|dw| + std_add + std_slope |w|). Rasch et al., IEEE AICAS (2021), doi
10.1109/AICAS51828.2021.9458494, which fits with it the measurements of Gong et al., "Signal and
noise extraction from analog memory elements for neuromorphic computing", Nat. Commun. 9 (2018)
2102, doi 10.1038/s41467-018-04485-1.
"""

from __future__ import annotations

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.pulse_response import pulse_numbers, rates, weight
from compact_models.symbols import Parameter

SYMBOLS = weight(Parameter("w_min", "1", "least weight", high=0))
a_up = Parameter("a_up", "1", "size of the exponential, up")
a_down = Parameter("a_down", "1", "size of the exponential, down")
gamma_up = Parameter("gamma_up", "1", "steepness of the exponential, up")
gamma_down = Parameter("gamma_down", "1", "steepness of the exponential, down")
z_slope = Parameter("z_slope", "1", "how the exponential's argument goes with the weight")
z_offset = Parameter("z_offset", "1", "the exponential's argument at weight zero")
std_add = Parameter("std_add", "1", "step noise that is always there, over dw_min_std", low=0)
std_slope = Parameter("std_slope", "1", "step noise that grows with the weight", low=0)

z = z_slope * 2 * SYMBOLS.w / (SYMBOLS.w_max - SYMBOLS.w_min) + z_offset
up = SYMBOLS.dw_up * sympy.Max(0, 1 - a_up * sympy.exp(gamma_up * z))
down = -SYMBOLS.dw_down * sympy.Max(0, 1 - a_down * sympy.exp(-gamma_down * z))
further = std_add + std_slope * sympy.Abs(SYMBOLS.w)
PULSE = SYMBOLS.response(
    up,
    down,
    SYMBOLS.dw_min_std * (sympy.Abs(up) + further),
    SYMBOLS.dw_min_std * (sympy.Abs(down) + further),
)

MODEL = CompactModel(
    name="exp_step",
    title="pulse device, step that falls exponentially",
    kind="pulse",
    source="Rasch et al., IEEE AICAS (2021), doi 10.1109/AICAS51828.2021.9458494",
    current=SYMBOLS.current,
    rates=rates(PULSE),
    pulse=PULSE,
    ordered=SYMBOLS.ordered,
    parameter_sets=(
        ParameterSet(
            name="reram_es",
            source="HfO2 ReRAM of Gong et al., Nat. Commun. 9 (2018) 2102, doi "
            "10.1038/s41467-018-04485-1, as fitted in the preset ReRamES of aihwkit 1.2.0; "
            "conductances, threshold and width are circuit choices",
            values={
                **pulse_numbers(
                    dw_min=0.00135,
                    up_down=0.259359,
                    w_min=-1.0,
                    w_max=1.0,
                    dw_min_std=5.0,
                    g_min=5e-6,
                    g_max=5e-5,
                    threshold_v=0.8,
                    width_s=3e-7,
                ),
                "a_up": -1.18445,
                "a_down": -0.081404,
                "gamma_up": 5.0,
                "gamma_down": 5.0,
                "z_slope": -0.5,
                "z_offset": -0.5,
                "std_add": 0.0,
                "std_slope": 0.0,
            },
            initial={"w": 0.0},
            amplitude_v=1.5,
            period_s=1.2e-6,
        ),
        ParameterSet(
            name="pcm",
            source="one Ge2Sb2Te5 cell of a differential pair, which is crystallised by pulses up "
            "and reset as a whole, after Nandakumar et al., Front. Neurosci. 14 (2020) 406, doi "
            "10.3389/fnins.2020.00406, as fitted in the preset PCM of aihwkit 1.2.0, after a "
            "reset; conductances, threshold and width are circuit choices",
            values={
                **pulse_numbers(
                    dw_min=0.01,
                    w_min=0.0,
                    w_max=2.0,
                    dw_min_std=0.6,
                    g_min=1e-7,
                    g_max=2.5e-5,
                    threshold_v=0.8,
                    width_s=5e-8,
                ),
                "a_up": -27.235,
                "a_down": -2.235,
                "gamma_up": 2.5,
                "gamma_down": 2.5,
                "z_slope": -1.0,
                "z_offset": 0.0,
                "std_add": 0.042,
                "std_slope": 0.108,
            },
            initial={"w": 0.01},
            amplitude_v=1.5,
            period_s=2e-7,
        ),
    ),
)
