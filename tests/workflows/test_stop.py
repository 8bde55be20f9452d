"""A running `spiceloop demo` stopped at any moment: no simulator goes on, no run looks finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.ngspice.processes import hear_ctrl_c, wait_for_simulators

pytestmark = [pytest.mark.ngspice, pytest.mark.slow]

# Seconds after the demo said that it had begun: a fixed draw over its first stages.
MOMENTS = np.random.default_rng(11).uniform(0, 6, 3).round(2).tolist()


def stopped(tmp_path: Path, number: signal.Signals, after_s: float) -> subprocess.Popen[str]:
    """A demo that got a signal `after_s` after its first line, and has ended."""
    (tmp_path / "tmp").mkdir()
    demo = subprocess.Popen(
        [sys.executable, "-m", "workflows", "demo", "-o", tmp_path / "run"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    assert demo.stderr is not None
    assert demo.stderr.readline().startswith("spiceloop: ")
    time.sleep(after_s)
    demo.send_signal(number)
    demo.out, demo.err = demo.communicate(timeout=20)  # type: ignore[attr-defined]
    return demo


@pytest.mark.parametrize("after_s", MOMENTS[:2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_leaves_nothing_or_a_run_that_goes_on(
    number: signal.Signals, after_s: float, tmp_path: Path
) -> None:
    demo = stopped(tmp_path, number, after_s)
    assert demo.returncode == 130, demo.err
    assert demo.out == ""
    assert demo.err.splitlines()[-1].startswith("spiceloop: stopped")
    assert "Traceback" not in demo.err
    assert wait_for_simulators(tmp_path, 0) == []
    left = sorted(path.name for path in tmp_path.iterdir())
    if left != ["tmp"]:  # it had calibrated already
        assert left == ["run", "tmp"]
        assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "stopped"
        assert (tmp_path / "run" / "checkpoint" / "calibration.json").exists()
        assert f"spiceloop train --resume {tmp_path / 'run'}" in demo.err
    # Others leave things there (torch does), we do not.
    assert list((tmp_path / "tmp").glob("*spiceloop*")) == []


@pytest.mark.parametrize("after_s", MOMENTS[1:])
def test_a_killed_demo_leaves_no_simulator_and_no_end(after_s: float, tmp_path: Path) -> None:
    demo = stopped(tmp_path, signal.SIGKILL, after_s)
    assert demo.returncode == -signal.SIGKILL
    assert wait_for_simulators(tmp_path, 0) == []
    left = [path.name for path in tmp_path.iterdir() if path.name != "tmp"]
    assert left in ([], [".run.part"], ["run"])
    if left == ["run"]:
        assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"
