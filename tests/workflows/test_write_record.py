"""`write.json` and `[write]` of a run: what is noticed when they are changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.devices.no_linker import LABEL, hide_linker
from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.written_study import STUDY


@pytest.fixture
def run(written_study: Path, tmp_path: Path) -> Path:
    shutil.copytree(written_study, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("met", 40), ("met", 999), ("pulsed", 3), ("pulses", 12), ("most_pulses", 1),
        ("worst_error_s", 1e-9), ("rms_error_s", 1e-9), ("tolerance_s", 1e-5), ("levels", 7),
        ("scheme", "v2"), ("device", "<script>"), ("accuracy_spice_written", 7.0),
        ("accuracy_spice_target", 0.98765), ("accuracy_spice_target", -1.0),
    ],
)  # fmt: skip
def test_a_record_that_was_changed_is_refused(run: Path, key: str, value: object) -> None:
    record = json.loads((run / "write.json").read_text())
    (run / "write.json").write_text(json.dumps({**record, key: value}))
    names_all(refused(run.parent, "report", run), f"write.json: {key}", str(value), "write-network")


@pytest.mark.ngspice
@pytest.mark.parametrize("text", ["[]", "no JSON", '{"met": 3}'])
def test_what_is_no_record_is_refused(run: Path, text: str) -> None:
    (run / "write.json").write_text(text)
    sentence = refused(run.parent, "report", run)
    names_all(sentence, "write.json", "run: spiceloop write-network")
    assert "(:" not in sentence


@pytest.mark.ngspice
@pytest.mark.slow
def test_one_run_is_written_in_two_ways(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((run / "write.json").read_text())
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace('scheme = "v3"', 'scheme = "v2"'))
    names_all(refused(run.parent, "report", run), "another [write]: scheme", "write-network")
    # Where nothing can be compiled the record and the page say so.
    hide_linker(tmp_path, monkeypatch)
    ran = spiceloop("write-network", run)
    assert ran.code == 0, ran.err
    (judge,) = (line for line in ran.out.splitlines() if line.startswith("judge "))
    assert LABEL in judge
    assert json.loads((run / "write.json").read_text("utf-8"))["judged"]["form"] == LABEL
    assert spiceloop("report", run).code == 0
    page = (run / "report" / "index.html").read_text("utf-8")
    assert "Writing the network into soft_bounds reram_array_om" in page
    assert "Cells that are not met" not in page
    assert LABEL in page
    rows = (run / "report" / "figures" / "write_targets.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + np.load(run / "write.npz")["target_s"].size
    after = json.loads((run / "write.json").read_text())
    assert (before["scheme"], after["scheme"]) == ("v3", "v2")
    assert after["met"] == before["met"]
    other = np.load(run / "write.npz")
    np.savez(run / "write.npz", **{k: other[k] * 1.01 for k in ("target_s", "achieved_s")})
    names_all(refused(run.parent, "report", run), "write.npz", "write.json")


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"amplitude_v = 1.5": "amplitude_v = 0.4", "down_v = -1.5": "down_v = -0.4"},
            ("[write] amplitude_v", "moves by its", "soft_bounds"),
        ),
        (
            {"amplitude_v = 1.5": "amplitude_v = -1.5", "down_v = -1.5": "down_v = 1.5"},
            ("[write] amplitude_v", "-1.5", "above 0 V", "opposite"),
        ),
        pytest.param(
            {'device = "soft_bounds"': 'device = "stanford"', '"reram_array_om"': '"sky130"',
             "width_s = 3e-07": "width_s = 1e-15"},
            ("[write] amplitude_v, amplitude_down_v, width_s", "moves by its"),
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_pulses_that_do_nothing_or_the_opposite(
    run: Path, changes: dict[str, str], words: tuple[str, ...]
) -> None:
    text = (run / "config.toml").read_text()
    for old, new in changes.items():
        assert old in text, (old, text)
        text = text.replace(old, new)
    (run / "config.toml").write_text(text)
    names_all(refused(run.parent, "write-network", run), *words)


@pytest.mark.ngspice
def test_cells_that_the_device_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5).replace("6e-6", "1e-6"))
    run = tmp_path / "run"
    assert spiceloop("train", tmp_path / "study.toml", "-o", run).code == 0
    sentence = refused(tmp_path, "write-network", run)
    names_all(sentence, "[cell] g_off_s", "1e-06", "5e-06 to 5e-05 S", "soft_bounds")
