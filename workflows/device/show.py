"""`spiceloop device show`: the numbers of one parameter set, and what they may be."""

from __future__ import annotations

from typing import Any

from compact_models.library import (
    Problems,
    all_sets,
    check_device_folder,
    find_model,
    find_set,
)
from compact_models.model import CompactModel, ParameterSet
from workflows.device.table import aligned


def show_set(name: str, set_name: str | None) -> tuple[dict[str, Any], list[str]]:
    """A parameter set with the bounds and meanings of its numbers, as an object and as lines.

    Args:
        name: a model's name or the path of its file.
        set_name: a parameter set's name or path; None is the model's first.

    Raises:
        InputError: a name cannot be used.
    """
    check_device_folder(may_be_missing=True)  # what is bundled needs none
    model = find_model(name)
    one = find_set(model, set_name)
    shown = {
        "model": model.name,
        "title": model.title,
        "kind": model.kind,
        "model_source": model.source,
        "parameter_set": one.name,
        "source": one.source,
        "confirmed": one.confirmed,
        "amplitude_v": one.amplitude_v,
        "period_s": one.period_s,
        "states": _states(model, one),
        "parameters": _parameters(model, one),
        "other_sets": [other for other in all_sets(model, Problems()) if other != one.name],
    }
    return shown, _lines(shown, one.credit)


def _states(model: CompactModel, one: ParameterSet) -> list[dict[str, Any]]:
    bounds = model.bounds(one.values)
    rows = []
    for state in model.states:
        low, high = bounds[state.name] or (None, None)
        rows.append(
            {
                "name": state.name,
                "initial": one.initial[state.name],
                "unit": state.unit,
                "lower": low,
                "upper": high,
                "about": state.about,
            }
        )
    return rows


def _parameters(model: CompactModel, one: ParameterSet) -> list[dict[str, Any]]:
    return [
        {
            "name": parameter.name,
            "value": one.values[parameter.name],
            "unit": parameter.unit,
            "allowed": parameter.allowed_text(),
            "about": parameter.about,
        }
        for parameter in model.parameters
    ]


def _lines(shown: dict[str, Any], credit: str) -> list[str]:
    states = [("state", "starts at", "unit", "range", "what it is")]
    for one in shown["states"]:
        reach = "any" if one["lower"] is None else f"{one['lower']:g} to {one['upper']:g}"
        states.append((one["name"], f"{one['initial']:.6g}", one["unit"], reach, one["about"]))
    parameters = [("parameter", "value", "unit", "allowed", "what it is")]
    for one in shown["parameters"]:
        value = f"{one['value']:.6g}"
        parameters.append((one["name"], value, one["unit"], one["allowed"], one["about"]))
    return [
        f"{shown['model']}: {shown['title']}; {shown['kind']}; {shown['model_source']}",
        f"{shown['parameter_set']}: {credit}",
        # Enough digits for a sweep of thousands of periods that is built from them.
        f"ordinary sweep: amplitude_v {shown['amplitude_v']:.12g} V, "
        f"period_s {shown['period_s']:.12g} s",
        "",
        *aligned(states),
        "",
        *aligned(parameters),
        "",
        f"other sets: {', '.join(shown['other_sets']) or 'none'}",
    ]
