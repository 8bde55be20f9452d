"""`--initial STATE=VALUE`: a run or a fit that starts from another state than the set's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import State
from workflows.device.number_table import as_number

_OPTION = "--initial"


def starting_from(model: CompactModel, numbers: ParameterSet, given: Sequence[str]) -> ParameterSet:
    """The parameter set with other initial states.

    Args:
        model: whose states they are.
        numbers: the set.
        given: `STATE=VALUE` each, the value in the state's unit.

    Raises:
        InputError: a text is not of this form, names no state or one twice, or its value is no
            finite number or out of the state's bounds for the parameters of the set.
    """
    states = {state.name: state for state in model.states}
    if given and not states:
        raise InputError(
            "the model has no states", where=_OPTION, value=given[0], hint="leave the option out"
        )
    bounds = model.bounds(numbers.values)
    chosen: dict[str, float] = {}
    for text in given:
        name, value = _split(text, states)
        if name in chosen:
            raise InputError(
                f"state {name!r} is given twice", where=_OPTION, value=text, hint="leave one out"
            )
        _check_bounds(states[name], value, bounds[name])
        chosen[name] = value
    return dataclasses.replace(numbers, initial={**numbers.initial, **chosen})


def _split(text: str, states: dict[str, State]) -> tuple[str, float]:
    """The name of a state and a finite number."""
    name, equals, number = (part.strip() for part in text.partition("="))
    if not equals:
        raise InputError(
            "the = is missing" if name else "the initial state is missing",
            where=_OPTION,
            value=text if name else None,
            allowed=f"STATE=VALUE, with STATE one of {', '.join(states)}",
        )
    if not name:
        raise InputError("the name of the state is missing", where=_OPTION, value=text,
                         allowed=", ".join(states))  # fmt: skip
    if name not in states:
        raise InputError(
            "no such state",
            where=_OPTION,
            value=name,
            allowed=", ".join(states),
            hint=closest(name, states),
        )
    unit = states[name].unit
    allowed = "a number" if unit == "1" else f"a number, in {unit}"
    if not number:
        raise InputError(
            f"the value of state {name!r} is missing", where=_OPTION, value=text, allowed=allowed
        )
    value = as_number(number)
    if not math.isfinite(value):
        raise InputError(
            f"the value of state {name!r} is not a finite number",
            where=_OPTION,
            value=number,
            allowed=allowed,
        )
    return name, value


def _check_bounds(state: State, value: float, pair: tuple[float, float] | None) -> None:
    if pair is None or pair[0] <= value <= pair[1]:
        return
    raise InputError(
        f"state {state.name!r} starts out of bounds",
        where=_OPTION,
        value=value,
        # With all digits: the bound itself is allowed, and what it rounds to may not be.
        allowed=f"{pair[0]!r} to {pair[1]!r}" + ("" if state.unit == "1" else f" {state.unit}"),
    )
