"""Read noise against scipy's spectra and counts, retention against its laws solved backwards."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

from compact_models.errors import InputError
from compact_models.variation import (
    ArrheniusDecay,
    PowerLawDrift,
    ReadNoise,
    noisy_read,
    noisy_series,
)

KEY = {"seed": 5, "sample": 0, "path": "tile"}
G = np.array([[2e-6, 5e-5], [1e-4, 0.0]])
BOLTZMANN = 1.380649e-23


def spectrum(noise: ReadNoise, voltage_v: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and the mean one-sided density of 300 series of one conductance."""
    interval_s = 0.5 / noise.bandwidth_hz
    current = noisy_series(
        noise, np.full(300, 1e-5), voltage_v, points, interval_s, **KEY, series=0
    )
    frequency, density = signal.periodogram(
        current, 1 / interval_s, window="hann", detrend="constant"
    )
    return frequency, density.mean(axis=0)


def test_a_series_has_the_spectrum_of_thermal_and_flicker_noise() -> None:
    noise = ReadNoise(bandwidth_hz=1e6, temperature_k=350, corner_hz=1e5, corner_v=0.1)
    frequency, density = spectrum(noise, -0.2, 2048)
    thermal = 4 * BOLTZMANN * 350 * 1e-5
    # Twice the corner's voltage: four times the power; the corner itself is given at 300 K.
    want = thermal + 4 * BOLTZMANN * 300 * 1e-5 * 4 * 1e5 / frequency[8:-8]
    bands = np.array_split(np.arange(want.size), 24)
    ratio = [density[8:-8][band].mean() / want[band].mean() for band in bands]
    np.testing.assert_allclose(ratio, 1, atol=0.06)


def test_the_spectrum_ends_at_the_bandwidth() -> None:
    noise = ReadNoise(bandwidth_hz=1e5, corner_hz=1e4)
    current = noisy_series(noise, np.full(200, 1e-5), 0.1, 1024, 1e-6, **KEY, series=0)
    frequency, density = signal.periodogram(current, 1e6, window="hann")
    mean = density.mean(axis=0)
    assert mean[frequency > 1.05e5].max() < 1e-3 * mean[(frequency > 5e4) & (frequency < 9e4)].min()


def test_reads_and_series_have_the_same_variance() -> None:
    noise = ReadNoise(bandwidth_hz=1e6, corner_hz=3e5, lowest_hz=2e3)
    g = np.full(20_000, 3e-5)
    reads = noisy_read(noise, g, 0.15, **KEY, read=0) - 3e-5 * 0.15
    series = noisy_series(noise, g[:1000], 0.15, 400, 5e-7, **KEY, series=0) - 3e-5 * 0.15
    by_hand = 4 * BOLTZMANN * 300 * 3e-5 * (1e6 + 3e5 * 1.5**2 * np.log(1e6 / 2e3))
    assert np.var(reads) == pytest.approx(by_hand, rel=0.04)
    assert np.mean(series**2) == pytest.approx(by_hand, rel=0.04)
    assert stats.kstest(reads / np.sqrt(by_hand), stats.norm.cdf).pvalue > 1e-3


def test_a_trap_has_two_levels_and_exponential_times() -> None:
    noise = ReadNoise(
        temperature_k=0, trap_probability=0.4, trap_amplitude=0.25,
        capture_s=3e-4, emission_s=1e-4, bandwidth_hz=5e5,
    )  # fmt: skip
    current = noisy_series(noise, np.full(400, 1e-5), 0.1, 4000, 1e-6, **KEY, series=0)
    levels = current / 1e-6
    assert np.allclose(np.minimum(abs(levels - 1), abs(levels - 0.75)), 0, atol=1e-12)
    full = levels < 0.9
    trapped = full.any(axis=1)
    assert stats.binomtest(int(trapped.sum()), 400, 0.4).pvalue > 1e-3
    assert full[trapped].mean() == pytest.approx(0.25, abs=0.02)  # emission over both times
    stays: dict[bool, list[int]] = {False: [], True: []}
    for row in full[trapped]:
        edges = np.flatnonzero(np.diff(row))
        for k in range(len(edges) - 1):
            stays[bool(row[edges[k] + 1])].append(int(edges[k + 1] - edges[k]))
    # A stay that ends within the series is a short one more often: 0.3 of 4 ms are that.
    assert np.mean(stays[True]) == pytest.approx(100, rel=0.08)
    assert np.mean(stays[False]) == pytest.approx(300, rel=0.15)
    assert np.std(stays[True]) == pytest.approx(np.mean(stays[True]), rel=0.1)


