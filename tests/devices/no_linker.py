"""A machine on which nothing can be compiled: what it means, and how to stand on one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cosim.devices.osdi import find_openvaf
from cosim.ngspice import find_ngspice

WHY_NOT = "openvaf-r finds no linker"
LABEL = f"B sources (not compiled: {WHY_NOT})"


def hide_linker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves ngspice on PATH, no linker, and no device that was compiled earlier."""
    compiler, ngspice = find_openvaf(), find_ngspice()
    if compiler is None or not ngspice.osdi:
        pytest.skip("no openvaf-r here, or an ngspice that loads nothing compiled")
    programs = folder / "programs"
    programs.mkdir()
    for program in (shutil.which("setpriv"), compiler, ngspice.path):
        if program is not None:
            (programs / Path(program).name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("SPICELOOP_CACHE", str(folder / "cache"))
