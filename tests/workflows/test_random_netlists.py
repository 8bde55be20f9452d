"""Random configurations through the command itself: a deck, or one sentence and nothing left."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import HealthCheck, given, settings

from compact_models.errors import InputError
from tests.workflows.command import spiceloop
from tests.workflows.drawn import NOT_BUILDABLE, documents
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


def _command(document: dict[str, Any], folder: Path) -> str:
    """What the command says of a configuration that it refuses; empty where there is a deck."""
    config = folder / "study.toml"
    config.write_text(tomli_w.dumps(document), encoding="utf-8")
    ran = spiceloop("netlist", config, "-o", folder / "deck")
    left = sorted(path.name for path in folder.iterdir())
    if ran.code == 0:
        assert left == ["deck", "study.toml"]
        assert sorted(p.name for p in (folder / "deck").iterdir()) == [
            "expected.csv",
            "network.cir",
            "origin.txt",
            "sample.inc",
        ]
        return ""
    assert ran.code == 2, ran.err
    assert left == ["study.toml"]
    return ran.sentence


@settings(_QUIET, max_examples=100)
@given(documents(valid=False))
def test_any_configuration_ends_cleanly(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _command(_affordable(document), Path(folder))


def test_every_valid_configuration_becomes_a_deck_or_cannot_be_built() -> None:
    decks: list[bool] = []

    @settings(_QUIET, max_examples=25)
    @given(documents(valid=True))
    def each(document: dict[str, Any]) -> None:
        # Names of files and models are not drawn.
        wanted = {**document, **_SMALL, "write": {}, "blocks": {}}
        try:
            parse_config(tomli_w.dumps(wanted), where="drawn.toml")
        except InputError:  # tests/workflows/test_random_configs.py: when, and when not
            return
        with tempfile.TemporaryDirectory() as folder:
            said = _command(wanted, Path(folder))
        assert not said or any(why in said for why in NOT_BUILDABLE), said
        decks.append(not said)

    each()
    assert sum(decks) >= 20
