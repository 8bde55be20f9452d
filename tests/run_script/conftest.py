"""The machine that each test of the set-up script starts from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.run_script.machines import NGSPICE, PYTHON, RUN, TOOLS, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Debian 12 with Python 3.11, its own mirror, and no ngspice, linker or apt-get."""
    machine = Machine(tmp_path)
    machine.bin.mkdir()
    for tool in TOOLS:
        path = shutil.which(tool)
        assert path is not None, f"{tool} is missing here"
        (machine.bin / tool).symlink_to(path)
    machine.put("python3", PYTHON)
    machine.put("ngspice.template", NGSPICE.replace("{version}", "VERSION"))
    machine.checkout.mkdir()
    shutil.copy(RUN, machine.checkout / "run")
    for name in ("requirements.lock", "pyproject.toml"):
        (machine.checkout / name).write_text("x\n", encoding="utf-8")
    sources = machine.backports.parent
    sources.mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    (sources / "debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    (tmp_path / "calls").touch()
    machine.env = {
        "PATH": str(machine.bin),
        "HOME": str(tmp_path),
        "BIN": str(machine.bin),
        "CALLS": str(tmp_path / "calls"),
        "SPICELOOP_ETC": str(tmp_path / "etc"),
        "VERSION": "3.11.2",
        "OFFLINE": "",
        "PIP_FAILS": "",
    }
    return machine
