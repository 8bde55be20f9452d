"""Random configurations, drawn from the schema that checks them: inside, at and beyond bounds."""

from __future__ import annotations

import functools
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from cosim.training.backprop_spec import BackpropSpec
from workflows.config import Config

WRONG: tuple[Any, ...] = (
    "", "text", "1e-6", "\x00\n.include x", True, False, [], [1, 2], {}, {"a": 1}, -1, 0, 1, 2.0,
    -0.0, 5e-324, 1e-300, 1e300, -1e300, float("nan"), float("inf"), float("-inf"), 2**63, -(2**70),
)  # fmt: skip

NOT_BUILDABLE = (
    "cells, read voltage and converter range ask for a feedback that nobody builds",
    "amplifiers of so little gain hold no line at ground",
    "the files of these blocks have not been read",  # the command reads them, or says which is not
)
"""Why a chip whose numbers are all inside their bounds may still not be mapped."""


@functools.cache
def sections() -> dict[str, dict[str, dict[str, Any]]]:
    """The JSON schema of every key: [section][key], a section in another as `outer.inner`."""
    found: dict[str, dict[str, dict[str, Any]]] = {}

    def take(name: str, model: object) -> bool:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return False
        properties = model.model_json_schema()["properties"]
        found[name] = {
            key: properties[key]
            for key, field in model.model_fields.items()
            if not take(f"{name}.{key}", field.annotation)
        }
        return True

    for name, field in Config.model_fields.items():
        if name != "layer":  # tables by a name, whose keys are those of others
            assert take(name, BackpropSpec if name == "train" else field.annotation)
    return found


def bounds(schema: dict[str, Any]) -> tuple[float, float]:
    """Lowest and highest value of a number."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1e9))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 1e9))
    return low, high


def inside(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a key accepts by itself, bounds included."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return st.booleans()
    if kind == "string":
        return st.just("")
    if kind == "object":
        return st.dictionaries(st.text(max_size=3), inside(schema["additionalProperties"]))
    if kind == "array":
        return st.lists(inside(schema["items"]), max_size=schema.get("maxItems", 3))
    low, high = bounds(schema)
    if kind == "integer":
        high = int(high) - ("exclusiveMaximum" in schema)
        return st.one_of(st.integers(int(low), high), st.sampled_from([int(low), high]))
    assert kind == "number", schema
    open_low, open_high = "exclusiveMinimum" in schema, "exclusiveMaximum" in schema
    spread = st.floats(-12, 9).map(lambda x: 10**x).filter(lambda x: low < x < high)
    plain = st.floats(low, high, exclude_min=open_low, exclude_max=open_high)
    ends = [value for value, out in ((low, open_low), (high, open_high)) if not out]
    return st.one_of(spread, plain, st.sampled_from(ends) if ends else plain)


def around(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values at and beyond the bounds of a key, and values of other types."""
    options: list[st.SearchStrategy[Any]] = [inside(schema), st.sampled_from(WRONG)]
    if schema.get("type") in ("integer", "number"):
        edges = [k for b in bounds(schema) for k in (b, b - 1, b + 1, b * (1 + 1e-15), -b)]
        options.append(st.sampled_from([int(e) for e in edges] + [float(e) for e in edges]))
    if schema.get("type") == "array":
        options.append(st.lists(around(schema["items"]), max_size=20))
    return st.one_of(options)


@st.composite
def documents(draw: st.DrawFn, *, valid: bool) -> dict[str, Any]:
    """A configuration as nested tables; a valid one may still break a rule between two keys."""
    known = sections()
    values = inside if valid else around
    document: dict[str, Any] = {}
    for section in draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=4)):
        keys = draw(st.lists(st.sampled_from(sorted(known[section])), unique=True, max_size=4))
        table = document
        for part in section.split("."):
            table = table.setdefault(part, {})
        table |= {key: draw(values(known[section][key])) for key in keys}
        if not valid and draw(st.integers(0, 9)) == 0:
            table[draw(st.text(max_size=8))] = draw(st.sampled_from(WRONG))
    if not valid and draw(st.integers(0, 9)) == 0:
        document[draw(st.text(max_size=8))] = draw(st.sampled_from(WRONG))
    return document
