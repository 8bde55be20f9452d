"""Calls of the command line, in this process, and what the contract says of a refused one."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from workflows.cli import main


@dataclass(frozen=True)
class Ran:
    """Exit code and both streams of a call."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last line on stderr."""
        return self.err.strip().rpartition("\n")[2]


def spiceloop(*arguments: str | Path) -> Ran:
    """What the `spiceloop` script does, without a new process: an exception comes through."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    before = signal.getsignal(signal.SIGTERM)
    sys.argv = ["spiceloop", *(str(argument) for argument in arguments)]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, before)
    return Ran(code, out.getvalue(), err.getvalue())


def tree(folder: Path) -> dict[str, str]:
    """Every file, folder and link below a folder, with a digest of what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder"
    return found


def refused(watched: Path, *arguments: str | Path) -> str:
    """Holds the contract of bad input on one call and returns the sentence.

    Exit code 2, one sentence on stderr, one JSON object on stdout, and the folder `watched` is
    what it was, to the byte: nothing written over, nothing half-made left behind.
    """
    before = tree(watched)
    ran = spiceloop(*arguments, "--json")
    assert ran.code == 2, (ran.code, ran.out, ran.err)
    assert tree(watched) == before
    document = json.loads(ran.out)
    assert list(document) == ["error"]
    said = [line for line in ran.err.splitlines() if line.startswith("spiceloop: ")]
    assert said[-1:] == [ran.sentence], ran.err
    assert ran.sentence == f"spiceloop: {document['error']}"
    assert "Traceback" not in ran.err
    assert "Warning" not in ran.err
    assert ran.sentence.isprintable()
    return str(document["error"])


def names_all(sentence: str, *words: str) -> None:
    """Asserts that every word is in a sentence."""
    missing = [word for word in words if word not in sentence]
    assert not missing, f"{missing} not in: {sentence}"
