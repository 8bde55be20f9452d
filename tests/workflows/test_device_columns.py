"""Tables as instruments write them: which column is what, in which unit, after which text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compact_models.errors import InputError
from cosim.fitting.data import PulseTrain, Sweep
from tests.workflows.command import names_all, refused, spiceloop
from workflows.device.measured import read_measured
from workflows.device.stimulus import read_stimulus

T = np.arange(12) * 1e-3
V = np.sin(np.arange(12) / 2)
I_A = V / 470 * np.linspace(1, 2, 12)  # no two columns alike, and no current like its neighbour
NAMED = "t=Time,v=Vtop,i=Itop"


def rows(t: float = 1.0, v: float = 1.0, i: float = 1.0, separator: str = ",") -> str:
    """The same data in other units: as many of them as one SI unit has."""
    return "".join(
        separator.join(repr(float(x)) for x in row) + "\n"
        for row in zip(T * t, V * v, I_A * i, strict=True)
    )


def comma(text: str) -> str:
    return text.replace(".", ",")


def shuffled(heading: str) -> str:
    """Another order, with a column of text before."""
    lines = [line.split(",") for line in rows(i=1e6).splitlines()]
    return heading + "".join(f"fine,{i},{t},{v}\n" for t, v, i in lines)


KEITHLEY = (
    'Instrument:,"Keithley 2602, SN 4071",Rev. 3\nDate,2026-03-01,,\n\n"Compliance (A)",1e-3\n'
    "2 terminals\n"
)

READ = {
    "names": ("Time,Vtop,Itop\n" + rows(), NAMED, ()),
    "other order": (shuffled("note,Itop,Time,Vtop\n"), NAMED, ("i=uA",)),
    "numbers, no heading": (rows(), "t=1,v=2,i=3", ()),
    "numbers of a heading": (shuffled("a,b (uA),c,d\n"), "t=3,v=4,i=2", ()),
    "units given": ("Time,Vtop,Itop\n" + rows(1e3, 1e3, 1e9), NAMED, ("t=ms", "v=mV,i=nA")),
    "units in the heading": ("Time (ms),Vtop [mV],Itop / uA\n" + rows(1e3, 1e3, 1e6), NAMED, ()),
    "units in the names": ("t_ms,v_mV,I_UA\n" + rows(1e3, 1e3, 1e6), None, ()),
    "quantities in words": ("time_ms,Voltage (mV),current_uA\n" + rows(1e3, 1e3, 1e6), None, ()),
    "quantities with units": ("t (s),V (V),i (\N{MICRO SIGN}A)\n" + rows(1, 1, 1e6), None, ()),
    "a row of units": ("Time,Vtop,Itop\ns,[mV],(uA)\n" + rows(1, 1e3, 1e6), NAMED, ()),
    "the user's word first": ("Time,Vtop,I (top)\n" + rows(1, 1, 1e3), "t=1,v=2,i=3", ("i=mA",)),
    "turned round": ("t_s,v_v,i_a\n" + rows(1, -1, -1), None, ("v=-V", "i=-A")),
    "one named, others by default": ("t_s,v_v,Itop\n" + rows(), "i=Itop", ()),
    "a preamble": (KEITHLEY + "Time,Vtop,Itop\n" + rows(), NAMED, ()),
    "a preamble, no heading": ("SMU sweep 7\nfrom -1 to 1\n" + rows(), "t=1,v=2,i=3", ()),
    "semicolons": ("t_s;v_v;i_a\n" + rows(separator=";"), None, ()),
    "decimal commas": ("sep=;\nTime;Vtop;Itop\n" + comma(rows(separator=";")), NAMED, ()),
    "decimal commas, no heading": (comma(rows(separator="\t")), "t=1,v=2,i=3", ()),
    "tabs": ("Time\tVtop\tItop (A)\n" + rows(separator="\t"), NAMED, ()),
    "blanks": ("Time  Vtop Itop\n" + rows(separator="   "), NAMED, ()),
    "blanks, no heading": (rows(separator=" "), "t=1,v=2,i=3", ()),
}


@pytest.mark.parametrize("name", READ)
def test_a_table_is_read_as_its_user_says(tmp_path: Path, name: str) -> None:
    text, columns, units = READ[name]
    path = tmp_path / "in.csv"
    path.write_text(text, encoding="utf-8")
    sweep, table = read_measured(path, columns, units)
    assert isinstance(sweep, Sweep)
    # Numbers moved by a power of ten, as text is: a rounding of the writing here is all.
    np.testing.assert_allclose(sweep.time_s, T, rtol=3e-16)
    np.testing.assert_allclose(sweep.voltage_v, V, rtol=3e-16)
    np.testing.assert_allclose(sweep.current_a, I_A, rtol=3e-16)
    # The last row's line is the last of the file.
    assert table.lines[-1] == len(text.splitlines())
    time_s, voltage_v, _ = read_stimulus(
        path,
        ",".join(x for x in (columns or "").split(",") if x[:1] in "tv") or None,
        [x for unit in units for x in unit.split(",") if x[:1] in "tv"],
    )
    np.testing.assert_array_equal(time_s, sweep.time_s)
    np.testing.assert_array_equal(voltage_v, sweep.voltage_v)


def test_pulses_have_names_and_units_too(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    body = "".join(f"{k + 4},{1 if k < 6 else -1}\n" for k in range(12))
    path.write_text("G,dir\n" + body, encoding="utf-8")
    train, table = read_measured(path, "g=G,pulse=dir", ["g=uS"])
    assert isinstance(train, PulseTrain)
    assert train.conductance_s.tolist() == [float(f"{k + 4}e-6") for k in range(12)]
    assert train.direction.tolist() == [1] * 6 + [-1] * 6
    assert table.read_as() == "pulse = 'dir', g = 'G' in uS"


@pytest.mark.parametrize(
    ("text", "columns", "units", "words"),
    [
        ("t_s,v_v,i_a\n", "t", (), ["--columns", "'t'", "t=Time,v=2", "pulse, g"]),
        ("t_s,v_v,i_a\n", "tt=1", (), ["--columns", "no such quantity", "'tt'"]),
        ("t_s,v_v,i_a\n", "t=1,t=2", (), ["--columns", "t stands there twice"]),
        ("t_s,v_v,i_a\n", "t=1,v=1,i=2", (), ["two quantities are in one column"]),
        ("t_s,v_v,i_a\n", "t=1,g=2", (), ["not of one table", "t, v, i; or pulse, g"]),
        ("t_s,v_v,i_a\n", None, ("i=mV",), ["--unit: no unit of i", "i=mV", "A, mA, uA"]),
        ("t_s,v_v,i_a\n", None, ("i",), ["--unit", "quantity with its unit", "i=uA"]),
        ("pulse,g_s\n", None, ("pulse=V",), ["--unit: pulse has no unit"]),
        (
            "Time,Vtop,Itop\n", "t=Time,v=Vtop,i=Ibot", (),
            ["in.csv:1: the column 'Ibot' is missing", "Time, Vtop, Itop", "--columns t=..."],
        ),
        ("", None, (), ["in.csv:1: the measurement has no heading", "--columns t=1,v=2,i=3"]),
        ("", "t=1,v=2,i=4", (), ["in.csv:1", "columns", "t=1,v=2,i=4", "1 to 3"]),
        ("Time,Vtop,Itop\n", None, (), ["Time, Vtop, Itop", "--columns t=...,v=...,i=..."]),
        ("t_s,v_v,I (top)\n", "i=3", (), ["in.csv:1: no unit of i", "'I (top)'", "--unit i=A"]),
        ("t_s,v_v,i_ua,i_ma\n", None, (), ["several columns may be i: i_ua, i_ma", "i=NUMBER"]),
        ("0.0,n/a,0\n", "t=1,v=2,i=3", (), ["in.csv:1: the table seems to begin", "0.0,n/a,0"]),
    ],
)  # fmt: skip
def test_what_does_not_say_the_columns_is_refused(
    tmp_path: Path, text: str, columns: str | None, units: tuple[str, ...], words: list[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text + rows(), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_measured(path, columns, units)
    names_all(str(caught.value), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t_s;v_v\n0,0;0\n1,5;0.25\n", ["in.csv:3", "decimal comma", "one of both"]),
        ("t_s;v_v\n0;0\n1;0;25\n", ["in.csv:3", "more fields", "1;0;25"]),
        ("t_s;v_v\n0;0\n1;1.234,5\n", ["in.csv:3", "v_v is not a finite number", "1.234,5"]),
        ("of 1.2.\nt_s v_v\n0 0\n1 x\n", ["in.csv:4", "v_v is not a finite number", "'x'"]),
        ("t_s,v_v\n0,0\n1,9.91e37\n", ["in.csv:3: v_v is no measurement", "overflow", "1 of 2"]),
    ],
)
def test_a_cell_that_is_no_number_is_refused_wherever_columns_end(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_stimulus(path)
    names_all(str(caught.value), *words)


def test_the_commands_take_columns_and_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "devices"))
    (tmp_path / "devices").mkdir()
    data, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table = "Time;Vtop;Itop\n" + comma(rows(1e9, 100, 1e6, ";"))
    data.write_text(KEITHLEY + table, encoding="utf-8")
    says = ("--unit", "t=ns", "--unit", "v=mV")
    ran = spiceloop("device", "run", "vteam", "--stimulus", data, "--columns", "t=Time,v=Vtop",
                    *says, "-o", out)  # fmt: skip
    assert ran.code == 0, ran.err
    again = np.genfromtxt(out, delimiter=",", names=True)
    assert again["t_s"] == pytest.approx(T, rel=1e-12)
    assert again["v_v"] == pytest.approx(V / 10, rel=1e-12)
    call = ("device", "run", "vteam", "--stimulus", data, "--columns", NAMED, *says, "-o", out)
    said = refused(tmp_path, *call)
    names_all(said, "--columns", "'i'", "t, v")
    call = ("device", "fit", data, "--model", "vteam", "--columns", NAMED, *says, "--unit", "i=uA",
            "--timeout", "1e-9")  # fmt: skip
    ran = spiceloop(*call)
    assert ran.code == 1, ran.err
    assert ran.out.startswith("in.csv: t = 'Time' in ns, v = 'Vtop' in mV, i = 'Itop' in uA\n")
    assert json.loads(spiceloop(*call, "--json").out)["columns"] == {
        "t": {"column": "Time", "unit": "ns"},
        "v": {"column": "Vtop", "unit": "mV"},
        "i": {"column": "Itop", "unit": "uA"},
    }
    text = " ".join(spiceloop("device", "fit", "--help").out.replace("\u2502", "").split())
    names_all(text, "t=Time,v=Vtop,i=3", "i=uA or t=ms", "decimal commas", "uS stored as S")
