"""Reading arrays of nonlinear cells: Newton's method on the factorised array.

The array is factorised once, with a conductance for every cell near what it conducts. What a cell
draws beside that is a source; the voltages u across the cells solve u = U - Z (i(u) - g u), where U
is what the drivers make of the ohmic array and -Z what the sources do. Newton's equations are
solved by GMRES, for which each product is one way up and one way down the joints for all vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel
from cosim.devices.operating_point import operating_point
from cosim.nodal.hierarchy import Whole
from cosim.nodal.krylov import gmres
from cosim.nodal.lines import Lines, check_array, check_volts
from cosim.nodal.state import ArrayState, factorise, port_inputs, state_from

Cell = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Current [A] and its slope [S] of every cell for the voltages across them, [batch, row, col]."""

_MOST_STEPS, _MOST_HALVINGS = 60, 20
_ROUNDING = 1e-9  # of a state's range
_FORCING = (1e-2, 1e-12)  # how exactly Newton's equations are solved, far from the end and at it


@dataclass(frozen=True)
class NonlinearState:
    """What Newton's method came to.

    Attributes:
        state: the array; NaN in the vectors that did not converge.
        converged: of every vector, [batch].
        residual_v: by how much the voltages across the cells contradict the network [V]: the
            largest of every vector after every step, [step, batch].
    """

    state: ArrayState
    converged: torch.Tensor
    residual_v: torch.Tensor


def sinh_cell(conductance_s: torch.Tensor, v_0: float | torch.Tensor) -> Cell:
    """Cells of i = g v_0 sinh(v / v_0), whose conductance at 0 V is `conductance_s` [row, col].

    Args:
        conductance_s: at 0 V, >= 0 and finite.
        v_0: voltage that multiplies the current by e [V], one value or [row, col], > 0 and finite.

    Raises:
        InputError: one of them is not what it should be.
    """
    given = torch.as_tensor(conductance_s).detach()
    bend = torch.as_tensor(v_0, dtype=torch.float64).detach()
    for name, value, good, allowed in (
        ("conductance_s", given, (given >= 0) & torch.isfinite(given), ">= 0 S and finite"),
        ("v_0", bend, (bend > 0) & torch.isfinite(bend), "> 0 V and finite"),
    ):
        if not bool(good.all()):
            what = "not a conductance" if name == "conductance_s" else "must be positive"
            raise InputError(what, where=name, value=float(value[~good][0]), allowed=allowed)

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return conductance_s * v_0 * torch.sinh(v / v_0), conductance_s * torch.cosh(v / v_0)

    return cell


def device_cell(
    model: CompactModel, values: Mapping[str, Value], states: Mapping[str, Value]
) -> Cell:
    """Cells that are devices whose states stand still.

    Args:
        model: the device.
        values: its parameters: floats, or tensors [row, col].
        states: its states, likewise.

    Raises:
        InputError: a state is not between its bounds.
    """
    _check_states(model, values, states)

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        point = operating_point(model, values, states, v)
        return point.current_a, point.conductance_s

    return cell


def _check_states(
    model: CompactModel, values: Mapping[str, Value], states: Mapping[str, Value]
) -> None:
    functions = torch_model(model)
    own = [torch.as_tensor(x, dtype=torch.float64).detach() for x in functions.in_order(states)]
    fractions = functions.fractions(own, functions.parameters(values))
    for state, value, fraction in zip(model.states, own, fractions, strict=True):
        place = torch.as_tensor(fraction).detach()
        inside = (place >= -_ROUNDING) & (place <= 1 + _ROUNDING)  # False for NaN
        if state.lower is not None and not bool(inside.all()):
            outside = value.expand(place.shape)[~inside]
            raise InputError(
                f"state of {model.name!r} out of its bounds",
                where=state.name,
                value=float(outside.flatten()[0]),
                allowed=f"between its bounds [{state.unit}]",
            )


def solve_nonlinear(
    cell: Cell,
    lines: Lines,
    drive_v: torch.Tensor,
    shape: tuple[int, ...],
    *,
    sense_v: torch.Tensor | None = None,
    tolerance_v: float = 1e-12,
) -> NonlinearState:
    """Reads an array of nonlinear cells, or a stack of them, with several input vectors at once.

    Args:
        cell: the cells.
        lines: what runs through the array, or through each array of the stack.
        drive_v: voltages of the drivers, [..., batch, row].
        shape: rows and columns, behind the axes of the stack: [..., row, col].
        sense_v: voltages of the sense nodes, [col], or [..., 1, col] of a stack; None is ground.
        tolerance_v: error of the cells' voltages at which to end [V].

    Raises:
        InputError: as `solve_transfer`; voltages that do not fit the array or are not finite; a
            cell that returns something else than current and slope of every cell; a tolerance that
            is not positive.
    """
    _check_volts("drive_v", drive_v, (*shape[:-2], "batch", shape[-2]))
    if sense_v is not None:
        for_all = not isinstance(sense_v, torch.Tensor) or sense_v.ndim == 1 or len(shape) == 2
        stack = () if for_all else (*shape[:-2], 1)
        _check_volts("sense_v", sense_v, (*stack, shape[-1]))
    if not tolerance_v > 0:
        raise InputError(
            "a tolerance must be positive", where="tolerance_v", value=tolerance_v, allowed="> 0 V"
        )
    ohmic = chord_conductance(cell, drive_v, shape)
    check_array(ohmic, lines)
    with torch.no_grad():
        whole = factorise(ohmic, lines, "sources")
        if whole.block.hybrid.shape[:-2] != shape[:-2]:  # [..., output, input]
            raise InputError(
                "lines of more arrays than there are",
                where="lines",
                value=tuple(whole.block.hybrid.shape[:-2]),
                allowed=f"resistances of one array, or of {shape[:-2]}",
            )
        inputs = port_inputs(whole, lines, drive_v, sense_v)
        u, converged, residuals = _newton(cell, whole, ohmic, inputs, tolerance_v)
        source = cell(u)[0] - ohmic.unsqueeze(-3) * u
        outputs, current, word, bit = whole.answer(inputs, source)
        lost = ~converged[..., None, None]
        state = state_from(
            whole, lines, drive_v, sense_v, outputs,
            *(x.masked_fill(lost, torch.nan) for x in (current, word, bit)),
        )  # fmt: skip
    for name in ("driver_a", "sense_a", "power_w"):
        values = getattr(state, name)
        of_vector = values.ndim == converged.ndim
        values.masked_fill_(~converged if of_vector else ~converged[..., None], torch.nan)
    return NonlinearState(state, converged, residuals)


