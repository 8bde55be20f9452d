"""What the packages import is what pyproject.toml asks for: a wheel must bring all it needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("compact_models", "netlists", "cosim", "workflows")


def _imported() -> set[str]:
    names: set[str] = set()
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
                elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    "import_module"
                ):
                    # A lazy import by name.
                    names |= {str(a.value).split(".")[0] for a in node.args if _is_text(a)}
    return names - set(sys.stdlib_module_names) - set(FLOORS)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_a_declared_dependency_and_every_dependency_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {_normal(re.split(r"[<>=!~ \[]", line)[0]) for line in project["dependencies"]}
    where = packages_distributions()
    imported = {_normal(where[name][0]) for name in _imported()}
    assert imported == declared


_REFUSED = """
import sys
from workflows.cli import main
sys.argv = ["spiceloop", "train", sys.argv[1], "-o", sys.argv[2]]
try:
    main()
except SystemExit as end:
    heavy = ("torch", "sklearn", "networkx", "sympy", "scipy.sparse", "matplotlib", "numba")
    print(end.code, *(name for name in heavy if name in sys.modules))
"""


def test_a_slip_in_a_configuration_is_told_before_the_heavy_libraries_load(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("[train]\nepoch = 3\n", encoding="utf-8")
    called = [sys.executable, "-c", _REFUSED, str(path), str(tmp_path / "run")]
    done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[train] epoch: unknown key" in done.stderr
    assert done.stdout.split() == ["2"]


def test_the_lock_pins_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {
        _normal(line.split("==")[0]) for line in lock.splitlines() if re.match(r"[A-Za-z]", line)
    }
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {_normal(re.split(r"[<>=!~ \[]", line)[0]) for line in wanted} <= pinned
