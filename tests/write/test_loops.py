"""Loops over cells: their random numbers, and where what numba compiled is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, kstest, norm

from cosim.pulses.jit import keep, loop
from cosim.pulses.random_numbers import L, hashed, hashes, normal


@loop
def normals(out: NDArray[np.float32], key: np.uint64) -> None:
    for k in range(out.size):
        out[k] = normal(hashed(key, L(k)))


@loop
def hashed_bits(out: NDArray[np.uint64], key: np.uint64, stride: np.uint64) -> None:
    for k in range(out.size):
        out[k] = hashed(key, L(k) * stride)


@pytest.mark.parametrize("key", [0, 2**63 + 5])
def test_normal_numbers_are_normal_as_far_as_their_tails(key: int) -> None:
    count = 4_000_000
    single = np.empty(count, np.float32)
    normals(single, L(key))
    drawn = single.astype(np.float64)
    error = 4.5 / count**0.5
    assert abs(drawn.mean()) < error
    assert abs((drawn**2).mean() - 1) < error * 2**0.5
    assert abs((drawn**3).mean()) < error * 15**0.5
    assert abs((drawn**4).mean() - 3) < error * 96**0.5
    assert kstest(drawn[:1_000_000], norm.cdf).pvalue > 1e-3
    for limit in (3.0, 4.0, 4.5, 5.0):
        for tail in (drawn > limit, drawn < -limit):
            expected = count * norm.sf(limit)
            assert abs(tail.sum() - expected) < 4.5 * expected**0.5 + 1
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < error


@pytest.mark.parametrize("stride", [1, 31, 1 << 20, 1 << 40])
def test_every_bit_of_a_hash_is_fair_and_none_follows_from_another(stride: int) -> None:
    count = 100_000
    words = np.empty(count, np.uint64)
    hashed_bits(words, L(12345), L(stride))
    bits = np.unpackbits(words.view(np.uint8).reshape(count, 8), axis=1).astype(np.float64) - 0.5
    assert np.abs(bits.mean(0)).max() < 4.5 * 0.5 / count**0.5
    pairs = 4 * bits.T @ bits / count - np.eye(64)
    assert np.abs(pairs).max() < 5.5 / count**0.5
    # Neighbours, and the same counter of another key.
    assert np.abs(4 * bits[1:].T @ bits[:-1] / count).max() < 5.5 / count**0.5
    assert len(np.unique(words)) == count
    places = np.bincount((words >> np.uint64(54)).astype(int), minlength=1024)
    off = ((places - count / 1024) ** 2).sum() / (count / 1024)
    assert chi2.cdf(off, 1023) < 0.9999


def test_words_of_a_key_are_the_same_on_every_machine() -> None:
    """SplitMix64's first numbers of the seed 0, as its reference code has them."""
    words = np.empty(4, np.uint64)
    hashed_bits(words, L(0), L(1))
    assert [hex(word) for word in words[1:]] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]
    assert hashes(L(0), 3).tolist() == [0, 0xE220A839, 0x6E789E6A]


def double() -> Any:
    """A loop with nothing compiled yet, another one in each call."""

    def own(values: NDArray[np.float64]) -> float:
        total = 0.0
        for value in values:
            total += 2 * value
        return total

    return own


def test_a_loop_that_was_compiled_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_CACHE", str(tmp_path))
    first, second = loop(double()), loop(double())
    values = np.array([1.0, 2.5])
    assert first(values) == second(values) == 7.0
    assert sum(first.stats.cache_misses.values()) == 1
    assert sum(second.stats.cache_hits.values()) == 1
    assert {path.parent.name for path in tmp_path.rglob("*.nb?")} == {"loops"}
    other = loop(double())
    keep(other, "it depends on something else")
    assert other(values) == 7.0
    assert not other.stats.cache_hits
    # Nothing lies beside the source.
    assert not list(Path(__file__).parent.rglob("*.nb?"))


def test_a_cache_that_is_broken_or_cannot_be_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_CACHE", str(tmp_path))
    values = np.array([1.0, 2.5])
    assert loop(double())(values) == 7.0
    for pattern in ("*.nb?", "*.nbc"):
        for path in tmp_path.rglob(pattern):
            path.write_bytes(path.read_bytes()[:100])
        again = loop(double())
        assert again(values) == 7.0
        assert not again.stats.cache_hits
    found = loop(double())
    assert found(values) == 7.0
    assert found.stats.cache_hits
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPICELOOP_CACHE", str(tmp_path / "file"))
    assert loop(double())(values) == 7.0
