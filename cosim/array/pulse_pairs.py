"""Weights as pairs of pulse devices: what a cell's own weight conducts, and what pulses do to it.

The conductance of a cell is straight in its weight w: g = g_zero + k w with the k and the g_zero of
the parameter set, for all cells alike. Spread of w_min and w_max from cell to cell moves the ends
of that line, as conductances at which a cell stops, and never its slope: a step of the weight is
the same step of conductance in every cell that has the same dw_min (Gokmen, Vlasov, Front.
Neurosci. 10 (2016) 333, where the spread of bounds is one of the weight). No cell conducts less
than nothing: bounds that a draw puts below 0 S are those of 0 S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream, component_rng
from cosim.array.paired_cells import Pair

SPREAD = {"dw_min": "relative", "w_max": "relative", "w_min": "relative", "up_down": "absolute"}
"""What can differ from cell to cell, and whether its spread is a part of it."""

# A cell whose step is nothing or turns round is no device: the least that a draw leaves of it.
_LEAST_SHARE = 0.01
_MAX_ASYMMETRY = 0.99


@dataclass(frozen=True, eq=False)
class PulsePairs:
    """The pulse devices of one matrix on one or many chips.

    Attributes:
        model: the device.
        nominal: its parameter set.
        spread: parameters that cells have for themselves, each [chip, side, row, out].
        pair: which cells of a pair pulses reach.
        floored: how many bounds were drawn below 0 S.
        sigma: what was drawn, see `draw_pairs`.
        path: of the matrix.
    """

    model: CompactModel
    nominal: ParameterSet
    spread: Mapping[str, torch.Tensor] = field(default_factory=dict)
    pair: Pair = "reference"
    floored: int = 0
    sigma: Mapping[str, float] = field(default_factory=dict)
    path: str = ""

    @property
    def slope_s(self) -> float:
        """By how much a weight of 1 conducts more than one of 0 [S]."""
        v = self.nominal.values
        return (v["g_max"] - v["g_min"]) / (v["w_max"] - v["w_min"])

    @property
    def zero_s(self) -> float:
        """What a weight of 0 conducts [S]."""
        v = self.nominal.values
        return v["g_min"] - self.slope_s * v["w_min"]

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of a pair that pulses reach."""
        return (0,) if self.pair == "reference" else (0, 1)

    @property
    def moving(self) -> tuple[int, ...]:
        """Those sides: the law of a step knows no half-selection."""
        return self.sides

    @property
    def dw_min(self) -> float:
        """The step of the parameter set at weight 0."""
        return self.nominal.values["dw_min"]

    def conductance_s(self, w: torch.Tensor) -> torch.Tensor:
        """Of cells with weights of any shape."""
        return self.zero_s + self.slope_s * w

    def weight_of(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The reverse of `conductance_s`."""
        return (conductance_s - self.zero_s) / self.slope_s

    def bounds(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Least and largest weight of every cell, [chip, side, row, out]."""
        low, high = (
            self.spread.get(name, torch.tensor(self.nominal.values[name], dtype=torch.float64))
            for name in ("w_min", "w_max")
        )
        return low.to(like).expand_as(like), high.to(like).expand_as(like)

    def like(self, stream: Stream, name: str, chips: int) -> PulsePairs:
        """See `PairedCells`."""
        if not self.spread:
            return self
        return draw_pairs(
            self.model,
            self.nominal,
            self.sigma,
            next(iter(self.spread.values())).shape[-2:],
            pair=self.pair,
            seed=stream.seed,
            samples=tuple(range(stream.sample, stream.sample + chips)),
            path=f"{self.path}/{name}",
        )

    @property
    def spread_with_ends(self) -> dict[str, torch.Tensor]:
        """What cells have for themselves, each [chip, side, row, out].

        Conductances go with bounds, so that a netlist made of these parameters has the line.
        """
        own = dict(self.spread)
        for bound, end in (("w_min", "g_min"), ("w_max", "g_max")):
            if bound in own:
                own[end] = self.conductance_s(own[bound])
        return own

    def values(self, chip: int, side: int) -> dict[str, float | torch.Tensor]:
        """The parameters of the cells of one plane: floats, or [row, out]."""
        own = {name: x[chip, side] for name, x in self.spread_with_ends.items()}
        return {**self.nominal.values, **own}


def check_pulse_device(model: CompactModel) -> None:
    """Refuses what has no law of its step.

    Raises:
        InputError: the model is no pulse device.
    """
    if model.pulse is None:
        raise InputError(
            "not a pulse device",
            where="device",
            value=model.name,
            allowed="a device whose kind is pulse: spiceloop device list",
            hint='other devices are updated by update = "table", "ode" or "spice"',
        )


def draw_pairs(
    model: CompactModel,
    nominal: ParameterSet,
    sigma: Mapping[str, float],
    shape: Sequence[int],
    *,
    pair: Pair,
    seed: int,
    samples: tuple[int, ...],
    path: str,
) -> PulsePairs:
    """Draws the cells of a matrix for one or many chips.

    Args:
        model: a pulse device.
        nominal: its parameter set.
        sigma: standard deviation from cell to cell by parameter: of dw_min, w_min and w_max as a
            part of it, of up_down as it is.
        shape: word lines and outputs.
        pair: which cells of a pair pulses reach.
        seed: the study's seed.
        samples: the chips.
        path: the matrix's hierarchy path.

    Raises:
        InputError: the model is no pulse device, or a parameter does not vary.
    """
    check_pulse_device(model)
    for name, one in sigma.items():
        if name not in SPREAD:
            raise InputError(
                "no spread of this parameter",
                where="[device.d2d]",
                value=name,
                allowed=", ".join(SPREAD),
                hint=closest(name, SPREAD),
            )
        if not 0 <= one < np.inf:
            raise InputError(
                "no standard deviation", where=f"[device.d2d] {name}", value=one, allowed=">= 0"
            )
    whole = PulsePairs(model, nominal)
    lowest = float(whole.weight_of(torch.tensor(0.0, dtype=torch.float64)))
    spread: dict[str, torch.Tensor] = {}
    floored, size = 0, tuple(shape)
    for name, one in sigma.items():
        if not one:
            continue
        scores = np.stack(
            [
                np.stack(
                    [
                        component_rng(seed, sample, f"{path}/{side}/{name}").standard_normal(size)
                        for side in ("plus", "minus")
                    ]
                )
                for sample in samples
            ]
        )
        value = nominal.values[name]
        if SPREAD[name] == "absolute":
            drawn = np.clip(value + one * scores, -_MAX_ASYMMETRY, _MAX_ASYMMETRY)
        else:
            drawn = value * np.maximum(1 + one * scores, _LEAST_SHARE)
        if name == "w_min":
            floored = int((drawn < lowest).sum())
            drawn = np.maximum(drawn, lowest)
        spread[name] = torch.from_numpy(drawn)
    return PulsePairs(model, nominal, spread, pair, floored, dict(sigma), path)


def referenced_cell(nominal: ParameterSet, pair: Pair) -> ReferencedCell:
    """The conductances of a device's pairs, as a chip is planned with.

    Args:
        nominal: the parameter set of a pulse device.
        pair: which cells of a pair pulses reach.
    """
    v = nominal.values
    zero = v["g_min"] - (v["g_max"] - v["g_min"]) / (v["w_max"] - v["w_min"]) * v["w_min"]
    return ReferencedCell(
        g_off_s=v["g_min"],
        g_on_s=v["g_max"],
        sigma_program=0.0,
        reference_s=zero,
        both=pair == "both",
    )
