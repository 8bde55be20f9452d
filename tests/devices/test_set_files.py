"""A parameter set in a TOML file: what is wrong is said in words, with file, line, key, value."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import pytest

from compact_models import library
from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

FIRST = VTEAM.parameter_sets[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "devices"))
    (tmp_path / "devices").mkdir()
    return tmp_path / "devices"


def saved(folder: Path) -> Path:
    mine = dataclasses.replace(FIRST, name="mine", values={**FIRST.values, "r_on": 61.25})
    library.save_set(VTEAM, mine, folder / "vteam.mine.toml")
    return folder / "vteam.mine.toml"


def said_of(path: Path, old: str, new: str) -> tuple[str, int]:
    """The sentence about the file with one line replaced, and that line's number."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as refused:
        library.find_set(VTEAM, "mine")
    return str(refused.value), text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "r_on = 61.25",
            "r_on = true",
            "[values] r_on: this is no finite number; got True; allowed: > 0 ohm",
        ),
        (
            "r_on = 61.25",
            'r_on = "0.1"',
            "[values] r_on: this is no finite number; got '0.1'; allowed: > 0 ohm",
        ),
        (
            "r_on = 61.25",
            "r_on = [1.0]",
            "[values] r_on: this is no finite number; got [1.0]; allowed: > 0 ohm",
        ),
        (
            "r_on = 61.25",
            "r_on = nan",
            "[values] r_on: this is no finite number; got nan; allowed: > 0 ohm",
        ),
        (
            "r_on = 61.25",
            "r_on = 61e3",
            "model 'vteam', parameter set 'mine': 'r_on' is above 'r_off', against their names;"
            " got (61000.0, 1000.0); allowed: r_on <= r_off; r_on is the resistance at w_on,",
        ),
        (
            "r_on = 61.25",
            'r_onn = "1"',
            "[values] r_onn: this is no finite number; got '1'; allowed: a number;"
            " did you mean 'r_on'?",
        ),
        (
            "w = 1.5e-09",
            "w = false",
            "[initial] w: this is no finite number; got False; allowed: a number, in m",
        ),
        (
            "amplitude_v = ",
            "amplitude_v = true #",
            "amplitude_v: this is no finite number; got True; allowed: a number > 0 V",
        ),
        ('name = "mine"', "name = 3", "name: this is no text; got 3; allowed: the name of the set"),
        (
            "confirmed = true",
            "confirmed = 1",
            "confirmed: this is neither true nor false; got 1; allowed: true or false",
        ),
        ("[values]", "[value]", "value: unknown key; allowed: model, name,"),
        (
            'name = "mine"',
            'r_on = 3\nname = "mine"',
            "r_on: unknown key; allowed: model, name, source, amplitude_v, period_s, confirmed,"
            " values, initial, d2d; r_on is a key of [values]",
        ),
        (
            'name = "mine"',
            'name = "yours"',
            "name: the set is named 'yours' and its file 'vteam.mine.toml'; write name = \"mine\","
            " or rename the file to vteam.yours.toml",
        ),
        ('model = "vteam"', 'model = "team"', "model: the parameter set is for another model"),
    ],
)
def test_a_wrong_key_is_explained(folder: Path, old: str, new: str, said: str) -> None:
    path = saved(folder)
    found, line = said_of(path, old, new)
    assert found.startswith(f"{path}:{line}: {said}"), found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "mine"\n', "", "the key 'name' is missing; allowed: the name of the set"),
        ("[values]", "[values_of]\na = 1\n[initial_]", "unknown key"),
        ("r_on = 61.25", f"r_on = {'9' * 5000}", "not a TOML file"),
        ("r_on = 61.25", f"r_on = {'9' * 500}", "this is no finite number; got 999"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_explained(
    folder: Path, old: str, new: str, said: str
) -> None:
    path = saved(folder)
    found, _ = said_of(path, old, new)
    assert found.startswith(str(path))
    assert said in found


def test_the_range_of_an_unbounded_parameter_has_its_unit(folder: Path) -> None:
    a, x = Parameter("a", "1/s", "rate"), State("x", "1", "state", lower=0, upper=1)
    g = Parameter("g", "S", "conductance", above=0)
    one = ParameterSet("one", "a test", {"a": 1.0, "g": 1.0}, {"x": 0.5}, 1.0, 1.0)
    model = CompactModel("m", "a test", "dynamic", "a test", g * x * V, {x: a * (1 - x)}, (one,))
    path = folder / "m.two.toml"
    library.save_set(model, dataclasses.replace(one, name="two"), path)
    path.write_text(path.read_text().replace("a = 1.0", 'a = "1"'))
    with pytest.raises(InputError, match=r"\[values\] a: .*allowed: any finite number, in 1/s"):
        library.find_set(model, "two")
    wrong = dataclasses.replace(one, values={"a": math.inf, "g": 1.0})
    with pytest.raises(InputError, match=r"'a' is out of bounds.*any finite number, in 1/s"):
        model.check_set(wrong)


def test_a_whole_number_is_a_number(folder: Path) -> None:
    path = saved(folder)
    path.write_text(path.read_text().replace("r_on = 61.25", "r_on = 61"))
    assert library.find_set(VTEAM, "mine").values["r_on"] == 61


def test_the_name_of_a_file_that_is_none_of_a_set_is_free(folder: Path, tmp_path: Path) -> None:
    path = saved(folder)
    for name in ("slow.toml", "vteam.toml"):
        assert library.find_set(VTEAM, str(path.rename(tmp_path / name))).name == "mine"
        path = tmp_path / name
    moved = path.rename(tmp_path / "vteam.slow.toml")
    with pytest.raises(InputError, match=re.escape("named 'mine' and its file 'vteam.slow.toml'")):
        library.find_set(VTEAM, str(moved))


def test_a_set_cannot_have_the_name_of_one_in_the_package(folder: Path) -> None:
    library.save_set(VTEAM, FIRST, folder / f"vteam.{FIRST.name}.toml")
    with pytest.raises(InputError, match=r"exists already"):
        library.all_sets(VTEAM)


def test_what_is_no_text_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").mkdir()
    with pytest.raises(InputError, match=r"a\.toml: cannot read .* \(Is a directory\)"):
        library.find_set(VTEAM, str(tmp_path / "a.toml"))
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"b\.toml: cannot read .*not UTF-8"):
        library.find_set(VTEAM, str(tmp_path / "b.toml"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("r_on = 61.25", "r_on = -1.0", "'r_on' is out of bounds; got -1.0; allowed: > 0 ohm"),
        ("r_on = 61.25", '"r_on" = -1', "'r_on' is out of bounds; got -1.0; allowed: > 0 ohm"),
        ("w = 1.5e-09", "w = 1.0", "'w' starts out of bounds; got 1.0; allowed: 0 to 3e-09"),
        ("amplitude_v = ", "amplitude_v = -1.0 #", "amplitude_v must be positive; got -1.0"),
        ("r_on = 61.25", "r_onn = 1", "[values] r_onn: no such parameter; allowed: "),
        ("w = 1.5e-09", "ww = 1.5e-9", "[initial] ww: no such state; allowed: w; did you mean 'w'"),
        ("source = ", 'source = "" #', "a parameter set must say its source"),
    ],
)
def test_a_number_is_refused_with_its_line(folder: Path, old: str, new: str, said: str) -> None:
    path = saved(folder)
    found, line = said_of(path, old, new)
    assert found.startswith(f"{path}:{line}: "), found
    assert said in found


