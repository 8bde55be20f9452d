"""A parameter set as a TOML file: read strictly, what is wrong said in words, written whole."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from compact_models.errors import InputError, closest
from compact_models.files import write_text_atomic
from compact_models.model import CompactModel, ParameterSet
from compact_models.spec import Spec

# What each key may be, and what is said of a value that is something else.
_KEYS = {
    "model": ("this is no text", "the name of a model, in quotes"),
    "name": ("this is no text", "the name of the set, in quotes"),
    "source": ("this is no text", "where the numbers come from, in quotes"),
    "amplitude_v": ("this is no finite number", "a number > 0 V"),
    "period_s": ("this is no finite number", "a number > 0 s"),
    "confirmed": ("this is neither true nor false", "true or false"),
    "values": ("this is no table", "[values], a number for every parameter"),
    "initial": ("this is no table", "[initial], a number for every state"),
}


class SetFile(Spec):
    """A parameter set as it is written to a TOML file."""

    model: str
    name: str
    source: str
    amplitude_v: float
    period_s: float
    confirmed: bool = True
    values: dict[str, float]
    initial: dict[str, float]


def read_set(model: CompactModel, path: Path) -> ParameterSet:
    """The parameter set in a TOML file, checked against its model.

    Raises:
        InputError: it cannot be read, is for another model, has another name than its file, or its
            numbers are out of bounds.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"cannot read this parameter set ({reason})", where=str(path)) from error
    try:
        keys = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of 5,000 digits
        raise InputError(f"not a TOML file: {error}", where=str(path)) from error
    try:
        # Strict: `true` and "0.1" are slips, not other ways to write a number.
        content = SetFile.model_validate(keys, strict=True)
    except ValidationError as error:
        raise _explain(error, model, path, text) from error
    if content.model != model.name:
        raise InputError(
            "the parameter set is for another model",
            where=f"{_at(path, text, 'model')}: model",
            value=content.model,
            allowed=model.name,
        )
    _check_file_name(content, path, text)
    one = ParameterSet(**content.model_dump(exclude={"model"}))
    try:
        model.check_set(one)
    except InputError as error:
        raise error.within(str(path)) from error
    return one


def save_set(model: CompactModel, parameter_set: ParameterSet, path: Path) -> None:
    """Writes a parameter set as TOML, whole or not at all.

    Raises:
        InputError: its numbers are out of bounds, or the file cannot be written.
    """
    model.check_set(parameter_set)
    content = SetFile(
        model=model.name,
        name=parameter_set.name,
        source=parameter_set.source,
        amplitude_v=parameter_set.amplitude_v,
        period_s=parameter_set.period_s,
        confirmed=parameter_set.confirmed,
        values=dict(parameter_set.values),
        initial=dict(parameter_set.initial),
    )
    write_text_atomic(path, tomli_w.dumps(content.model_dump()))


def _check_file_name(content: SetFile, path: Path, text: str) -> None:
    """Refuses `<model>.<set>.toml` with another set in it: nobody would find it by its name."""
    first, _, rest = path.name.partition(".")
    name = rest.removesuffix(".toml")
    if first != content.model or not rest.endswith(".toml") or name == content.name:
        return
    raise InputError(
        f"the set is named {content.name!r} and its file {path.name!r}",
        where=f"{_at(path, text, 'name')}: name",
        hint=f'write name = "{name}", or rename the file to {first}.{content.name}.toml',
    )


def _explain(error: ValidationError, model: CompactModel, path: Path, text: str) -> InputError:
    """The first thing that is wrong with the keys of a file, in our words."""
    found = error.errors()
    # A misspelt key is two errors, of which the missing one says less.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = [str(part) for part in first["loc"]]
    table, key = ("", place[0]) if len(place) == 1 else (place[0], place[1])
    if first["type"] == "missing":
        return InputError(f"the key {key!r} is missing", where=str(path), allowed=_KEYS[key][1])
    where = f"{_at(path, text, key, table)}: {f'[{table}] ' if table else ''}{key}"
    if first["type"] == "extra_forbidden":
        return InputError(
            "unknown key", where=where, allowed=", ".join(_KEYS), hint=_home(key, model)
        )
    if not table:
        what, allowed = _KEYS[key]
        return InputError(what, where=where, value=first["input"], allowed=allowed)
    known = {one.name: one for one in model.parameters}
    units = {state.name: state.unit for state in model.states}
    allowed, names = "a number", known if table == "values" else units
    if table == "values" and key in known:
        allowed = known[key].allowed_text()
    elif table == "initial" and key in units:
        allowed = f"a number, in {units[key]}"
    return InputError(
        "this is no finite number",
        where=where,
        value=first["input"],
        allowed=allowed,
        hint="" if key in names else closest(key, names),
    )


def _home(key: str, model: CompactModel) -> str:
    """Where a key belongs that stands outside of its table, or what it was meant to be."""
    if key in {one.name for one in model.parameters}:
        return f"{key} is a key of [values]"
    if key in {state.name for state in model.states}:
        return f"{key} is a key of [initial]"
    return closest(key, _KEYS)


def _at(path: Path, text: str, key: str, table: str = "") -> str:
    """The file, with the line of a key where it stands on one of its own."""
    now = ""
    for number, line in enumerate(text.splitlines(), start=1):
        heading = re.match(r"\s*\[+\s*([^\]\s]+)", line)
        if heading:
            now = heading[1]
        if (now == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line)) or (
            heading and not table and now == key
        ):
            return f"{path}:{number}"
    return str(path)
