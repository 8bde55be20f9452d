"""Random configurations through the command itself: a deck, or one sentence and nothing left."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from compact_models.errors import InputError
from tests.workflows.drawn import documents
from workflows.cli import app
from workflows.config import parse_config

# The same draws every time: a finding must come back until it is mended.
_QUIET = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

# What is drawn is the chip: where it is valid, it gets small data and is trained briefly.
_SMALL = {"data": {"name": "iris"}, "network": {"hidden": [3]}, "train": {"epochs": 1}}


def _affordable(document: dict[str, Any]) -> dict[str, Any]:
    try:
        parse_config(tomli_w.dumps(document), where="drawn.toml")
    except InputError:
        return document
    return {**document, **_SMALL}


def _command(document: dict[str, Any], folder: Path) -> int:
    config = folder / "study.toml"
    config.write_text(tomli_w.dumps(document), encoding="utf-8")
    done = CliRunner().invoke(app, ["netlist", str(config), "-o", str(folder / "deck")])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    left = sorted(path.name for path in folder.iterdir())
    if done.exit_code == 0:
        assert left == ["deck", "study.toml"]
        assert sorted(p.name for p in (folder / "deck").iterdir()) == [
            "expected.csv",
            "network.cir",
            "origin.txt",
            "sample.inc",
        ]
    else:
        assert done.exit_code == 2, done.output
        assert left == ["study.toml"]
    return done.exit_code


@settings(_QUIET, max_examples=100)
@given(documents(valid=False))
def test_any_configuration_ends_cleanly(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _command(_affordable(document), Path(folder))


def test_most_valid_configurations_become_decks() -> None:
    codes: list[int] = []

    @settings(_QUIET, max_examples=25)
    @given(documents(valid=True))
    def each(document: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            codes.append(_command({**document, **_SMALL}, Path(folder)))

    each()
    assert codes.count(0) >= len(codes) / 2
