"""`device run --engine ngspice`: it says when it is tried again, and ends when its time is up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.devices.no_linker import LABEL, WHY_NOT, hide_linker
from tests.workflows.command import names_all, refused, spiceloop
from workflows.device.stimulus import write_trace

# At -3 V this set switches in a tenth of a picosecond: of six tries the first three fail at once.
CALL = ("device", "run", "vteam", "--params", "pt_hf_ti")


def call(folder: Path, *more: str) -> tuple[str | Path, ...]:
    (folder / "in.csv").write_text("t_s,v_v\n0,-3\n1,-3\n")
    return *CALL, "--stimulus", folder / "in.csv", "-o", folder / "out.csv", *more


@pytest.mark.ngspice
def test_every_try_is_told(tmp_path: Path) -> None:
    found = spiceloop(*call(tmp_path, "--engine", "ngspice", "--form", "b"))
    assert found.code == 0, found.err
    assert "try 2 of 6" in found.err
    assert (tmp_path / "out.csv").exists()


@pytest.mark.ngspice
def test_the_slower_form_is_told_where_nothing_was_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_linker(tmp_path, monkeypatch)
    (tmp_path / "in.csv").write_text("t_s,v_v\n0,0\n1e-9,0.1\n2e-9,0\n")
    out = tmp_path / "out.csv"
    arguments = (*CALL, "--stimulus", tmp_path / "in.csv", "-o", out, "--engine", "ngspice")
    found = spiceloop(*arguments)
    assert found.code == 0, found.err
    names_all(found.err, "running as B sources", WHY_NOT, "spiceloop check")
    assert f", {LABEL}: ok" in found.out
    asked = spiceloop(*arguments, "--form", "b", "--json")
    assert "B sources" not in asked.err
    assert json.loads(asked.out)["engine"].endswith(", B sources")
    assert json.loads(spiceloop(*arguments, "--json").out)["engine"].endswith(f", {LABEL}")
    names_all(refused(tmp_path, *arguments, "--form", "osdi"), "--form osdi: ", WHY_NOT, "binutils")


def test_no_current_is_less_than_nothing(tmp_path: Path) -> None:
    write_trace(tmp_path / "out.csv", {"i_a": np.array([-0.0, 1.0])})
    assert (tmp_path / "out.csv").read_text() == "i_a\n0.0\n1.0\n"


@pytest.mark.ngspice
def test_it_ends_when_its_time_is_up(tmp_path: Path) -> None:
    arguments = call(tmp_path, "--engine", "ngspice", "--form", "b", "--timeout", "0.01", "--json")
    found = spiceloop(*arguments)
    assert found.code == 1, found.err
    document = json.loads(found.out)
    assert document["outcome"] == "timeout"
    assert re.fullmatch(r"it did not finish within 0.01 s, in try \d of 6", document["reason"])
    text = spiceloop(*arguments[:-1]).out
    # Which try it is depends on how busy the machine is.
    assert re.search(
        r": timeout \(it did not finish within 0.01 s, in try \d of 6\), 2 points, ", text
    )
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--timeout", "5"), ("--timeout", "torch", "--engine ngspice")),
        (("--engine", "ngspice", "--timeout", "0"), ("--timeout", "0", "> 0 s")),
        (("--engine", "ngspice", "--timeout", "nan"), ("--timeout", "nan", "> 0 s")),
    ],
)
def test_a_time_that_cannot_be(tmp_path: Path, more: tuple[str, ...], words: list[str]) -> None:
    arguments = call(tmp_path, *more)
    names_all(refused(tmp_path, *arguments), *words)
