"""What a circuit sees of a device whose states stand still: its current and its conductance.

A circuit solver asks for both at every Newton step of a read. Where the current follows an internal
quantity, as behind a Schottky contact, that is solved for and has its share in the conductance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.model import CompactModel
from cosim.devices.cells import pick
from cosim.devices.internal import solve_internal

# So far from 0 V its slopes are taken: little beside the thermal voltage. Nearer, JART's published
# field emission falls like a root of the voltage.
_BESIDE_ZERO_V = 1e-4


@dataclass(frozen=True)
class OperatingPoint:
    """Devices at given voltages and states.

    Attributes:
        current_a: the current from p to n [A], [...]; NaN where it has no solution.
        conductance_s: dI/dV with the states held [S], [...]. At exactly 0 V, where published
            equations change their form, it is the mean of the slopes on both sides.
        internal: the internal quantity [...], a start for the next call; None without one.
        internal_per_v: how it follows the voltage [1/V of its unit], likewise.
    """

    current_a: torch.Tensor
    conductance_s: torch.Tensor
    internal: torch.Tensor | None
    internal_per_v: torch.Tensor | None

    def ahead(self, change_v: torch.Tensor) -> torch.Tensor | None:
        """A guess of the internal quantity after a change of the voltage: on the same branch."""
        if self.internal is None or self.internal_per_v is None:
            return None
        return self.internal + self.internal_per_v * change_v


def operating_point(
    model: CompactModel,
    values: Mapping[str, Value],
    states: Mapping[str, Value],
    voltage_v: torch.Tensor,
    *,
    guess: torch.Tensor | None = None,
) -> OperatingPoint:
    """Current and conductance of devices.

    Args:
        model: the device.
        values: its parameters in SI units: floats, or tensors that broadcast to the cells.
        states: its states, in their units, likewise.
        voltage_v: the voltage across each device [V], [...].
        guess: an internal quantity to start from [...], which decides between several solutions;
            None starts in the middle of its bracket.

    Raises:
        InputError: a parameter or a state is missing, or there is none of that name.
    """
    functions = torch_model(model)
    given = [x for x in (*values.values(), *states.values()) if isinstance(x, torch.Tensor)]
    shapes = {voltage_v.shape, *(x.shape for x in given)}  # mostly one, which is found at once
    shape = voltage_v.shape if len(shapes) == 1 else torch.broadcast_shapes(*shapes)

    def flat(value: Value) -> torch.Tensor:
        return torch.as_tensor(value, dtype=torch.float64).expand(shape).reshape(-1)

    p = functions.parameters(
        {name: flat(x) if isinstance(x, torch.Tensor) else x for name, x in values.items()}
    )
    v = flat(voltage_v)
    fractions = functions.fractions([flat(x) for x in functions.in_order(states)], p)
    start = None if guess is None else flat(guess)
    current, conductance, internal, per_v = _solved(functions, p, v, fractions, start)
    at_rest = (v.detach() == 0).nonzero().squeeze(1)
    if at_rest.numel():
        some, there = pick(p, at_rest, v.numel()), [s[at_rest] for s in fractions]
        beside = [
            _solved(functions, some, v[at_rest] + volts, there, None)[1]
            for volts in (_BESIDE_ZERO_V, -_BESIDE_ZERO_V)
        ]
        conductance = conductance.index_put((at_rest,), 0.5 * (beside[0] + beside[1]))

    def shaped(value: torch.Tensor) -> torch.Tensor:
        return value.expand(v.shape).reshape(shape)

    return OperatingPoint(
        shaped(current),
        shaped(conductance),
        None if internal is None else shaped(internal),
        None if per_v is None else shaped(per_v),
    )


def _solved(
    functions: TorchModel,
    p: Mapping[str, Value],
    v: torch.Tensor,
    fractions: Sequence[torch.Tensor],
    guess: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Current, dI/dV, the internal quantity and its derivative by the voltage, each [cell]."""
    internal = solve_internal(functions, p, v, fractions, guess)
    inner = [] if internal is None else [internal]
    (current,) = functions.current(v, *fractions, *inner, p)
    slopes = functions.current_slopes(v, *fractions, *inner, p)
    conductance, per_v = slopes[len(fractions)], None
    if internal is not None:
        # The residual stays zero: what the voltage does to it the internal quantity undoes.
        *_, by_internal, by_voltage = functions.equations_slopes(v, *fractions, internal, p)
        per_v = torch.as_tensor(-by_voltage / by_internal, dtype=torch.float64).expand_as(v)
        conductance = conductance + slopes[-1] * per_v
    first, second = (
        torch.as_tensor(x, dtype=torch.float64).expand_as(v) for x in (current, conductance)
    )
    return first, second, internal, per_v
