"""The four floors: imports only go down, every file and package says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("compact_models", "netlists", "cosim", "workflows")  # from the ground up
# The rooms of cosim, from the ground up: what is computed with stands below what computes with it.
ROOMS = (
    *(
        "budget",
        "laws",
        "ngspice",
        "devices",
        "nodal",
        "pulses",
        "surrogate",
        "settling",
        "fitting",
    ),
    *("driven", "tables", "synapse", "portraits", "array", "write", "periphery", "network"),
    *("calibration", "training", "study"),
)
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its floor"
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            # A name that is put together at run time may start with a floor's own name only.
            text = ast.unparse(node.args[0]).lstrip("f'\"")
            found |= {floor for floor in FLOORS if text.startswith(floor)}
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_only_go_down(floor: str) -> None:
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests", "benchmarks"}
    wrong = {
        str(path.relative_to(ROOT)): sorted(imported(path) & above)
        for path in FILES
        if path.relative_to(ROOT).parts[0] == floor and imported(path) & above
    }
    assert wrong == {}


def rooms_imported(path: Path) -> set[str]:
    """The rooms of cosim that a file imports, wherever in it."""
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    return {
        parts[1] for module in modules if (parts := module.split("."))[0] == "cosim" and parts[1:]
    }


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_down_between_the_rooms_of_cosim(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    wrong = {
        str(path.relative_to(ROOT)): sorted(rooms_imported(path) - allowed)
        for path in sorted((ROOT / "cosim" / room).rglob("*.py"))
        if rooms_imported(path) - allowed
    }
    assert wrong == {}


def test_every_room_of_cosim_has_its_place() -> None:
    found = {path.parent.name for path in (ROOT / "cosim").glob("*/__init__.py")}
    assert found <= set(ROOMS)
    assert [path.name for path in (ROOT / "cosim").glob("*.py")] == ["__init__.py"]
    assert "nodal" in rooms_imported(ROOT / "cosim" / "surrogate" / "wires.py")


def test_the_floors_are_seen_at_all() -> None:
    assert imported(ROOT / "workflows" / "made_run.py") >= {"compact_models", "netlists", "cosim"}
    assert "compact_models" in imported(ROOT / "netlists" / "crossbar.py")
    assert len(FILES) > 60


@pytest.mark.parametrize("floor", FLOORS)
def test_every_file_says_what_it_is(floor: str) -> None:
    paths = [path for path in FILES if path.relative_to(ROOT).parts[0] == floor]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    assert [p for p, text in texts.items() if not ast.get_docstring(ast.parse(text))] == []


@pytest.mark.parametrize("floor", FLOORS)
def test_every_folder_of_code_is_a_package(floor: str) -> None:
    folders = {path.parent for path in FILES if path.relative_to(ROOT).parts[0] == floor}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_ground_floors_know_nothing_of_simulators_and_training() -> None:
    for path in FILES:
        floor = path.relative_to(ROOT).parts[0]
        if floor in ("compact_models", "netlists"):
            assert not imported(path) & {"subprocess", "sklearn", "typer", "rich"}, path


def loaded_with(module: str) -> set[str]:
    """The modules of this house that are loaded with one of them: imports outside functions."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = ROOT / (name.replace(".", "/") + ".py")
        path = path if path.exists() else ROOT / name.replace(".", "/") / "__init__.py"
        if name in found or not path.exists():
            continue
        found.add(name)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [one.name for one in node.names]
    return found


def test_training_does_not_walk_through_writing() -> None:
    loaded = loaded_with("workflows.train") | loaded_with("workflows.learning_backprop")
    assert "cosim.training.backprop" in loaded  # it is followed at all
    assert "cosim.write.verify" in loaded_with("workflows.write_chip")
    assert {name for name in loaded if name.startswith(("cosim.write", "workflows.write"))} == set()
    assert "compact_models.library" not in loaded
