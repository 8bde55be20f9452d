"""Where models and parameter sets come from: the package, the user's folder, a path."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from compact_models import library
from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from compact_models.symbols import Parameter

OWN = """
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

g = Parameter("g", "S", "conductance", above=0)
x = State("x", "1", "state", lower=0, upper=1)
MODEL = CompactModel(
    name="mine", title="my own", kind="dynamic", source="my notes",
    current=g * x * {current}, rates={{x: V / {rate}}},
    parameter_sets=(ParameterSet("a", "my notes", {{"g": 1e-3, "f": 1.0}}, {{"x": 0.5}}, 1, 1),),
)
"""
EXTRA = 'f = Parameter("f", "V*s", "flux of a full swing", above=0)\nx = State('


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "devices"))
    (tmp_path / "devices").mkdir()
    return tmp_path / "devices"


def own_model(path: Path, current: str = "V", rate: str = "f") -> Path:
    path.write_text(OWN.replace("x = State(", EXTRA).format(current=current, rate=rate))
    return path


def test_a_file_in_the_folder_is_a_model(folder: Path) -> None:
    assert "mine" not in library.all_models()
    own_model(folder / "anything.py")
    assert library.find_model("mine").title == "my own"
    assert set(library.all_models()) >= {"mine", "vteam"}


def test_a_broken_file_does_not_stand_in_the_way_of_the_package(folder: Path) -> None:
    (folder / "wrong.py").write_text("x = (")
    assert library.find_model("vteam").name == "vteam"
    with pytest.raises(InputError, match=r"wrong\.py"):
        library.all_models()


def test_a_file_that_leaves_python_is_a_broken_file(folder: Path) -> None:
    (folder / "leaves.py").write_text("import sys\nsys.exit(7)\n")
    with pytest.raises(InputError, match=r"leaves\.py:2: the file fails: SystemExit: 7"):
        library.find_model(str(folder / "leaves.py"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = (\nz = 3\n", ":2: the file fails: SyntaxError: '(' was never closed"),
        ("x = 1\n\ny = z\n", ":3: the file fails: NameError: name 'z' is not defined"),
        ("def f():\n    return 1 / 0\n\nf()\n", ":2: the file fails: ZeroDivisionError"),
        (
            "from compact_models.symbols import Parameter\n\nParameter('lambda', 'm', 'x')\n",
            ":3: parameter 'lambda': ",
        ),
    ],
)
def test_the_line_is_said_however_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "wrong.py").write_text(text)
    (tmp_path / "link.py").symlink_to("wrong.py")
    monkeypatch.chdir(tmp_path / "sub")
    for name in (str(tmp_path / "wrong.py"), "../wrong.py", "../link.py"):
        with pytest.raises(InputError) as refused:
            library.find_model(name)
        assert str(refused.value).startswith(name + said), refused.value


def test_a_broken_file_that_ones_own_imports_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helper_with_a_slip.py").write_text("\n\nx = (\n")
    (tmp_path / "mine.py").write_text("\nimport helper_with_a_slip\n")
    with pytest.raises(InputError, match=r"mine\.py:2: .*helper_with_a_slip\.py, line 3"):
        library.find_model(str(tmp_path / "mine.py"))


def test_an_unbounded_parameter_is_worded_with_its_unit() -> None:
    assert Parameter("a", "m", "x").allowed_text() == "any finite number, in m"
    assert Parameter("a", "1", "x").allowed_text() == "any finite number"
    assert Parameter("a", "m", "x", above=0, high=2).allowed_text() == "> 0 and <= 2 m"


def test_a_broken_file_does_not_stand_in_the_way_of_ones_own(folder: Path) -> None:
    own_model(folder / "good.py")
    (folder / "wrong.py").write_text("x = (")
    assert library.find_model("mine").name == "mine"
    problems = library.Problems()
    assert set(library.all_models(problems)) >= {"mine", "vteam"}
    assert list(problems) == [folder / "wrong.py"]
    with pytest.raises(InputError, match=r"wrong\.py:1.*SyntaxError"):
        library.find_model("wrong")
    with pytest.raises(InputError, match=r"no such model.*'spiceloop device list'.*wrong\.py"):
        library.find_model("nope")


def test_a_set_that_belongs_to_no_model_is_noted(folder: Path) -> None:
    own_model(folder / "anything.py")
    first = dataclasses.replace(VTEAM.parameter_sets[0], name="good")
    for name in ("vteam.good.toml", "vtaem.good.toml", "vteam.toml"):
        library.save_set(VTEAM, first, folder / name)
    problems = library.Problems()
    library.sets_of_no_model(library.all_models(), problems)
    assert set(problems) == {folder / "vtaem.good.toml", folder / "vteam.toml"}
    said = str(problems[folder / "vtaem.good.toml"])
    assert "vtaem.good.toml" in said
    assert "did you mean 'vteam'?" in said


def test_a_broken_set_does_not_stand_in_the_way_of_the_others(folder: Path) -> None:
    good, bad = folder / "vteam.good.toml", folder / "vteam.bad.toml"
    first = VTEAM.parameter_sets[0]
    library.save_set(VTEAM, dataclasses.replace(first, name="good"), good)
    bad.write_text("[")
    assert library.find_set(VTEAM, "pt_hf_ti").name == "pt_hf_ti"
    assert library.find_set(VTEAM, "good").name == "good"
    problems = library.Problems()
    own = [one.name for one in VTEAM.parameter_sets]
    assert list(library.all_sets(VTEAM, problems)) == [*own, "good"]
    assert list(problems) == [bad]
    with pytest.raises(InputError, match=r"vteam\.bad\.toml:1: TOML cannot read this line"):
        library.find_set(VTEAM, "bad")


def test_a_path_is_a_model(tmp_path: Path) -> None:
    assert library.find_model(str(own_model(tmp_path / "a.py"))).name == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OWN.replace("x = State(", EXTRA).format(current="1", rate="f"), ["the current", "in S"]),
        (OWN.replace("x = State(", EXTRA).format(current="V", rate="1"), ["rate of 'x'", "in V"]),
        ("x = (", ["SyntaxError", ":1"]),
        ("a = 1\nb = a / 0\n", ["ZeroDivisionError", ":2"]),
        ("import not_there\n", ["not_there"]),
        ("MODEL = 3\n", ["no MODEL"]),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        library.find_model(str(path))
    assert "\n" not in str(refused.value)
    for word in ["wrong.py", *words]:
        assert word in str(refused.value)


def test_two_models_cannot_share_a_name(folder: Path) -> None:
    own_model(folder / "a.py")
    own_model(folder / "b.py")
    with pytest.raises(InputError, match=r"b\.py.*exists already"):
        library.all_models()


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'vteam'"):
        library.find_model("vteem")


def test_what_is_like_nothing_gets_no_suggestion() -> None:
    with pytest.raises(InputError, match="sine, pt_hf_ti") as refused:
        library.find_set(VTEAM, "nope")
    assert "did you mean" not in str(refused.value)


def test_a_saved_set_comes_back_by_name_and_by_path(folder: Path) -> None:
    first = VTEAM.parameter_sets[0]
    mine = dataclasses.replace(
        first, name="mine", source="my wafer", values={**first.values, "r_on": 61.25}
    )
    library.save_set(VTEAM, mine, folder / "vteam.mine.toml")
    assert library.find_set(VTEAM, "mine") == mine
    assert library.find_set(VTEAM, str(folder / "vteam.mine.toml")) == mine
    assert list(library.all_sets(VTEAM)) == [*(s.name for s in VTEAM.parameter_sets), "mine"]
    assert library.find_set(VTEAM, None) == first


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("r_on = 61.25", "r_on = -1.0", ["'r_on'", "-1.0", "> 0"]),
        ("r_on = 61.25", "r_onn = 61.25", ["r_onn", "did you mean 'r_on'"]),
        ("r_on = 61.25", "r_on = nan", ["r_on"]),
        ('model = "vteam"', 'model = "team"', ["another model", "team"]),
        (
            "[values]",
            "[value",
            ["vteam.mine.toml:", "TOML cannot read this line", "write key = value, or [table]"],
        ),
        ("w = 1.5e-09", "w = 1.0", ["starts out of bounds"]),
    ],
)
def test_a_broken_set_is_refused(folder: Path, old: str, new: str, words: list[str]) -> None:
    first = VTEAM.parameter_sets[0]
    mine = dataclasses.replace(first, name="mine", values={**first.values, "r_on": 61.25})
    path = folder / "vteam.mine.toml"
    library.save_set(VTEAM, mine, path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as refused:
        library.find_set(VTEAM, "mine")
    for word in ["vteam.mine.toml", *words]:
        assert word in str(refused.value)


def test_a_set_out_of_bounds_is_not_written(folder: Path) -> None:
    first = VTEAM.parameter_sets[0]
    wrong = dataclasses.replace(first, name="wrong", values={**first.values, "v_off": -0.1})
    with pytest.raises(InputError, match="v_off"):
        library.save_set(VTEAM, wrong, folder / "vteam.wrong.toml")
    assert list(folder.iterdir()) == []
