"""Finding the simulator: what is said when it is missing, wrong or too old; limits for its runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compact_models.errors import InputError
from cosim.ngspice import Ngspice, find_ngspice, timeout_for

ROOT = Path(__file__).parents[2]


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.ngspice
def test_what_it_can_do_is_found_by_running_it(ngspice: Ngspice) -> None:
    assert ngspice.version >= 39
    assert ngspice.path.is_absolute()
    if ngspice.version >= 46:
        assert (ngspice.klu, ngspice.osdi) == (True, True)
    if ngspice.version == 39:
        assert (ngspice.klu, ngspice.osdi) == (False, False)


@pytest.mark.ngspice
def test_the_argument_wins_over_the_environment_and_that_over_the_path(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = [tmp_path / name for name in ("one", "two", "ngspice")]
    for link in links:
        link.write_text(f'#!/bin/sh\nexec {ngspice.path} "$@"\n')
        link.chmod(0o755)
    monkeypatch.setenv("SPICELOOP_NGSPICE", str(links[0]))
    assert find_ngspice().path == links[0]
    assert find_ngspice(str(links[1])).path == links[1]
    monkeypatch.delenv("SPICELOOP_NGSPICE")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_ngspice().path == links[2]


def test_a_missing_simulator_is_an_error_with_the_next_action(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match=r"not found.*/nosuch/ngspice.*run setup"):
        find_ngspice("/nosuch/ngspice")
    monkeypatch.setenv("SPICELOOP_NGSPICE", "/nosuch/other")
    with pytest.raises(InputError, match=r"SPICELOOP_NGSPICE.*/nosuch/other"):
        find_ngspice()
    monkeypatch.delenv("SPICELOOP_NGSPICE")
    monkeypatch.setenv("PATH", "/nosuch")
    with pytest.raises(InputError, match="apt-get"):
        find_ngspice()


def test_an_old_simulator_is_refused(tmp_path: Path) -> None:
    old = script(tmp_path / "ngspice", "echo '** ngspice-36 : Circuit level simulation program'")
    with pytest.raises(InputError, match=r"too old.*36.*>= 39"):
        find_ngspice(old)


def test_another_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not ngspice"):
        find_ngspice(script(tmp_path / "ngspice", "echo hello"))


def test_a_simulator_that_cannot_simulate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not solve a divider"):
        find_ngspice(script(tmp_path / "ngspice", "echo ngspice-46"))


def test_a_replaced_program_is_probed_again(tmp_path: Path) -> None:
    path = tmp_path / "ngspice"
    script(path, "echo ngspice-30")
    with pytest.raises(InputError, match="30"):
        find_ngspice(str(path))
    script(path, "echo ngspice-31")
    with pytest.raises(InputError, match="31"):
        find_ngspice(str(path))


@pytest.mark.parametrize(
    ("choice", "code", "word"),
    [("required", 1, "1 error"), ("if_available", 0, "1 skipped"), ("disabled", 0, "1 skipped")],
)
def test_the_option_decides_what_a_missing_simulator_means(
    choice: str, code: int, word: str
) -> None:
    test = "tests/ngspice/test_runner.py::test_no_shell_reads_the_paths"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--ngspice", choice, test],
        cwd=ROOT,
        env=os.environ | {"SPICELOOP_NGSPICE": "/nosuch/ngspice"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, word in done.stdout) == (code, True), done.stdout


KLU = Ngspice(Path("/x/ngspice"), version=46, klu=True, osdi=True)
SPARSE = Ngspice(Path("/x/ngspice"), version=39, klu=False, osdi=False)


@pytest.mark.parametrize(
    ("simulator", "elements", "points", "measured_s"),
    [
        # Measured on a busy two-core machine: wired crossbars and behavioural memristors.
        (KLU, 3_100, 1, 0.03),
        (KLU, 49_000, 1, 0.87),
        (KLU, 12_000, 64, 1.2),
        (KLU, 3_100, 100, 1.9),
        (SPARSE, 3_100, 1, 0.1),
        (SPARSE, 12_000, 1, 4.5),
        (SPARSE, 49_000, 1, 439.0),
        (SPARSE, 12_000, 64, 22.5),
    ],
)
def test_the_limit_is_well_above_what_was_measured(
    simulator: Ngspice, elements: int, points: int, measured_s: float
) -> None:
    limit_s = timeout_for(elements, points, simulator)
    assert limit_s >= 4 * measured_s
    assert limit_s >= 10
    assert limit_s <= 24 * 3600


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(InputError, match="elements"):
        timeout_for(-1, 1, KLU)
