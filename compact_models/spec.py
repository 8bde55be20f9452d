"""The base of every parameter set: frozen, closed to unknown keys, never NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from compact_models.errors import InputError, closest


class Spec(BaseModel):
    """Parameters of a device or a block, with unit in the name and bounds in the field.

    The same classes are the sections of a configuration file, so a bound is written once.

    Raises:
        InputError: made in Python with a value that its field does not take, or with an unknown
            one; `model_validate` raises pydantic's ValidationError, of which readers of files make
            words of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, *unnamed: object, **values: Any) -> None:
        """Takes its values by name."""
        name, fields = type(self).__name__, type(self).model_fields
        if unnamed:
            raise InputError(
                "its values go by name",
                where=name,
                value=unnamed[0],
                allowed=", ".join(f"{key}=..." for key in fields),
            )
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            unknown = first["type"] == "extra_forbidden"
            raise InputError(
                "unknown value" if unknown else first["msg"].removeprefix("Value error, "),
                where=f"{name}.{place}" if place else name,
                value=None if first["type"] == "missing" or not place else first["input"],
                allowed=", ".join(fields) if unknown else _allowed(type(self), place),
                hint=closest(place, fields) if unknown else "",
            ) from error

    # pydantic calls an own __init__ while it validates, unless it is told that it is none.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def _allowed(model: type[BaseModel], key: str) -> str:
    try:
        return range_in_words(model.model_json_schema().get("properties", {}).get(key, {}))
    except PydanticInvalidForJsonSchema:
        return ""


def range_in_words(schema: Mapping[str, Any]) -> str:
    """The allowed range of a field from its JSON schema."""
    words = {
        "exclusiveMinimum": "> {}",
        "minimum": ">= {}",
        "exclusiveMaximum": "< {}",
        "maximum": "<= {}",
    }
    bounds = [form.format(f"{schema[k]:g}") for k, form in words.items() if k in schema]
    if "allowed" in schema:
        return str(schema["allowed"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(str(choice) for choice in schema['enum'])}"
    kind = {
        "integer": "an integer",
        "number": "a number",
        "boolean": "true or false",
        "array": "a list",
    }.get(str(schema.get("type")), "")
    return " ".join(part for part in (kind, " and ".join(bounds)) if part)
