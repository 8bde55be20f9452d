"""Measured pulses that are kept: found again exactly, never stale, never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compact_models.fingerprint import fingerprint
from compact_models.library import find_model, find_set
from cosim.tables import cache, kept_points, source
from cosim.tables.cache import CalibratedUpdate, cached_update
from cosim.tables.kept_points import KeptPoints, Measured, measurement
from cosim.tables.layout import QUICK
from cosim.tables.update import MeasuredUpdate, measure_update
from netlists.pulse import Pulse

MODEL = find_model("vteam")
NUMBERS = find_set(MODEL, "sine")
PULSE = Pulse(0.25, 1e-8, 2e-10, 3e-10)
RANGE_V = (-0.22, 0.25)
SMALL = replace(QUICK, levels=3, level_rounds=1, states=5, state_rounds=1, held_out=40)


@pytest.fixture(scope="module")
def measured() -> MeasuredUpdate:
    return measure_update(MODEL, NUMBERS, PULSE, RANGE_V, effort=SMALL)


@pytest.fixture
def calls(measured: MeasuredUpdate, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was asked of the measurement, which takes no time here."""
    asked: list[object] = []

    def again(*given: object, **named: object) -> MeasuredUpdate:
        asked.append((given, named))
        return measured

    monkeypatch.setattr(cache, "measure_update", again)
    return asked


def kept(folder: Path, **changed: object) -> CalibratedUpdate:
    given = {"model": MODEL, "parameter_set": NUMBERS, "pulse": PULSE, "range_v": RANGE_V}
    return cached_update(**{**given, "folder": folder, "effort": SMALL, **changed})  # type: ignore[arg-type]


def test_the_second_call_measures_nothing_and_has_the_same_table(
    tmp_path: Path, calls: list[object], measured: MeasuredUpdate
) -> None:
    first, second = kept(tmp_path / "new"), kept(tmp_path / "new")
    assert len(calls) == 1
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.note.startswith(f"from the cache, calibrated at {first.calibrated_utc}")
    for made in (first.surrogate, second.surrogate):
        anew = measured.surrogate()
        assert made.held_out == anew.held_out
        assert (made.model, made.state, made.source) == ("vteam", "w", "torch")
        assert torch.equal(made.voltage_v, anew.voltage_v)
        assert torch.equal(made.change, anew.change)
        assert torch.equal(made.heat_j_per_v2, anew.heat_j_per_v2)
    assert [path.stat().st_size < 100_000 for path in (tmp_path / "new").iterdir()] == [True]