def test_a_read_finds_the_same_cells_trapped_and_each_full_as_often_as_it_should() -> None:
    noise = ReadNoise(
        temperature_k=0, trap_probability=0.5, trap_amplitude=0.1, capture_s=1.0, emission_s=4.0
    )
    g = np.full((30, 10), 1e-5)
    reads = np.stack([noisy_read(noise, g, 0.1, **KEY, read=k) for k in range(200)])
    full = reads < 0.95e-6
    trapped = full.any(axis=0)
    assert 0.4 < trapped.mean() < 0.6
    assert full[:, trapped].mean() == pytest.approx(0.8, abs=0.01)
    series = noisy_series(noise, g, 0.1, 2, 1e-8, **KEY, series=0)
    assert not np.any((series < 0.95e-6).any(axis=-1) & ~trapped)


def test_without_noise_a_read_is_ohms_law_and_an_open_cell_is_silent() -> None:
    quiet = ReadNoise(temperature_k=0)
    np.testing.assert_array_equal(noisy_read(quiet, G, 0.2, **KEY, read=0), G * 0.2)
    loud = noisy_read(ReadNoise(corner_hz=1e6), G, np.array([0.1, -0.3]), **KEY, read=0)
    assert loud[1, 1] == 0
    assert np.all(loud[G > 0] != (G * [0.1, -0.3])[G > 0])
    np.testing.assert_allclose(loud, G * [0.1, -0.3], rtol=0.2)


def test_drift_is_a_straight_line_in_logarithms_with_slopes_as_drawn() -> None:
    drift = PowerLawDrift(nu=0.06, sigma_nu=0.02, start_s=20.0)
    g = np.full(5000, 1e-5)
    at = {t: np.log10(drift.after(g, t, **KEY)) for t in (20.0, 2e3, 2e5)}
    np.testing.assert_allclose(at[20.0], -5, atol=1e-12)
    np.testing.assert_allclose(at[2e5] - at[2e3], at[2e3] - at[20.0], atol=1e-12)
    slope = -(at[2e3] - at[20.0]) / 2
    assert stats.kstest(slope, stats.norm(0.06, 0.02).cdf).pvalue > 1e-3
    with pytest.raises(InputError, match="no retention at this time"):
        drift.after(g, 1.0, **KEY)


def test_a_hotter_cell_decays_faster_by_its_activation_energy() -> None:
    decay = ArrheniusDecay(end_s=1e-6, tau_s=1e5, reference_k=400, activation_v=1.2, beta=0.5)
    g = np.array([1e-4, 3e-7])  # one falls, one rises

    def left(time_s: float, temperature_k: float) -> np.ndarray:
        return (decay.after(g, time_s, temperature_k, **KEY) - 1e-6) / (g - 1e-6)

    np.testing.assert_allclose(left(1e5, 400), np.exp(-1), rtol=1e-9)
    np.testing.assert_allclose(left(4e5, 400), np.exp(-2), rtol=1e-9)
    # 1.2 eV between 400 and 425 K: a factor 7.75, from k = 8.617e-5 eV/K.
    np.testing.assert_allclose(left(1e5 / 7.752, 425), np.exp(-1), rtol=1e-3)
    np.testing.assert_array_equal(decay.after(g, 0.0, 300, **KEY), g)


def test_a_spread_of_activation_energy_is_a_lognormal_spread_of_times() -> None:
    decay = ArrheniusDecay(tau_s=1e5, reference_k=400, activation_v=1.0, sigma_activation_v=0.05)
    left = decay.after(np.full(5000, 1e-5), 1e5, 400.0, **KEY) / 1e-5
    times = np.log(1e5 / -np.log(left))
    wanted = stats.norm(np.log(1e5), 0.05 / (8.617e-5 * 400))
    assert stats.kstest(times, wanted.cdf).pvalue > 1e-3


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="must be below bandwidth_hz"):
        ReadNoise(bandwidth_hz=10, lowest_hz=20)
    with pytest.raises(InputError, match="too far apart"):
        noisy_series(ReadNoise(bandwidth_hz=1e6), G, 0.1, 10, 1e-6, **KEY, series=0)
    with pytest.raises(InputError, match="needs points"):
        noisy_series(ReadNoise(), G, 0.1, 1, 1e-8, **KEY, series=0)
    with pytest.raises(InputError, match="temperature must be positive"):
        ArrheniusDecay(tau_s=1.0).after(G, 1.0, 0.0, **KEY)
