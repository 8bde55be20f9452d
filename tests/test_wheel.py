"""The wheel, installed elsewhere and used from another folder: package data, templates and all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_the_wheel_runs_the_demo_from_another_folder(tmp_path: Path) -> None:
    python = sys.executable
    build = [
        python,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [python, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True, timeout=120)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Before the editable install of this checkout on the path: what is imported is the wheel's.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = subprocess.run(
        [python, "-c", "import workflows; print(workflows.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=environment,
    ).stdout
    assert Path(where.strip()).is_relative_to(site)
    ran = subprocess.run(
        [python, "-m", "workflows", "demo", "--quick", "-o", "run", "--json"],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=environment,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["verify"]["failed"] == 0
    page = (elsewhere / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "</html>" in page
