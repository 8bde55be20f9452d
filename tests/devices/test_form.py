"""Devices in ngspice, compiled or as B sources: what is chosen, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from cosim.devices import osdi
from cosim.devices.form import B_SOURCES, can_compile, device_form, trial_form
from cosim.devices.osdi import compile_osdi, find_openvaf, try_compiler
from cosim.devices.run_ngspice import run_ngspice
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.ngspice import Ngspice
from cosim.tables.source import in_ngspice
from netlists.pulse import Pulse
from netlists.wires import Wires
from tests.devices.no_linker import LABEL, WHY_NOT, hide_linker

SINE = VTEAM.parameter_set("sine")
TIME_S = np.array([0.0, 1e-3, 2e-3])
VOLTAGE_V = np.array([0.0, 0.9, 0.0])


def program(folder: Path, script: str) -> Path:
    path = folder / "openvaf-r"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.ngspice
def test_without_a_linker_a_device_runs_as_b_sources_and_says_so(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = run_ngspice(VTEAM, SINE, TIME_S, VOLTAGE_V, ngspice)
    hide_linker(tmp_path, monkeypatch)
    told: list[str] = []
    found = run_ngspice(VTEAM, SINE, TIME_S, VOLTAGE_V, ngspice, tell=told.append)
    assert found.result.ok, found.result.reason
    assert not found.form.compiled
    assert found.form.label == LABEL
    (line,) = told
    assert WHY_NOT in line
    assert "B sources" in line
    moved = abs(wanted.states["w"][-1] - wanted.states["w"][0])
    assert moved > 1e-11
    np.testing.assert_allclose(found.states["w"], wanted.states["w"], atol=1e-3 * moved)
    # An array likewise; its cells are rows and columns apart.
    wires = Wires(r_wordline_ohm=1.0, r_bitline_ohm=2.0)
    word_v = np.outer([1.0, 0.5], VOLTAGE_V)
    array = PulsedArray(VTEAM, SINE, (2, 3), wires, TIME_S, word_v, np.zeros((3, 3)))
    pulsed = run_spice(array, ngspice)
    assert pulsed.ok, pulsed.reason
    assert pulsed.engine.endswith(LABEL)
    form = device_form(VTEAM, SINE, ngspice)
    measured = in_ngspice(VTEAM, SINE, Pulse(0.25, 1e-8, 2e-10, 2e-10), ngspice, form=form)
    assert measured(np.array([0.3, 0.6]), np.array([0.2, -0.2])).engine.endswith(f", {LABEL}")
    # Whoever asks for the compiled form is told what to do.
    for run in (
        lambda: run_ngspice(VTEAM, SINE, TIME_S, VOLTAGE_V, ngspice, compiled=True),
        lambda: run_spice(array, ngspice, compiled=True),
    ):
        with pytest.raises(InputError, match=rf"^{WHY_NOT}; install the package binutils"):
            run()
    assert device_form(VTEAM, SINE, ngspice, compiled=False) == B_SOURCES
    assert B_SOURCES.label == "B sources"


@pytest.mark.ngspice
def test_a_trial_is_of_today(
    ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = find_openvaf()
    if compiler is None or not can_compile(ngspice):
        pytest.skip("nothing can be compiled here")
    monkeypatch.setenv("SPICELOOP_CACHE", str(tmp_path / "cache"))
    kept = device_form(VTEAM, SINE, ngspice)
    assert kept.label == "compiled (OSDI)"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=WHY_NOT):
        try_compiler(compiler)
    assert not can_compile(ngspice)
    # What was compiled once needs neither compiler nor linker.
    assert device_form(VTEAM, SINE, ngspice).library == kept.library


@pytest.mark.ngspice
@pytest.mark.parametrize("why", ["no compiler", "old ngspice"])
def test_what_is_missing_is_named(
    ngspice: Ngspice, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "no compiler":
        monkeypatch.setattr("cosim.devices.form.find_openvaf", lambda: None)
    old = Ngspice(ngspice.path, 39, klu=False, osdi=False) if why == "old ngspice" else ngspice
    words = "ngspice 39 loads no compiled devices" if why == "old ngspice" else "no Verilog-A comp"
    if why == "no compiler" and not ngspice.osdi:
        words = "loads no compiled devices"
    for form in (device_form(VTEAM, SINE, old), trial_form(old)[0]):
        assert not form.compiled
        assert words in form.why_not
        assert form.why_not in form.label


REFUSED = r"\033[0m\033[1m\033[31merror\033[0m\033[1m: no such thing as x\033[0m\n"


@pytest.mark.parametrize(
    ("script", "what", "words"),
    [
        ("exit 1", "openvaf-r does not work here", ["spiceloop[osdi]"]),
        ("exit 0", "openvaf-r does not work here", []),
        (rf"printf '{REFUSED}' >&2; exit 65", "openvaf-r refuses the Verilog-A text of the device",
         ["'no such thing as x'", "B sources"]),
        ("echo 'error: linking failed (see linker output for details)' >&2; exit 65",
         "the linker that openvaf-r called failed", ["binutils"]),
        ("printf 'error: \\377' >&2; exit 65", "openvaf-r refuses the Verilog-A text of the device",
         []),
        ("exec sleep 9", "openvaf-r did not end within 0.2 s", []),
    ],
)  # fmt: skip
def test_a_compiler_that_fails_is_told_of_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, what: str, words: list[str]
) -> None:
    monkeypatch.setattr(osdi, "_TIMEOUT_S", 0.2 if "sleep" in script else 20.0)
    monkeypatch.setenv("SPICELOOP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError) as refused:
        compile_osdi("module m; endmodule\n", program(tmp_path, script))
    assert refused.value.what == what
    assert refused.value.sentence().isprintable()
    for word in words:
        assert word in refused.value.sentence()
    assert not (tmp_path / "cache").exists()


def test_a_file_that_is_no_program_is_told_of_in_words(tmp_path: Path) -> None:
    path = program(tmp_path, "")
    path.write_bytes(b"\x7fELF, but cut")
    with pytest.raises(InputError, match="openvaf-r cannot be started"):
        try_compiler(path)


def test_openvaf_itself_refuses_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = find_openvaf()
    if compiler is None:
        pytest.skip("no openvaf-r here")
    monkeypatch.setenv("SPICELOOP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="refuses the Verilog-A text") as refused:
        compile_osdi("module two(p); inout p; electrical p; endmodule\n", compiler)
    assert "'electrical' was not found" in refused.value.sentence()
