"""Which end of its range a device conducts at, and which voltages lead there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.errors import InputError
from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.internal import solve_internal
from cosim.devices.switching_time import switching_state, switching_times

HIGHEST = 1.25
"""The highest voltage that a portrait applies, over the amplitude of the parameter set."""
LONGEST_S = 10 * 365.25 * 86400
"""Ten years: what has not switched by then counts as not switching."""
START, GOAL = 0.01, 0.5
"""Where a timed device starts and what it must reach, from its bound, of its range.

Not at the bound itself: with some windows a state that is there stays for good."""
_READ = 0.1  # voltage at which a conductance is read, over the amplitude


@dataclass(frozen=True)
class Polarity:
    """How a device switches; places are 0 at the least conducting bound and 1 at the other.

    Attributes:
        state: the index of the state that switches.
        rising: True where the device conducts more at the state's upper bound.
        set_sign: 1 or -1, the polarity that makes it conduct more; 0 where neither does.
        reset_sign: the same for less.
        off_s: conductance at the least conducting bound [S].
        on_s: conductance at the other [S].
        read_v: the voltage at which conductances are read [V].
    """

    state: int
    rising: bool
    set_sign: int
    reset_sign: int
    off_s: float
    on_s: float
    read_v: float

    @property
    def colour_sign(self) -> int:
        """The polarity that is shown as that of SET; 0 where there is neither SET nor RESET."""
        return self.set_sign or -self.reset_sign

    def fraction(self, place: float) -> float:
        """The fraction of the state's range, between its bounds, at a place."""
        return place if self.rising else 1 - place


@dataclass(frozen=True)
class _Numbers:
    """Numbers that are equal to all others of the same content."""

    content: str
    own: ParameterSet = field(compare=False)


def polarity(model: CompactModel, numbers: ParameterSet) -> Polarity:
    """How the device switches with these numbers; kept, for it takes seconds of a stiff model.

    Raises:
        InputError: it has no state with bounds, or conducts alike at both.
    """
    told = (sorted(numbers.values.items()), sorted(numbers.initial.items()), numbers.amplitude_v)
    return _polarity(model, _Numbers(repr((told, numbers.period_s)), numbers))


@kept_by_content(32)
def _polarity(model: CompactModel, given: _Numbers) -> Polarity:
    numbers = given.own
    state = switching_state(model)
    functions = torch_model(model)
    read_v = _READ * numbers.amplitude_v
    ends = place_states(functions, numbers, state, torch.tensor([0.0, 1.0], dtype=torch.float64))
    low_s, high_s = conductance_s(model, numbers, ends, read_v).tolist()
    if not abs(high_s - low_s) > 1e-12 * (abs(high_s) + abs(low_s)):
        raise InputError(
            "the device conducts alike at both ends of its state", where=f"model {model.name!r}"
        )
    rising = high_s > low_s
    set_sign = _sign(model, numbers, rising, START, GOAL)
    reset_sign = _sign(model, numbers, rising, 1 - START, 1 - GOAL)
    return Polarity(
        state=state,
        rising=rising,
        set_sign=set_sign,
        reset_sign=reset_sign,
        off_s=min(low_s, high_s),
        on_s=max(low_s, high_s),
        read_v=read_v,
    )


def _sign(
    model: CompactModel, numbers: ParameterSet, rising: bool, start: float, goal: float
) -> int:
    """The polarity at which the device comes sooner from a place to another; 0 for neither."""
    times = switching_times(
        model,
        numbers,
        [HIGHEST * numbers.amplitude_v, -HIGHEST * numbers.amplitude_v],
        from_fraction=start if rising else 1 - start,
        to_fraction=goal if rising else 1 - goal,
        longest_s=LONGEST_S,
    )
    at_positive, at_negative = times.nan_to_num(nan=torch.inf).tolist()
    if min(at_positive, at_negative) == torch.inf:
        return 0
    return 1 if at_positive <= at_negative else -1


def place_states(
    functions: TorchModel, numbers: ParameterSet, state: int, fraction: torch.Tensor
) -> list[torch.Tensor]:
    """All states in their units with one of them at fractions of its range, each [...]."""
    p = functions.parameters(dict(numbers.values))
    initial = [torch.full_like(fraction, numbers.initial[x.name]) for x in functions.model.states]
    fractions = list(functions.fractions(initial, p))
    fractions[state] = fraction
    return functions.states(fractions, p)


def conductance_s(
    model: CompactModel, numbers: ParameterSet, states: Sequence[torch.Tensor], read_v: float
) -> torch.Tensor:
    """Current over voltage in given states, without moving them [S], [cell]."""
    functions = torch_model(model)
    p = functions.parameters(dict(numbers.values))
    fractions = functions.fractions(states, p)
    v = torch.full_like(fractions[0], read_v)
    with torch.no_grad():
        inner = solve_internal(functions, p, v, fractions, None)
        internals = [] if inner is None else [inner]
        (current,) = functions.current(v, *fractions, *internals, p)
    return torch.as_tensor(current).expand_as(v) / read_v
