"""`spiceloop check`: is this machine able to run, and how well."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from compact_models.errors import InputError
from cosim.devices.form import trial_form
from cosim.devices.osdi import find_openvaf
from cosim.ngspice import Deck, find_ngspice, run_deck

# A divider of 1 V over 1 and 3 kohm.
_SMOKE = """* spiceloop check
v1 a 0 1
r1 a b 1e3
r2 b 0 3e3
.op
.end
"""


@dataclass(frozen=True)
class CheckResult:
    """What was found.

    Attributes:
        usable: whether `spiceloop demo` can run.
        python: version of Python.
        torch: version of torch.
        ngspice: version of ngspice, or None.
        ngspice_path: where it is.
        klu: whether it has the KLU solver.
        osdi: whether it can load compiled Verilog-A.
        openvaf: version of openvaf-r, the Verilog-A compiler, which is optional, or None.
        openvaf_path: where it is.
        devices: the form in which ngspice gets dynamic devices here, and why, as a module of two
            lines shows; what their results say too. None without an ngspice.
        smoke: outcome of a two-resistor run.
        advice: what to do, sentence by sentence.
    """

    usable: bool
    python: str
    torch: str
    ngspice: int | None
    ngspice_path: str
    klu: bool
    osdi: bool
    openvaf: str | None
    openvaf_path: str
    devices: str | None
    smoke: str
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        solver = "KLU" if self.klu else "Sparse 1.3, slower"
        simulator = f"{self.ngspice} ({solver}{', OSDI' if self.osdi else ''})"
        return [
            f"Python     {self.python}",
            f"torch      {self.torch}",
            f"ngspice    {simulator if self.ngspice else 'not found'} {self.ngspice_path}".rstrip(),
            f"openvaf-r  {self._compiler()}",
            f"devices    {self.devices or 'in torch only'}",
            f"smoke      {self.smoke}",
            *self.advice,
            "usable" if self.usable else "not usable yet",
        ]

    def _compiler(self) -> str:
        """The Verilog-A compiler."""
        if not self.openvaf_path:
            return "not found; optional"
        return f"{self.openvaf or 'does not run:'} {self.openvaf_path}"


def check_machine() -> CheckResult:
    """Looks at Python, torch and ngspice, runs two resistors and compiles a device."""
    advice: list[str] = []
    version, path, klu, osdi, smoke, devices = None, "", False, False, "not run", None
    try:
        ngspice = find_ngspice()
    except InputError as error:
        advice.append(f"{error.sentence()}.")
    else:
        version, path, klu, osdi = ngspice.version, str(ngspice.path), ngspice.klu, ngspice.osdi
        deck = Deck(_SMOKE, name="two resistors", expected_signals=("v(b)",))
        result = run_deck(deck, ngspice, timeout_s=60)
        smoke = str(result.outcome)
        if not result.ok:
            advice.append(f"A two-resistor run failed: {result.reason}.")
        elif abs(float(result.plot.signal("v(b)")[0]) - 0.75) > 1e-12:
            smoke = "invalid"
            advice.append("A two-resistor run gave a wrong voltage: install another ngspice.")
        form, why_not = trial_form(ngspice)
        devices = form.label
        if why_not is not None:
            advice.append(
                f"{why_not.sentence()}. Till then devices are slower in ngspice, by up to ten"
                " times; their numbers are the same (docs/devices.md)."
            )
        if not klu:
            advice.append(
                f"ngspice {version} has no KLU solver: everything works, arrays of 64x64 take 20"
                " times longer; './run setup' installs a newer one where the machine offers it."
            )
        if shutil.which("setpriv") is None:
            advice.append(
                "setpriv (util-linux) is missing: a killed spiceloop can leave ngspice running."
            )
    compiler = find_openvaf()
    return CheckResult(
        usable=smoke == "ok",
        python=platform.python_version(),
        torch=torch.__version__,
        ngspice=version,
        ngspice_path=path,
        klu=klu,
        osdi=osdi,
        openvaf=None if compiler is None else _openvaf_version(compiler),
        openvaf_path="" if compiler is None else str(compiler),
        devices=devices,
        smoke=smoke,
        advice=tuple(advice),
    )


def _openvaf_version(compiler: Path) -> str | None:
    """What the compiler says of itself; None if it does not run."""
    try:
        done = subprocess.run(
            [compiler, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip().partition("\n")[0] or "unknown version"
