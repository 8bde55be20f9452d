"""What is said to change where cells are off: the option that helps against the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workflows.write_advice import Knobs, next_action, shorter_s

KNOBS = Knobs("--max-pulses", "--width-s", "--amplitude-v", "--levels", "--bias v3", shaped=True)


@pytest.mark.parametrize(
    ("unmet", "helps"),
    [
        ("on_its_way", {"--max-pulses", "--width-s"}),
        ("stays", {"--amplitude-v", "--width-s"}),
        ("passes", {"--width-s", "--levels"}),
        ("disturbed", {"--bias"}),
        ("ended_early", set()),
    ],
)
def test_each_reason_has_the_option_that_helps(unmet: str, helps: set[str]) -> None:
    said = next_action({unmet: 3}, KNOBS)
    every = {"--max-pulses", "--width-s", "--amplitude-v", "--levels", "--bias"}
    assert {name for name in every if name in said} == helps


def test_a_pulse_device_is_not_told_of_heights_and_lengths() -> None:
    knobs = replace(KNOBS, shaped=False)
    assert next_action({"stays": 1}, knobs) == ""
    said = next_action({"passes": 2, "on_its_way": 1}, knobs)
    assert said == "a wider tolerance (--levels); more pulses for a cell (--max-pulses)"


def test_without_a_quieter_bias_a_shorter_pulse_disturbs_less() -> None:
    assert next_action({"disturbed": 1}, replace(KNOBS, quieter="")) == "shorter pulses (--width-s)"


def test_a_shorter_pulse_has_a_length_to_go_to() -> None:
    """Eight times further off than allowed: a sixteenth, which leaves half of it."""
    about = shorter_s(1.6e-8, tolerance_s=2e-4, worst_error_s=1.6e-3)
    said = next_action({"disturbed": 1}, replace(KNOBS, quieter="", shorter_s=about))
    assert said == "shorter pulses (--width-s; about 1e-09 s)"
    assert shorter_s(1e-8, tolerance_s=2e-4, worst_error_s=1e-4) is None
