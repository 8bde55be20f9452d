"""What docs/devices.md shows is run: the device in 30 lines, the lines of Python, the error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.devices.form import can_compile
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import find_ngspice
from workflows.config import parse_config

PAGE = Path(__file__).parents[1] / "docs" / "devices.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def own_device(tmp_path: Path) -> Path:
    path = tmp_path / "leaky_switch.py"
    path.write_text(BLOCKS[0], encoding="utf-8")
    return path


def test_the_device_is_as_short_as_it_says() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 30


@pytest.mark.ngspice
@pytest.mark.parametrize("compiled", [False, True])
def test_the_device_runs_alike_in_torch_and_ngspice(own_device: Path, compiled: bool) -> None:
    ngspice = find_ngspice()
    if compiled and not can_compile(ngspice):
        pytest.skip("no OSDI here")
    model = find_model(str(own_device))
    one = model.parameter_sets[0]
    times = np.linspace(0, 2 * one.period_s, 401)
    volts = one.amplitude_v * np.sin(2 * np.pi * times / one.period_s) * (1 + times / times[-1]) / 2
    ours = run_torch(model, one.values, one.initial, times, torch.from_numpy(volts))
    theirs = run_ngspice(model, one, times, volts, ngspice, compiled=compiled)
    assert theirs.result.ok, theirs.result.reason
    assert np.ptp(theirs.states["x"]) > 0.5
    assert np.abs(ours.states["x"].numpy() - theirs.states["x"]).max() < 1e-3
    error = np.abs(ours.current_a.numpy() - theirs.current_a).max()
    assert error < 1e-3 * np.abs(theirs.current_a).max()


@pytest.mark.usefixtures("own_device")
def test_the_set_of_ones_own_runs_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path))
    text, study = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert parse_config(study, where=PAGE.name).hardware.device is not None
    (tmp_path / "leaky_switch.slow.toml").write_text(text, encoding="utf-8")
    model = find_model("leaky_switch")
    one = find_set(model, "slow")
    assert not one.confirmed
    assert one.credit.endswith("data sheet (unconfirmed)")
    times = np.linspace(0, one.period_s, 201)
    volts = one.amplitude_v * np.sin(2 * np.pi * times / one.period_s)
    trace = run_torch(model, one.values, one.initial, times, torch.from_numpy(volts))
    assert np.ptp(trace.states["x"].numpy()) > 0.5
    # What the page says may be left out, and nothing else.
    keys = {line.split(" = ")[0]: line for line in text.splitlines() if " = " in line}
    for name, line in keys.items():
        (tmp_path / "leaky_switch.slow.toml").write_text(text.replace(line, ""), encoding="utf-8")
        if name == "confirmed":
            assert find_set(model, "slow").confirmed
        else:
            with pytest.raises(InputError, match=name):
                find_set(model, "slow")


def test_the_error_is_the_one_shown(own_device: Path) -> None:
    text = own_device.read_text(encoding="utf-8")
    own_device.write_text(text.replace("- x / tau", "- x"), encoding="utf-8")
    shown = re.search(r"```text\nspiceloop: (leaky_switch.*)\n```", PAGE.read_text("utf-8"))
    assert shown is not None
    with pytest.raises(InputError) as refused:
        find_model(str(own_device))
    said = str(refused.value).replace(str(own_device.parent) + "/", "")
    assert said == shown[1]


def test_the_lines_of_python_run(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {}
    exec(BLOCKS[1], found)  # noqa: S102  # a page of ours
    printed = capsys.readouterr().out
    assert "True" in printed
    assert "e-0" in printed
    exec(BLOCKS[2], found)  # noqa: S102  # it goes on where the one before ended
    point = found["point"]
    chord = (point.current_a[2] - point.current_a[0]) / 0.4
    assert point.conductance_s.tolist() == pytest.approx([float(chord)] * 3, rel=1e-9)


@pytest.mark.ngspice
def test_the_lines_about_variation_run(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, object] = {}
    exec(BLOCKS[3], found)  # noqa: S102  # a page of ours
    assert 0 < float(capsys.readouterr().out) < 1e-3
    works = np.asarray(found["works"])
    assert 0 < works.sum() < works.size
    spread = np.asarray(found["by_torch"])
    assert np.ptp(spread[works]) > 0.1 * 3e-9
