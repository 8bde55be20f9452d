"""A stimulus or measurement that is no table of numbers: `device run` and `device fit` say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.command import names_all, refused, spiceloop

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
        (b"\xff\xfet\x00", ["in.csv:1: the {what} is no text in UTF-8", "save it as CSV"]),
        (b"t_s,v_v,i_a\n0,0,0\n1,\xb5,0\n", ["in.csv:3: the {what} is no text", "b'\\xb5"]),
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
