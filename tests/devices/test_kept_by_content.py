"""What is compiled for a model is found again for every model of the same content."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import sympy

from compact_models.emit.torch_model import between_kinks, torch_model
from compact_models.kept_by_content import kept_by_content
from compact_models.library import all_models, find_model
from compact_models.model import CompactModel
from compact_models.normal_form import normal_form


@pytest.mark.parametrize("name", ["vteam", "jart_v1b", "soft_bounds"])
def test_a_model_out_of_a_pickle_finds_what_was_made(name: str) -> None:
    model = find_model(name)
    other = pickle.loads(pickle.dumps(model))  # noqa: S301  # as in the task of a farm
    assert other is not model
    assert torch_model(other) is torch_model(model)
    assert normal_form(other) is normal_form(model)
    signs = tuple(1 for _ in normal_form(model).kinks)
    assert between_kinks(other, signs) is between_kinks(model, signs)
    functions = torch_model(other)
    assert functions.model.states == other.states


def test_models_that_differ_anywhere_are_not_one() -> None:
    model = find_model("vteam")
    first = model.parameter_sets[0]
    nudged = {**first.values, "r_on": first.values["r_on"] * (1 + 1e-15)}
    others = [
        replace(model, current=model.current * sympy.Float(1 + 2.0**-52)),
        replace(model, parameter_sets=(replace(first, values=nudged),)),
        replace(model, rates={k: 2 * rate for k, rate in model.rates.items()}),
        *all_models().values(),
    ]
    contents = [one.content for one in others]
    assert len(set(contents)) == len(contents)
    assert model.content == find_model("vteam").content


def test_no_more_is_kept_than_was_said() -> None:
    asked: list[str] = []

    @kept_by_content(2)
    def title(model: CompactModel) -> str:
        asked.append(model.name)
        return model.title

    models = [find_model(name) for name in ("vteam", "team", "yakopcic")]
    for model in (*models, models[2], models[0]):
        assert title(model) == model.title
    assert asked == ["vteam", "team", "yakopcic", "vteam"]
