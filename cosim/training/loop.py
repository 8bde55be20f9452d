"""The training loop: one epoch after another, whatever learns, from a state that is explicit.

A state is what the rest of a training follows from: the network, its optimiser and schedule, how
many epochs and steps are done. Random numbers are drawn by address (`Stream`), so that counters are
all that is kept of them. `saved` makes plain tensors and numbers of a state and `restored` a state
of these: a training that was stopped after any epoch goes on to the same bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Stream

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Saved = dict[str, Any]
"""Tensors, numbers, texts, and dicts and lists of them: what torch loads with `weights_only`."""
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of outputs [batch, out] and labels [batch]."""
Say = Callable[[str], None]

INPUTS = 64
"""So many inputs say how far off currents are."""


@dataclass(frozen=True)
class Epoch:
    """One line of the training history; accuracies are shares.

    Errors are those of the array's currents that is furthest off its exact solution, relative and
    rms, on inputs of the epoch and with the weights at its end; None where nothing was compared.

    Attributes:
        surrogate_error: of the surrogate as the epoch used it.
        closed_form_error: of its closed form without anchors.
        worst_array: which array the first is of.
        anchored: how many arrays were anchored in the epoch.
        anchors: how often arrays have been solved exactly for that, since the training began.
        pulses: that cells were given in the epoch; None where weights move by arithmetic.
        energy_j: that these took [J]; None likewise, or where it is not known.
        coincidences: steps that cells were asked for; None as `pulses`.
        clipped: share of the probabilities of pulses that were above 1 and cut to it; likewise.
        spice_inputs: how many inputs of the epoch ngspice has read as well; 0 if none.
        spice_error: how far the array's currents that are furthest off were off ngspice there, as
            the epoch used them; None where nothing was read, or ngspice failed.
        spice_array: which array that is.
        spice_outcome: how these reads ended, `ok` or how and why not; empty if there were none.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    surrogate_error: float | None = None
    closed_form_error: float | None = None
    worst_array: str = ""
    anchored: int = 0
    anchors: int = 0
    pulses: int | None = None
    energy_j: float | None = None
    coincidences: int | None = None
    clipped: float | None = None
    spice_inputs: int = 0
    spice_error: float | None = None
    spice_array: str = ""
    spice_outcome: str = ""


@dataclass(frozen=True, eq=False)
class Task:
    """What is learnt.

    Attributes:
        train_x: digital inputs [image, in].
        train_y: class labels [image].
        test_x: inputs that only measure.
        test_y: their labels.
        batch_size: images of a step.
        epochs: passes over the images.
        loss: what is made small.
    """

    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    batch_size: int
    epochs: int
    loss: Loss = nn.functional.cross_entropy

    @classmethod
    def of(
        cls,
        train: tuple[Array, Labels],
        test: tuple[Array, Labels],
        *,
        batch_size: int,
        epochs: int,
        loss: Loss = nn.functional.cross_entropy,
    ) -> Task:
        """The same from numpy's arrays, inputs and labels each."""
        x, y, test_x, test_y = (torch.from_numpy(one) for pair in (train, test) for one in pair)
        return cls(x, y, test_x, test_y, batch_size, epochs, loss)

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return -(-len(self.train_x) // self.batch_size) * self.epochs


@dataclass(frozen=True, eq=False)
class TrainState:
    """Where a training stands between two epochs.

    Attributes:
        network: what learns; a step changes it in place.
        optimiser: that moves its parameters, likewise.
        schedule: of the learning rate, called after each step.
        epoch: how many epochs are done.
        step: how many steps are.
        history: a line for each of the epochs.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0
    step: int = 0
    history: tuple[Epoch, ...] = ()


class Algorithm(Protocol):
    """How a network learns: a file beside this one."""

    def init(self, network: nn.Module, task: Task) -> TrainState:
        """The state before the first epoch."""
        ...

    def output(self, network: nn.Module, x: torch.Tensor, step: int) -> torch.Tensor:
        """What the network says [batch, out] of inputs [batch, in] in a training step."""
        ...

    def after_step(self, network: nn.Module) -> None:
        """Keeps the network what it can be, once the optimiser has moved it."""
        ...

    def watch(self, network: nn.Module, x: torch.Tensor, say: Say) -> Mapping[str, Any]:
        """Looks at the network before the first epoch and after each.

        Args:
            network: its model may be bettered.
            x: inputs of the epoch.
            say: is told what is done.

        Returns:
            What the epoch's line says of it: fields of `Epoch`.
        """
        ...

    def check(
        self, network: nn.Module, x: torch.Tensor, order: torch.Tensor, say: Say
    ) -> Mapping[str, Any]:
        """Looks at the network after an epoch as the epoch used it, before `watch` betters it.

        Args:
            network: as it stands.
            x: all inputs [image, in].
            order: in which the epoch took them, [image].
            say: is told what is wrong.

        Returns:
            As `watch`.
        """
        ...

    def saved(self, network: nn.Module) -> Saved:
        """What the training depends on that is in no `state_dict`."""
        ...

    def restore(self, network: nn.Module, saved: Saved) -> None:
        """Brings a network that was just made to where `saved` was taken."""
        ...


def train(
    state: TrainState,
    algorithm: Algorithm,
    task: Task,
    *,
    stream: Stream,
    say: Say,
    on_epoch: Callable[[TrainState], None] | None = None,
) -> TrainState:
    """Trains from any state to the end.

    Args:
        state: where it stands; its network and optimiser go on.
        algorithm: how a network learns.
        task: what is learnt.
        stream: of the chip's sample; batches are drawn from it.
        say: is told what is done to the surrogate.
        on_epoch: called with the state after each epoch.
    """
    if not state.epoch:
        algorithm.watch(state.network, task.train_x[:INPUTS], say)
    while state.epoch < task.epochs:
        state = one_epoch(state, algorithm, task, stream=stream, say=say)
        if on_epoch is not None:
            on_epoch(state)
    return state


def one_epoch(
    state: TrainState, algorithm: Algorithm, task: Task, *, stream: Stream, say: Say
) -> TrainState:
    """The state after one more pass over the images, in an order of its own; see `train`."""
    network, x, y = state.network, task.train_x, task.train_y
    rng = stream.at("training/order", state.epoch).rng()
    order = torch.from_numpy(rng.permutation(len(x)))
    step, total, right = state.step, 0.0, 0
    for batch in order.split(task.batch_size):
        output = algorithm.output(network, x[batch], step)
        loss = task.loss(output, y[batch])
        state.optimiser.zero_grad()
        loss.backward()
        state.optimiser.step()
        state.schedule.step()
        algorithm.after_step(network)
        total += float(loss.detach()) * len(batch)
        right += int((output.detach().argmax(-1) == y[batch]).sum())
        step += 1
    checked = algorithm.check(network, x, order, say)
    found = {**checked, **algorithm.watch(network, x[order[:INPUTS]], say)}
    # By what is anchored where it must be.
    held_out = accuracy(network, task.test_x, task.test_y)
    line = Epoch(state.epoch, total / len(x), right / len(x), held_out, **found)
    return dataclasses.replace(
        state, epoch=state.epoch + 1, step=step, history=(*state.history, line)
    )


def accuracy(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of inputs whose largest output is their label, without programming errors."""
    with torch.no_grad():
        output: torch.Tensor = network(x)
    return float((output.argmax(-1) == y).double().mean())


def saved(state: TrainState, algorithm: Algorithm) -> Saved:
    """A state as tensors and numbers; the tensors are those of the network, not copies."""
    return {
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "schedule": state.schedule.state_dict(),
        "algorithm": algorithm.saved(state.network),
        "epoch": state.epoch,
        "step": state.step,
        "history": [dataclasses.asdict(line) for line in state.history],
    }


def restored(state: TrainState, algorithm: Algorithm, kept: Saved) -> TrainState:
    """Where a training was stopped.

    Args:
        state: of the same network before its first epoch (`Algorithm.init`); it is changed.
        algorithm: the same.
        kept: of `saved`.

    Raises:
        InputError: it is of another network or another version.
    """
    try:
        state.network.load_state_dict(kept["network"])
        state.optimiser.load_state_dict(kept["optimiser"])
        state.schedule.load_state_dict(kept["schedule"])
        algorithm.restore(state.network, kept["algorithm"])
        history = tuple(Epoch(**line) for line in kept["history"])
        return dataclasses.replace(
            state, epoch=int(kept["epoch"]), step=int(kept["step"]), history=history
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"this state is of another training ({reason})") from error
