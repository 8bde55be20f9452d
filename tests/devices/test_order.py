"""Parameters whose names say which is larger: sets and draws that contradict them say so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from compact_models.errors import InputError
from compact_models.library import all_models, find_model
from compact_models.symbols import Parameter
from compact_models.variation import Lognormal, TruncatedLognormal
from compact_models.variation.draw import Variation, draw

VTEAM = find_model("vteam")
SINE = VTEAM.parameter_set("sine")
# Less and greater by their names, as the publications of the models use them.
PAIRS = {
    "vteam": ("r_on", "r_off"),
    "vteam_exp": ("r_on", "r_off"),
    "team": ("r_on", "r_off"),
    "team_exp": ("r_on", "r_off"),
    "ion_drift": ("r_on", "r_off"),
    "ion_drift_joglekar": ("r_on", "r_off"),
    "ion_drift_biolek": ("r_on", "r_off"),
    "ion_drift_prodromakis": ("r_on", "r_off"),
    "jart_v1b": ("l_det", "l_cell"),
    "constant_step": ("g_min", "g_max"),
    "exp_step": ("g_min", "g_max"),
    "linear_step": ("g_min", "g_max"),
    "piecewise_step": ("g_min", "g_max"),
    "pow_step": ("g_min", "g_max"),
    "soft_bounds": ("g_min", "g_max"),
    # Bounds of a state, which are in order without a pair.
    "messaris": ("r_low", "r_high"),
    "messaris_2021": ("r_low", "r_high"),
    "stanford": ("gap_min", "gap_max"),
}


def test_every_model_with_such_names_is_held_to_them() -> None:
    for name, model in all_models().items():
        names = {one.name for one in model.parameters}
        for less, greater in (("r_on", "r_off"), ("g_min", "g_max"), ("g_off", "g_on")):
            assert not {less, greater} <= names or PAIRS[name] == (less, greater), name


@pytest.mark.parametrize("name", PAIRS)
def test_a_set_that_contradicts_its_names_is_refused(name: str) -> None:
    less, greater = PAIRS[name]
    model = find_model(name)
    for one in model.parameter_sets:
        swapped = {less: one.values[greater], greater: one.values[less]}
        wrong = dataclasses.replace(one, name="wrong", values={**one.values, **swapped})
        with pytest.raises(InputError) as caught:
            model.check_set(wrong)
        said = str(caught.value)
        assert "against their names" in said or "not in order" in said
        assert f"{one.values[greater]!r}, {one.values[less]!r}" in said


def test_only_parameters_of_one_unit_have_an_order() -> None:
    by_name = {one.name: one for one in VTEAM.parameters}
    with pytest.raises(InputError, match="two units have no order; got 'r_on in ohm, k_off in m/s"):
        dataclasses.replace(VTEAM, ordered=((by_name["r_on"], by_name["k_off"]),))
    strange = Parameter("strange", "ohm", "a stranger")
    with pytest.raises(InputError, match="no parameter of the equations; got 'strange'"):
        dataclasses.replace(VTEAM, ordered=((by_name["r_on"], strange),))


def test_a_draw_that_turns_cells_round_is_refused_with_their_number() -> None:
    """At a spread of 2.0 both resistances cross in one cell of seven."""
    key = {"seed": 0, "sample": 0, "path": "tile"}
    wide = {name: Lognormal(sigma=2.0) for name in ("r_on", "r_off")}
    alone = {
        name: draw(Variation(device={name: one}), VTEAM, _apart(name), (50, 50), **key)[name]
        for name, one in wide.items()
    }
    crossed = int((alone["r_on"] > alone["r_off"]).sum())
    expected = stats.norm.cdf(-np.log(1000 / 50) / (2.0 * np.sqrt(2)))
    assert abs(crossed / 2500 - expected) < 4 * np.sqrt(expected * (1 - expected) / 2500)
    with pytest.raises(InputError) as caught:
        draw(Variation(device=wide), VTEAM, SINE, (50, 50), **key)
    said = str(caught.value)
    assert f"in {crossed} of 2500 cells the drawn 'r_on' is above 'r_off'" in said
    row, col = np.argwhere(alone["r_on"] > alone["r_off"])[0]
    assert f"cell [{row}, {col}]" in said
    assert "truncate r_on from above and r_off from below" in said
    # What the message says to do is enough.
    cut = {
        "r_on": TruncatedLognormal(sigma=2.0, low=1e-3, high=4.0),
        "r_off": TruncatedLognormal(sigma=2.0, low=0.2, high=1e3),
    }
    found = draw(Variation(device=cut), VTEAM, SINE, (50, 50), **key)
    assert (found["r_on"] <= found["r_off"]).all()


def _apart(name: str):  # type: ignore[no-untyped-def]
    """The set with the other resistance far off, so that one alone can be drawn widely."""
    other = {"r_on": ("r_off", 1e12), "r_off": ("r_on", 1e-12)}[name]
    return dataclasses.replace(SINE, values={**SINE.values, other[0]: other[1]})
