"""What made a result: versions of everything that computes."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import UTC, datetime

from cosim.ngspice import Ngspice

_PACKAGES = ("spiceloop", "torch", "numpy", "scipy", "networkx", "PySpice", "scikit-learn")


def versions(ngspice: Ngspice) -> dict[str, str]:
    """Names and versions, the simulator with its solver among them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    solver = "KLU" if ngspice.klu else "Sparse 1.3"
    found["ngspice"] = f"{ngspice.version} ({solver}{', OSDI' if ngspice.osdi else ''})"
    found["machine"] = f"{platform.system()} {platform.machine()}"
    return found


def now_utc() -> str:
    """The time, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
