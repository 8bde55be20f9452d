"""`spiceloop write-network`: a trained network in dynamic cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.workflows.command import names_all, refused, spiceloop

# Steps of a twentieth of the range, and thresholds that half of a pulse does not reach.
STUDY = """\
[data]
name = "iris"

[network]
hidden = [8]

[train]
epochs = 80

[cell]
g_off_s = 6e-6
g_on_s = 4.9e-5

[verify]
images = 30

[write]
device = "soft_bounds"
parameters = "reram_array_om"
amplitude_v = {up}
amplitude_down_v = -1.5
width_s = 3e-7
levels = 6
"""


@pytest.mark.ngspice
def test_a_network_is_written(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5))
    run = tmp_path / "run"
    assert spiceloop("train", tmp_path / "study.toml", "-o", run).code == 0
    ran = spiceloop("write-network", run, "--json")
    assert ran.code == 0, (ran.out, ran.err)
    found = json.loads(ran.out)
    stored = np.load(run / "write.npz")
    off = np.abs(stored["achieved_s"] - stored["target_s"])
    assert found["met"] == found["cells"] == off.size > 40
    assert off.max() == pytest.approx(found["worst_error_s"])
    assert off.max() <= found["tolerance_s"] == pytest.approx(4.3e-5 / 10)
    assert stored["pulses"].sum() == found["pulses"] > off.size
    # A cell that stays off needs nothing; one that is far needs more.
    near = stored["target_s"] < 8e-6
    assert stored["pulses"][near].mean() < stored["pulses"][~near].mean()
    assert 0 <= found["accuracy_written"] <= 1
    assert found["accuracy_target"] > 0.6
    assert found["accuracy_spice_written"] == pytest.approx(found["accuracy_written"], abs=0.04)
    judged = found["judged"]
    assert judged["met"] == judged["met_surrogate"] == judged["cells"] == 4
    assert 0 < judged["pulses"] <= 2 * judged["pulses_surrogate"]
    assert judged["states_apart"] < 0.01
    assert abs(found["worst_disturb"]) < 1e-6
    assert json.loads((run / "write.json").read_text())["pulses"] == found["pulses"]


@pytest.mark.ngspice
def test_the_report_shows_what_was_reached(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5))
    run = tmp_path / "run"
    for call in (
        ("train", tmp_path / "study.toml", "-o", run), ("verify", run), ("report", run),
    ):  # fmt: skip
        assert spiceloop(*call).code == 0
    assert "the network was not written" in (run / "report" / "index.html").read_text("utf-8")
    assert spiceloop("write-network", run).code == 0
    assert spiceloop("report", run).code == 0
    page = (run / "report" / "index.html").read_text("utf-8")
    assert "Writing the network into soft_bounds reram_array_om" in page
    rows = (run / "report" / "figures" / "write_targets.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + np.load(run / "write.npz")["target_s"].size
    other = np.load(run / "write.npz")
    np.savez(run / "write.npz", **{k: other[k] * 1.01 for k in other.files})
    names_all(refused(tmp_path, "report", run), "write.npz", "write.json")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('scheme = "1t1r"', ("[write] scheme", "1t1r", "transistor", "v2, v3")),
        ('scheme = "v4"', ("[write]", "v4", "v3")),
        ("at_once = 0", ("[write] at_once", "0")),
    ],
)
def test_schemes_that_cannot_be(line: str, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(up=1.5) + line + "\n")
    call = ("train", tmp_path / "study.toml", "-o", tmp_path / "run")
    if "at_once" not in line:
        assert spiceloop(*call).code == 0
        call = ("write-network", tmp_path / "run")
    names_all(refused(tmp_path, *call), *words)


def test_what_is_refused(tmp_path: Path) -> None:
    names_all(refused(tmp_path, "write-network", tmp_path / "none"), "none")
    (tmp_path / "study.toml").write_text(STUDY.format(up='"high"'))
    call = ("train", tmp_path / "study.toml", "-o", tmp_path / "run")
    names_all(refused(tmp_path, *call), "[write] amplitude_v", "high")
