"""How a command ends: its result on stdout, or one sentence on stderr, and its exit code.

Exit codes: 0 done, 1 it ran and did not end well, 2 bad input, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from workflows.console import Reporter

STOPPED = 130  # what shells report of a program that Ctrl-C ended


def ended(outcome: str, reason: str) -> str:
    """An outcome with why, as part of a line: `timeout (it did not finish within 60 s)`."""
    return f"{outcome} ({reason})" if reason else outcome


def no_result(out: object, aside: str | None) -> list[str]:
    """The lines about a result that was not written, and about where one of an earlier run is."""
    moved = [f"{out} was from an earlier run: it is now {aside}"] if aside is not None else []
    return [f"no result was written to {out}", *moved]


def run_command(
    as_json: bool, work: Callable[[Reporter], tuple[dict[str, Any], list[str], int]]
) -> None:
    """Runs a command and prints what it returns: (JSON object, lines of text, exit code)."""
    from compact_models.errors import InputError
    from compact_models.scratch import clear_scratch
    from cosim.array.failed import ReadFailedError, UpdateFailedError
    from cosim.budget.memory import keep_freed_memory
    from cosim.ngspice import SimulationFailedError
    from cosim.ngspice.kept import kept_decks
    from workflows.console import Reporter, print_json, printable

    keep_freed_memory()  # a command has the process to itself
    reporter = Reporter()
    if removed := clear_scratch():
        reporter.say(
            f"spiceloop: removed from {removed[0].parent} what commands of yours that were killed"
            f" left: {', '.join(path.name for path in removed)}"
        )
    kept = kept_decks()
    try:
        result, lines, code = work(reporter)
    except InputError as error:
        result, lines, code = {"error": printable(error.sentence())}, [], 2
        reporter.say(f"spiceloop: {error.sentence()}")
    except OSError as error:  # what no command expects: a name too long, a disk that goes away
        sentence = printable(f"{error.filename or 'a file'}: {error.strerror or error}")
        result, lines, code = {"error": sentence}, [], 2
        reporter.say(f"spiceloop: {sentence}")
    except (SimulationFailedError, ReadFailedError, UpdateFailedError) as error:
        result, lines, code = {"error": str(error).splitlines()[0]}, [], 1
        reporter.say(f"spiceloop: {error}")
    except MemoryError:
        result, lines, code = {"error": "out of memory"}, [], 1
        reporter.say("spiceloop: out of memory; use smaller tiles, fewer images or fewer jobs")
    except KeyboardInterrupt:
        reporter.say("spiceloop: stopped; what was written is whole")
        if as_json:
            print_json({"error": "stopped"})
        sys.exit(STOPPED)
    if new := kept_decks() - kept:
        folder = min(new).parent.parent
        reporter.say(f"spiceloop: decks of {len(new)} failed ngspice runs are kept in {folder}")
    try:
        if as_json:
            print_json(result)
        else:
            for line in lines:
                typer.echo(printable(line))
    except BrokenPipeError:
        raise  # `spiceloop ... | head`: typer ends it quietly
    except OSError as error:
        reporter.say(f"spiceloop: the result cannot be written to stdout ({error.strerror})")
        # What is still in the buffer would be tried again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code)
