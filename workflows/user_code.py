"""Python of the user's own: a file is run and a factory in it called."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from torch import nn

from compact_models.errors import InputError


def call_factory(target: str) -> Any:
    """Runs the user's file and its factory; returns what that returns.

    Args:
        target: `MODULE.py:FACTORY`; a torch module that stands there under its name is taken as
            it is.

    Raises:
        InputError: there is no such file or factory, or the user's code failed.
    """
    file, _, factory = target.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError("there is no such file", where=file)
    spec = importlib.util.spec_from_file_location("spiceloop_user_module", path)
    if spec is None or spec.loader is None:
        raise InputError("this file cannot be imported", where=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    # Its neighbours may be imported by it, as if it had been run as a script.
    paths = sys.path.copy()
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Stdout is for results: what the user's code prints there goes to stderr.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
            found = getattr(module, factory, None)
            if not callable(found):
                names = [k for k, v in vars(module).items() if callable(v) and k[:1] != "_"]
                raise InputError(
                    f"it has no factory {factory!r}", where=file, allowed=", ".join(names) or "none"
                )
            # A module is callable too, with its inputs: it is the network itself.
            return found if isinstance(found, nn.Module) else found()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and exit
        raise InputError(
            f"the user's code failed ({type(error).__name__}: {error})", where=target
        ) from error
    finally:
        sys.path[:] = paths
        del sys.modules[spec.name]
