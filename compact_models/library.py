"""Every model and parameter set there is: the ones of this package and the user's own.

A model is a file with a `MODEL` (or `MODELS`) in `compact_models/devices/`, in the user's device
folder, or anywhere by its path. A parameter set is part of its model, or a TOML file in the device
folder (`<model>.<set>.toml`), or anywhere by its path. The device folder is `$SPICELOOP_DEVICES`,
or `$XDG_DATA_HOME/spiceloop/devices`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import compact_models.devices
from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.set_file import read_set
from compact_models.set_file import save_set as save_set  # scripts look for it here
from compact_models.user_loader import UserLoader

Problems = dict[Path, InputError]
"""What is wrong with which file of the device folder."""


def device_folder() -> Path:
    """Where the user's own models and parameter sets are; it need not exist."""
    own = os.environ.get("SPICELOOP_DEVICES")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / (
        "spiceloop/devices"
    )


def check_device_folder(*, may_be_missing: bool = False) -> None:
    """Refuses a `$SPICELOOP_DEVICES` that is no folder: a slip in it would hide what is there.

    Args:
        may_be_missing: the command makes the folder, or may need nothing from it: what is then not
            found is refused with a hint at the folder.

    Raises:
        InputError: it is a file or cannot be read; or it is missing. The default folder may be.
    """
    folder = device_folder()
    own = bool(os.environ.get("SPICELOOP_DEVICES"))
    where = "SPICELOOP_DEVICES" if own else "the device folder"
    if folder.is_dir():
        if not os.access(folder, os.R_OK | os.X_OK):
            raise InputError("the folder cannot be read", where=where, value=str(folder))
    elif folder.exists():
        raise InputError(
            "this is a file",
            where=where,
            value=str(folder),
            allowed="a folder with models and parameter sets",
        )
    elif own and not may_be_missing:
        raise InputError(
            "no such folder",
            where=where,
            value=str(folder),
            hint="make it, correct the path or unset the variable",
        )


def package_models() -> dict[str, CompactModel]:
    """The models of the package, by name."""
    found: dict[str, CompactModel] = {}
    for info in pkgutil.iter_modules(compact_models.devices.__path__):
        module = importlib.import_module(f"compact_models.devices.{info.name}")
        found |= {model.name: model for model in _models_in(module)}
    return dict(sorted(found.items()))


def all_models(problems: Problems | None = None) -> dict[str, CompactModel]:
    """Every model by name: those of the package, then those in the device folder.

    Args:
        problems: gets what is wrong with the folder, and with files that cannot be used; None
            raises the first.

    Raises:
        InputError: `$SPICELOOP_DEVICES` is no folder; or a file in the device folder is no model,
            or has the name of another.
    """
    found = package_models()
    with _noted(device_folder(), problems):
        check_device_folder()
    for path in _own_files("*.py"):
        with _noted(path, problems):
            for model in models_in_file(path):
                if model.name in found:
                    raise InputError(
                        "a model of this name exists already",
                        where=str(path),
                        value=model.name,
                        hint="give it another name",
                    )
                found[model.name] = model
    return dict(sorted(found.items()))


def find_model(name: str) -> CompactModel:
    """The model of that name, or the one in the file of that path.

    Raises:
        InputError: there is none; or the file cannot be used.
    """
    if name.endswith(".py"):
        models = models_in_file(Path(name))
        if len(models) > 1:
            raise InputError(
                "the file has several models",
                where=name,
                value=", ".join(model.name for model in models),
                hint="put it into the device folder and use a model's name",
            )
        return models[0]
    known, problems = package_models(), Problems()
    if name not in known:
        known = all_models(problems)
    if not name.strip():
        raise InputError(
            "the name of a model is missing",
            where="device",
            allowed=f"{', '.join(known)}, or the path of a .py file",
        )
    if name not in known:
        _raise_of(f"{name}.py", problems)
        raise InputError(
            "no such model",
            where="device",
            value=name,
            allowed=f"{', '.join(known)}, or the path of a .py file",
            hint="; ".join(
                one for one in (closest(name, known) or _left_out(problems), _no_folder()) if one
            ),
        )
    return known[name]


