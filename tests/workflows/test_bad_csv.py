"""A stimulus or measurement that is no table of numbers: `device run` and `device fit` say why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workflows.command import names_all, refused, spiceloop
from workflows.csv_file import csv_text
from workflows.device.measured import read_measured

ROWS = [f"{k}e-9,0.{k},{k}e-4" for k in range(1, 10)]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path))


def said_by(command: str, folder: Path, path: Path) -> str:
    if command == "fit":
        return refused(folder, "device", "fit", path, "--model", "vteam")
    out = folder / "out.csv"
    return refused(folder, "device", "run", "vteam", "--stimulus", path, "-o", out)


WHAT = {"run": "stimulus", "fit": "measurement"}


@pytest.mark.parametrize("command", ["run", "fit"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["in.csv: the {what} is empty", "column names, then numbers"]),
        (b"\n , \n\n", ["in.csv: the {what} is empty"]),
        (b"\x89PNG\r\n\x1a\n\x00", ["in.csv:3: the {what} is no text", "save it as CSV"]),
        (b"\xff\xfet\x00\x00\x00", ["in.csv:1: the {what} is no text", "in UTF-8"]),
        (b"\xff\xfet\x00x", ["in.csv:1: the {what} is no text"]),
        (b"\xff\xfe\x00\x00t\x00\x00\x00", ["in.csv:1: the {what} is no text"]),  # UTF-32
        (b"t_s,v_v,i_a\n0,0,0\n1,\x81,0\n", ["in.csv:3: the {what} is no text", "b'\\x81"]),
        (b"t_s,v_v,i_a\n0,0,0\n1,\xb5,0\n", ["in.csv:3: v_v is not a finite", "'\u00b5'"]),
        # What may be a row of the table is never taken for text below it.
        (b"t_s,v_v,i_a\n0,0,0\nnan,nan,nan\n", ["in.csv:3: t_s is not", "below the table"]),
        (b"t_s,v_v,i_a\n0,0,0\nEND,OF,DATA\n", ["in.csv:3: t_s is not", "take the line out"]),
        (b"t_s,v_v,i_a\n0,0,0\nEND\n1,1,1\n", ["in.csv:3: t_s is not", "'END'"]),
        (b"t_s,v_v,i_a\n0,0,0\n1,\x00,0\n", ["in.csv:3: the {what} is no text"]),
        (
            b"t_s,v_v,i_a\n0,0,0\n1, ,7\n",
            ["in.csv:3: v_v is blank", "'1, ,7'", "a finite number in column 2", "leave the whole"],
        ),
        (b"t_s,note,v_v,i_a\n0,a,0,0\n1,b\n", ["in.csv:3: v_v is blank", "in column 3"]),
        (
            b"t_s,v_v,i_a\n0,0,0\n1,high,7\n",
            ["in.csv:3: v_v is not a finite number", "'high'", "decimal point, in column 2"],
        ),
        # A note over two lines: what follows is still counted as an editor does.
        (b'note,t_s,v_v,i_a\n"a\nb",0,0,0\nc,1,,0\n', ["in.csv:4: v_v is blank"]),
    ],
)
def test_it_is_said_what_the_file_is(
    tmp_path: Path, command: str, content: bytes, words: list[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    said = said_by(command, tmp_path, path)
    names_all(said, *(word.format(what=WHAT[command]) for word in words))
    assert "Errno" not in said
    assert "codec" not in said


@pytest.mark.parametrize("command", ["run", "fit"])
def test_a_folder_is_no_file(tmp_path: Path, command: str) -> None:
    path = tmp_path / "data"
    path.mkdir()
    said = said_by(command, tmp_path, path)
    names_all(said, f"{path}: this is a folder, the {WHAT[command]} is a CSV file")
    assert "Errno" not in said


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_end_of_line_is_read(tmp_path: Path, end: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(end.join(["t_s,v_v,i_a", *ROWS, ""]).encode())
    ran = spiceloop("device", "run", "vteam", "--stimulus", path, "-o", tmp_path / "out.csv")
    assert ran.code == 0, ran.err


# An umlaut in the words of the instrument, and micro in the unit of the current.
AS_WRITTEN = "Messger\u00e4t f\u00fcr Kennlinien\nt_s,v_v,I (\u00b5A)\n"
BODY = "".join(f"{k}e-9,0.{k},{k}e2\n" for k in range(1, 10))


@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("latin-1", "cp1252"),
        ("cp1252", "cp1252"),
    ],
)
def test_the_encodings_of_instruments_are_read_and_named(
    tmp_path: Path, codec: str, named: str
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes((AS_WRITTEN + BODY).encode(codec))
    assert csv_text(path, "table").text == AS_WRITTEN + BODY
    sweep, table = read_measured(path)
    assert table.values[2].tolist() == [3e-9, 0.3, 3e-4]  # 300 uA
    assert len(sweep.values) == 9
    assert table.encoding == named
    assert ("read as" in table.read_as()) == (named != "UTF-8")


def test_a_run_says_how_its_stimulus_was_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    rows = "".join(f"{k}e-9;{100 * k}\n" for k in range(5))
    path.write_bytes(f"f\u00fcr\nt_s;v_mv\n{rows}\nEND OF DATA\nby hand\n".encode("cp1252"))
    arguments = ("device", "run", "vteam", "--stimulus", path, "-o", tmp_path / "out.csv")
    ran = spiceloop(*arguments)
    assert ran.code == 0, ran.err
    names_all(
        ran.out.splitlines()[0],
        "in.csv: ", "'v_mv' in mV", "cp1252", "line 9 ('END OF DATA') and 1 more",
    )  # fmt: skip
    document = json.loads(spiceloop(*arguments, "--json").out)
    assert document["encoding"] == "cp1252"
    assert document["points"] == 5
    said = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert said[-1].startswith("4e-09,0.4,")


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_text_below_the_table_is_left_out_and_said(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "in.csv"
    lines = [line.replace(",", separator) for line in ("t_s,v_v,i_a", *ROWS)]
    path.write_text("\n".join([*lines, "", "END OF DATA", ""]), encoding="utf-8")
    sweep, table = read_measured(path)
    assert len(sweep.values) == 9
    assert table.lines[-1] == 10
    assert table.read_as() == "text below the table is left out: line 12 ('END OF DATA')"
