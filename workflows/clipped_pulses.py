"""Whether the updates of a training asked for more pulses than trains have."""

from __future__ import annotations

from collections.abc import Sequence

from cosim.pulses.spec import LONGEST, PulsesSpec
from cosim.training.loop import Epoch


def clipped_pulses(history: Sequence[Epoch], pulses: PulsesSpec) -> str:
    """In words, how much was clipped and what to change; empty where nothing was.

    Args:
        history: of the training.
        pulses: how its updates became pulses.
    """
    worst = max(history, key=lambda line: line.clipped or 0.0, default=None)
    if worst is None or not worst.clipped:
        return ""
    ways = ["a smaller [train] learning_rate"]
    if pulses.max_pulses < LONGEST:
        ways.append(f"a larger [train.pulses] max_pulses ({pulses.max_pulses} of {LONGEST})")
    if not pulses.update_management and pulses.kind == "stochastic":
        ways.append("[train.pulses] update_management")
    return (
        f"up to {100 * worst.clipped:.2g} % of the probabilities of pulses (epoch"
        f" {worst.epoch + 1} of {len(history)}) were above 1 and were clipped, so that those"
        f" updates are too small: {' or '.join(ways)}"
    )
