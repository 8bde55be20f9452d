"""The main job as it is promised: digits, 64-32-10, 200 held-out images, 1 and 5 ohm a segment."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cosim.ngspice import Deck, Ngspice, run_deck

pytestmark = [pytest.mark.slow, pytest.mark.ngspice]


def _spiceloop(*arguments: str, cwd: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "workflows", *arguments, "--json"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=[1.0, 5.0], ids=["1 ohm", "5 ohm"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ngspice: Ngspice
) -> tuple[float, Path, dict[str, Any]]:
    assert ngspice.version
    folder = tmp_path_factory.mktemp("main")
    ohm = float(request.param)
    (folder / "study.toml").write_text(
        f"[wires]\nr_wordline_ohm = {ohm}\nr_bitline_ohm = {ohm}\n", encoding="utf-8"
    )
    trained = _spiceloop("train", "study.toml", "-o", "run", cwd=folder)
    assert trained["accuracy_float"] > 0.95
    return ohm, folder / "run", _spiceloop("verify", "run", "--images", "200", cwd=folder)


def test_the_bars(run: tuple[float, Path, dict[str, Any]]) -> None:
    ohm, _, found = run
    assert found["images"] == 200
    assert found["failed"] == 0
    assert found["accuracy_spice"] >= (0.95 if ohm == 1.0 else 0.94)
    assert found["agreement"] >= 0.99
    assert found["logit_rmse_lsb"] <= 0.5
    assert found["logit_max_lsb"] <= 2
    assert found["control_logit_rmse_lsb"] >= 3 * 0.5
    assert found["accuracy_exact"] == found["accuracy_spice"]
    assert found["exact_logit_max_lsb"] == 0
    assert found["worst_kirchhoff_residual"] < 1e-8


def test_the_written_deck_runs_alone_to_the_codes_beside_it(
    run: tuple[float, Path, dict[str, Any]], ngspice: Ngspice
) -> None:
    folder = run[1] / "netlist"
    deck = Deck(
        (folder / "network.cir").read_text(encoding="utf-8"),
        name="network.cir",
        files={"sample.inc": (folder / "sample.inc").read_text(encoding="utf-8")},
    )
    plot = run_deck(deck, ngspice, timeout_s=120).plot
    with (folder / "expected.csv").open(encoding="utf-8") as stream:
        expected = list(csv.DictReader(stream))
    assert len(expected) == plot.points == 4
    for name in expected[0]:
        if re.match(r"code_\d+", name):
            codes = plot.signal(f"v({name})")
            assert codes == pytest.approx([float(line[name]) for line in expected], abs=1e-6)


def test_the_report_opens_with_the_verified_numbers(
    run: tuple[float, Path, dict[str, Any]],
) -> None:
    _, folder, found = run
    summary = _spiceloop("report", "run", cwd=folder.parent)
    page = Path(folder.parent, summary["report"]).read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", " ", page)
    assert f"{100 * found['accuracy_spice']:.1f} %" in text
    assert re.search(r"https?://(?!www\.w3\.org)", page) is None


def test_a_changed_configuration_is_another_chip(
    run: tuple[float, Path, dict[str, Any]],
) -> None:
    """Last, because it spoils the run."""
    folder = run[1]
    path = folder / "config.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("r_wordline_ohm = ", "r_wordline_ohm = 2"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "workflows", "verify", str(folder), "--images", "1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    path.write_text(text, encoding="utf-8")
    assert done.returncode == 2
    assert "changed after the run" in done.stderr
