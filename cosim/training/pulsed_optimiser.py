"""Stochastic gradient descent by pulses: every layer learns in its own cells.

The optimiser stands in a loop where torch's own stood: `backward` has left pairs of activations and
errors, `step` turns each into trains of pulses on the lines of its array (Gokmen, Vlasov, Front.
Neurosci. 10 (2016) 333), and parameters that are digital are moved as torch.optim.SGD moves them.
The learning rate stands here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from compact_models.errors import InputError
from compact_models.variation import Stream
from cosim.array.failed import UpdateFailedError
from cosim.array.parameter import AnalogParameter
from cosim.array.protocols import Moved
from cosim.ngspice import Outcome
from cosim.pulses.spec import Kind
from cosim.pulses.trains import LONGEST, UpdateRule, on_host, trains_on_host

_rule = lru_cache(64)(UpdateRule)  # the same of every step


@dataclass
class Counts:
    """What updates have done since they were counted last.

    Attributes:
        coincidences: steps that cells were asked for.
        pulses: pulses on lines.
        clipped: probabilities that would have been above 1.
        probabilities: probabilities above 0.
        energy_j: what cells have turned into heat [J]; nan where an update did not know it.
    """

    coincidences: int = 0
    pulses: int = 0
    clipped: int = 0
    probabilities: int = 0
    energy_j: float = 0.0

    @property
    def clipped_share(self) -> float:
        """The part of the probabilities above 0 that would have been above 1."""
        return self.clipped / max(1, self.probabilities)


class PulsedSGD(torch.optim.Optimizer):
    """Updates analog parameters by trains of pulses, and others by their gradients.

    Args:
        params: parameters or groups of them, as of any optimiser.
        lr: learning rate, > 0; may be 0 by a schedule.
        max_pulses: pulses that a train may have.
        update_management: scales x and d so that their largest probabilities are alike.
        update_bl_management: takes as few pulses as an update needs.
        kind: of trains: "stochastic", pulses by chance, or "deterministic", as many coincidences as
            the product of x and d asks for, rounded (`cosim.pulses.trains`); these are scaled to
            the largest x and d whatever the two kinds of management say.
        noisy: with the devices' noise from pulse to pulse.
        stream: where pulses and noise are drawn from; None for that of study 0, chip 0.

    Attributes:
        counts: of all updates since `counts` was set anew.

    Raises:
        InputError: a learning rate, a number or a kind of pulses that cannot be.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        max_pulses: int = LONGEST,
        update_management: bool = True,
        update_bl_management: bool = True,
        kind: Kind = "stochastic",
        noisy: bool = True,
        stream: Stream | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_pulses": max_pulses,
            "update_management": update_management,
            "update_bl_management": update_bl_management,
            "kind": kind,
            "noisy": noisy,
        }
        super().__init__(params, defaults)
        self.stream = stream or Stream(0)
        self.steps = 0
        self.counts = Counts()
        for number, group in enumerate(self.param_groups):
            # Says what cannot be.
            UpdateRule(group["lr"], 1.0, group["max_pulses"], kind=group["kind"])
            group.setdefault("name", str(number))
        for parameter in self._parameters():
            if isinstance(parameter, AnalogParameter):
                parameter.pairs.awaited = True

    def state_dict(self) -> dict[str, Any]:
        """As of any optimiser, with the number of steps: draws go on where they stopped."""
        return {**super().state_dict(), "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        given = dict(state_dict)
        self.steps = int(given.pop("steps", 0))
        super().load_state_dict(given)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets gradients and the pairs of analog parameters."""
        digital = False
        for parameter in self._parameters():
            if isinstance(parameter, AnalogParameter):
                parameter.forget()
            else:
                digital = True
        if digital:
            super().zero_grad(set_to_none)

    def _parameters(self) -> list[torch.Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch has overloads
        """Applies what the backward passes since the last step have left.

        Raises:
            InputError: somebody has written into a weight in cells, or uses it in a loss directly.
            UpdateFailedError: the pulses of an update could not be computed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        taken: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        number = 0
        for group in self.param_groups:
            by_array: dict[int, list[AnalogParameter]] = {}
            for parameter in group["params"]:
                if not isinstance(parameter, AnalogParameter):
                    if parameter.grad is not None:
                        parameter.add_(parameter.grad, alpha=-group["lr"])
                    continue
                parameter.check()
                if parameter.used_directly:
                    raise InputError(
                        "a loss uses a weight in cells directly; only what goes through its layer"
                        " can be learnt in cells",
                        where=parameter.path,
                        hint="leave penalties on weights out",
                    )
                by_array.setdefault(id(parameter.array), []).append(parameter)
            for key, parameters in by_array.items():
                if key not in taken:
                    pairs = parameters[0].pairs.take()
                    if pairs is None:
                        continue
                    taken[key] = pairs
                self._update(group, parameters, *taken[key], number)
                number += 1
        self.steps += 1
        return loss

    def _update(
        self,
        group: dict[str, Any],
        parameters: list[AnalogParameter],
        x: torch.Tensor,
        d: torch.Tensor,
        number: int,
    ) -> None:
        """One update of an array by the lines of some of its parameters."""
        array = parameters[0].array
        if sum(stop - first for first, stop in (one.rows for one in parameters)) < x.shape[-1]:
            rows = torch.zeros_like(x[0, 0])
            for parameter in parameters:
                rows[slice(*parameter.rows)] = 1.0
            x = x * rows
        cells = array.cells
        # Either cell of a pair makes a step where both move.
        dw_min = cells.dw_min * array.unit * (2.0 if cells.pair == "both" else 1.0)
        draw = self.stream.at(f"pulsed_sgd/{number}", self.steps)
        rule = _rule(
            float(group["lr"]),
            dw_min,
            group["max_pulses"],
            group["update_management"],
            group["update_bl_management"],
            group["kind"],
        )
        trains = [
            trains_on_host(own, errors, rule, draw.part(f"chip_{chip}"))
            for chip, (own, errors) in enumerate(zip(on_host(x), on_host(d, x.dtype), strict=True))
        ]
        moved: Moved = array.update(trains, draw.part("noise") if group["noisy"] else None)
        counts = self.counts
        counts.coincidences += moved.coincidences
        counts.pulses += moved.pulses
        counts.energy_j += math.nan if moved.energy_j is None else moved.energy_j
        for one in trains:
            counts.clipped += one.clipped
            counts.probabilities += one.of
        for parameter in parameters:
            parameter.show()
        if moved.outcome is not Outcome.OK:
            raise UpdateFailedError(f"step {self.steps}: {moved.reason}")