def models_in_file(path: Path) -> tuple[CompactModel, ...]:
    """The models that a Python file defines; the file is run.

    Raises:
        InputError: it cannot be read or run, or defines no model.
    """
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    name = f"spiceloop_device_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=UserLoader(name, path))
    if path.suffix != ".py" or spec is None or spec.loader is None:
        raise InputError("not a Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        raise error.within(_place(error, path)) from error
    except (Exception, SystemExit) as error:  # whatever a user's file raises is a fault of it
        own = isinstance(error, SyntaxError) and _is(error.filename, path)
        said = error.msg if isinstance(error, SyntaxError) and own else error
        raise InputError(
            f"the file fails: {type(error).__name__}: {said}", where=_place(error, path)
        ) from error
    models = tuple(_models_in(module))
    if not models:
        raise InputError("the file defines no MODEL", where=str(path), hint="see docs/devices.md")
    return models


def find_set(model: CompactModel, name: str | None) -> ParameterSet:
    """The parameter set of a model by its name or the path of its file; None is the first one.

    Raises:
        InputError: there is none, the file cannot be read, or its numbers are out of bounds.
    """
    if name is None:
        return model.parameter_sets[0]
    if name.endswith(".toml"):
        return read_set(model, Path(name))
    problems = Problems()
    known = all_sets(model, problems)
    if not name.strip():
        raise InputError(
            "the name of a parameter set is missing",
            where=f"model {model.name!r}",
            allowed=f"{', '.join(known)}, or the path of a .toml file",
        )
    if name not in known:
        _raise_of(f"{model.name}.{name}.toml", problems)
        raise InputError(
            "no such parameter set",
            where=f"model {model.name!r}",
            value=name,
            allowed=f"{', '.join(known)}, or the path of a .toml file",
            hint="; ".join(
                one for one in (closest(name, known) or _left_out(problems), _no_folder()) if one
            ),
        )
    return known[name]


def all_sets(model: CompactModel, problems: Problems | None = None) -> dict[str, ParameterSet]:
    """Every parameter set of a model: its own, then those in the device folder.

    Args:
        model: the model.
        problems: gets what is wrong with files that cannot be used; None raises the first.

    Raises:
        InputError: a file in the device folder cannot be used, or has the name of another set.
    """
    sets = {one.name: one for one in model.parameter_sets}
    for path in _own_files(f"{model.name}.*.toml"):
        with _noted(path, problems):
            one = read_set(model, path)
            if one.name in sets:
                raise InputError(
                    "a parameter set of this name exists already", where=str(path), value=one.name
                )
            sets[one.name] = one
    return sets


def sets_of_no_model(models: Iterable[str], problems: Problems) -> None:
    """Notes the files of parameter sets in the device folder that no model would look for.

    Args:
        models: the names of all models.
        problems: gets them.
    """
    known = list(models)
    for path in _own_files("*.toml"):
        name, *rest = path.name.split(".")
        if name not in known or len(rest) < 2:
            problems[path] = InputError(
                "the parameter set belongs to no model that can be read",
                where=str(path),
                allowed="a name like <model>.<set>.toml",
                hint=closest(name, known),
            )


def _own_files(pattern: str) -> list[Path]:
    """Files in the device folder, which need not exist, by name."""
    folder = device_folder()
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


@contextmanager
def _noted(path: Path, problems: Problems | None) -> Iterator[None]:
    """Notes a file's problem, so that it does not stand in the way of others, or raises it."""
    try:
        yield
    except InputError as error:
        if problems is None:
            raise
        problems[path] = error


def _raise_of(name: str, problems: Problems) -> None:
    """Raises what is wrong with the file of that name in the device folder, if anything is."""
    error = problems.get(device_folder() / name)
    if error is not None:
        raise error


def _no_folder() -> str:
    """A hint at a `$SPICELOOP_DEVICES` that is missing, where what was asked for may be."""
    try:
        check_device_folder()
    except InputError as error:
        return str(error)
    return ""


def _left_out(problems: Problems) -> str:
    """A hint at the files that might hold what was not found."""
    names = ", ".join(path.name for path in problems)
    return f"'spiceloop device list' says what is wrong with {names}" if names else ""


def _models_in(module: ModuleType) -> Iterator[CompactModel]:
    for one in getattr(module, "MODELS", ()) or (getattr(module, "MODEL", None),):
        if isinstance(one, CompactModel):
            yield one


def _place(error: BaseException, path: Path) -> str:
    """The file, with the line where it failed."""
    line = None
    if isinstance(error, SyntaxError) and _is(error.filename, path):
        line = error.lineno
    trace = error.__traceback__
    while trace is not None:
        if _is(trace.tb_frame.f_code.co_filename, path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{path}:{line}" if line else str(path)


def _is(name: str | None, path: Path) -> bool:
    """True if Python means this file by that name, which it makes absolute."""
    return name is not None and Path(name).resolve() == path.resolve()
