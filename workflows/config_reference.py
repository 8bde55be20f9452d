"""The reference of all configuration keys, written from the same classes that check them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from compact_models.spec import range_in_words
from cosim.training.train_spec import ALGORITHMS, TrainSpec, algorithm_specs
from workflows.config import Config

_INTRO = """# Configuration

A configuration is a TOML file; what it does not name has the default. Unknown keys are refused.
This page is written by `python -m workflows.config_reference`.
"""

_LAYER = """## [layer.NAME]

What one layer has otherwise than the others, by its module path (`fc1`, `fc2`, ... where `[network]
hidden` makes the network; `[layer.encoder.fc1]` is the layer `encoder.fc1`): its cells in
`[layer.NAME.device]`, with the keys of `[device]`, and of `[train]`
"""


def reference() -> str:
    """The page, as Markdown."""
    lines = [_INTRO]
    for section, field in Config.model_fields.items():
        model = field.annotation
        if section == "layer":
            lines += [_LAYER, *_keys_of_layers(), ""]
        elif isinstance(model, type) and issubclass(model, TrainSpec):
            for name in ALGORITHMS:
                lines += _section(section, algorithm_specs()[name], f' with algorithm = "{name}"')
        elif isinstance(model, type) and issubclass(model, BaseModel):
            lines += _section(section, model, "")
    return "\n".join(lines)


def _section(section: str, model: type[BaseModel], when: str) -> Iterator[str]:
    """The table of a section, then those of the tables in it."""
    yield from (f"## [{section}]{when}", "", _summary(model), "")
    yield from ("| key | default | allowed | what it is |", "| --- | --- | --- | --- |")
    schema = model.model_json_schema().get("properties", {})
    tables: dict[str, type[BaseModel]] = {}
    for key, entry in model.model_fields.items():
        kind = entry.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            tables[key] = kind
            continue
        allowed = range_in_words(schema[key]).replace("|", "\\|")
        default = "{}" if entry.default == {} else _value(entry.default)
        yield f"| `{key}` | `{default}` | {allowed} | {entry.description or ''} |"
    yield ""
    for key, kind in tables.items():
        yield from _section(f"{section}.{key}", kind, when)


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _keys_of_layers() -> Iterator[str]:
    for name in ALGORITHMS:
        keys = ", ".join(f"`{key}`" for key in algorithm_specs()[name].OF_A_LAYER)
        yield f'- with algorithm = "{name}": {keys}'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(str(v) for v in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(reference())
