"""Data that cannot be what their columns say are refused at once: file, line, value, what to do."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from compact_models.errors import InputError
from tests.workflows.command import names_all, refused
from workflows.device.measured import read_measured

TURN = np.linspace(0, 2 * np.pi, 81)
VOLTS = 0.4 * np.sin(TURN)
# A loop whose halves are unlike, that rectifies, and whose current lags a little near zero.
AMPS = VOLTS * np.where(VOLTS > 0, 1e-3, 2e-4) * (1 + 0.5 * np.cos(TURN)) + 2e-6 * np.cos(TURN)
UP_DOWN = np.concatenate([np.linspace(1, 9, 20), np.linspace(9, 1, 20)]) * 1e-6


def sweep(
    volts: np.ndarray = VOLTS, amps: np.ndarray = AMPS, row: tuple[int, str] | None = None
) -> str:
    lines = [
        f"{k}e-3,{float(v)!r},{float(i)!r}"
        for k, (v, i) in enumerate(zip(volts, amps, strict=True))
    ]
    if row is not None:
        time_s, volt, _ = lines[row[0]].split(",")
        lines[row[0]] = f"{time_s},{volt},{row[1]}"
    return "\n".join(["t_s,v_v,i_a", *lines]) + "\n"


def pulses(pulse: np.ndarray, conductance_s: np.ndarray = UP_DOWN) -> str:
    rows = zip(pulse.tolist(), conductance_s.tolist(), strict=True)
    return "pulse,g_s\n" + "".join(f"{p!r},{g!r}\n" for p, g in rows)


def refusal(folder: Path, text: str, units: tuple[str, ...] = ()) -> str:
    path = folder / "in.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_measured(path, None, units)
    return str(caught.value)


def is_read(folder: Path, text: str, units: tuple[str, ...] = ()) -> None:
    path = folder / "in.csv"
    path.write_text(text, encoding="utf-8")
    read_measured(path, None, units)


COUNT = np.arange(1.0, 41)
TWO_WAYS = np.repeat([1.0, -1.0], 20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # The first row of the negative half that is far from zero.
        (sweep(amps=np.abs(AMPS)), ["in.csv:45: i_a", "one sign", "|i|", " V", "with its sign"]),
        (sweep(amps=-np.abs(AMPS)), ["i_a", "one sign", "|i|"]),
        (sweep(amps=-AMPS), ["i_a", "opposite signs", "--unit i=-A"]),
        (sweep(volts=np.abs(VOLTS)), ["i_a", "v_v has one sign", "|v|", "export the voltage"]),
        (sweep(amps=np.roll(AMPS, 20)), ["rows far from zero", "gives power back", "same run"]),
        (sweep(amps=AMPS * 1e6), ["i_a is beyond", "cannot be A", "--unit i=uA", "1 A"]),
        (sweep(amps=AMPS * 1e-13), ["i_a is below", "cannot be A"]),
        (sweep(volts=VOLTS * 1e3), ["v_v is beyond", "cannot be V", "--unit v=mV", "100 V"]),
        (pulses(COUNT), ["in.csv:2 to 41", "pulse counts", "1, 2, 3, ... 40", "write 1 and -1"]),
        (pulses(COUNT - 1), ["pulse counts", "0, 1, 2, ... 39"]),
        (pulses(10 * COUNT), ["pulse counts", "10, 20, 30, ... 400"]),
        (pulses(np.tile(COUNT[:20], 2)), ["pulse counts", "1, 2, 3, ... 20"]),
        (pulses(np.ones(40)), ["in.csv:21", "every pulse has one direction", "rises", "falls"]),
        (pulses(np.full(40, -1.2), UP_DOWN[::-1][10:30].repeat(2)), ["every pulse has one"]),
        (pulses(TWO_WAYS, UP_DOWN * 1e6), ["g_s is beyond", "9 S", "cannot be S", "--unit g=uS"]),
        (pulses(TWO_WAYS, 50 * UP_DOWN / UP_DOWN.max()), ["50 S", "g_s", "in.csv:21"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    names_all(refusal(tmp_path, text), *words)


@pytest.mark.parametrize(
    "code",
    ["9.91e37", "9.9e37", "9.91e+37", "-9.91E37", "+9.900000E+37", "1e38", "3.402823e38", "-1e38",
     "7e22", "199.999e99", "1.99999E+11"],
)  # fmt: skip
def test_an_overflow_is_no_measurement(tmp_path: Path, code: str) -> None:
    said = refusal(tmp_path, sweep(row=(29, code)), ("i=nA",))
    names_all(said, "in.csv:31: i_a", "an instrument's code", "1 of 81 rows", "take such lines out")
    assert f"got {float(code)!r}" in said
    counted = pulses(TWO_WAYS).replace(f"{float(UP_DOWN[4])!r}", code)
    names_all(refusal(tmp_path, counted), "in.csv:6: g_s", "an instrument's code")


def test_what_a_device_does_is_read(tmp_path: Path) -> None:
    is_read(tmp_path, sweep())
    is_read(tmp_path, sweep(np.abs(VOLTS), np.abs(AMPS)))  # one polarity alone
    noise = 1e-9 * np.random.default_rng(3).standard_normal(81)
    is_read(tmp_path, sweep(amps=np.where(VOLTS > 0, AMPS, noise)))  # a diode's other half
    is_read(tmp_path, pulses(TWO_WAYS))
    is_read(tmp_path, pulses(COUNT * TWO_WAYS))  # a count with a sign says the direction
    is_read(tmp_path, pulses(np.tile([0.0, 1.0], 20), np.linspace(1, 9, 40) * 1e-6))
    heights = np.linspace(0.5, 2.45, 40)  # each pulse higher than the one before
    is_read(tmp_path, pulses(heights, np.linspace(1, 9, 40) * 1e-6))
    rough = 1e-6 * (5 + np.random.default_rng(4).standard_normal(40))
    is_read(tmp_path, pulses(np.ones(40), rough))  # noise goes up and down


@pytest.mark.parametrize(
    ("text", "unit"), [(sweep(amps=AMPS * 1e4), "i"), (pulses(TWO_WAYS, UP_DOWN * 1e6), "g")]
)
def test_a_user_who_names_the_unit_is_believed(tmp_path: Path, text: str, unit: str) -> None:
    base = {"i": "A", "g": "S"}[unit]
    assert f"--unit {unit}={base}" in refusal(tmp_path, text)
    for said in (f"{unit}={base}", f"{unit}=u{base}"):
        is_read(tmp_path, text, (said,))


def test_the_command_says_it_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path / "devices"))
    data = tmp_path / "in.csv"
    data.write_text(sweep(row=(5, "9.91e37")), encoding="utf-8")
    started = time.process_time()
    said = refused(tmp_path, "device", "fit", data, "--model", "vteam")
    assert time.process_time() - started < 5
    names_all(said, "in.csv:7: i_a", "got 9.91e+37", "allowed: what was measured, in A")
