"""Running one deck: what goes in, what stays behind, what a user's settings may change."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from compact_models.errors import InputError
from cosim.ngspice import Deck, Ngspice, Outcome, run_deck
from cosim.ngspice.deck import text_to_run
from tests.ngspice.processes import simulators_in

DIVIDER = Deck("* divider\n.option klu\nV1 a 0 1\nR1 a b 1e3\nR2 b 0 3e3\n.op\n.end\n", name="d")
ENDLESS = Deck("* endless\nV1 a 0 sin(0 1 1e6)\nR1 a 0 1\n.save v(a)\n.tran 1n 10\n.end\n")

pytestmark = pytest.mark.ngspice


def test_a_run_gives_numbers_and_tells_how_it_got_them(ngspice: Ngspice) -> None:
    result = run_deck(DIVIDER, ngspice, timeout_s=30)
    assert result.ok
    assert result.plot.signal("v(b)")[0] == pytest.approx(0.75)
    assert result.command == (str(ngspice.path), "-n", "-b", "-r", "out.raw", "deck.cir")
    assert result.engine == f"{ngspice.label} {'KLU' if ngspice.klu else 'Sparse'}"
    assert "Doing analysis" in result.log
    assert 0 < result.wall_s < 30


def test_the_engine_is_the_solver_that_was_used_not_the_one_that_exists(ngspice: Ngspice) -> None:
    without = Deck(DIVIDER.text.replace(".option klu\n", ""))
    assert run_deck(without, ngspice, timeout_s=30).engine == f"{ngspice.label} Sparse"


def test_measures_come_with_the_plots_and_all_their_digits(ngspice: Ngspice) -> None:
    text = (
        "* rc\nV1 a 0 pulse(0 1 0 1p 1p 1 2)\nR1 a b 1e3\nC1 b 0 1n\n.tran 1n 5u\n.op\n"
        ".meas tran T_half when v(b)=0.5 rise=1\n.meas tran top max v(b)\n"
        ".meas tran late find v(b) at=4u\n.end\n"
    )
    result = run_deck(Deck(text, expected_measures=("t_half", "TOP", "late")), ngspice, timeout_s=9)
    assert result.outcome is Outcome.OK, result.reason
    assert set(result.measures) == {"t_half", "top", "late"}
    assert result.measures["t_half"] == pytest.approx(np.log(2) * 1e-6, rel=1e-3)
    assert {plot.name for plot in result.plots} == {"Operating Point", "Transient Analysis"}
    transient = next(plot for plot in result.plots if plot.name == "Transient Analysis")
    # 39 and 44 print seven, whatever they are told.
    digits = 1e-14 if ngspice.version > 44 else 1e-6
    assert result.measures["top"] == pytest.approx(transient.signal("v(b)").max(), rel=digits)


def test_keep_dir_keeps_what_is_needed_to_run_it_again(ngspice: Ngspice, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "kept"
    deck = Deck(
        "* t\n.include side.inc\nR1 a 0 1\n.op\n.end\n", files={"side.inc": "V1 a 0 2\n", "b": b"1"}
    )
    assert run_deck(deck, ngspice, timeout_s=30, keep_dir=folder).plot.signal("v(a)")[0] == 2.0
    names = {path.name for path in folder.iterdir()}
    assert names == {"deck.cir", "out.raw", "ngspice.log", "side.inc", "b"}


def test_results_of_an_earlier_run_are_never_taken_for_new_ones(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    assert run_deck(DIVIDER, ngspice, timeout_s=30, keep_dir=tmp_path).ok
    broken = Deck("* t\nV1 a 0 1\nR1 a 0 1\n.end\n")
    result = run_deck(broken, ngspice, timeout_s=30, keep_dir=tmp_path)
    assert result.outcome is Outcome.INVALID
    assert result.plots == ()


def test_no_folder_is_left_behind(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_deck(DIVIDER, ngspice, timeout_s=30)
    run_deck(ENDLESS, ngspice, timeout_s=0.2)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_too_long_is_a_timeout_and_is_really_over(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    start = time.monotonic()
    result = run_deck(ENDLESS, ngspice, timeout_s=0.4, keep_dir=tmp_path)
    assert result.outcome is Outcome.TIMEOUT
    assert "0.4 s" in result.reason
    assert time.monotonic() - start < 3
    assert simulators_in(tmp_path) == []


def test_an_operating_point_that_never_ends_is_a_timeout(ngspice: Ngspice) -> None:
    ring = "* ring\nB1 x 0 V=5-5*u(v(y)-2)\nR1 x y 1k\nC1 y 0 1p\n.op\n.end\n"
    result = run_deck(Deck(ring), ngspice, timeout_s=0.5)
    assert result.outcome in (Outcome.TIMEOUT, Outcome.NO_CONVERGENCE)


def test_a_simulator_killed_from_outside_is_a_crash(ngspice: Ngspice, tmp_path: Path) -> None:
    def kill() -> None:
        until = time.monotonic() + 10
        while not (found := simulators_in(tmp_path)) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(found[0], signal.SIGSEGV)

    killer = threading.Thread(target=kill)
    killer.start()
    result = run_deck(ENDLESS, ngspice, timeout_s=20, keep_dir=tmp_path)
    killer.join()
    assert result.outcome is Outcome.CRASHED
    assert "SIGSEGV" in result.reason


def test_a_users_spiceinit_changes_nothing(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home, work):
        folder.mkdir()
        (folder / ".spiceinit").write_text("echo spiceinit was read\nset filetype=ascii\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SPICE_ASCIIRAWFILE", "1")  # ngspice's own switch to text raw files
    monkeypatch.chdir(work)
    result = run_deck(DIVIDER, ngspice, timeout_s=30, keep_dir=work)
    assert result.outcome is Outcome.OK, result.reason
    assert "spiceinit was read" not in result.log


def test_no_shell_reads_the_paths(ngspice: Ngspice, tmp_path: Path) -> None:
    folder = tmp_path / "a b; touch $(echo oops) 'q'"
    assert run_deck(DIVIDER, ngspice, timeout_s=30, keep_dir=folder).ok
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["../x", "a/b", "deck.cir", "out.raw", "", ".."])
def test_side_files_stay_beside_the_deck(name: str) -> None:
    with pytest.raises(InputError, match="side file"):
        Deck("* t\n.end\n", files={name: "x"})


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_time_limit_must_be_positive(timeout_s: float, ngspice: Ngspice) -> None:
    with pytest.raises(InputError, match="time limit"):
        run_deck(DIVIDER, ngspice, timeout_s=timeout_s)


def test_a_folder_that_cannot_be_written_is_the_users_error(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        run_deck(DIVIDER, ngspice, timeout_s=30, keep_dir=tmp_path / "file" / "x")


def test_a_very_long_log_is_thinned_and_still_judged(ngspice: Ngspice) -> None:
    noise = "let k = 0\ndowhile k < 40000\necho the same line again and again\nlet k = k + 1\nend\n"
    text = (
        f"* loud\nI1 0 a 1u\nC1 a 0 1p\n.control\n{noise}op\nwrite out.raw\nquit 0\n.endc\n.end\n"
    )
    result = run_deck(Deck(text), ngspice, timeout_s=30)
    assert result.outcome is Outcome.INVALID
    assert "singular matrix" in result.reason
    assert len(result.log) < 10_000


@pytest.mark.parametrize("end", [".end\n", " \t.END \n", ".End", ".end\n* .end\n.ends\n.endc\n"])
def test_the_control_block_for_measures_goes_before_the_last_end_line(end: str) -> None:
    head = "* .end of t\n.end\n.subckt s a\nR1 a 0 1 ; .end\n.ENDS\nV1 a.end 0 1\n"
    text = text_to_run(Deck(head + end, expected_measures=("m",)))
    assert text.startswith(head + ".control\nrun\n")
    assert text.endswith(".endc\n" + end.rstrip("\n") + "\n")


def test_without_an_end_line_the_control_block_comes_last() -> None:
    text = text_to_run(Deck("* t\n.ends\n* .end", expected_measures=("m",)))
    assert text.startswith("* t\n.ends\n* .end\n.control\n")
    assert text.endswith(".endc\n")


@pytest.mark.parametrize("control", [".control", "\t .CONTROL ; ours"])
def test_a_deck_that_brings_its_own_control_block_gets_no_other(control: str) -> None:
    own = f"* t\nR1 a 0 1\n{control}\nrun\n.endc\n.end\n"
    assert text_to_run(Deck(own, expected_measures=("m",))) == own


@pytest.mark.parametrize(
    "line", ["* .control", "R1 a.control 0 1", ".controls", "V1 a 0 1 .control"]
)
def test_a_line_that_only_mentions_control_is_no_control_block(line: str) -> None:
    text = text_to_run(Deck(f"* t\n{line}\n.end\n", expected_measures=("m",)))
    assert text.startswith(f"* t\n{line}\n.control\nrun\n")
