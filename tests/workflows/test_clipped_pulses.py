"""What a training says of updates that asked for more pulses than trains have."""

from __future__ import annotations

from cosim.pulses.spec import PulsesSpec
from cosim.training.loop import Epoch
from workflows.clipped_pulses import clipped_pulses


def history(*clipped: float | None) -> list[Epoch]:
    return [Epoch(k, 1.0, 0.5, 0.5, clipped=one) for k, one in enumerate(clipped)]


def test_the_worst_epoch_is_named_with_what_to_change() -> None:
    said = clipped_pulses(history(0.001, 0.025, 0.0), PulsesSpec(max_pulses=10))
    assert "up to 2.5 %" in said
    assert "(epoch 2 of 3)" in said
    assert "[train] learning_rate or a larger [train.pulses] max_pulses (10 of 31)" in said


def test_what_is_at_its_end_already_is_not_advised() -> None:
    said = clipped_pulses(history(0.025), PulsesSpec(update_management=False))
    assert "max_pulses" not in said
    assert said.endswith("learning_rate or [train.pulses] update_management")


def test_nothing_is_said_where_nothing_was_clipped() -> None:
    for clipped in ((), (0.0, 0.0), (None,)):
        assert clipped_pulses(history(*clipped), PulsesSpec()) == ""
