"""`spiceloop check`: the optional Verilog-A compiler, and the form that devices get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosim.devices.form import can_compile
from cosim.ngspice import Ngspice
from tests.devices.no_linker import LABEL, hide_linker
from tests.workflows.command import names_all, spiceloop

pytestmark = pytest.mark.ngspice


def line(text: str, name: str = "openvaf-r ") -> str:
    (found,) = (one for one in text.splitlines() if one.startswith(name))
    return found


def compiler(folder: Path, script: str) -> Path:
    path = folder / "openvaf-r"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def use(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    for module in ("workflows.check", "cosim.devices.form"):
        monkeypatch.setattr(f"{module}.find_openvaf", lambda: path)


def test_a_compiler_that_works_is_named_with_its_version(ngspice: Ngspice) -> None:
    if not can_compile(ngspice):
        pytest.skip("nothing can be compiled here")
    said = spiceloop("check")
    assert said.code == 0
    assert "OpenVAF" in line(said.out)
    assert line(said.out, "devices ").split(None, 1)[1] == "compiled (OSDI)"
    found = json.loads(spiceloop("check", "--json").out)
    assert "OpenVAF" in found["openvaf"]
    assert Path(found["openvaf_path"]).name == "openvaf-r"
    assert found["devices"] == "compiled (OSDI)"


def test_one_that_finds_no_linker_is_not_called_usable_for_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_linker(tmp_path, monkeypatch)
    said = spiceloop("check")
    assert said.code == 0  # all works, slower
    assert line(said.out, "devices ").split(None, 1)[1] == LABEL
    names_all(said.out, "binutils", "slower", "usable")
    found = json.loads(spiceloop("check", "--json").out)
    assert found["devices"] == LABEL
    assert found["usable"]


def test_one_that_says_its_version_and_compiles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiler(tmp_path, "echo OpenVAF 23.5.0; echo more")
    use(monkeypatch, path)
    found = json.loads(spiceloop("check", "--json").out)
    assert (found["openvaf"], found["openvaf_path"]) == ("OpenVAF 23.5.0", str(path))
    assert "B sources (not compiled: " in found["devices"]


def test_without_one_it_is_said_what_that_means(
    ngspice: Ngspice, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, None)
    said = spiceloop("check")
    assert said.code == 0  # it is optional
    names_all(line(said.out), "not found", "optional")
    names_all(line(said.out, "devices "), "B sources", "not compiled")
    if ngspice.osdi:
        names_all(said.out, "spiceloop[osdi]", "slower")
    found = json.loads(spiceloop("check", "--json").out)
    assert (found["openvaf"], found["openvaf_path"], found["usable"]) == (None, "", True)


def test_one_that_does_not_run_is_said_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiler(tmp_path, "exit 1")
    use(monkeypatch, path)
    said = spiceloop("check").out
    names_all(line(said), "does not run", str(path))
    names_all(line(said, "devices "), "B sources")
