"""The parameters of every cell of an array: nominal values with their spread, checked.

Device-to-device spread is drawn once per (seed, sample, path); cycle-to-cycle spread once per cycle
besides, around what the device is. All of it in numpy: SPICE and torch are given the same arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
import sympy
import torch
from pydantic import Field, model_validator

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.spec import Spec
from compact_models.symbols import Parameter
from compact_models.variation.defects import StuckCells
from compact_models.variation.die import DieField, die_scores
from compact_models.variation.distributions import Distribution, Uniform
from compact_models.variation.seeds import Array, component_rng

# A model that depends on the ambient temperature has it in a parameter of this name, in kelvin.
AMBIENT = "t_ambient"


class CycleVariation(Spec):
    """How a parameter changes from cycle to cycle.

    `independent`: every cycle is drawn around the device's own value. `walk`: around the value of
    the cycle before (cycle 0 is the device's own). Relative limits are fractions of the device's
    own value in both.
    """

    mode: Literal["independent", "walk"] = Field("independent", description="around what")
    distribution: Distribution = Field(description="distribution of one cycle")


class ParameterCorrelation(Spec):
    """Correlation of parameters within a cell: of the scores behind their distributions."""

    names: tuple[str, ...] = Field(description="names of parameters")
    matrix: tuple[tuple[float, ...], ...] = Field(description="correlations, [name, name]")

    @model_validator(mode="after")
    def _is_correlation(self) -> Self:
        count = len(self.names)
        if len(set(self.names)) != count or any(len(row) != count for row in self.matrix):
            raise ValueError("the matrix needs one row and one column per name, each name once")
        matrix = np.array(self.matrix).reshape(count, count)
        if len(self.matrix) != count or not np.array_equal(matrix, matrix.T):
            raise ValueError("the matrix must be symmetric")
        if not np.all(np.diag(matrix) == 1):
            raise ValueError("the diagonal of the matrix must be 1")
        if count and np.linalg.eigvalsh(matrix)[0] < -1e-9:
            raise ValueError("no set of quantities can be correlated so: an eigenvalue is negative")
        return self

    def root(self) -> Array:
        """The symmetric R with R R = matrix, [name, name]: unique, unlike its eigenvectors."""
        values, vectors = np.linalg.eigh(np.array(self.matrix))
        return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


class Variation(Spec):
    """Everything by which the cells of an array differ; without entries they are all alike."""

    device: dict[str, Distribution] = Field(
        default_factory=dict, description="device-to-device distributions, by parameter"
    )
    cycle: dict[str, CycleVariation] = Field(
        default_factory=dict, description="cycle-to-cycle distributions, by parameter"
    )
    correlation: ParameterCorrelation | None = Field(
        None, description="correlation of device parameters within a cell"
    )
    die: DieField = Field(default_factory=DieField, description="correlation over the die")
    stuck: StuckCells = Field(default_factory=StuckCells, description="cells that do not work")
    temperature_k: float | None = Field(
        None, gt=0, le=2000, description="temperature of the die [K]; none: the parameter set's"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.correlation is not None:
            alone = [name for name in self.correlation.names if name not in self.device]
            if alone:
                raise ValueError(f"{alone[0]!r} is correlated but has no device distribution")
        for name, one in self.cycle.items():
            absolute = isinstance(one.distribution, Uniform) and (
                one.distribution.limits == "absolute"
            )
            if one.mode == "walk" and absolute:
                raise ValueError(
                    f"{name!r} cannot walk by an absolute uniform distribution: it has no centre"
                )
        return self


def draw(
    variation: Variation,
    model: CompactModel,
    parameter_set: ParameterSet,
    shape: tuple[int, int],
    *,
    seed: int,
    sample: int,
    path: str,
    die: str = "die",
    cycle: int = 0,
) -> dict[str, Array]:
    """The values of the parameters that vary, one per cell.

    Args:
        variation: how they vary.
        model: the device.
        parameter_set: the nominal values.
        shape: rows and columns of the array.
        seed: the study's seed, >= 0.
        sample: the sample's index, >= 0.
        path: the array's hierarchy path.
        die: the path of the die that the array is on.
        cycle: how many times the cells have been switched, >= 0; cycle 0 has no cycle-to-cycle
            variation.

    Returns:
        [row, col] in SI units by name; a parameter without an entry keeps its nominal value.

    Raises:
        InputError: an unknown parameter, a temperature for a model that has none, a value out of
            the model's bounds, or values that contradict their names (`ordered`), with the count of
            such cells: truncate the distributions to avoid it, nothing is cut off here.
    """
    known = {one.name: one for one in model.parameters}
    _check_names(variation, model, known)
    values = dict(parameter_set.values)
    found: dict[str, Array] = {}
    if variation.temperature_k is not None:
        values[AMBIENT] = variation.temperature_k
        found[AMBIENT] = np.full(shape, variation.temperature_k)
    scores = _device_scores(variation, shape, seed, sample, path, die)
    for name, distribution in variation.device.items():
        nominal = np.full(shape, values[name])
        found[name] = distribution.values(scores[name], nominal, nominal)
    for name, change in variation.cycle.items():
        own = found.get(name, np.full(shape, values[name]))
        found[name] = _after_cycles(change, own, seed, sample, f"{path}/{name}", cycle)
    for name, array in found.items():
        _check_bounds(known[name], array, f"model {model.name!r}, {path}")
    _check_states(model, {**values, **found}, shape, path)
    _check_order(model, {**values, **found}, shape, path)
    return found


def draw_initial(
    model: CompactModel,
    parameter_set: ParameterSet,
    values: Mapping[str, Array],
    shape: tuple[int, int],
) -> dict[str, Array]:
    """Initial states for drawn parameters: the set's own, at the same fraction of the range.

    Where a bound of a state varies, the state moves with it, so it is never out of bounds.

    Args:
        model: the device.
        parameter_set: the nominal values and the initial states.
        values: from `draw`, [row, col].
        shape: rows and columns of the array.

    Returns:
        [row, col] in the state's unit by name.
    """
    functions = torch_model(model)
    nominal = functions.parameters(dict(parameter_set.values))
    start = [
        torch.full(shape, parameter_set.initial[x.name], dtype=torch.float64) for x in model.states
    ]
    fractions = functions.fractions(start, nominal)
    drawn = {name: torch.from_numpy(array) for name, array in values.items()}
    states = functions.states(
        fractions, functions.parameters({**dict(parameter_set.values), **drawn})
    )
    return {x.name: s.expand(shape).numpy() for x, s in zip(model.states, states, strict=True)}


def _check_names(variation: Variation, model: CompactModel, known: Mapping[str, Parameter]) -> None:
    for name in (*variation.device, *variation.cycle):
        if name not in known:
            raise InputError(
                "no such parameter to vary",
                where=f"model {model.name!r}",
                value=name,
                allowed=", ".join(known),
                hint=closest(name, known),
            )
    if variation.temperature_k is not None and AMBIENT not in known:
        raise InputError(
            "the model does not depend on the temperature of the die",
            where=f"model {model.name!r}",
            value=variation.temperature_k,
            allowed=f"models with a parameter {AMBIENT!r}",
            hint="leave temperature_k out",
        )


def _device_scores(
    variation: Variation,
    shape: tuple[int, int],
    seed: int,
    sample: int,
    path: str,
    die: str,
) -> dict[str, Array]:
    scores = {
        name: die_scores(
            variation.die,
            shape,
            seed=seed,
            sample=sample,
            path=f"{path}/{name}",
            die=f"{die}/{name}",
        )
        for name in variation.device
    }
    if variation.correlation is not None and variation.correlation.names:
        names = variation.correlation.names
        mixed = np.tensordot(
            variation.correlation.root(), np.stack([scores[name] for name in names]), axes=1
        )
        scores |= dict(zip(names, mixed, strict=True))
    return scores


def _after_cycles(
    change: CycleVariation, own: Array, seed: int, sample: int, path: str, cycle: int
) -> Array:
    """The value in a cycle; a walk takes all its steps, each from a key of its own."""
    if cycle == 0:
        return own

    def step(k: int, centre: Array) -> Array:
        scores = component_rng(seed, sample, f"{path}/cycle_{k}").standard_normal(own.shape)
        return change.distribution.values(scores, centre, own)

    if change.mode == "independent":
        return step(cycle, own)
    value = own
    for k in range(1, cycle + 1):
        value = step(k, value)
    return value


def _check_bounds(parameter: Parameter, array: Array, where: str) -> None:
    low = array > parameter.low if parameter.open_low else array >= parameter.low
    high = array < parameter.high if parameter.open_high else array <= parameter.high
    bad = ~(np.isfinite(array) & low & high)
    if bad.any():
        row, col = (int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"{int(bad.sum())} of {bad.size} draws of parameter {parameter.name!r} are out of "
            "bounds",
            where=f"{where}, cell [{row}, {col}]",
            value=float(array[row, col]),
            allowed=parameter.allowed_text(),
            hint="use a smaller spread or a truncated or lognormal distribution",
        )


def _check_states(
    model: CompactModel, values: Mapping[str, float | Array], shape: tuple[int, int], path: str
) -> None:
    """In every cell the bounds of every state are in order."""
    symbols = [*model.parameters, *model.constants]
    numbers = [values[one.name] for one in model.parameters] + [c.value for c in model.constants]
    for state in model.states:
        if state.lower is None or state.upper is None:
            continue
        ends = sympy.lambdify(symbols, [state.lower, state.upper], "numpy")(*numbers)
        low, high = (np.broadcast_to(np.asarray(end, dtype=np.float64), shape) for end in ends)
        bad = ~(low < high) | (state.log & (low <= 0))
        if bad.any():
            row, col = (int(k) for k in np.argwhere(bad)[0])
            raise InputError(
                f"in {int(bad.sum())} of {bad.size} cells the drawn bounds of state "
                f"{state.name!r} are not in order",
                where=f"model {model.name!r}, {path}, cell [{row}, {col}]",
                value=(float(low[row, col]), float(high[row, col])),
                hint="truncate the distributions so that the bounds cannot cross",
            )


def _check_order(
    model: CompactModel, values: Mapping[str, float | Array], shape: tuple[int, int], path: str
) -> None:
    """In every cell the parameters are in the order of their names."""
    for less, greater in model.ordered:
        low, high = (np.broadcast_to(values[one.name], shape) for one in (less, greater))
        bad = low > high
        if bad.any():
            row, col = (int(k) for k in np.argwhere(bad)[0])
            raise InputError(
                f"in {int(bad.sum())} of {bad.size} cells the drawn {less.name!r} is above "
                f"{greater.name!r}: no such device exists",
                where=f"model {model.name!r}, {path}, cell [{row}, {col}]",
                value=(float(low[row, col]), float(high[row, col])),
                allowed=f"{less.name} <= {greater.name}",
                hint=f"use a smaller spread, or truncate {less.name} from above and "
                f"{greater.name} from below so that they cannot cross",
            )
