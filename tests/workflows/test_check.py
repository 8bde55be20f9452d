"""`spiceloop check`: the line about the optional Verilog-A compiler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workflows.command import names_all, spiceloop

pytestmark = pytest.mark.ngspice


def line(text: str) -> str:
    (found,) = (one for one in text.splitlines() if one.startswith("openvaf-r "))
    return found


def compiler(folder: Path, script: str) -> Path:
    path = folder / "openvaf-r"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def use(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    monkeypatch.setattr("workflows.check.find_openvaf", lambda: path)


def test_a_compiler_is_named_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiler(tmp_path, "echo OpenVAF 23.5.0; echo more")
    use(monkeypatch, path)
    said = spiceloop("check")
    assert said.code == 0
    names_all(line(said.out), "OpenVAF 23.5.0", str(path))
    assert "compiled" in line(said.out) or "OSDI" in line(said.out)
    found = json.loads(spiceloop("check", "--json").out)
    assert (found["openvaf"], found["openvaf_path"]) == ("OpenVAF 23.5.0", str(path))


def test_without_one_it_is_said_what_that_means(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, None)
    said = spiceloop("check")
    assert said.code == 0  # it is optional
    names_all(line(said.out), "not found", "B sources", "optional", "spiceloop[osdi]")
    found = json.loads(spiceloop("check", "--json").out)
    assert (found["openvaf"], found["openvaf_path"], found["usable"]) == (None, "", True)


def test_one_that_does_not_run_is_said_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiler(tmp_path, "exit 1")
    use(monkeypatch, path)
    names_all(line(spiceloop("check").out), "does not run", str(path), "--form b")