def test_the_line_is_that_of_the_key_in_its_table(folder: Path) -> None:
    path = saved(folder)
    # Neither a text over lines, nor a comment, nor the same key elsewhere is taken for it.
    text = 'source = """\nr_on = 5\n[values]\nr_on = 6\n""" # r_on = 7\n# r_on = 8\nwas'
    path.write_text(path.read_text().replace("source", text, 1).replace("was = ", "# was = ", 1))
    found, line = said_of(path, "r_on = 61.25", "r_on = -1.0")
    assert found.startswith(f"{path}:{line}: "), found


@pytest.mark.parametrize("key", ["values.r_on", " values . 'r_on' "])
def test_the_line_of_a_dotted_key_is_found(folder: Path, key: str) -> None:
    path = saved(folder)
    rest = [line for line in path.read_text().splitlines() if not line.startswith("[values]")]
    head = rest.index(next(line for line in rest if "r_on = 61.25" in line))
    numbers = {k: v for k, v in FIRST.values.items() if k != "r_on"}
    rest = [line for line in rest if line.split(" = ")[0] not in FIRST.values]
    top = [f"{key} = -1.0", *(f"values.{k} = {v!r}" for k, v in numbers.items())]
    path.write_text("\n".join([*top, *rest]))
    assert head > 0
    with pytest.raises(InputError) as refused:
        library.find_set(VTEAM, "mine")
    assert str(refused.value).startswith(f"{path}:1: "), refused.value


def test_a_key_that_is_spelt_in_code_points_has_no_line(folder: Path) -> None:
    path = saved(folder)
    found, _ = said_of(path, "r_on = 61.25", '# r_on\n"r_\\u006fn" = -1.0')
    assert found.startswith(f"{path}: "), found
    assert "'r_on' is out of bounds" in found


