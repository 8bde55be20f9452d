"""Piecewise step: the step as measured at ten weights, straight between them.

The weights are those at 0, 1/9, 2/9 ... and 1 of the way from w_min to w_max; `up_0` to `up_9` and
`down_0` to `down_9` are the steps there, as multiples of dw_up and dw_down. The law is that of the
PiecewiseStepDevice of aihwkit 1.2.0, whose fits to measured pulse trains have ten nodes too.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.pulse_response import pulse_numbers, rates, weight
from compact_models.symbols import Parameter

SECTIONS = 9

SYMBOLS = weight()
up_at = [Parameter(f"up_{k}", "1", f"step up at node {k}", low=0) for k in range(SECTIONS + 1)]
down_at = [
    Parameter(f"down_{k}", "1", f"step down at node {k}", low=0) for k in range(SECTIONS + 1)
]


def between(nodes: Sequence[sympy.Symbol]) -> sympy.Expr:
    """What is straight between `nodes`, at the place of the weight."""
    # A sum of ramps that are 0 before their section and 1 behind it has no branches.
    ramps = [
        sympy.Min(1, sympy.Max(0, SYMBOLS.place * SECTIONS - k)) for k in range(len(nodes) - 1)
    ]
    return nodes[0] + sum(
        (after - before) * ramp
        for before, after, ramp in zip(nodes[:-1], nodes[1:], ramps, strict=True)
    )


_UP = (1.8, 1.7, 1.5, 1.1, 1.0, 0.8, 0.7, 0.4, 0.3, 0.1)
_DOWN = (0.2, 0.4, 0.7, 0.8, 0.9, 1.0, 1.0, 1.3, 1.3, 1.4)

PULSE = SYMBOLS.response(
    SYMBOLS.dw_up * between(up_at),
    -SYMBOLS.dw_down * between(down_at),
)

MODEL = CompactModel(
    name="piecewise_step",
    title="pulse device, step given at ten weights",
    kind="pulse",
    source="PiecewiseStepDevice of aihwkit 1.2.0",
    current=SYMBOLS.current,
    rates=rates(PULSE),
    pulse=PULSE,
    ordered=SYMBOLS.ordered,
    parameter_sets=(
        ParameterSet(
            name="example",
            source="round numbers that show the law: steps that fall towards both bounds, faster "
            "on the way up",
            values={
                **pulse_numbers(
                    dw_min=0.005,
                    w_min=-0.8,
                    w_max=1.0,
                    dw_min_std=0.3,
                    g_min=1e-6,
                    g_max=2e-5,
                    threshold_v=0.8,
                    width_s=1e-7,
                ),
                **{f"up_{k}": x for k, x in enumerate(_UP)},
                **{f"down_{k}": x for k, x in enumerate(_DOWN)},
            },
            initial={"w": 0.1},
            amplitude_v=1.5,
            period_s=4e-7,
        ),
    ),
)
