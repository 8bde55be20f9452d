"""The noise is read from the data alone, and what misses the data is not called a fit."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.fitting.data import Sweep
from cosim.fitting.noise import noise_floor, scatter
from cosim.fitting.quality import one_curve, quality, scaled_noise


@pytest.mark.parametrize("points", [61, 801])
def test_the_scatter_is_the_noise_and_not_the_curve(points: int) -> None:
    noise = 0.02 * np.random.default_rng(1).standard_normal(points)
    smooth = np.sin(np.linspace(0, 4 * np.pi, points))
    assert scatter(smooth + noise) == pytest.approx(0.02, rel=0.35)
    assert scatter(smooth) < 5e-3


def test_a_few_points_far_off_are_no_noise() -> None:
    rng = np.random.default_rng(2)
    values = np.sin(np.linspace(0, 12, 800)) + 0.02 * rng.standard_normal(800)
    clean = scatter(values)
    values[rng.choice(800, 12, replace=False)] += 50
    assert scatter(values) < 1.3 * clean
    assert noise_floor(values) == pytest.approx(0.02, rel=0.5)


def test_far_above_the_noise_is_poor() -> None:
    rng = np.random.default_rng(3)
    noise = 0.02 * rng.standard_normal(400)
    assert quality(noise, 0.02).good
    far = quality(noise + 0.5 * np.sin(np.arange(400) / 20), 0.02)
    assert far.poor
    assert "times the noise" in far.text()
    assert not quality(np.full(400, 0.05), 1e-6).poor  # 5 % off is of use without any noise


def test_a_diode_has_no_loop_and_a_loop_has() -> None:
    turn = np.linspace(0, 4 * np.pi, 800)
    volts = np.sin(turn)
    grain = 1 + 0.02 * np.random.default_rng(4).standard_normal(800)
    diode = 1e-9 * np.expm1(volts / 0.08) * grain
    opened = volts * np.where(np.cos(turn) > 0, 1e-4, 3e-4) * grain
    for current, said in ((diode, True), (opened, False)):
        data = Sweep(turn, volts, current)
        floor = noise_floor(current)
        told = one_curve(data, np.ones(800), floor, scaled_noise(current, floor))
        assert bool(told) == said
