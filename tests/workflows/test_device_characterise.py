"""`spiceloop device characterise`: its table, its JSON, its figure, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from compact_models.library import find_model, find_set
from cosim.devices.pulses import number_of_states, symmetry_point
from tests.workflows.command import names_all, refused, spiceloop


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path_factory.mktemp("no-devices")))


def test_a_pulse_device_has_its_numbers_in_json_and_table(tmp_path: Path) -> None:
    out = tmp_path / "synapse.png"
    arguments = ("device", "characterise", "soft_bounds", "--params", "reram_sb")
    ran = spiceloop(*arguments, "-o", out, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    model = find_model("soft_bounds")
    numbers = find_set(model, "reram_sb")
    point = symmetry_point(model, numbers.values)
    assert found["symmetry_state"] == pytest.approx(float(point), abs=0.02)
    assert found["states"] == pytest.approx(
        float(number_of_states(model, numbers.values, point)), rel=0.02
    )
    assert -1 < found["symmetry_point"] < 1
    assert found["dw_min"] == pytest.approx(2 / found["states"])
    assert (found["g_min_s"], found["g_max_s"]) == pytest.approx((5e-6, 5e-5), rel=1e-3)
    assert found["held_out_nrmse"] < 0.02
    assert set(found) >= {"asymmetry", "slope_up", "slope_down", "energy_up_j", "settles_at"}
    pulse = found["pulse"]
    assert (pulse["amplitude_v"], pulse["amplitude_down_v"]) == (1.5, -1.5)
    # Beyond the threshold of 0.8 V for the published width: what of both edges is above it, and
    # the level.
    above = pulse["width_s"] + (1 - 0.8 / 1.5) * (pulse["rise_s"] + pulse["fall_s"])
    assert above == pytest.approx(numbers.values["width_s"])
    ink = (imread(out)[..., :3].min(-1) < 0.5).mean()
    assert 0.003 < ink < 0.3
    table = spiceloop(*arguments)
    assert table.code == 0
    names_all(
        table.out, "g_min, g_max", "dw_min", "states", "asymmetry", "symmetry point", "surrogate",
        "pulse up", "5 µS to 50 µS",
    )  # fmt: skip


@pytest.mark.ngspice
def test_vteam_has_the_same_numbers_in_torch_and_ngspice(tmp_path: Path) -> None:
    given = ("--amplitude-v", "-0.22", "--amplitude-down-v", "0.25", "--width-s", "1e-8")
    found = {}
    for engine in ("torch", "ngspice"):
        out = tmp_path / f"{engine}.svg"
        ran = spiceloop(
            "device", "characterise", "vteam", "--params", "sine", *given, "--engine", engine,
            "-o", out, "--json",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        found[engine] = json.loads(ran.out)
        assert out.read_text(encoding="utf-8").startswith("<?xml")
    ours, theirs = found["torch"], found["ngspice"]
    assert "ngspice" in theirs["engine"]
    assert ours["engine"] == "torch"
    for key in ("g_min_s", "g_max_s", "dw_min", "states", "asymmetry", "settles_at"):
        assert ours[key] == pytest.approx(theirs[key], rel=0.01), key
    assert ours["symmetry_point"] is None
    names_all(ours["no_symmetry"], "stronger at every weight")
    assert ours["pulse"] == theirs["pulse"]
    assert np.isfinite(ours["held_out_nrmse"])


def test_the_same_call_writes_the_same_figure(tmp_path: Path) -> None:
    drawn = []
    for name in ("a.svg", "b.svg"):
        ran = spiceloop("device", "characterise", "constant_step", "-o", tmp_path / name)
        assert ran.code == 0, ran.err
        # Names of clips are hashes of rounded numbers: on a loaded machine one was seen to turn.
        text = (tmp_path / name).read_text()
        drawn.append(re.sub(r'(id="|url\(#|href="#)[^")]*', r"\1", text))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vteeam"], ["vteeam", "vteam"]),
        (["vteam", "--params", "sinus"], ["sinus", "sine"]),
        (["vteam", "--amplitude-v", "-3"], ["--amplitude-v", "-3", "-0.75 to 0.75 V"]),
        (["vteam", "--amplitude-down-v", "0"], ["--amplitude-down-v", "not 0"]),
        (["vteam", "--amplitude-v", "nan"], ["--amplitude-v", "nan"]),
        (["vteam", "--width-s", "0"], ["--width-s", "> 0"]),
        (["vteam", "--width-s", "-1e-9"], ["--width-s", "-1e-09"]),
        (["vteam", "--amplitude-v", "0.2"], ["pulse up", "the other way", "the other sign"]),
        (["vteam", "--amplitude-v", "-0.1"], ["pulse up", "moves nothing", "higher"]),
        (["pcm"], ["pcm", "programmed and read", "dynamic or pulse"]),
        (["vteam", "--engine", "hspice"], ["--engine", "torch, ngspice"]),
        (["vteam", "-o", "x.gif"], ["--out", "x.gif", ".svg"]),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names_all(refused(tmp_path, "device", "characterise", *arguments), *words)
