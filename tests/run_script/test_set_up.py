"""The set-up script `run`: its commands, ngspice and Python, on machines that it stands on."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import pytest

from tests.run_script.machines import ENTRY, KEY, RUN, Machine, one_sentence


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_it_is_plain_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", str(RUN)], check=True)


def test_help_needs_no_set_up(machine: Machine) -> None:
    finished = machine.run("help")
    assert finished.returncode == 0
    assert finished.stdout == machine.run().stdout
    for command in ("demo", "test", "setup", "lint", "bench", "docs"):
        assert re.search(rf"^  {command} ", finished.stdout, re.MULTILINE)
    assert machine.calls() == []


def test_an_unknown_command_is_refused(machine: Machine) -> None:
    finished = machine.run("tset")
    assert finished.returncode == 2
    assert "'tset'" in finished.stderr
    assert "./run help" in finished.stderr


def test_arguments_pass_through_unchanged(machine: Machine) -> None:
    machine.have_ngspice(46)
    assert machine.run("test", "-k", "solver or wires").returncode == 0
    command = "python -m pytest --ngspice required -n auto --dist loadfile -k solver or wires"
    assert machine.calls("python")[-1] == command


# ---------------------------------------------------------------------------- ngspice ----


def test_a_fast_ngspice_is_left_alone(machine: Machine) -> None:
    machine.have_apt(candidate=39)
    machine.have_ngspice(46)
    machine.have_linker()
    assert machine.run("setup").returncode == 0
    assert machine.calls("apt-get") == []


def test_debian_12_gets_ngspice_from_backports(machine: Machine) -> None:
    machine.have_apt(candidate=39)
    finished = machine.run("setup")
    assert finished.returncode == 0
    assert "ngspice 46 with the KLU solver" in finished.stderr
    entry = machine.backports.read_text(encoding="utf-8")
    assert entry == ENTRY.format(
        uri="http://mirror.example.org/debian", options=f"Signed-By: {KEY}\n"
    )
    (install,) = (call for call in machine.calls("apt-get") if call.endswith(" ngspice"))
    assert install.endswith("-t bookworm-backports ngspice")
    assert " -y " in install


def test_a_new_enough_candidate_needs_no_backports(machine: Machine) -> None:
    machine.have_apt(candidate=44)
    assert "ngspice 44 with the KLU solver" in machine.run("setup").stderr
    assert not machine.backports.exists()


def test_unreachable_backports_leave_no_trace_but_a_warning(machine: Machine) -> None:
    machine.have_apt(candidate=39)
    finished = machine.run("setup", OFFLINE="backports")
    assert finished.returncode == 0
    assert "warning: ngspice 39 without the KLU solver" in finished.stderr
    assert not machine.backports.exists()


def test_an_old_ngspice_does_where_nobody_may_install(machine: Machine) -> None:
    machine.have_apt(candidate=39, uid=1000)
    machine.have_ngspice(39)
    finished = machine.run("setup")
    assert finished.returncode == 0
    assert "warning: ngspice 39" in finished.stderr
    assert machine.calls("apt-get") == []


def test_sudo_is_used_where_it_asks_nothing(machine: Machine) -> None:
    machine.have_apt(candidate=44, uid=1000)
    machine.put("sudo", '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\n[ "$1" = true ] || exec "$@"\n')
    assert machine.run("setup").returncode == 0
    assert machine.calls("apt-get")


def test_without_apt_the_next_step_is_named(machine: Machine) -> None:
    assert "no apt-get" in (sentence := one_sentence(machine.run("setup")))
    assert "install ngspice" in sentence


def test_without_root_the_next_step_is_named(machine: Machine) -> None:
    machine.have_apt(candidate=39, uid=1000)
    assert "run 'apt-get install ngspice' as root" in one_sentence(machine.run("setup"))


def test_sudo_without_a_terminal_is_never_waited_for(machine: Machine) -> None:
    machine.have_apt(candidate=39, uid=1000)
    machine.put("sudo", '#!/bin/sh\n[ "$1" != -n ] || exit 1\nread -r password\n')
    assert "needs root" in one_sentence(machine.run("setup"))


def test_without_network_the_next_step_is_named(machine: Machine) -> None:
    machine.have_apt(candidate=None)
    assert "check the network" in one_sentence(machine.run("setup", OFFLINE="all"))


def test_too_old_an_ngspice_is_as_good_as_none(machine: Machine) -> None:
    machine.have_ngspice(36)
    assert "ngspice 39 or newer" in one_sentence(machine.run("setup"))


# ------------------------------------------------------------------------------ linker ----


def test_a_linker_is_installed_where_there_is_none(machine: Machine) -> None:
    machine.have_apt(candidate=44)
    finished = machine.run("setup")
    assert finished.returncode == 0
    (install,) = (call for call in machine.calls("apt-get") if "binutils" in call)
    assert " -y " in install
    assert " install --no-install-recommends binutils" in install
    assert "linker" in finished.stderr
    assert "warning" not in finished.stderr
    machine.run("setup")
    assert len([call for call in machine.calls("apt-get") if "binutils" in call]) == 1


def test_a_machine_that_was_set_up_without_a_linker_gets_one(machine: Machine) -> None:
    machine.have_ngspice(46)
    assert machine.run("setup").returncode == 0
    pip = machine.calls("pip")
    machine.have_apt(candidate=44)
    assert machine.run("setup").returncode == 0
    assert [call for call in machine.calls("apt-get") if call.endswith(" binutils")]
    assert machine.calls("pip") == pip


@pytest.mark.parametrize("why", ["no apt-get", "no root", "offline"])
def test_without_a_linker_all_goes_on_with_one_warning(machine: Machine, why: str) -> None:
    machine.have_ngspice(46)
    if why != "no apt-get":
        machine.have_apt(candidate=44, uid=1000 if why == "no root" else 0)
    finished = machine.run("setup", OFFLINE="binutils")
    assert finished.returncode == 0
    (warning,) = (line for line in finished.stderr.splitlines() if "warning" in line)
    assert "B sources" in warning
    assert "binutils" in warning
    assert "ready: ngspice 46" in finished.stderr


# ----------------------------------------------------------------------------- Python ----


def test_a_second_call_does_nothing_and_is_quick(machine: Machine) -> None:
    machine.have_ngspice(46)
    machine.run("setup")
    before = machine.calls("pip")
    started = time.perf_counter()
    assert machine.run("setup").returncode == 0
    assert time.perf_counter() - started < 0.5
    assert len(before) == 2
    assert machine.calls("pip") == before


def test_a_changed_lock_file_is_installed_into_the_same_venv(machine: Machine) -> None:
    machine.have_ngspice(46)
    machine.run("setup")
    (machine.checkout / ".venv/kept").touch()
    (machine.checkout / "requirements.lock").write_text("y\n", encoding="utf-8")
    machine.run("setup")
    assert (machine.checkout / ".venv/kept").exists()
    assert len(machine.calls("pip")) == 4


def test_a_half_made_venv_is_made_anew(machine: Machine) -> None:
    machine.have_ngspice(46)
    assert "pip could not install" in one_sentence(machine.run("setup", PIP_FAILS="yes"))
    (machine.checkout / ".venv/left-over").touch()
    finished = machine.run("setup")
    assert finished.returncode == 0
    assert "half-made" in finished.stderr
    assert not (machine.checkout / ".venv/left-over").exists()


def test_a_moved_checkout_gets_a_new_venv(machine: Machine) -> None:
    machine.have_ngspice(46)
    machine.run("setup")
    (machine.checkout / ".venv/stale").touch()
    moved = machine.checkout.rename(machine.root / "moved")
    subprocess.run([str(moved / "run"), "setup"], env=machine.env, check=True, capture_output=True)
    assert not (moved / ".venv/stale").exists()


def test_an_old_python_is_refused(machine: Machine) -> None:
    machine.have_ngspice(46)
    old = one_sentence(machine.run("setup", VERSION="3.9.2", PYTHON="python3"))
    assert "PYTHON=python3 is not a Python 3.11 or newer" in old
    assert "apt-get install python3" in one_sentence(machine.run("setup", VERSION="3.9.2"))