def test_a_long_file_is_searched_at_once(folder: Path) -> None:
    path = saved(folder)
    notes = "# r_on\n" * 100_000
    path.write_text(notes + path.read_text().replace("r_on = 61.25", "r_on = -1.0"))
    with pytest.raises(InputError, match="'r_on' is out of bounds"):
        library.find_set(VTEAM, "mine")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("r_on = 61.25\n", "", "[values] r_on is missing; allowed: > 0 ohm"),
        ("w = 1.5e-09", "", "[initial] w is missing; allowed: a number, in m"),
        ("r_on = 61.25", 'r_on = ""', "[values] r_on: the value is missing; allowed: > 0 ohm"),
        ("period_s = ", 'period_s = "" #', "period_s: the value is missing; allowed: a number"),
        ('name = "mine"', 'name = ""', "name: the value is missing; allowed: the name of the set"),
        ('model = "vteam"', 'model = " "', "model: the value is missing; allowed: vteam"),
    ],
)
def test_what_is_missing_is_said_to_be(folder: Path, old: str, new: str, said: str) -> None:
    path = saved(folder)
    found, _ = said_of(path, old, new)
    assert re.match(rf"{re.escape(str(path))}:\d+: {re.escape(said)}", found), found
    assert "got" not in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "r_on = 61.25",
            "r_on = 1,5",
            "[values] r_on: a number has a decimal point, not a comma; got '1,5'; write r_on = 1.5",
        ),
        (
            "r_on = 61.25",
            "r_on = 1,500 # ohm",
            "[values] r_on: a number has a decimal point, not a comma; got '1,500 # ohm';"
            " write r_on = 1.500, or 1500 if it is in thousands",
        ),
        (
            "amplitude_v = ",
            "amplitude_v = 0,3 # ",
            "amplitude_v: a number has a decimal point, not a comma; got '0,3",
        ),
        (
            "r_on = 61.25",
            "r_on = 61 ohm",
            "[values] r_on: a number stands alone, without its unit; got '61 ohm'; write r_on = 61",
        ),
        (
            "r_on = 61.25",
            "r_on = .5e3",
            "[values] r_on: a number has digits on both sides of its point; got '.5e3';"
            " write r_on = 0.5e3",
        ),
        (
            "r_on = 61.25",
            "r_on = ",
            "[values] r_on: the value is missing; allowed: > 0 ohm",
        ),
        (
            "r_on = 61.25",
            "r_on = 1e5e",
            "[values] r_on: TOML cannot read this value (expected newline",
        ),
        (
            'name = "mine"',
            'name = "mine',
            "name: the text has no quotation mark at its end; got '\"mine';"
            " allowed: the name of the set, in quotes",
        ),
        ("[initial]", "[values]", "the heading [values] stands there twice; put all of its keys"),
        ("confirmed = true", "confirmed = [", "confirmed: TOML cannot read this value"),
    ],
)
def test_what_is_no_toml_is_explained(folder: Path, old: str, new: str, said: str) -> None:
    path = saved(folder)
    found, line = said_of(path, old, new)
    assert found.startswith(f"{path}:{line}: {said}"), found
    assert "\n" not in found


def test_a_key_that_stands_twice_is_named_with_both_lines(folder: Path) -> None:
    path = saved(folder)
    found, line = said_of(path, "r_on = 61.25", "r_on = 61.25\nr_on = 70")
    assert found == (
        f"{path}:{line + 1}: [values] r_on: the key 'r_on' stands there twice; got 'r_on = 70';"
        f" leave out this one or that on line {line}"
    )
    with path.open("a") as file:
        file.write("x = 1")  # and where the file ends with the second
    text = path.read_text().replace("r_on = 70\n", "").removesuffix("x = 1") + "w = 1"
    path.write_text(text)
    with pytest.raises(
        InputError, match=rf":{text.count(chr(10)) + 1}: \[initial\] w: the key 'w'"
    ):
        library.find_set(VTEAM, "mine")


def test_a_text_that_nothing_closes_has_the_line_where_it_begins(folder: Path) -> None:
    path = saved(folder)
    found, line = said_of(path, "source = ", 'source = """')
    assert found.startswith(f"{path}:{line}: source: the text has no quotation mark"), found


def test_a_set_may_have_a_hyphen_in_its_name(folder: Path) -> None:
    mine = dataclasses.replace(FIRST, name="cell-7")
    library.save_set(VTEAM, mine, folder / "vteam.cell-7.toml")
    assert library.find_set(VTEAM, "cell-7") == mine
