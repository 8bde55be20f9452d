"""What voltages and codes of the backward phase stand for.

Errors d enter as shares of the largest, |d| <= 1. The products at the inputs, w d summed over the
outputs, grow with the square root of the outputs where signs are mixed, and that is what the range
of a word line's converter follows; it knows nothing of weights that training will move.
"""

from __future__ import annotations

import math

from netlists.adcs.quantiser import code_range
from netlists.hardware import Hardware
from netlists.mapping import check_feedback
from netlists.tiles import LayerPlan


def product_at_full_code(hardware: Hardware, plan: LayerPlan) -> float:
    """The sum of w d that full code of a word line's converter stands for, with its sign."""
    # Amplifiers invert, and nothing is subtracted behind them.
    return -hardware.backward.range_factor * plan.weight_scale * math.sqrt(plan.outputs)


def product_per_code(hardware: Hardware, plan: LayerPlan) -> float:
    """The sum of w d, with d as shares of the largest, that one code stands for."""
    _, full = code_range(hardware.backward.adc, signed=True)
    return product_at_full_code(hardware, plan) / full


def feedback_ohm(hardware: Hardware, plan: LayerPlan) -> float:
    """The nominal feedback resistance of amplifiers of factor 1 at a layer's word lines.

    Raises:
        InputError: nobody builds it, or it holds no line at ground.
    """
    backward, cell = hardware.backward, hardware.cell_of(plan.source)
    per_unit_a = backward.driver.v_read_v * (cell.g_on_s - cell.g_off_s) * sum(plan.factors)
    for_full_a = per_unit_a * backward.range_factor * math.sqrt(plan.outputs)
    r_feedback = backward.adc.v_full_scale_v / for_full_a if for_full_a > 0 else math.inf
    return check_feedback(
        r_feedback,
        backward.tia,
        where=f"{plan.name} ({plan.source}), backward",
        section="backward.",
    )
