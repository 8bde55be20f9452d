"""Training in situ by stochastic gradient descent: every layer learns in its own cells by pulses.

Between two epochs what reads have learnt is dropped, so that an epoch depends on the cells alone;
before that the arrays are compared with their exact solutions on inputs of the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

import torch
from torch import nn

from compact_models.variation import Stream
from cosim.array.analog_array import AnalogArray
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.vectors import VectorReads
from cosim.network.in_situ import InSituNetwork
from cosim.network.run import code_full
from cosim.network.spice_check import SpiceCheck, checked
from cosim.training.loop import Saved, Say, Task, TrainState
from cosim.training.pulsed_optimiser import Counts, PulsedSGD
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec


@dataclass(frozen=True)
class ArrayError:
    """How far the currents of one tile are off their exact ones, relative, Frobenius.

    Attributes:
        name: the tile.
        used: as the epoch used them.
    """

    name: str
    used: float


@dataclass(eq=False)
class PulsedTraining:
    """The algorithm, for `cosim.training.loop`.

    Attributes:
        layers: how each layer is trained.
        stream: of the chip's sample; pulses and their noise are drawn from it.
        spice: what ngspice reads as well, after each epoch; None of nothing.
        anchors: how often tiles have been solved exactly since the training began.
    """

    layers: Sequence[PulsedSgdSpec]
    stream: Stream
    spice: SpiceCheck | None = None
    anchors: int = 0
    _watched: int = 0
    _optimiser: PulsedSGD | None = field(default=None, repr=False)

    def init(self, network: nn.Module, task: Task) -> TrainState:
        """See `Algorithm`."""
        chain = cast(InSituNetwork, network).chain
        groups = [
            {
                "params": list(layer.parameters()),
                "lr": spec.learning_rate,
                "max_pulses": spec.pulses.max_pulses,
                "update_management": spec.pulses.update_management,
                "update_bl_management": spec.pulses.update_bl_management,
                "kind": spec.pulses.kind,
            }
            for layer, spec in zip(chain, self.layers, strict=True)
        ]
        self._optimiser = PulsedSGD(groups, self.layers[0].learning_rate, stream=self.stream)
        schedule = torch.optim.lr_scheduler.ConstantLR(self._optimiser, factor=1.0)
        return TrainState(network, self._optimiser, schedule)

    def output(self, network: nn.Module, x: torch.Tensor, step: int) -> torch.Tensor:
        """See `Algorithm`."""
        found: torch.Tensor = network(x)
        return found

    def after_step(self, network: nn.Module) -> None:
        """See `Algorithm`: cells keep within their bounds by themselves."""

    def watch(self, network: nn.Module, x: torch.Tensor, say: Say) -> Mapping[str, Any]:
        """See `Algorithm`."""
        chip = cast(InSituNetwork, network)
        found: dict[str, Any] = {}
        errors = tile_errors(chip, x)
        if errors:
            worst = max(errors, key=lambda one: one.used if math.isfinite(one.used) else math.inf)
            found |= {"surrogate_error": worst.used, "worst_array": worst.name}
        counted = _counted(chip)
        self._watched = self.anchors + counted
        for layer, spec in zip(chip.chain, self.layers, strict=True):
            if _watched(layer.array.each[0].reads):
                limit = spec.max_surrogate_error
                for one in errors:
                    if one.name.startswith(f"{layer.plan.name}.") and not one.used <= limit:
                        say(
                            f"{one.name}: currents were off exact by {100 * one.used:.2g} %, more"
                            f" than max_surrogate_error ({100 * limit:.2g} %): a smaller one has"
                            ' tiles solved exactly sooner, read = "exact" has no such error'
                        )
            layer.array.forget()
        if counted:
            found |= {"anchors": self._watched, "anchored": len(errors)}
        if self._optimiser is not None:
            counts = self._optimiser.counts
            found |= {
                "pulses": counts.pulses,
                "coincidences": counts.coincidences,
                "clipped": counts.clipped_share,
                "energy_j": None if math.isnan(counts.energy_j) else counts.energy_j,
            }
            self._optimiser.counts = Counts()
        return found

    def check(
        self, network: nn.Module, x: torch.Tensor, order: torch.Tensor, say: Say
    ) -> Mapping[str, Any]:
        """See `Algorithm`."""
        chip = cast(InSituNetwork, network)
        limits = [layer.max_surrogate_error for layer in self.layers]
        return checked(chip, x, order, self.spice, limits, say)

    def saved(self, network: nn.Module) -> Saved:
        """See `Algorithm`."""
        # What was read since then is read again by a training that goes on.
        return {"anchors": self._watched}

    def restore(self, network: nn.Module, saved: Saved) -> None:
        """See `Algorithm`."""
        self.anchors = int(saved["anchors"])


def _counted(network: InSituNetwork) -> int:
    """How often tiles have been solved exactly since the network was made."""
    reads = [one.reads for layer in network.chain for one in layer.array.each]
    return sum(one.anchors for one in reads if _watched(one))


def _watched(reads: object) -> TypeGuard[AnchoredReads | VectorReads]:
    """Reads are those of a surrogate that is compared with an exact solution."""
    return isinstance(reads, AnchoredReads | VectorReads) and reads.name == "surrogate"


def tile_errors(network: InSituNetwork, x: torch.Tensor) -> list[ArrayError]:
    """How far the tiles of every layer are off their exact solutions on inputs [batch, in].

    Each layer is driven with what it gets. Layers that are read without a surrogate have none.
    """
    errors: list[ArrayError] = []
    values = x.to(network.chain[0].array.w.dtype).unsqueeze(0)
    with torch.no_grad():
        for layer in network.chain:
            array = layer.array
            found = [_errors(one, layer.drive_v(values)) for one in array.each]
            shares = [share for own in found for share in own]
            names = [f"{layer.plan.name}.{tile.name}" for tile in layer.plan.tiles]
            if shares:
                errors += [ArrayError(*one) for one in zip(names, shares, strict=True)]
            values = layer(values) / code_full(network.hardware, layer.plan)
    return errors


def _errors(array: AnalogArray, drive_v: torch.Tensor) -> list[float]:
    """How far every tile of an array is off its exact solution; nothing without a surrogate."""
    reads, layout = array.reads, array.layout
    if not _watched(reads):
        return []
    lines_v = layout.split_rows(drive_v)
    tiles = layout.split_cells(array.conductance_s()).double()
    exact = reads.exact.transfer(tiles).current_a(lines_v.double())
    off = torch.linalg.vector_norm(array.read(lines_v) - exact, dim=(0, 2, 3))
    size = torch.linalg.vector_norm(exact, dim=(0, 2, 3))
    share: list[float] = (off / size.clamp_min(torch.finfo(exact.dtype).tiny)).tolist()
    return share
