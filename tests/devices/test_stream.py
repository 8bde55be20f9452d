"""Streams: the same address draws the same numbers, any other address others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compact_models.errors import InputError
from compact_models.pcm_statistics import noisy_read_s
from compact_models.variation import ReadNoise, Stream, component_rng, noisy_read


def test_every_part_of_an_address_counts() -> None:
    """Forty thousand numbers each: two streams that shared any would be correlated."""
    draws: dict[object, np.ndarray] = {
        (seed, sample, path, k): Stream(seed, sample).at(path, k).rng().standard_normal(40_000)
        for seed, sample, path, k in itertools.product((0, 1), (0, 1), ("a", "a/b"), (0, 1))
    }
    draws["part"] = Stream(0).at("a", 0).part("c").rng().standard_normal(40_000)
    draws["chip 0"] = component_rng(0, 0, "a").standard_normal(40_000)
    draws["chip 1"] = component_rng(0, 1, "a").standard_normal(40_000)
    against = np.corrcoef(np.stack(list(draws.values())))
    assert np.abs(against - np.eye(len(draws))).max() < 0.03
    again = Stream(1, 0).at("a/b", 1).rng().standard_normal(40_000)
    np.testing.assert_array_equal(again, draws[1, 0, "a/b", 1])


def test_a_part_is_the_path_written_out() -> None:
    one, other = Stream(3, 2).at("tile", 4).part("rows"), Stream(3, 2).at("tile/rows", 4)
    assert one == other
    np.testing.assert_array_equal(one.rng().random(5), other.rng().random(5))


@pytest.mark.parametrize("wrong", [-1, 0.5, True, None])
def test_addresses_are_whole_numbers(wrong: object) -> None:
    for make in (
        lambda: Stream(wrong),  # type: ignore[arg-type]
        lambda: Stream(0, wrong),  # type: ignore[arg-type]
        lambda: Stream(0).at("a", wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match="whole, >= 0"):
            make()


def test_reads_are_numbered() -> None:
    g = np.full(1000, 1e-5)
    key = {"seed": 1, "sample": 0, "path": "tile"}
    first, again, second = (noisy_read(ReadNoise(), g, 0.1, **key, read=k) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 0
    pcm = [noisy_read_s(g, g, 2e-5, 100.0, 1, 0, "tile", k) for k in (0, 0, 1)]
    np.testing.assert_array_equal(pcm[0], pcm[1])
    assert np.abs(pcm[0] - pcm[2]).max() > 0
