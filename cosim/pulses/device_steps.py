"""Pulse devices pulse by pulse, as they are published: an exact map per pulse, on many cells.

A circuit simulator integrates the same devices under a voltage (`compact_models.pulse_response`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel
from compact_models.variation import Draw

_BISECTIONS = 60
_REST = 0  # direction of a cell that gets no pulse


def apply_pulses(
    model: CompactModel,
    values: Mapping[str, Value],
    w: torch.Tensor,
    directions: torch.Tensor,
    noise: Draw | None = None,
) -> torch.Tensor:
    """The weight after every pulse of a train, clipped at its bounds.

    Gradients flow to `w` and to the parameters.

    Args:
        model: a pulse device.
        values: its parameters in SI units: floats, or tensors [...] with one value per cell.
        w: weights before the train [...].
        directions: 1 for a pulse up, -1 for one down, 0 for none, [..., pulse] or [pulse].
        noise: where the noise from pulse to pulse is drawn from, another step in each call; None
            for the mean device.

    Returns:
        The weights [..., pulse].

    Raises:
        InputError: the model is no pulse device, or a direction is none of the three.
    """
    one_pulse = _one_pulse(model, values)
    if not bool(((directions == 1) | (directions == -1) | (directions == _REST)).all()):
        raise InputError("not a direction of a pulse", where="directions", allowed="1, -1 or 0")
    parameters = [value for value in values.values() if isinstance(value, torch.Tensor)]
    shape = torch.broadcast_shapes(w.shape, directions.shape[:-1], *(x.shape for x in parameters))
    count = directions.shape[-1]
    train = directions.expand(*shape, count)
    xi = None
    if noise is not None:
        xi = torch.from_numpy(noise.rng().standard_normal((count, *shape))).to(w.device)
    low, high = _bounds(model, values, w)
    now = w.to(torch.float64).expand(shape)
    after = []
    for k in range(count):
        step = _step(one_pulse(now), train[..., k], None if xi is None else xi[k])
        now = torch.minimum(torch.maximum(now + step, low), high)
        after.append(now)
    return torch.stack(after, -1) if after else now.new_empty(*shape, 0)


def steps(
    model: CompactModel, values: Mapping[str, Value], w: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean change of the weight by one pulse up and by one down.

    Args:
        model: a pulse device.
        values: its parameters: floats, or tensors that broadcast to `w`.
        w: weights [...].

    Raises:
        InputError: the model is no pulse device.
    """
    up, down, _, _ = _one_pulse(model, values)(w.to(torch.float64))
    return up, down


def symmetry_point(model: CompactModel, values: Mapping[str, Value]) -> torch.Tensor:
    """The weight at which a pulse up and one down cancel, [...] of the parameters' shape.

    Pulses that alternate take every weight there, if there is such a weight. Where one direction is
    stronger everywhere, it is the bound that they end at; where all weights are, the middle.

    Args:
        model: a pulse device whose steps up fall, and whose steps down grow, with the weight.
        values: its parameters: floats, or tensors [...].

    Raises:
        InputError: the model is no pulse device.
    """
    shapes = [value.shape for value in values.values() if isinstance(value, torch.Tensor)]
    like = torch.zeros(torch.broadcast_shapes(*shapes), dtype=torch.float64)
    low, high = _bounds(model, values, like)
    low, high = low.expand_as(like), high.expand_as(like)
    one_pulse = _one_pulse(model, values)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        up, down, _, _ = one_pulse(middle)
        moved = up + down
        low = torch.where(moved >= 0, middle, low)
        high = torch.where(moved <= 0, middle, high)
    return (low + high) / 2


def asymmetry(model: CompactModel, values: Mapping[str, Value], w: torch.Tensor) -> torch.Tensor:
    """How unlike the steps are: (up + down) / (up - down), -1 to 1 and 0 where they cancel.

    Args:
        model: a pulse device.
        values: its parameters: floats, or tensors that broadcast to `w`.
        w: weights [...].

    Raises:
        InputError: the model is no pulse device.
    """
    up, down = steps(model, values, w)
    return (up + down) / (up - down)


def number_of_states(
    model: CompactModel, values: Mapping[str, Value], w: torch.Tensor
) -> torch.Tensor:
    """The range of the weight over the mean size of its steps at `w`.

    Args:
        model: a pulse device.
        values: its parameters: floats, or tensors that broadcast to `w`.
        w: weights [...]; the symmetry point is the usual choice.

    Raises:
        InputError: the model is no pulse device.
    """
    up, down = steps(model, values, w)
    low, high = _bounds(model, values, w)
    return 2 * (high - low) / (up - down)


def _step(
    one_pulse: Sequence[torch.Tensor], direction: torch.Tensor, xi: torch.Tensor | None
) -> torch.Tensor:
    """The change by a pulse in its direction, with the noise `xi`, standard normal."""
    up, down, spread_up, spread_down = one_pulse
    if xi is not None:
        up, down = up + spread_up * xi, down + spread_down * xi
    rest = torch.zeros_like(up)
    return torch.where(direction > 0, up, torch.where(direction < 0, down, rest))


def _one_pulse(
    model: CompactModel, values: Mapping[str, Value]
) -> Callable[[torch.Tensor], list[torch.Tensor]]:
    """From the weight to the steps up and down and the standard deviation of each."""
    functions = torch_model(model)
    function = functions.pulse_steps
    if function is None:
        raise InputError("not a pulse device", where="model", value=model.name)
    p = functions.parameters(values)

    def at(w: torch.Tensor) -> list[torch.Tensor]:
        # A constant step is a float, or has the shape of its parameters.
        return [x + torch.zeros_like(w) for x in function(w, p)]

    return at


def _bounds(
    model: CompactModel, values: Mapping[str, Value], like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights of the fractions 0 and 1."""
    functions = torch_model(model)
    p = functions.parameters(values)
    zero = torch.zeros_like(like, dtype=torch.float64)
    (low,), (high,) = (functions.states([zero + place], p) for place in (0.0, 1.0))
    return low, high
