"""A read of an array with digital management around it, in units of weights times inputs.

y = ADC(clip(W DAC(x / a) + sigma xi, +-bound)) a. Noise management divides by the largest input, so
that small vectors, errors above all, use the full range of the DAC; bound management halves the
input and reads again as long as an output is at its bound. Gokmen, Onen, Haensch, Front. Neurosci.
11 (2017) 538, doi 10.3389/fnins.2017.00538; steps of the converters as aihwkit 1.2.0 documents
them: 2 / (2^bits - 2) of the full range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from compact_models.errors import InputError
from compact_models.variation import Draw

_MAX_HALVINGS = 10

NoiseManagement = Literal["none", "abs_max"]
BoundManagement = Literal["none", "iterative"]


@dataclass(frozen=True)
class ReadRule:
    """How a read is driven and digitised.

    Attributes:
        noise_management: what inputs are divided by: nothing, or their largest size in a vector.
        bound_management: what is done about outputs at their bound: nothing, or halving.
        sigma_out: standard deviation of the noise at an output, in weights times inputs of 1.
        bound: largest output, likewise; infinite for none.
        dac_bits: resolution of inputs in [-1, 1]; 0 for none.
        adc_bits: resolution of outputs within the bound; 0 for none.
        stochastic_rounding: inputs are rounded up or down by chance, right in the mean.

    Raises:
        InputError: a converter of outputs without a bound, or a number that cannot be.
    """

    noise_management: NoiseManagement = "none"
    bound_management: BoundManagement = "none"
    sigma_out: float = 0.0
    bound: float = math.inf
    dac_bits: int = 0
    adc_bits: int = 0
    stochastic_rounding: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not self.bound > 0:
            raise InputError("no bound of outputs", where="bound", value=self.bound, allowed="> 0")
        if not 0 <= self.sigma_out < math.inf:
            raise InputError(
                "no standard deviation", where="sigma_out", value=self.sigma_out, allowed=">= 0"
            )
        for name in ("dac_bits", "adc_bits"):
            if getattr(self, name) not in (0, *range(2, 17)):
                raise InputError(
                    "no resolution of a converter",
                    where=name,
                    value=getattr(self, name),
                    allowed="0 (none), 2 to 16",
                )
        if math.isinf(self.bound) and (self.adc_bits or self.bound_management != "none"):
            raise InputError(
                "converters and bound management of outputs need a bound",
                where="bound",
                value=self.bound,
                allowed="finite, e.g. 12 for weights within 0.6",
            )

    @property
    def draws(self) -> bool:
        """Whether a read needs random numbers."""
        return self.sigma_out > 0 or (self.stochastic_rounding and self.dac_bits > 0)


def managed_read(
    product: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    rule: ReadRule,
    draw: Draw | None = None,
) -> torch.Tensor:
    """One read of every vector, as the rule drives and digitises it.

    Args:
        product: what the array makes of inputs in [-1, 1], [..., in] -> [..., out], linear.
        x: the vectors, [..., in]; beyond [-1, 1] they are clipped unless noise management scales.
        rule: how.
        draw: where noise and roundings are drawn from.

    Returns:
        [..., out].

    Raises:
        InputError: the rule draws and there is nothing to draw from.
    """
    if rule.draws and draw is None:
        raise InputError("noise and roundings need a stream", where="draw", allowed="Stream.at")
    if rule.noise_management == rule.bound_management == "none":
        return _once(product, x, rule, draw, 0)
    scale = torch.ones_like(x[..., :1])
    if rule.noise_management == "abs_max":
        size = x.abs().amax(-1, keepdim=True)
        scale = torch.where(size > 0, size, 1.0)
    out = _once(product, x / scale, rule, draw, 0)
    if rule.bound_management == "iterative":
        for halvings in range(1, _MAX_HALVINGS + 1):
            at_bound = (out.abs() >= rule.bound).any(-1, keepdim=True)
            if not bool(at_bound.any()):
                break
            scale = torch.where(at_bound, 2 * scale, scale)
            again = _once(product, x / scale, rule, draw, halvings)
            out = torch.where(at_bound, again, out)
    return out * scale


def _once(
    product: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    rule: ReadRule,
    draw: Draw | None,
    number: int,
) -> torch.Tensor:
    """One read: converters, noise and clipping."""
    driven = x.clamp(-1.0, 1.0)
    if rule.dac_bits:
        step = 2.0 / (2**rule.dac_bits - 2)
        if rule.stochastic_rounding and draw is not None:
            chance = _uniform(draw.part(f"dac_{number}"), driven)
            driven = torch.floor(driven / step + chance) * step
        else:
            driven = torch.round(driven / step) * step
    out = product(driven)
    if rule.sigma_out and draw is not None:
        rng = draw.part(f"noise_{number}").rng()
        noise = torch.from_numpy(rng.standard_normal(tuple(out.shape), dtype="float32"))
        out = torch.add(out, noise.to(out), alpha=rule.sigma_out)
    if math.isfinite(rule.bound):
        out = out.clamp(-rule.bound, rule.bound)
    if rule.adc_bits:
        step = 2.0 * rule.bound / (2**rule.adc_bits - 2)
        out = torch.round(out / step) * step
    return out


def _uniform(draw: Draw, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(draw.rng().random(tuple(like.shape), dtype="float32")).to(like)
