"""A parameter set as a TOML file: read strictly, what is wrong said in words, written whole."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import tomli_w
from pydantic import Field, ValidationError

from compact_models.errors import InputError, closest
from compact_models.files import write_text_atomic
from compact_models.model import CompactModel, ParameterSet, check_name
from compact_models.spec import Spec
from compact_models.toml_syntax import Slip, find_slip

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
    "d2d": ("this is no table", "[d2d], a standard deviation for parameters that vary"),
}
_MOST_READ = 1_000_000  # characters, all looks for the line of a key together: under a second


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
    d2d: dict[str, float] = Field(default_factory=dict)


def read_set(model: CompactModel, path: Path) -> ParameterSet:
    """The parameter set in a TOML file, checked against its model.

    Raises:
        InputError: it cannot be read, is for another model, has another name than its file, lacks a
            number or has one too many, or its numbers are out of bounds; the message names the
            line, where it is sure.
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
        raise _unreadable(find_slip(text, error), model, path) from error
    try:
        # Strict: `true` and "0.1" are slips, not other ways to write a number.
        content = SetFile.model_validate(keys, strict=True)
    except ValidationError as error:
        raise _explain(error, model, path, text) from error
    _check_texts(content, model, path, text)
    if content.model != model.name:
        raise InputError(
            "the parameter set is for another model",
            where=f"{_at(path, text, 'model')}: model",
            value=content.model,
            allowed=model.name,
        )
    _check_file_name(content, path, text)
    _check_names(content, model, path, text)
    one = ParameterSet(**content.model_dump(exclude={"model"}))
    try:
        model.check_set(one)
    except InputError as error:
        table, key = next(_wrong_keys(model, one), ("", ""))
        raise error.within(_at(path, text, key, table) if key else str(path)) from error
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
        d2d=dict(parameter_set.d2d),
    )
    text = tomli_w.dumps(content.model_dump(exclude=None if content.d2d else {"d2d"}))
    write_text_atomic(path, text)


def _unreadable(slip: Slip, model: CompactModel, path: Path) -> InputError:
    """The error for a file that is no TOML, with what its key may be where that is known."""
    known = {key: allowed for key, (_, allowed) in _KEYS.items()}
    if slip.table:
        known = _allowed(model, slip.table) if slip.table in ("values", "initial") else {}
    return InputError(
        slip.what,
        where=slip.place(str(path)),
        value=slip.value,
        allowed="" if slip.hint else known.get(slip.key, ""),
        hint=slip.hint,
    )


def _check_texts(content: SetFile, model: CompactModel, path: Path, text: str) -> None:
    """Refuses an empty text where a name is needed; `check_set` speaks of the source."""
    for key, allowed in (("model", model.name), ("name", _KEYS["name"][1])):
        if not getattr(content, key).strip():
            raise InputError(
                "the value is missing", where=f"{_at(path, text, key)}: {key}", allowed=allowed
            )


def _check_names(content: SetFile, model: CompactModel, path: Path, text: str) -> None:
    """Refuses numbers of a name that the model does not have, and names without a number."""
    tables: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("values", "parameter", content.values),
        ("initial", "state", content.initial),
    )
    for table, what, given in tables:
        known = _allowed(model, table)
        for name in given:
            if name not in known:
                raise InputError(
                    f"no such {what}",
                    where=f"{_at(path, text, name, table)}: [{table}] {name}",
                    allowed=", ".join(known),
                    hint=closest(name, known),
                )
        for name in known:
            if name not in given:
                raise InputError(
                    f"[{table}] {name} is missing",
                    where=_at(path, text, table),
                    allowed=known[name],
                )


def _allowed(model: CompactModel, table: str) -> dict[str, str]:
    """What a table of the file may hold: every name, and what its number may be, in words."""
    if table == "values":
        return {one.name: one.allowed_text() for one in model.parameters}
    return {state.name: f"a number, in {state.unit}" for state in model.states}


def _wrong_keys(model: CompactModel, one: ParameterSet) -> Iterator[tuple[str, str]]:
    """Table and key of what `check_set` refuses, in the order in which it looks.

    Bounds of a state that are not in order are the fault of several keys, and not among these.
    """
    try:
        check_name(one.name, "a parameter set", "", hyphens=True)
    except InputError:
        yield "", "name"
    if not one.source.strip():
        yield "", "source"
    for key in ("amplitude_v", "period_s"):
        if not 0 < getattr(one, key) < math.inf:
            yield "", key
    known = {parameter.name: parameter for parameter in model.parameters}
    for name, value in one.values.items():
        if not known[name].allows(value):
            yield "values", name
    for less, _ in model.out_of_order(one.values):
        yield "values", less.name
    for name, pair in model.bounds(one.values).items():
        if pair is None:
            continue
        if not pair[0] < pair[1]:
            return
        if not pair[0] <= one.initial[name] <= pair[1]:
            yield "initial", name


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
    if table:
        names = _allowed(model, table)
        what, allowed = "this is no finite number", names.get(key, "a number")
        hint = "" if key in names else closest(key, names)
    else:
        (what, allowed), hint = _KEYS[key], ""
    value = first["input"]
    if isinstance(value, str) and not value.strip():
        what, value = "the value is missing", None
    return InputError(what, where=where, value=value, allowed=allowed, hint=hint)


def _home(key: str, model: CompactModel) -> str:
    """Where a key belongs that stands outside of its table, or what it was meant to be."""
    if key in {one.name for one in model.parameters}:
        return f"{key} is a key of [values]"
    if key in {state.name for state in model.states}:
        return f"{key} is a key of [initial]"
    return closest(key, _KEYS)


def _at(path: Path, text: str, key: str, table: str = "") -> str:
    """The file, with the line on which a key begins where that is sure."""
    line = _line_of(text, key, table)
    return f"{path}:{line}" if line else str(path)


def _line_of(text: str, key: str, table: str) -> int | None:
    """The number of the line on which a key begins; None where it cannot be told.

    Of the lines that have the word, it is the last before which the file can be read and lacks the
    key: a line within a text or a list cannot be, and a comment adds nothing.
    """
    lines = text.split("\n")
    word = re.compile(rf"(?<![\w-]){re.escape(key)}(?![\w-])")
    found = [k for k, line in enumerate(lines) if word.search(line)]
    if len(found) * len(text) > _MOST_READ:
        return None
    begins = [k for k in found if _has(lines[:k], key, table) is False]
    if not begins or _has(lines[: begins[-1] + 1], key, table) is False:
        return None
    return begins[-1] + 1


def _has(lines: list[str], key: str, table: str) -> bool | None:
    """True if a file of these lines has the key; None if it ends within a value."""
    try:
        keys = tomllib.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    inside = keys.get(table) if table else keys
    return isinstance(inside, dict) and key in inside
