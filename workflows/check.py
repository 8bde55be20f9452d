"""`spiceloop check`: is this machine able to run, and how well."""

from __future__ import annotations

import platform
import shutil
from dataclasses import asdict, dataclass

import torch

from compact_models.errors import InputError
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
    smoke: str
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def check_machine() -> CheckResult:
    """Looks at Python, torch and ngspice and runs two resistors."""
    advice: list[str] = []
    version, path, klu, osdi, smoke = None, "", False, False, "not run"
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
        if not klu:
            advice.append(
                f"ngspice {version} has no KLU solver: everything works, arrays of 64x64 take 20"
                " times longer; './run setup' installs a newer one where the machine offers it."
            )
        if shutil.which("setpriv") is None:
            advice.append(
                "setpriv (util-linux) is missing: a killed spiceloop can leave ngspice running."
            )
    return CheckResult(
        smoke == "ok",
        platform.python_version(),
        torch.__version__,
        version,
        path,
        klu,
        osdi,
        smoke,
        tuple(advice),
    )
