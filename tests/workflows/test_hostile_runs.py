"""Run folders that were tampered with: nothing in them is executed, each ends in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.workflows.command import names_all, refused, spiceloop, tree

pytestmark = pytest.mark.ngspice


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self._proof}'",)


def change_json(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def change_npz(path: Path, **changes: Any) -> None:
    """Arrays changed by name (dots as double underscores); None takes one out."""
    with np.load(path) as stored:
        arrays = dict(stored)
    for key, value in changes.items():
        name = key.replace("__", ".")
        assert name in arrays
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value(arrays[name]) if callable(value) else value
    np.savez(path, **arrays)


def with_key(key: str, value: object) -> Callable[[Any], Any]:
    return lambda document: document | {key: value}


def first_plan(**changes: object) -> Callable[[Any], Any]:
    return lambda plans: [plans[0] | changes, *plans[1:]]


def first_tile(**changes: object) -> Callable[[Any], Any]:
    return lambda plans: [
        plans[0] | {"tiles": [plans[0]["tiles"][0] | changes, *plans[0]["tiles"][1:]]},
        *plans[1:],
    ]


def with_value(index: tuple[int, ...], value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


def spoil_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return lambda run: change_json(run / name, change)


def spoil_npz(name: str, **changes: Any) -> Callable[[Path], object]:
    return lambda run: change_npz(run / name, **changes)


def spoil_verified(**changes: Any) -> Callable[[Path], object]:
    """Arrays that verify.json still calls its own."""

    def spoil(run: Path) -> None:
        change_npz(run / "verify.npz", **changes)
        sha256 = hashlib.sha256((run / "verify.npz").read_bytes()).hexdigest()
        change_json(run / "verify.json", lambda d: d | {"arrays_sha256": sha256})

    return spoil


def spoil_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


def no_chip(instead: Callable[[Path], object]) -> Callable[[Path], object]:
    def spoil(run: Path) -> None:
        (run / "chip.npz").unlink()
        instead(run / "chip.npz")

    return spoil


CELLS = "layer_0__tile_0__conductance_s"
SPOILT: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "another schema version": (
        spoil_json("run.json", lambda d: d | {"schema_version": 99, "new": 1}),
        ["run.json", "99", "another version"],
    ),
    "record without a title": (
        spoil_json("run.json", lambda d: {k: v for k, v in d.items() if k != "title"}),
        ["run.json", "title"],
    ),
    "record with numbers for names": (
        spoil_json("run.json", with_key("class_names", 3)),
        ["class_names"],
    ),
    "record is a list": (spoil_text("run.json", "[]"), ["run.json"]),
    "record is no JSON": (spoil_text("run.json", "{"), ["run.json"]),
    "record nested deep": (spoil_text("run.json", "[" * 100_000), ["run.json"]),
    "no configuration": (lambda run: (run / "config.toml").unlink(), ["config.toml"]),
    "bad configuration": (
        spoil_text("config.toml", "[adc]\nbits = 99\n"),
        ["config.toml", "bits", "99"],
    ),
    "data file with a null": (
        spoil_text("config.toml", '[data]\nname = "file"\nfile = "a\\u0000"\n'),
        ["config.toml"],
    ),
    "no plans": (lambda run: (run / "plans.json").unlink(), ["plans.json"]),
    "no layer in the plans": (spoil_text("plans.json", "[]"), ["plans.json"]),
    "plan with a card for a name": (
        spoil_json("plans.json", first_plan(name="x\n.include /etc/passwd")),
        ["plans.json", "name"],
    ),
    "plan with an unknown neuron": (
        spoil_json("plans.json", first_plan(neuron="spike")),
        ["spike"],
    ),
    "plan with other inputs": (
        spoil_json("plans.json", first_plan(inputs=5)),
        ["plans.json", "size"],
    ),
    "plan with endless inputs": (
        spoil_json("plans.json", first_plan(inputs=10**12)),
        ["plans.json"],
    ),
    "plan with negative outputs": (
        spoil_json("plans.json", first_plan(outputs=-3)),
        ["plans.json"],
    ),
    "plan with a scale of 0": (
        spoil_json("plans.json", first_plan(input_scale=0)),
        ["plans.json", "scale"],
    ),
    "plan with a NaN scale": (
        spoil_json("plans.json", first_plan(span=float("nan"))),
        ["plans.json", "scale"],
    ),
    "plan with text for a scale": (
        spoil_json("plans.json", first_plan(span="wide")),
        ["plans.json", "span"],
    ),
    "tile outside its layer": (
        spoil_json("plans.json", first_tile(row_start=2, row_stop=7)),
        ["plans.json"],
    ),
    "tile of no rows": (spoil_json("plans.json", first_tile(row_stop=0)), ["plans.json"]),
    "tile with a hostile name": (
        spoil_json("plans.json", first_tile(name=".control")),
        ["plans.json"],
    ),
    "NaN conductance": (
        spoil_npz("chip.npz", **{CELLS: with_value((1, 2), np.nan)}),
        ["chip.npz", "finite"],
    ),
    "negative conductance": (
        spoil_npz("chip.npz", **{CELLS: with_value((1, 2), -1e-5)}),
        ["chip.npz", "conductance_s[1, 2]", "-1e-05"],
    ),
    "conductances of another shape": (
        spoil_npz("chip.npz", **{CELLS: lambda g: g.T}),
        ["chip.npz", "(6, 5)", "(5, 6)"],
    ),
    "complex conductances": (
        spoil_npz("chip.npz", **{CELLS: lambda g: g + 0j}),
        ["chip.npz", "complex"],
    ),
    "conductances missing": (
        spoil_npz("chip.npz", **{CELLS: None}),
        ["chip.npz", "tile_0.conductance_s"],
    ),
    "feedback of 0 ohm": (
        spoil_npz("chip.npz", layer_0__tile_0__r_feedback_ohm=lambda r: 0 * r),
        ["chip.npz", "r_feedback_ohm"],
    ),
    "no chip": (lambda run: (run / "chip.npz").unlink(), ["chip.npz"]),
    "chip is a folder": (no_chip(lambda path: path.mkdir()), ["chip.npz"]),
    "link to nowhere": (no_chip(lambda path: path.symlink_to("/nowhere")), ["chip.npz"]),
    "link in a circle": (no_chip(lambda path: path.symlink_to("chip.npz")), ["chip.npz"]),
    "no calibration": (lambda run: (run / "calibration.npz").unlink(), ["calibration.npz"]),
    "calibration of wrong types": (
        spoil_json("calibration.json", with_key("errors", [[1, 2]])),
        ["calibration.json", "errors"],
    ),
    "calibration in NaN": (
        spoil_npz("calibration.npz", layer_0__neurons__value=lambda v: v * np.nan),
        ["calibration.npz", "neurons"],
    ),
    "curve without a step": (
        spoil_npz("calibration.npz", layer_0__neurons__grid=np.zeros(2)),
        ["calibration.npz", "neurons", "step 0"],
    ),
    "curve of one sample": (
        spoil_npz("calibration.npz", layer_0__neurons__value=lambda v: v[:1]),
        ["calibration.npz", "neurons"],
    ),
    "slopes of another length": (
        spoil_npz("calibration.npz", layer_0__neurons__slope=lambda v: v[1:]),
        ["calibration.npz", "neurons.slope"],
    ),
    "other weights": (
        lambda run: torch.save({"0.weight": torch.ones(9, 9)}, run / "model_float.pt"),
        ["model_float.pt", "do not fit"],
    ),
    "weights are text": (spoil_text("model_float.pt", "weights"), ["model_float.pt"]),
    "weights are empty": (
        lambda run: (run / "model_float.pt").write_bytes(b""),
        ["model_float.pt"],
    ),
    "weights are no tensors": (
        lambda run: torch.save({"0.weight": 3}, run / "model_float.pt"),
        ["model_float.pt", "tensors"],
    ),
    "weights are truncated": (
        lambda run: os.truncate(run / "model_float.pt", 700),
        ["model_float.pt"],
    ),
    "weights missing": (lambda run: (run / "model_float.pt").unlink(), ["model_float.pt"]),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILT.values(), ids=SPOILT)
def test_spoilt_run_is_refused_by_file(
    spoil: Callable[[Path], object], words: list[str], trained: Path, tmp_path: Path
) -> None:
    spoil(trained)
    names_all(refused(tmp_path, "verify", trained), *words)


@pytest.mark.parametrize("command", [("write-network",), ("train", "--resume")])
def test_another_version_is_said_before_its_configuration_is_read(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    status = "finished" if command[0] == "write-network" else "stopped"
    (run / "run.json").write_text(json.dumps({"schema_version": 99, "status": status}))
    (run / "config.toml").write_text("[adc]\nbits = 99\n")
    names_all(refused(tmp_path, *command, run), "run.json", "99", "another version")


SPOILT_REPORT: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "verification of wrong types": (
        spoil_json("verify.json", with_key("images", "many")),
        ["verify.json", "images"],
    ),
    "verification without a number": (
        spoil_json("verify.json", with_key("agreement", None)),
        ["verify.json", "agreement"],
    ),
    "other count of images": (
        spoil_json("verify.json", with_key("images", 5)),
        ["verify.npz", "labels"],
    ),
    "codes missing": (spoil_verified(codes_spice=None), ["verify.npz", "codes_spice"]),
    "codes of another shape": (spoil_verified(codes_ideal=np.ones(3)), ["codes_ideal"]),
    "labels that are no class": (
        spoil_verified(labels=np.full(4, 7)),
        ["verify.npz", "label"],
    ),
    "labels in text": (
        spoil_verified(labels=np.array(["a"] * 4)),
        ["verify.npz", "labels"],
    ),
    "arrays of another verification": (
        spoil_npz("verify.npz", labels=np.ones(4, dtype=np.int64)),
        ["verify.npz", "not written together"],
    ),
    "history of wrong types": (
        spoil_text("training.json", '[{"epoch": "first"}]'),
        ["training.json"],
    ),
    "history is missing": (lambda run: (run / "training.json").unlink(), ["training.json"]),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILT_REPORT.values(), ids=SPOILT_REPORT)
def test_spoilt_verification_is_refused_by_file(
    spoil: Callable[[Path], object], words: list[str], verified: Path, tmp_path: Path
) -> None:
    spoil(verified)
    names_all(refused(tmp_path, "report", verified), *words)


def test_pickles_in_a_run_are_never_executed(verified: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    payload = Payload(proof)
    untouched = tmp_path / "untouched"
    shutil.copytree(verified, untouched)
    for name in ("model.pt", "model_float.pt", "chip.npz", "calibration.npz", "verify.npz"):
        shutil.rmtree(verified)
        shutil.copytree(untouched, verified)
        for content in (
            pickle.dumps(payload),
            pickle.dumps({"0.weight": payload}, protocol=2),
        ):
            (verified / name).write_bytes(content)
            commands = ["report"] if name == "verify.npz" else ["verify"]
            for command in commands:
                if name == "model.pt":  # no command reads it back
                    assert spiceloop(command, verified).code == 0
                else:
                    names_all(refused(tmp_path, command, verified), name)
        if name.endswith(".pt"):
            torch.save({"0.weight": payload}, verified / name)
        else:
            with np.load(untouched / name) as stored:
                arrays = dict(stored)
            key = next(iter(arrays))
            np.savez(verified / name, **arrays | {key: np.array([payload], dtype=object)})
        if name != "model.pt":
            command = "report" if name == "verify.npz" else "verify"
            names_all(refused(tmp_path, command, verified), name)
    assert not proof.exists()


def test_a_link_for_a_result_is_replaced_and_its_target_stays(
    trained: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (trained / "verify.json").symlink_to(precious)
    ran = spiceloop("verify", trained)
    assert ran.code == 0, ran.err
    assert precious.read_text() == "mine"
    assert not (trained / "verify.json").is_symlink()


def test_a_link_for_the_report_does_not_lead_out_of_the_run(verified: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "index.html").write_text("mine")
    (verified / "report").symlink_to(elsewhere)
    before = tree(elsewhere)
    refused(tmp_path, "report", verified)
    assert tree(elsewhere) == before


def test_a_run_behind_a_link_works(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(trained)
    assert spiceloop("verify", tmp_path / "link").code == 0


def test_markup_in_names_is_escaped_in_the_report(verified: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    change_json(
        verified / "run.json",
        lambda d: d | {"class_names": [f"{evil}{k}" for k in range(3)], "title": evil,
                       "command": evil, "versions": {evil: evil}, "created_utc": evil},
    )  # fmt: skip
    change_json(verified / "calibration.json", lambda d: d | {
        "curves": [c | {"name": evil, "note": evil} for c in d["curves"]],
        "errors": [e | {"quantity": evil} for e in d["errors"]]})  # fmt: skip
    ran = spiceloop("report", verified)
    assert ran.code == 0, ran.err
    pages = [*(verified / "report").rglob("*.html"), *(verified / "report").rglob("*.svg")]
    assert len(pages) > 5
    for page in pages:
        assert "<script>alert" not in page.read_text(), page
    assert "alert(1)" in (verified / "report" / "index.html").read_text()
