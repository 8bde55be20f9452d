"""Accuracies of chips that all read the same images: how sure they are, of other ones of each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri, roots_hermitenorm
from scipy.stats import binomtest

from workflows.chips_and_images import intervals, share_of_other_chips, spread_of_chips

REPEATS = 60


class World:
    """Chips read images; what is right is known for all chips and all images.

    A chip has an image right where ability + ease + luck > 0, all three normal.

    Args:
        mean: of the ability.
        chip: its standard deviation from chip to chip.
        image: that of the ease.
        luck: that of what is of one chip and one image.
    """

    def __init__(self, mean: float, chip: float, image: float, luck: float) -> None:
        self.mean, self.chip, self.image, self.luck = mean, chip, image, luck

    def draw(self, rng: np.random.Generator, chips: int, images: int) -> np.ndarray:
        """[chip, image]."""
        return self.answers(rng, chips, rng.standard_normal(images))

    def answers(self, rng: np.random.Generator, chips: int, ease: np.ndarray) -> np.ndarray:
        """[chip, image], of images that are so easy [image]."""
        ability = self.mean + self.chip * rng.standard_normal((chips, 1))
        luck = rng.standard_normal((chips, len(ease)))
        return ability + self.image * ease + self.luck * luck > 0

    def share(self, accuracy_min: float) -> float:
        """Of all chips, by all images."""
        enough = ndtri(accuracy_min) * np.hypot(self.image, self.luck)
        return float(ndtr((self.mean - enough) / self.chip))

    def spread(self) -> float:
        """Standard deviation of accuracies on all images, from chip to chip."""
        x, weight = roots_hermitenorm(60)
        accuracy = ndtr((self.mean + self.chip * x) / np.hypot(self.image, self.luck))
        weight = weight / weight.sum()
        return float(np.sqrt(weight @ accuracy**2 - (weight @ accuracy) ** 2))


@pytest.mark.parametrize(
    ("world", "chips", "images", "accuracy_min", "wilson_fails"),
    [
        # Images move all chips together; luck scatters them; both are small; few of each.
        (World(1.9, 0.15, 1.0, 0.2), 100, 250, 0.96, True),
        (World(1.8, 0.1, 0.1, 1.0), 100, 200, 0.95, True),
        (World(2.2, 0.3, 0.5, 1.0), 60, 150, 0.95, False),
        (World(1.0, 0.3, 0.7, 0.7), 10, 20, 0.80, False),
    ],
)
def test_the_interval_covers_the_share_of_all_chips_on_all_images(
    world: World, chips: int, images: int, accuracy_min: float, wilson_fails: bool
) -> None:
    """19 of 20 times; Wilson's, which is of chips alone, does not where images are few."""
    truth, ours, wilson = world.share(accuracy_min), 0, 0
    rng = np.random.default_rng(0)
    for _ in range(REPEATS):
        right = world.draw(rng, chips, images)
        low, high = intervals(right, accuracy_min, rng).share or (1.0, 0.0)
        ours += low <= truth <= high
        good = int((right.mean(axis=1) >= accuracy_min).sum())
        other = binomtest(good, chips).proportion_ci(0.95, method="wilson")
        wilson += other.low <= truth <= other.high
    assert ours >= 0.9 * REPEATS  # of 95 %: less comes once in 40 times
    if wilson_fails:
        assert wilson < 0.5 * REPEATS


def test_the_interval_over_chips_alone_at_published_points() -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 5."""
    for good, chips, low, high in (
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ):
        assert share_of_other_chips(good, chips) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_over_chips_alone_covers_their_share_on_these_images() -> None:
    """Of all chips on the very images, 4,000 of them counted; on all such images it does not."""
    world, rng = World(1.9, 0.15, 1.0, 0.2), np.random.default_rng(5)
    here = everywhere = 0
    for _ in range(REPEATS):
        ease = rng.standard_normal(100)
        good = [
            int((world.answers(rng, chips, ease).mean(axis=1) >= 0.96).sum())
            for chips in (40, 4_000)
        ]
        low, high = share_of_other_chips(good[0], 40)
        here += low <= good[1] / 4_000 <= high
        everywhere += low <= world.share(0.96) <= high
    assert here >= 0.9 * REPEATS
    assert everywhere < 0.5 * REPEATS


def test_the_same_chips_on_few_images_and_on_all_do_not_contradict_each_other() -> None:
    """Intervals of chips alone do so more often than once in ten times."""
    world = World(2.35, 0.12, 1.0, 0.25)
    rng = np.random.default_rng(3)
    apart_by_wilson = 0
    for _ in range(20):
        right = world.draw(rng, 100, 449)
        few, every = (intervals(part, 0.97, rng).share for part in (right[:, :50], right))
        assert few is not None
        assert every is not None
        assert few[0] <= every[1]
        assert every[0] <= few[1]
        wilson = [
            binomtest(int((part.mean(axis=1) >= 0.97).sum()), 100).proportion_ci(method="wilson")
            for part in (right[:, :50], right)
        ]
        apart_by_wilson += wilson[0].low > wilson[1].high or wilson[1].low > wilson[0].high
    assert apart_by_wilson >= 2  # of 20


def test_the_spread_from_chip_to_chip_is_without_the_share_of_the_images() -> None:
    """Over many draws its square is right in the mean; as read it is twice too large and more."""
    world, rng = World(1.5, 0.2, 0.7, 0.7), np.random.default_rng(1)
    drawn = [world.draw(rng, 40, 60) for _ in range(300)]
    own = np.mean([(spread_of_chips(right) or 0.0) ** 2 for right in drawn])
    seen = np.mean([right.mean(axis=1).var(ddof=1) for right in drawn])
    assert np.sqrt(own) == pytest.approx(world.spread(), rel=0.06)
    assert np.sqrt(seen) > 1.2 * world.spread()


def test_chips_that_answer_alike_are_as_sure_as_their_images() -> None:
    """Then the mean is Jeffreys' interval for the images: 47 of 50 by the beta distribution."""
    right = np.tile(np.arange(50) >= 3, (400, 1))
    found = intervals(right, None, np.random.default_rng(0))
    assert found.mean == pytest.approx((0.850, 0.983), abs=0.008)
    assert found.share is None
    assert spread_of_chips(right) == pytest.approx(0, abs=1e-12)


def test_images_without_end_leave_the_chips() -> None:
    """Half of 40 chips are good on 100,000 images: Jeffreys' interval for 20 of 40."""
    rng = np.random.default_rng(0)
    right = rng.random((40, 20_000)) < np.repeat([[0.8], [0.95]], 20, axis=0)
    found = intervals(right, 0.9, rng)
    assert found.share == pytest.approx((0.350, 0.650), abs=0.02)
    assert found.mean_by_images[1] - found.mean_by_images[0] < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1)])
def test_a_single_chip_or_image_leaves_all_open(shape: tuple[int, int]) -> None:
    found = intervals(np.ones(shape, dtype=bool), 0.9, np.random.default_rng(0))
    assert found.share is not None
    assert found.share[0] < 0.35
    assert spread_of_chips(np.ones(shape, dtype=bool)) is None
