"""What a run says of its surrogate beside the exact solution, on every way to a user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cosim.calibration.evidence import HeldOutError
from cosim.training.loop import Epoch
from netlists.hardware import Hardware
from tests.workflows.command import spiceloop
from tests.workflows.conftest import SMALL
from workflows.watched import Watched, held_out_sentences, in_training

STRICT = f"{SMALL}[wires]\nr_wordline_ohm = 900.0\nr_bitline_ohm = 400.0\n".replace(
    "[train]\n", "[train]\nmax_surrogate_error = 1e-4\n"
)


@pytest.mark.ngspice
def test_a_run_past_its_tolerance_is_anchored_recorded_and_says_so(tmp_path: Path) -> None:
    config, run = tmp_path / "strict.toml", tmp_path / "run"
    config.write_text(STRICT)
    trained = spiceloop("train", config, "-o", run, "--json")
    assert trained.code == 0, trained.err
    assert "on arrays that it was not fitted to, more than max_surrogate_error (0.01 %)" in (
        trained.err
    )
    assert "are anchored on their exact solution" in trained.err
    told = json.loads(trained.out)["surrogate"]
    assert told["tolerance"] == 1e-4
    assert told["closed_form_error"] > 1e-4 >= told["error"]
    assert told["anchored"] >= 1
    assert json.loads((run / "run.json").read_text())["surrogate"] == told
    (line,) = json.loads((run / "training.json").read_text())
    assert line["surrogate_error"] == told["error"]
    assert line["anchored"] == told["anchored"]
    verified = spiceloop("verify", run)
    assert verified.code == 0, verified.err
    chip = json.loads((run / "verify.json").read_text())["surrogate"]
    assert chip["closed_form_error"] > 1e-4 > chip["error"]
    assert spiceloop("report", run).code == 0
    page = (run / "report" / "index.html").read_text()
    assert "In training the surrogate" in page
    assert "Of this chip the surrogate" in page
    assert page.count("anchored on the exact solution") >= 2


@pytest.mark.ngspice
def test_a_run_within_its_tolerance_says_how_far_it_is_off(trained: Path) -> None:
    told = json.loads((trained / "run.json").read_text())["surrogate"]
    assert told["anchored"] == 0
    assert 0 < told["error"] == told["closed_form_error"] < told["tolerance"] == 0.01
    assert told["array"].startswith("layer_")


def test_sentences() -> None:
    fine = Watched(0.01, 0.00123, 0.00123, "layer_1.tile_0", 0)
    assert fine.sentence() == (
        "the surrogate's currents are within 0.12 % of exact (layer_1.tile_0, the array that is"
        " furthest off)"
    )
    moved = Watched(0.01, 0.005, 0.58, "layer_0.tile_0", 1)
    assert "within 0.5 % of exact: 1 array is anchored" in moved.sentence()
    assert "closed form is off by 58 %, more than max_surrogate_error (1 %)" in moved.sentence()
    assert "could not be compared with exact" in in_training([Epoch(0, 1, 1, 1)], 0.01).sentence()


def test_a_calibration_past_the_tolerance_is_not_silent() -> None:
    errors = [
        HeldOutError("wires 3x4: transfer", "arrays", 2, 0.9, 1.4, 1.5, "%"),
        HeldOutError("wires 5x4: transfer", "arrays", 2, 0.9, 0.9, 0.9, "%"),
        HeldOutError("wires 3x4: currents", "vectors", 2, 9, 9, 9, "LSB"),
        HeldOutError("wires 7x4: transfer", "arrays", 2, 0.9, 0.9, float("nan"), "%"),
        HeldOutError("layer_0 amplifiers", "vectors", 99, 1.7, 3.0, 8.0, "LSB"),
        HeldOutError("layer_0 converters", "vectors", 99, 0.0, 0.0, 1.0, "LSB"),
    ]
    found = held_out_sentences(errors, 0.01, Hardware())
    assert [line.partition(":")[0] for line in found] == [
        "wires 3x4",
        "wires 7x4",
        "layer_0 amplifiers",
    ]
    assert "off by up to 1.5 %" in found[0]
    assert "anchored on their exact solution" in found[0]
