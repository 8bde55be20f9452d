"""The dynamic cell: a compact model between word line and bit line.

As a subcircuit of behavioural sources (any ngspice), or as a card for the compiled Verilog-A
module of the same model. Both set the model's parameters and `<state>_0`, the initial states, cell
by cell.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from compact_models.emit import ngspice, verilog_a
from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from netlists.circuit import ForeignSubcircuit, ModelCard
from netlists.names import identifier

Array = NDArray[np.float64]


def behavioural(model: CompactModel, parameter_set: ParameterSet) -> ForeignSubcircuit:
    """The cell as a subcircuit with ports (p, n); an array's cells are instances of it."""
    name = _name(model)
    defaults = {**parameter_set.values}
    defaults |= {f"{x.name}_0": parameter_set.initial[x.name] for x in model.states}
    return ForeignSubcircuit(
        name=name,
        ports=("p", "n"),
        text=ngspice.subcircuit(model, parameter_set, name),
        parameters=defaults,
        description=f"{model.name}, parameter set {parameter_set.name}",
    )


def compiled(model: CompactModel, parameter_set: ParameterSet) -> tuple[ModelCard, str]:
    """The card of the cell as a compiled model, and the Verilog-A text to compile."""
    module = _name(model)
    text = verilog_a.module(model, parameter_set, module)
    return ModelCard(f"card_{module}", module), text


def cell_parameters(
    model: CompactModel, values: Mapping[str, Array], initial: Mapping[str, Array]
) -> dict[str, Array]:
    """What the cells of a `DeviceArray` set: their parameters and initial states.

    Args:
        model: the device.
        values: parameters by name, each [row, col], in SI units; others keep the set's value.
        initial: initial states by name, each [row, col], in SI units; likewise.

    Raises:
        InputError: a name is not the model's, or a parameter is out of its bounds.
    """
    known = {one.name: one for one in model.parameters}
    states = [x.name for x in model.states]
    for what, given, names in (
        ("parameter", values, list(known)),
        ("state", initial, states),
    ):
        for name in given:
            if name not in names:
                raise InputError(
                    f"no such {what}",
                    where=f"model {model.name!r}",
                    value=name,
                    allowed=", ".join(names),
                    hint=closest(name, names),
                )
    for name, array in values.items():
        # A monotonic condition holds everywhere if it holds at both ends; NaN is at both.
        for value in (float(array.min()), float(array.max())):
            if not known[name].allows(value):
                raise InputError(
                    f"parameter {name!r} is out of bounds",
                    where=f"model {model.name!r}",
                    value=value,
                    allowed=known[name].allowed_text(),
                )
    return {**values, **{f"{name}_0": array for name, array in initial.items()}}


def _name(model: CompactModel) -> str:
    return identifier(f"device_{model.name}")
