"""The rows of a fit's table, in text and picture: what stands for 0 is 0."""

from __future__ import annotations

from dataclasses import replace

from cosim.fitting.result import Fit, FittedValue

_ROUNDING = 1e-14  # of the range: a few roundings
# Of a state's range: a fit that takes a state to its bound ends a millionth before it.
_AT_BOUND = 2e-6


def shown_values(fit: Fit) -> dict[str, FittedValue]:
    """Fitted parameters, then initial states, by the name in the table.

    Beside the ends of its range a value may be nothing, as 3e-15 m of 3e-9 m is.
    """
    logarithmic = {state.name for state in fit.space.model.states if state.log}
    rows = {name: _tidy(one, _ROUNDING) for name, one in fit.values.items()}
    for name, one in fit.initial.items():
        part = _ROUNDING if name in logarithmic else _AT_BOUND
        rows[f"{name} at the start"] = _tidy(one, part)
    return rows


def _tidy(one: FittedValue, part: float) -> FittedValue:
    """The same with 0 for what is less than a part of the larger end of its range."""
    least = part * max(abs(one.low), abs(one.high))
    start, value, low, high = (
        0.0 if abs(x) < least else x for x in (one.start, one.value, one.low, one.high)
    )
    return replace(one, start=start, value=value, low=low, high=high)
