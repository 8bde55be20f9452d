"""$SPICELOOP_DEVICES that is no folder: said where it is asked for, and made by `device fit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compact_models.errors import InputError
from compact_models.library import all_models
from tests.workflows.command import names_all, refused, spiceloop

STIMULUS = "t_s,v_v\n0,0\n1e-9,0.2\n"
PULSES = "pulse,g_s\n" + "".join(f"1,{5e-6 + k * 1e-6!r}\n" for k in range(1, 20))


def calls(folder: Path) -> list[tuple[str, ...]]:
    (folder / "in.csv").write_text(STIMULUS)
    given, out = str(folder / "in.csv"), str(folder / "out")
    return [
        ("device", "show", "vteam"),
        ("device", "run", "vteam", "--stimulus", given, "-o", out),
        ("device", "netlist", "vteam", "-o", out),
    ]


def test_a_missing_folder_is_named_where_something_of_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models and sets of the package do not wait for it."""
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "gone"))
    for call in calls(tmp_path):
        ran = spiceloop(*call)
        assert ran.code == 0, ran.err
    for call in (("vteam", "--params", "my_own"), ("my_own",)):
        said = refused(tmp_path, "device", "show", *call)
        names_all(said, "SPICELOOP_DEVICES", "no such folder", str(tmp_path / "gone"))


def test_a_file_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "in.csv"))
    fit = ("device", "fit", str(tmp_path / "in.csv"), "--model", "constant_step")
    for call in [*calls(tmp_path), fit]:
        said = refused(tmp_path, *call)
        names_all(said, "SPICELOOP_DEVICES", "this is a file", "in.csv", "allowed: a folder")


def test_the_list_is_printed_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "gone"))
    ran = spiceloop("device", "list", "--json")
    assert ran.code == 2
    found = json.loads(ran.out)
    (said,) = found["problems"]
    names_all(said, "SPICELOOP_DEVICES", "no such folder", str(tmp_path / "gone"))
    assert ran.sentence == f"spiceloop: {said}"
    assert "vteam" in {one["name"] for one in found["models"]}


def test_the_default_folder_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "gone"))
    for value in (None, ""):  # an empty variable is as good as none
        if value is None:
            monkeypatch.delenv("SPICELOOP_DEVICES", raising=False)
        else:
            monkeypatch.setenv("SPICELOOP_DEVICES", value)
        for call in calls(tmp_path):
            ran = spiceloop(*call)
            assert ran.code == 0, ran.err
        assert spiceloop("device", "list").code == 0


def test_a_fit_makes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "new" / "devices"))
    data = tmp_path / "cell.csv"
    data.write_text(PULSES)
    ran = spiceloop("device", "fit", data, "--model", "constant_step", "--starts", "1")
    assert ran.code == 0, (ran.out, ran.err)
    assert (tmp_path / "new" / "devices" / "constant_step.cell.toml").is_file()
    assert spiceloop("device", "show", "constant_step", "--params", "cell").code == 0


def test_a_script_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.csv").write_text(STIMULUS)
    for name, what in (("gone", "no such folder"), ("in.csv", "this is a file")):
        monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / name))
        said = refused(tmp_path, "device", "show", "vteam", "--params", "my_own")
        names_all(said, what, str(tmp_path / name))
        with pytest.raises(InputError) as raised:
            all_models()
        assert str(raised.value) in said


def test_a_script_needs_no_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPICELOOP_DEVICES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "gone"))
    assert "vteam" in all_models()