def stopping(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Runs in torch are counted, in a list of one, and the one after so many is interrupted."""
    runs, honest = [0], source.run_torch

    def counted(*given: Any, **named: Any) -> Any:
        runs[0] += 1
        if runs[0] > after:
            raise KeyboardInterrupt
        return honest(*given, **named)

    monkeypatch.setattr(source, "run_torch", counted)
    return runs


def test_finished_pieces_are_taken_over_to_the_last_digit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_AT_ONCE", 4)
    x, v = np.linspace(0, 1, 14), np.linspace(0.2, 0.25, 14)

    def measure(folder: Path) -> Measured:
        points = KeptPoints(folder)
        found = source.in_torch(MODEL, NUMBERS, PULSE, looks=0, tolerance=1e-4, kept=points)(x, v)
        points.clear()
        return found

    whole = measure(tmp_path / "anew")
    with monkeypatch.context() as patch:
        stopping(patch, after=3)
        with pytest.raises(KeyboardInterrupt):
            measure(tmp_path / "stopped")
    first, *_, last = sorted((tmp_path / "stopped").iterdir())
    assert first != last
    first.write_bytes(first.read_bytes()[:-30])  # a power cut of a disk that lies
    runs = stopping(monkeypatch, after=9)
    resumed = measure(tmp_path / "stopped")
    assert runs == [2]  # the spoilt one and the fourth
    np.testing.assert_array_equal(resumed.after, whole.after)
    np.testing.assert_array_equal(resumed.energy_j, whole.energy_j)
    assert not (tmp_path / "stopped").exists()


def test_a_table_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: MeasuredUpdate
) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, after=3)
        with pytest.raises(KeyboardInterrupt):
            kept(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["points"]  # no table of half of them
    assert len(list((tmp_path / "points").iterdir())) == 3
    stopping(monkeypatch, after=10**6)
    resumed = kept(tmp_path).surrogate
    assert torch.equal(resumed.change, measured.surrogate().change)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_pieces_that_are_left_behind_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_points, "MAX_BYTES", 3000)
    x = np.linspace(0, 1, 40)
    for engine in "abcdef":
        measure = source.in_torch(MODEL, NUMBERS, PULSE, looks=0, kept=KeptPoints(tmp_path))
        measure(x, np.full(40, 0.2 + 0.001 * ord(engine)))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert 0 < sum(sizes) <= 3000


def test_pieces_of_others_are_not_found(tmp_path: Path) -> None:
    x, v = np.linspace(0, 1, 5), np.full(5, 0.25)
    asked: list[str] = []

    def measure(engine: str) -> None:
        def one(x: np.ndarray, _v: np.ndarray) -> Measured:
            asked.append(engine)
            return Measured(x, x, engine)

        about = measurement(MODEL, NUMBERS, PULSE, engine)
        assert KeptPoints(tmp_path).through(one, about)(x, v).engine == engine

    for engine in ("torch 1", "torch 2", "torch 1"):
        measure(engine)
    assert asked == ["torch 1", "torch 2"]


def test_it_is_said_how_far_the_measurement_is(measured: MeasuredUpdate) -> None:
    said: list[tuple[int, int]] = []
    effort = replace(SMALL, held_out=2500)  # more than are measured at once

    def report(done: int, total: int) -> None:
        said.append((done, total))

    anew = measure_update(MODEL, NUMBERS, PULSE, RANGE_V, effort=effort, report=report)
    assert said == sorted(said)
    assert len({total for _, total in said}) == 1
    done, total = said[-1]
    assert done == total
    assert sum(total / 2 < done for done, _ in said) >= 3  # of the second half
    for one, other in zip(anew.rows, measured.rows, strict=True):
        np.testing.assert_array_equal(one.after, other.after)


def other_equation() -> object:
    return replace(MODEL, current=MODEL.current * 2)


def other_constant() -> object:
    return replace(NUMBERS, values={**NUMBERS.values, "r_on": NUMBERS.values["r_on"] * (1 + 1e-12)})


@pytest.mark.parametrize(
    "changed",
    [
        {"model": other_equation()},
        {"parameter_set": other_constant()},
        {"parameter_set": replace(NUMBERS, initial={"w": 1e-9})},
        {"pulse": replace(PULSE, fall_s=4e-10)},
        {"range_v": (-0.22, 0.2500001)},
        {"effort": replace(SMALL, error=6e-3)},
    ],
    ids=["equation", "parameter", "initial", "timing", "range", "effort"],
)
def test_what_it_hangs_on_is_in_the_key(
    tmp_path: Path, calls: list[object], changed: dict[str, object]
) -> None:
    kept(tmp_path)
    other = kept(tmp_path, **changed)
    assert not other.from_cache
    assert len(calls) == 2
    assert kept(tmp_path).from_cache
    assert kept(tmp_path, pulse=PULSE.at(0.1)).from_cache  # a level is none of the timing


def test_other_code_finds_nothing_of_ours(
    tmp_path: Path, calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(tmp_path)
    monkeypatch.setattr(kept_points, "code_digest", lambda: "other code")
    assert not kept(tmp_path).from_cache
    assert len(calls) == 2


@pytest.mark.parametrize("spoil", ["cut", "flip", "empty", "text"])
def test_a_spoilt_file_is_said_and_measured_again(
    tmp_path: Path, calls: list[object], spoil: str
) -> None:
    kept(tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 255
    spoilt = {
        "cut": content[:middle], "flip": content, "empty": b"", "text": b"no archive at all",
    }  # fmt: skip
    path.write_bytes(spoilt[spoil])
    found = kept(tmp_path)
    assert not found.from_cache
    assert found.note.startswith("the cached one could not be read (")
    assert len(calls) == 2
    assert kept(tmp_path).from_cache


def test_a_place_that_takes_no_files_costs_a_measurement_and_is_said(
    tmp_path: Path, calls: list[object]
) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        found = kept(tmp_path / "file")
        assert f"; not kept in {tmp_path / 'file'} (" in found.note
    assert len(calls) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("calls")
def test_it_stays_small_and_keeps_what_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(found: CalibratedUpdate) -> Path:
        return tmp_path / f"{found.key}.npz"

    first, second = kept(tmp_path), kept(tmp_path, range_v=(-0.2, 0.2))
    os.utime(path(first), ns=(1, 1))
    os.utime(path(second), ns=(2, 2))
    kept(tmp_path)  # the older one is used again
    monkeypatch.setattr(cache, "MAX_BYTES", int(2.5 * path(first).stat().st_size))
    third = kept(tmp_path, range_v=(-0.1, 0.1))
    assert {one.name for one in tmp_path.iterdir()} == {path(first).name, path(third).name}


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "from compact_models.library import find_model, find_set\n"
        "from compact_models.fingerprint import fingerprint\n"
        "import json\n"
        "names = ('jart_v1b', 'soft_bounds', 'stanford')\n"
        "print(json.dumps([fingerprint(m, find_set(m, None)) for m in map(find_model, names)]))"
    )
    ours = []
    for name in ("jart_v1b", "soft_bounds", "stanford"):
        model = find_model(name)
        ours.append(fingerprint(model, find_set(model, None)))
    assert len(set(ours)) == 3
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(ran.stdout) == ours


def test_what_had_no_answer_has_none_from_the_cache(
    tmp_path: Path, measured: MeasuredUpdate, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (*measured.rows[:-1], replace(measured.rows[-1], after=np.nan * measured.rows[-1].x))
    lost = replace(measured, rows=rows, reason="5 of 5 devices could not be solved")
    monkeypatch.setattr(cache, "measure_update", lambda *_given, **_named: lost)
    kept(tmp_path)
    made = kept(tmp_path)
    assert made.from_cache
    assert made.surrogate.reason == lost.reason
    assert bool(made.surrogate.heat_j_per_v2[-1].isnan().all())
