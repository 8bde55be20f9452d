"""Python of the user's own: a file is run and a factory in it called."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compact_models.errors import InputError
from compact_models.user_loader import UserLoader


def call_factory(target: str) -> Any:
    """Runs the user's file and its factory; returns what that returns.

    Args:
        target: `MODULE.py:FACTORY`; a torch module that stands there under its name is taken as
            it is.

    Raises:
        InputError: there is no such file or factory, or the user's code failed.
    """
    from torch import nn  # a configuration without user code is read before torch is

    file, _, factory = target.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError("there is no such file", where=file)
    name = "spiceloop_user_module"
    spec = importlib.util.spec_from_file_location(name, path, loader=UserLoader(name, path))
    if path.suffix != ".py" or spec is None or spec.loader is None:
        raise InputError("this file cannot be imported", where=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    # Its neighbours may be imported by it, as if it had been run as a script.
    paths = sys.path.copy()
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Stdout is for results: what the user's code prints there goes to stderr.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            # What torch's own code warns of is between torch and itself; the user's stays.
            warnings.filterwarnings("ignore", module=r"torch(\.|$)")
            warnings.filterwarnings("ignore", message=r"torch\.")
            spec.loader.exec_module(module)
            found = getattr(module, factory, None)
            if not callable(found):
                offered = [
                    (inspect.isclass(v), k)
                    for k, v in vars(module).items()
                    if _offers(v, spec.name) and k[0] != "_"
                ]
                # A class gives fresh weights: functions first, in the file's order.
                names = [k for _, k in sorted(offered, key=lambda one: one[0])]
                raise InputError(
                    f"it has no factory {factory!r}", where=file, allowed=", ".join(names) or "none"
                )
            # A module is callable too, with its inputs: it is the network itself.
            if isinstance(found, nn.Module):
                return found
            _refuse_arguments(found, target)
            return found()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and exit
        raise InputError(
            f"the user's code failed ({type(error).__name__}: {error})",
            where=target,
            hint=_beside(error, path),
        ) from error
    finally:
        sys.path[:] = paths
        del sys.modules[spec.name]


def _refuse_arguments(factory: Callable[..., Any], target: str) -> None:
    """Refuses a factory that cannot be called with nothing."""
    try:
        given = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # of what is not written in Python nothing is known
        return
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in given if p.default is p.empty and p.kind not in variable]
    if needed:
        name = target.rpartition(":")[2]
        raise InputError(
            f"the factory wants arguments ({', '.join(needed)}), and is called without",
            where=target,
            hint=f"write one without beside it: def make(): return {name}(..), and name that",
        )


def _offers(value: object, module: str) -> bool:
    """Whether it is a network, or what stands in the user's file can be called as it is."""
    from torch import nn

    if isinstance(value, nn.Module):
        return True
    if not callable(value) or getattr(value, "__module__", "") != module:
        return False
    try:
        inspect.signature(value).bind()
    except (TypeError, ValueError):
        return False
    return True


def _beside(error: BaseException, path: Path) -> str:
    """What to do where a file was not found that the user's code names by itself."""
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str):
        return ""
    name = Path(error.filename).name
    there = "lies there" if path.with_name(name).is_file() else f"is {name} beside {path.name}"
    return (
        "a relative path begins in the folder where the command was called;"
        f' Path(__file__).with_name("{name}") {there}'
    )
