"""The public names: they are there, say what they are, and are all that our pages use."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACES = ("compact_models", "netlists", "cosim")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```\n+```text\n(.*?)^```$", PAGE, re.M | re.S)


def names_of(face: str) -> tuple[str, ...]:
    found: tuple[str, ...] = importlib.import_module(face).__all__
    return found


@pytest.mark.parametrize("face", FACES)
def test_every_name_is_there_and_says_what_it_is(face: str) -> None:
    package = importlib.import_module(face)
    for name in names_of(face):
        found = getattr(package, name)
        assert inspect.getdoc(found), f"{face}.{name}"
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__doc__, f"{face}.{name}: its docstring is another's"
    assert dir(package) == list(names_of(face))
    with pytest.raises(
        AttributeError, match=f"{face} has no 'other'; it has .*{names_of(face)[0]}"
    ):
        _ = package.other


@pytest.mark.parametrize("face", FACES)
def test_no_name_is_that_of_a_module(face: str) -> None:
    """Else it would be the function or the module, by what was imported before."""
    modules = {info.name for info in pkgutil.iter_modules(importlib.import_module(face).__path__)}
    assert modules.isdisjoint(names_of(face))


@pytest.mark.parametrize("face", FACES)
def test_a_type_checker_sees_what_python_loads(face: str) -> None:
    tree = ast.parse((ROOT / face / "__init__.py").read_text(encoding="utf-8"))
    (guard,) = (node for node in tree.body if isinstance(node, ast.If))
    seen, own = {}, {}
    for node in guard.body:
        if isinstance(node, ast.ImportFrom):
            own |= {one.asname: (node.module, one.name) for one in node.names}
        elif isinstance(node, ast.Assign):
            seen[ast.unparse(node.targets[0])] = own[ast.unparse(node.value)]
    seen |= {name: place for name, place in own.items() if name and name[0] != "_"}
    package = importlib.import_module(face)
    for name in names_of(face):
        module, attribute = seen.pop(name)
        assert getattr(importlib.import_module(str(module)), attribute) is getattr(package, name)
    assert seen == {}


def test_a_face_waits_for_nothing() -> None:
    code = (
        "import compact_models, netlists, cosim, sys; from netlists import Wires;"
        " print([name for name in ('torch', 'sympy', 'PySpice') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_our_pages_show_is_public(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
                assert names.isdisjoint({*FACES, "workflows"}), ast.unparse(node)
            elif isinstance(node, ast.ImportFrom):
                package, _, inside = str(node.module).partition(".")
                assert package != "workflows", ast.unparse(node)
                if package in FACES:
                    assert not inside, ast.unparse(node)
                    assert {alias.name for alias in node.names} <= {*names_of(package)}


@pytest.mark.parametrize("face", FACES)
def test_the_page_lists_every_name_and_no_other(face: str) -> None:
    table = PAGE.partition(f"## `{face}`\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.split("\n") if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(names_of(face))


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_print_what_the_page_says(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = EXAMPLES[number]
    exec(compile(code, "docs/python.md", "exec"), {"__name__": "page"})  # noqa: S102 - ours
    assert capsys.readouterr().out == printed