def chord_conductance(cell: Cell, drive_v: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A conductance for every cell, [..., row, col]: what it conducts at an ordinary voltage."""
    ordinary = drive_v.square().mean().sqrt().clamp_min(1e-3)
    volts = ordinary.expand(*shape[:-2], 1, *shape[-2:])
    try:
        answer = cell(volts)
    except RuntimeError as error:  # torch's, of shapes that do not go together
        raise InputError(
            f"the cells cannot be asked for the currents of such an array ({error})",
            where="cell",
            allowed=f"cells of one value each, or of {shape}",
        ) from error
    current = _checked(answer, volts)
    if not bool(torch.isfinite(current).all()):
        raise InputError(
            "cells draw no finite current",
            where="cell",
            value=float(current[~torch.isfinite(current)][0]),
            allowed=f"finite at {float(ordinary):.3g} V, an ordinary voltage of the drivers",
        )
    return (current / volts).squeeze(-3).clamp_min(0.0)


def _checked(answer: object, volts: torch.Tensor) -> torch.Tensor:
    """The currents, if a cell's answer is what one should be."""
    said = f"a {type(answer).__name__}"
    if isinstance(answer, tuple) and len(answer) == 2:
        said = ", ".join(
            f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, torch.Tensor) else type(x).__name__
            for x in answer
        )
        if all(isinstance(x, torch.Tensor) and x.dtype == volts.dtype for x in answer) and all(
            x.shape in (volts.shape, volts.shape[-2:], ()) for x in answer
        ):
            current: torch.Tensor = answer[0]
            return current.expand(volts.shape)
    raise InputError(
        "a cell returns current and slope of every cell",
        where="cell",
        value=said,
        allowed=f"a pair of {tuple(volts.shape)} of {volts.dtype} for voltages of that shape",
    )


def _check_volts(name: str, volts: torch.Tensor, shape: tuple[str | int, ...]) -> None:
    check_volts(name, volts, int(shape[-1]))
    fits = volts.shape[:-2] == shape[:-2] if len(shape) > 2 else True
    if volts.ndim != len(shape) or not volts.numel() or not fits:
        raise InputError(
            "voltages that do not fit the array",
            where=name,
            value=tuple(volts.shape),
            allowed=f"[{', '.join(str(x) for x in shape)}], one vector at least",
        )


def _newton(
    cell: Cell, whole: Whole, ohmic: torch.Tensor, inputs: torch.Tensor, tolerance_v: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The voltages across the cells, which vectors converged, and the residuals on the way."""
    zero = torch.zeros_like(inputs)

    def across(of_ports: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        _, _, word, bit = whole.answer(of_ports, source)
        return word - bit

    def residual(u: torch.Tensor) -> torch.Tensor:
        return u - across(inputs, cell(u)[0] - straight * u)

    grid = ohmic.shape[-2:]
    straight = ohmic.unsqueeze(-3)
    u = across(inputs, ohmic.new_zeros(*ohmic.shape[:-2], inputs.shape[-1], *grid))
    off = residual(u)
    worst = off.abs().amax((-2, -1))
    history = [worst]
    for _ in range(_MOST_STEPS):
        if bool((worst <= tolerance_v).all()):
            break
        excess = cell(u)[1] - straight

        def product(x: torch.Tensor, excess: torch.Tensor = excess) -> torch.Tensor:
            change = x.unflatten(-1, grid)
            return x - across(zero, excess * change).flatten(-2)

        exact = float((worst / history[0].clamp_min(1e-300)).amax())
        forcing = min(_FORCING[0], max(_FORCING[1], 0.1 * exact))
        step = gmres(product, -off.flatten(-2), relative=forcing).unflatten(-1, grid)
        # Where the residual does not fall the step is halved, vector by vector.
        part = torch.ones_like(worst)
        for _ in range(_MOST_HALVINGS):
            tried = u + part[..., None, None] * step
            new = residual(tried)
            fell = new.abs().amax((-2, -1))
            bad = ~(fell < (1.0 - 1e-4 * part) * worst) & (worst > tolerance_v)  # True for NaN
            if not bool(bad.any()):
                break
            part = torch.where(bad, 0.5 * part, part)
        better = fell < worst
        u = torch.where(better[..., None, None], tried, u)
        off = torch.where(better[..., None, None], new, off)
        worst = torch.where(better, fell, worst)
        history.append(worst)
        if not bool(better.any()):
            break
    return u, worst <= tolerance_v, torch.stack(history)
