"""`[layer.NAME]`: keys of `[train]` and `[device]` that one layer has otherwise than the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from cosim.array.device_spec import SEVERAL, DeviceSpec
from cosim.training.train_spec import TrainSpec, algorithm_specs

Tables = dict[str, dict[str, Any]]

DEVICE = "device"
_KEYS = {
    SEVERAL,
    DEVICE,
    *(key for spec in algorithm_specs().values() for key in spec.model_fields),
}


@dataclass(frozen=True)
class LayerSpec:
    """How one layer is trained, and what its cells are."""

    train: TrainSpec
    device: DeviceSpec


def by_path(tables: Any) -> Any:
    """Tables of layers by their module path: `[layer.encoder.fc1]` is that of `encoder.fc1`.

    Args:
        tables: of a TOML file; what is no table of tables is left to whoever checks it.
    """
    if not isinstance(tables, dict):
        return tables
    found: dict[str, Any] = {}
    for name, table in tables.items():
        deeper = isinstance(table, dict) and table and not _KEYS & table.keys()
        if deeper and all(isinstance(one, dict) for one in table.values()):
            found |= {f"{name}.{rest}": one for rest, one in by_path(table).items()}
        else:
            found[name] = table
    return found


def layer_spec(train: TrainSpec, device: DeviceSpec, own: Mapping[str, Any]) -> LayerSpec:
    """What a layer has in the end.

    Args:
        train: of all layers.
        device: of all layers.
        own: the layer's own keys; a device of another name takes nothing over from `device`.

    Raises:
        ValidationError: a key that no layer has of its own, or a bad value.
    """
    mine = dict(own)
    cells = mine.pop(DEVICE, {})
    if SEVERAL in mine and isinstance(cells, dict):  # there it is of the cells, written shorter
        cells = {SEVERAL: mine.pop(SEVERAL), **cells}
    errors: list[InitErrorDetails] = []
    for key, value in mine.items():
        if key in type(train).model_fields and key not in train.OF_A_LAYER:
            what = f"{key} is of the whole training and not of a layer: [train] {key}"
            errors.append(_slip(what, key, value))
    if errors:
        raise ValidationError.from_exception_data("layer", errors)
    whole = train.model_dump()
    merged = {key: _merged(whole.get(key), value) for key, value in mine.items()}
    another = isinstance(cells, dict) and cells.get("name", device.name) != device.name
    base = {} if another else device.model_dump(exclude_unset=True)
    found = type(train).model_validate({**whole, **merged}, strict=True)
    try:
        made = DeviceSpec.model_validate(_merged(base, cells), strict=True)
    except ValidationError as error:
        raise within(error, DEVICE) from error
    return LayerSpec(found, made)


def within(error: ValidationError, *place: str) -> ValidationError:
    """The same errors, of a table that lies at this place."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError("value_error", "{said}", {"said": one["msg"]})
            if one["type"] not in _KEPT
            else one["type"],
            loc=(*place, *one["loc"]),
            input=one["input"],
        )
        for one in error.errors()
    ]
    return ValidationError.from_exception_data(error.title, lines)


_KEPT = frozenset({"extra_forbidden"})  # whose kind says more than its words


def _slip(what: str, key: str, value: object) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("value_error", "{said}", {"said": what}), loc=(key,), input=value
    )


def _merged(whole: Any, own: Any) -> Any:
    """A table with the keys of another in it, table by table; else the other."""
    if not (isinstance(whole, dict) and isinstance(own, dict)):
        return own
    return whole | {key: _merged(whole.get(key), value) for key, value in own.items()}
