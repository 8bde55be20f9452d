"""Constant step: every pulse moves the weight by the same amount, up to hard bounds.

Gokmen, Vlasov, "Acceleration of Deep Neural Network Training with Resistive Cross-Point Devices:
Design Considerations", Front. Neurosci. 10 (2016) 333, doi 10.3389/fnins.2016.00333.
"""

from __future__ import annotations

from compact_models.model import CompactModel, ParameterSet
from compact_models.pulse_response import pulse_numbers, rates, weight

SYMBOLS = weight()
PULSE = SYMBOLS.response(SYMBOLS.dw_up, -SYMBOLS.dw_down)

# Tens of megaohms and pulses of 1 ns, as such an array needs; half a pulse does nothing.
_CIRCUIT = {"g_min": 1e-8, "g_max": 8e-8, "threshold_v": 0.75, "width_s": 1e-9}
_CHOICES = "conductances, threshold and width are circuit choices"

MODEL = CompactModel(
    name="constant_step",
    title="pulse device, constant step, hard bounds",
    kind="pulse",
    source="Gokmen and Vlasov, Front. Neurosci. 10 (2016) 333, doi 10.3389/fnins.2016.00333",
    current=SYMBOLS.current,
    rates=rates(PULSE),
    pulse=PULSE,
    ordered=SYMBOLS.ordered,
    parameter_sets=(
        ParameterSet(
            name="gokmen_vlasov",
            source="RPU baseline of doi 10.3389/fnins.2016.00333: step 0.001, bounds 0.6, steps "
            f"vary by 30 % from pulse to pulse (1200 states), steps and bounds by 30 % from cell "
            f"to cell; {_CHOICES}",
            values=pulse_numbers(dw_min=0.001, w_min=-0.6, w_max=0.6, dw_min_std=0.3, **_CIRCUIT),
            initial={"w": 0.0},
            amplitude_v=1.0,
            period_s=4e-9,
            confirmed=False,
            d2d={"dw_min": 0.3, "w_min": 0.3, "w_max": 0.3, "up_down": 0.01},
        ),
        ParameterSet(
            name="gokmen_vlasov_scaled",
            source="the same device with weights of -1 to 1, as in the preset GokmenVlasov of "
            f"aihwkit 1.2.0; {_CHOICES}",
            values=pulse_numbers(dw_min=0.0016, w_min=-1.0, w_max=1.0, dw_min_std=0.3, **_CIRCUIT),
            initial={"w": 0.0},
            amplitude_v=1.0,
            period_s=4e-9,
        ),
        ParameterSet(
            name="idealized",
            source="10000 symmetric steps, as in Rasch, Gokmen, Haensch, IEEE Design & Test 37 "
            "(2020), arXiv 1906.02698, and the preset Idealized of aihwkit 1.2.0; "
            f"{_CHOICES}",
            values=pulse_numbers(dw_min=0.0002, w_min=-1.0, w_max=1.0, dw_min_std=0.3, **_CIRCUIT),
            initial={"w": 0.0},
            amplitude_v=1.0,
            period_s=4e-9,
        ),
    ),
)
