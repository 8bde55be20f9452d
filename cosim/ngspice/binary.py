"""Finding the simulator and learning by trial what it can do.

A version string is a claim. The probe runs a divider through the program that was found: it must
start, write a raw file and give half a volt. The same run shows whether the KLU solver and compiled
Verilog-A models (OSDI) are really there; Debian's ngspice 39 has neither, 46 has both.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from compact_models.errors import InputError
from compact_models.scratch import scratch_folder
from cosim.ngspice.raw import RawFormatError, read_raw

OLDEST_VERSION = 39
_PROBE_TIMEOUT_S = 60.0
_HINT = (
    "run './run setup', or 'apt-get install -t bookworm-backports ngspice', "
    "or point SPICELOOP_NGSPICE at the program"
)
# `osdi` is a command only where compiled models are supported; the file need not exist to tell.
_PROBE = """\
* spiceloop probe
.option klu
V1 a 0 1
R1 a b 1e3
R2 b 0 1e3
.control
osdi spiceloop_probe_without_a_file.osdi
.endc
.op
.end
"""


@dataclass(frozen=True)
class Ngspice:
    """A simulator that was found and tried.

    Attributes:
        path: the program.
        version: its major version, e.g. 46.
        klu: it has the KLU solver, which decks ask for with `.option klu`.
        osdi: it can load compiled Verilog-A models.
    """

    path: Path
    version: int
    klu: bool
    osdi: bool

    @property
    def label(self) -> str:
        """What reports call it, e.g. `ngspice-46`."""
        return f"ngspice-{self.version}"


def find_ngspice(path: str | None = None) -> Ngspice:
    """Finds ngspice and probes it by running it; the answer is kept per program file.

    Args:
        path: the program, or its name on PATH; without it the environment variable
            SPICELOOP_NGSPICE, and without that `ngspice` on PATH.

    Raises:
        InputError: it is missing, cannot run, gives a wrong result, or is older than version 39.
    """
    wanted, where = path, "ngspice"
    if wanted is None and os.environ.get("SPICELOOP_NGSPICE"):
        wanted, where = os.environ["SPICELOOP_NGSPICE"], "SPICELOOP_NGSPICE"
    found = shutil.which(wanted or "ngspice")
    if found is None:
        raise InputError("ngspice was not found", where=where, value=wanted, hint=_HINT)
    program = Path(found).resolve()
    return _probe(program, program.stat().st_mtime_ns)


def clean_environment(home: Path) -> dict[str, str]:
    """The whole environment that a simulator gets.

    A user's settings must not change results, so little passes: where programs, libraries and code
    models are. `.meas` results come with all digits, and OpenMP must not fight with the pool over
    cores (nor change the order of sums).

    Args:
        home: the folder that stands in for the home folder.
    """
    passed = ("PATH", "LD_LIBRARY_PATH", "SPICE_LIB_DIR", "SPICE_SCRIPTS")
    return {name: os.environ[name] for name in passed if name in os.environ} | {
        "HOME": str(home),
        "LC_ALL": "C",
        "NGSPICE_MEAS_PRECISION": "15",
        "OMP_NUM_THREADS": "1",
    }


@functools.lru_cache(maxsize=32)
def _probe(program: Path, _mtime_ns: int) -> Ngspice:
    version = _version(program)
    with scratch_folder() as folder:
        deck, raw = folder / "probe.cir", folder / "probe.raw"
        deck.write_text(_PROBE, encoding="utf-8")
        log = _output([str(program), "-n", "-b", "-r", raw.name, deck.name], folder)
        try:
            half = float(read_raw(raw)[0].signal("v(b)")[0])
        except (RawFormatError, IndexError) as error:
            raise InputError(
                f"ngspice could not solve a divider ({error})", where=str(program), hint=_HINT
            ) from error
    if abs(half - 0.5) > 1e-9:
        raise InputError(
            "ngspice gave a wrong voltage for a divider",
            where=str(program),
            value=half,
            allowed="0.5",
            hint=_HINT,
        )
    return Ngspice(
        path=program,
        version=version,
        klu="Using KLU as Direct Linear Solver" in log,
        osdi="osdi: no such command" not in log,
    )


def _version(program: Path) -> int:
    with scratch_folder() as folder:
        banner = _output([str(program), "-v"], folder)
    hit = re.search(r"ngspice-(\d+)", banner)
    if hit is None:
        raise InputError(
            "this program is not ngspice", where=str(program), value=banner[:60], hint=_HINT
        )
    version = int(hit.group(1))
    if version < OLDEST_VERSION:
        raise InputError(
            "this ngspice is too old",
            where=str(program),
            value=version,
            allowed=f">= {OLDEST_VERSION}",
            hint=_HINT,
        )
    return version


def _output(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=clean_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(
            f"ngspice could not be run ({error})", where=command[0], hint=_HINT
        ) from error
    return done.stdout.decode("utf-8", errors="replace")
