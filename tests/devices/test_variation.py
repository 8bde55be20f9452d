"""Distributions, correlation, cycles and stuck cells: against scipy.stats and against kernels."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from compact_models.variation import (
    DieField,
    Distribution,
    Lognormal,
    Normal,
    StuckAt,
    StuckCells,
    TruncatedLognormal,
    TruncatedNormal,
    Uniform,
    component_rng,
    die_scores,
)
from compact_models.variation.draw import (
    CycleVariation,
    ParameterCorrelation,
    Variation,
    draw,
    draw_initial,
)
from tests.devices.small_models import FOLLOWER

SINE = VTEAM.parameter_set("sine")
SHAPE = (120, 90)
KEY = {"seed": 3, "sample": 1, "path": "tile_0"}


def drawn(name: str, distribution: Distribution, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    variation = Variation(device={name: distribution})
    return draw(variation, VTEAM, SINE, shape, **KEY)[name]


@pytest.mark.parametrize(
    ("name", "distribution", "wanted"),
    [
        ("w_off", Normal(sigma=0.05), stats.norm(3e-9, 1.5e-10)),
        ("w_off", Normal(sigma=2e-10, scale="absolute"), stats.norm(3e-9, 2e-10)),
        ("r_off", Lognormal(sigma=0.4), stats.lognorm(0.4, scale=1e3)),
        ("r_on", Uniform(low=0.8, high=1.5), stats.uniform(40, 35)),
        ("r_on", Uniform(low=10, high=35, limits="absolute"), stats.uniform(10, 25)),
        # Asymmetric limits, and one that lies wholly in the upper tail.
        (
            "r_on",
            TruncatedNormal(sigma=0.5, low=0.4, high=1.2),
            stats.truncnorm(-1.2, 0.4, 50, 25),
        ),
        (
            "r_on",
            TruncatedNormal(sigma=1, scale="absolute", low=58, high=70, limits="absolute"),
            stats.truncnorm(8, 20, 50, 1),
        ),
        # A negative nominal value: the spread is a fraction of its size, limits turn around.
        (
            "v_on",
            TruncatedNormal(sigma=0.3, low=0.9, high=2),
            stats.truncnorm(-1 / 0.3, 0.1 / 0.3, -0.2, 0.06),
        ),
    ],
)
def test_draws_have_the_distribution_that_scipy_has(
    name: str, distribution: Distribution, wanted: object
) -> None:
    found = drawn(name, distribution).ravel()
    assert stats.kstest(found, wanted.cdf).pvalue > 1e-3  # type: ignore[attr-defined]
    assert len(np.unique(found)) == found.size


@pytest.mark.parametrize(("name", "sign"), [("r_off", 1), ("v_on", -1)])
def test_a_truncated_lognormal_is_a_truncated_normal_in_its_logarithm(name: str, sign: int) -> None:
    found = drawn(name, TruncatedLognormal(sigma=0.6, low=0.5, high=4.0))
    nominal = SINE.values[name]
    wanted = stats.truncnorm(np.log(0.5) / 0.6, np.log(4.0) / 0.6, 0, 0.6)
    assert stats.kstest(np.log(found / nominal).ravel(), wanted.cdf).pvalue > 1e-3
    assert np.all(np.sign(found) == sign)


def test_truncation_cuts_the_tail_and_does_not_heap_it_up() -> None:
    found = drawn("r_on", TruncatedNormal(sigma=0.5, low=0.9, high=1.1))
    assert found.min() > 45
    assert found.max() < 55
    assert np.mean(found < 45.5) < 0.1  # moved to the limits it would be 42 %


def test_a_component_is_drawn_alike_whatever_else_is_drawn() -> None:
    alone = Variation(device={"r_on": Normal(sigma=0.1)})
    more = Variation(
        device={"r_off": Normal(sigma=0.1), "r_on": Normal(sigma=0.1), "k_on": Lognormal(sigma=1)},
        stuck=StuckCells.on_and_off(0.1, 1e-3, 0.1),
    )
    first = draw(alone, VTEAM, SINE, (4, 3), **KEY)["r_on"]
    draw(more, VTEAM, SINE, (9, 9), seed=3, sample=1, path="tile_1")
    again = draw(more, VTEAM, SINE, (4, 3), **KEY)
    np.testing.assert_array_equal(again["r_on"], first)
    assert abs(np.corrcoef(again["r_on"].ravel(), again["r_off"].ravel())[0, 1]) < 0.9
    for other in ({"seed": 4}, {"sample": 2}, {"path": "tile_1"}):
        assert not np.any(draw(alone, VTEAM, SINE, (4, 3), **(KEY | other))["r_on"] == first)


def test_the_generator_never_changes() -> None:
    # A stored study names its seed, sample and paths: another key would be another chip.
    assert component_rng(1, 2, "layer_0/tile_1").bit_generator.random_raw() == 8609709131327845045


@pytest.mark.parametrize(
    ("kernel", "length_m", "shape"),
    [
        ("exponential", 4e-7, (10, 14)),  # the matrix itself
        ("exponential", 1.2e-6, (40, 36)),  # on a torus
        pytest.param("exponential", 2e-5, (40, 36), marks=pytest.mark.slow),  # plane waves
        ("gaussian", 8e-7, (40, 36)),
    ],
)
def test_correlation_over_the_die_is_the_kernel(
    kernel: str, length_m: float, shape: tuple[int, int]
) -> None:
    field = DieField.model_validate(
        {
            "field_share": 0.7,
            "common_share": 0.1,
            "kernel": kernel,
            "length_m": length_m,
            "row_pitch_m": 2e-7,
            "col_pitch_m": 1e-7,
        }
    )
    count = 1000
    scores = np.stack(
        [die_scores(field, shape, seed=0, sample=k, path="tile") for k in range(count)]
    )
    assert np.mean(scores[:, ::7, ::5] ** 2) == pytest.approx(1.0, abs=0.06)
    for row, col in ((1, 0), (0, 1), (4, 0), (0, 4), (3, 5)):
        # Rows lie twice as far apart as columns: a transposed field would show.
        ratio = np.hypot(2e-7 * row, 1e-7 * col) / length_m
        want = 0.1 + 0.7 * np.exp(-(ratio**2) if kernel == "gaussian" else -ratio)
        pairs = scores[:, 2, 3] * scores[:, 2 + row, 3 + col]
        pairs = (pairs + scores[:, 5, 1] * scores[:, 5 + row, 1 + col]) / 2
        assert np.mean(pairs) == pytest.approx(want, abs=4 * np.sqrt(2 / count))


def test_arrays_of_a_die_share_its_common_part_alone() -> None:
    field = DieField(common_share=0.5, field_share=0.4, length_m=1e-3)
    first, second = (
        np.array([die_scores(field, (3, 4), seed=0, sample=k, path=path) for k in range(3000)])
        for path in ("tile_0", "tile_1")
    )
    assert np.mean(first[:, 0, 0] * second[:, 2, 1]) == pytest.approx(0.5, abs=0.08)
    other = np.array(
        [
            die_scores(field, (3, 4), seed=0, sample=k, path="tile_0", die="die_1")[2, 1]
            for k in range(3000)
        ]
    )
    assert np.mean(second[:, 0, 0] * other) == pytest.approx(0.0, abs=0.08)


def test_parameters_are_correlated_as_the_matrix_says() -> None:
    matrix = ((1.0, 0.8, -0.3), (0.8, 1.0, 0.1), (-0.3, 0.1, 1.0))
    names = ("r_on", "r_off", "v_on")
    device = {name: Lognormal(sigma=0.1) for name in names} | {"k_off": Lognormal(sigma=0.1)}
    variation = Variation(
        device=device, correlation=ParameterCorrelation(names=names, matrix=matrix)
    )
    found = draw(variation, VTEAM, SINE, SHAPE, **KEY)
    logs = [np.log(found[name] / SINE.values[name]).ravel() for name in (*names, "k_off")]
    wanted = np.eye(4)
    wanted[:3, :3] = matrix
    np.testing.assert_allclose(np.corrcoef(logs), wanted, atol=0.04)


def test_a_cycle_is_its_own_draw_and_cycle_zero_is_the_device() -> None:
    device = {"r_on": Normal(sigma=0.1)}
    change = CycleVariation(distribution=Normal(sigma=0.02))
    variation = Variation(device=device, cycle={"r_on": change})

    def at(cycle: int) -> np.ndarray:
        return draw(variation, VTEAM, SINE, SHAPE, **KEY, cycle=cycle)["r_on"]

    own = draw(Variation(device=device), VTEAM, SINE, SHAPE, **KEY)["r_on"]
    np.testing.assert_array_equal(at(0), own)
    late, early = at(40), at(2)
    np.testing.assert_array_equal(at(40), late)
    for cycle in (early, late):
        ratio = (cycle / own).ravel()
        assert stats.kstest(ratio, stats.norm(1, 0.02).cdf).pvalue > 1e-3
    assert abs(np.corrcoef((early / own).ravel(), (late / own).ravel())[0, 1]) < 0.05


def test_a_walk_spreads_with_the_root_of_the_cycles_and_stays_within_its_limits() -> None:
    free = CycleVariation(mode="walk", distribution=Lognormal(sigma=0.02))
    held = CycleVariation(
        mode="walk", distribution=TruncatedNormal(sigma=0.02, low=0.97, high=1.05)
    )
    variation = Variation(cycle={"r_on": free, "r_off": held})

    def at(cycle: int) -> dict[str, np.ndarray]:
        return draw(variation, VTEAM, SINE, SHAPE, **KEY, cycle=cycle)

    steps = {k: np.log(at(k)["r_on"] / 50).ravel() for k in (9, 10, 36)}
    assert np.std(steps[9]) == pytest.approx(0.06, rel=0.03)
    assert np.std(steps[36]) == pytest.approx(0.12, rel=0.03)
    assert np.std(steps[10] - steps[9]) == pytest.approx(0.02, rel=0.03)
    bounded = at(36)["r_off"] / 1e3
    assert 0.97 <= bounded.min() < 0.972
    assert 1.048 < bounded.max() <= 1.05


def test_initial_states_follow_the_bounds_that_vary() -> None:
    spread = {"w_off": Lognormal(sigma=0.3), "w_on": Normal(sigma=1e-10, scale="absolute")}
    variation = Variation(device=spread)
    values = draw(variation, VTEAM, SINE, (20, 30), **KEY)
    start = draw_initial(VTEAM, SINE, values, (20, 30))["w"]
    middle = (values["w_on"] + values["w_off"]) / 2  # the set starts at half of its range
    np.testing.assert_allclose(start, middle, rtol=1e-12)
    alike = draw_initial(VTEAM, SINE, {}, (2, 3))["w"]
    np.testing.assert_allclose(alike, np.full((2, 3), 1.5e-9), rtol=1e-12)


def test_stuck_cells_are_as_many_as_asked_for_and_the_same_every_time() -> None:
    stuck = StuckCells(
        kinds=(
            StuckAt(probability=0.02, conductance_s=1e-3),
            StuckAt(probability=0.08, conductance_s=0.0),
            StuckAt(probability=0.01, conductance_s=3e-5),
        )
    )
    found = stuck.draw((300, 200), seed=0, sample=0, path="tile")
    counts = [int(np.sum(found == g)) for g in (1e-3, 0.0, 3e-5)]
    for count, probability in zip(counts, (0.02, 0.08, 0.01), strict=True):
        assert stats.binomtest(count, found.size, probability).pvalue > 1e-3
    assert int(np.isnan(found).sum()) + sum(counts) == found.size
    np.testing.assert_array_equal(stuck.draw((300, 200), seed=0, sample=0, path="tile"), found)
    both = StuckCells.on_and_off(0.5, 1e-3, 0.5).draw((50, 50), seed=0, sample=0, path="tile")
    assert set(np.unique(both)) == {0.0, 1e-3}


def test_a_distribution_is_read_from_a_configuration_by_its_kind() -> None:
    read = TypeAdapter(Distribution).validate_python(
        {"kind": "truncated_normal", "sigma": 0.2, "low": 0.5, "high": 1.5}
    )
    assert read == TruncatedNormal(sigma=0.2, low=0.5, high=1.5)


def test_a_draw_out_of_the_models_bounds_is_refused_by_name_and_cell() -> None:
    with pytest.raises(InputError, match=r"r_on.*out of bounds.*allowed: > 0 ohm.*truncated"):
        drawn("r_on", Normal(sigma=0.6))
    with pytest.raises(InputError, match=r"bounds of state 'w' are not in order"):
        drawn("w_on", Normal(sigma=2e-9, scale="absolute"))


def test_what_cannot_vary_is_refused() -> None:
    with pytest.raises(InputError, match=r"no such parameter.*did you mean 'r_off'"):
        drawn("r_of", Normal(sigma=0.1))
    with pytest.raises(InputError, match="does not depend on the temperature"):
        draw(Variation(temperature_k=350), FOLLOWER, FOLLOWER.parameter_sets[0], (2, 2), **KEY)
    with pytest.raises(InputError, match="an eigenvalue is negative"):
        ParameterCorrelation(
            names=("a", "b", "c"), matrix=((1, 0.9, -0.9), (0.9, 1, 0.9), (-0.9, 0.9, 1))
        )
    with pytest.raises(InputError, match="symmetric"):
        ParameterCorrelation(names=("a", "b"), matrix=((1, 0.2), (0.3, 1)))
    with pytest.raises(InputError, match="no device distribution"):
        Variation(correlation=ParameterCorrelation(names=("r_on",), matrix=((1,),)))
    with pytest.raises(InputError, match="must be less than high"):
        Uniform(low=2, high=1)
    with pytest.raises(InputError, match="at most 1"):
        StuckCells.on_and_off(0.6, 1e-3, 0.6)
    with pytest.raises(InputError, match="at most 1"):
        DieField(common_share=0.6, field_share=0.6)
    with pytest.raises(InputError, match="has no centre"):
        Variation(
            cycle={
                "r_on": CycleVariation(
                    mode="walk", distribution=Uniform(low=10, high=20, limits="absolute")
                )
            }
        )
