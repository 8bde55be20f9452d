"""What a user is told of a configuration that cannot be: file, key, value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from compact_models.errors import InputError, closest
from compact_models.spec import range_in_words
from cosim.training.train_spec import ALGORITHMS, TrainSpec, algorithm_specs
from workflows.layer_sections import DEVICE


def train_class(values: Any) -> type[TrainSpec]:
    """The class of a table `[train]`: that of its algorithm, or what refuses another name."""
    name = values.get("algorithm", "backprop") if isinstance(values, Mapping) else "backprop"
    specs = algorithm_specs()
    return specs[name] if isinstance(name, str) and name in specs else TrainSpec


def explain(
    error: ValidationError, root: type[BaseModel], where: str, document: Mapping[str, Any]
) -> InputError:
    """The first of the errors in a sentence.

    Args:
        error: of `root`.
        root: the class of the whole configuration.
        where: the file.
        document: what was read.
    """
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    section, key = _section(place[:-1]), place[-1] if place else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    at = f"{where}: [{section}] {key}" if section else f"{where}: {key}"
    if not section and key in root.model_fields:
        at = f"{where}: [{key}]"
    value = first.get("input")
    if isinstance(value, int) and value.bit_length() > 1000:
        value = "an integer of hundreds of digits"  # Python refuses to print the longest
    train = train_class(document.get("train"))
    if first["type"] == "extra_forbidden":
        keys = _keys(root, place[:-1], train)
        elsewhere = _of_another_algorithm(key, train) if place[0] in ("train", "layer") else ""
        return InputError(
            f"unknown {'key' if section else 'section'}{more}",
            where=at,
            allowed=", ".join(keys),
            hint=elsewhere or closest(key, keys) or ("" if section else _sections_with(root, key)),
        )
    return InputError(
        f"{first['msg'].removeprefix('Value error, ')}{more}".rstrip("."),
        where=at,
        value=None if isinstance(value, dict) else value,
        allowed=allowed_range(root, place, train),
        hint=f"write {key} = [{value}]" if first["type"] in ("tuple_type", "list_type") else "",
    )


def allowed_range(root: type[BaseModel], place: list[str], train: type[TrainSpec]) -> str:
    """The allowed range of a key in words, from the field's own bounds.

    Args:
        root: the class of the whole configuration.
        place: sections and key.
        train: the class of `[train]`.
    """
    keys = [part for part in place if not part.isdigit()]
    if not keys:
        return ""
    properties = _model(root, keys[:-1], train).model_json_schema().get("properties", {})
    return range_in_words(properties.get(keys[-1], {}))


def _section(place: list[str]) -> str:
    """As TOML writes it: the path of a module that has points is one name."""
    return ".".join(f'"{part}"' if "." in part else part for part in place)


def _model(root: type[BaseModel], place: list[str], train: type[TrainSpec]) -> type[BaseModel]:
    """The class of a section."""
    model: type[BaseModel] = root
    if place[:1] == ["layer"]:
        in_device = place[2:3] == [DEVICE]
        place = [DEVICE, *place[3:]] if in_device else ["train", *place[2:]]
    for depth, part in enumerate(place):
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if depth == 0 and part == "train":
            annotation = train
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model


def _keys(root: type[BaseModel], place: list[str], train: type[TrainSpec]) -> Iterable[str]:
    """The keys of a section."""
    if place[:1] == ["layer"] and len(place) == 2:
        return (*train.OF_A_LAYER, DEVICE)
    return _model(root, place, train).model_fields


def _of_another_algorithm(key: str, train: type[TrainSpec]) -> str:
    """Whose key it is, where another algorithm has it."""
    has = [name for name in ALGORITHMS if key in algorithm_specs()[name].model_fields]
    own = train.model_fields["algorithm"].default
    return f'{key} is a key of algorithm = "{has[0]}", and this is "{own}"' if has else ""


def _sections_with(root: type[BaseModel], key: str) -> str:
    """Where a key belongs that was written outside of any section."""
    plain = [name for name in root.model_fields if name != "layer"]
    found = [name for name in plain if key in _model(root, [name], TrainSpec).model_fields]
    return f"{key} is a key of [{'], ['.join(found)}]" if found else ""
