"""`spiceloop solve` on arrays that cannot be solved, and on places that cannot be written."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workflows.command import names_all, refused, spiceloop

GOOD: dict[str, Any] = {
    "conductance_s": np.array([[1e-5, 2e-5, 3e-5], [4e-5, 5e-5, 6e-5]]),
    "input_v": np.array([[0.2, 0.1]]),
    "r_wordline_ohm": 1.0,
    "r_bitline_ohm": 1.0,
}


def saved(folder: Path, **changes: Any) -> Path:
    """The good array with some keys changed, or left out where they are None."""
    arrays = {k: v for k, v in (GOOD | changes).items() if v is not None}
    np.savez(folder / "array.npz", **arrays)
    return folder / "array.npz"


def cells(row: int, col: int, value: float) -> np.ndarray:
    """The good conductances with one cell changed."""
    array = GOOD["conductance_s"].copy()
    array[row, col] = value
    return array


class _Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{PROOF}'",)


PROOF = Path(tempfile.gettempdir(), f"spiceloop-payload-{os.getpid()}")

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "NaN conductance": ({"conductance_s": cells(1, 2, np.nan)}, ["conductance_s[1, 2]", "nan"]),
    "negative conductance": (
        {"conductance_s": cells(0, 1, -1e-6)},
        ["conductance_s[0, 1]", "0 (an open cell) to"],
    ),
    "infinite conductance": (
        {"conductance_s": cells(1, 0, np.inf)},
        ["conductance_s[1, 0]", "inf"],
    ),
    "conductances in one line": (
        {"conductance_s": np.ones(3)},
        ["conductance_s", "(3,)", "[row, col]"],
    ),
    "no cells": ({"conductance_s": np.ones((0, 3))}, ["conductance_s", "(0, 3)", "1x1"]),
    "no columns": ({"conductance_s": np.ones((2, 0))}, ["conductance_s", "(2, 0)"]),
    "inputs for another array": ({"input_v": np.ones((1, 3))}, ["input_v", "(1, 3)", "2 rows"]),
    "no inputs": ({"input_v": np.ones((0, 2))}, ["input_v", "(0, 2)"]),
    "inputs without a batch": ({"input_v": np.ones(2)}, ["input_v", "(2,)", "[batch, row]"]),
    "NaN input": ({"input_v": np.array([[0.1, np.nan]])}, ["input_v[0, 1]", "nan"]),
    "missing key": ({"input_v": None}, ["'input_v' is missing", "conductance_s"]),
    "unknown key": ({"temperature": 1.0}, ["'temperature'", "conductance_s"]),
    "misspelt key": ({"r_wordlin_ohm": 1.0}, ["'r_wordlin_ohm'", "did you mean 'r_wordline_ohm'?"]),
    "negative resistance": (
        {"r_bitline_ohm": -1.0},
        ["r_bitline_ohm", "-1.0", "1e-06 to 1e+09 ohm"],
    ),
    "NaN resistance": ({"r_driver_ohm": np.nan}, ["r_driver_ohm", "nan"]),
    "infinite resistance": ({"r_sense_ohm": np.inf}, ["r_sense_ohm", "inf"]),
    "two resistances": (
        {"r_bitline_ohm": np.ones(2)},
        ["r_bitline_ohm", "(2,)", "[col] for every"],
    ),
    "segments of another array": (
        {"r_wordline_ohm": np.ones((3, 2))},
        ["r_wordline_ohm", "(3, 2)", "[row, col] = (2, 3)"],
    ),
    "a segment below what can be built": (
        {"r_bitline_ohm": np.array([[1, 1, 1], [1, 1e-9, 1]])},
        ["r_bitline_ohm[1, 1]", "1e-09", "infinite for an open"],
    ),
    "drivers of another array": ({"r_driver_ohm": np.ones(3)}, ["r_driver_ohm", "(3,)", "[row]"]),
    "sense ends of another array": ({"r_sense_ohm": np.ones((1, 3))}, ["r_sense_ohm", "[col]"]),
    "no resistance": ({"r_wordline_ohm": np.ones(0)}, ["r_wordline_ohm", "(0,)"]),
    "complex": ({"conductance_s": np.ones((2, 3), complex)}, ["conductance_s", "complex128"]),
    "strings": ({"conductance_s": np.full((2, 3), "1e-5")}, ["conductance_s", "<U4"]),
    "booleans": ({"conductance_s": np.ones((2, 3), bool)}, ["conductance_s", "bool"]),
    "dates": ({"input_v": np.zeros((1, 2), "datetime64[s]")}, ["input_v", "datetime64"]),
    "objects": (
        {"input_v": np.array([[_Payload(), 1]], dtype=object)},
        ["array.npz", "plain arrays"],
    ),
    "records": ({"input_v": np.zeros((1, 2), [("a", float)])}, ["input_v", "not real numbers"]),
}


@pytest.mark.parametrize(("changes", "words"), CASES.values(), ids=CASES)
def test_bad_array_is_refused_by_name(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    array = saved(tmp_path, **changes)
    sentence = refused(tmp_path, "solve", array, "-o", tmp_path / "out.npz")
    names_all(sentence, "array.npz", *words)
    assert not PROOF.exists()


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **GOOD)
    return buffer.getvalue()


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value), allow_pickle=True)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def flipped(data: bytes) -> bytes:
    """Compressed data with its middle spoilt, its frame whole."""
    middle = data.index(b"conductance_s.npy") + 60
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 20]) + data[middle + 20 :]


def encrypted(data: bytes) -> bytes:
    """An archive that says of itself that it wants a password."""
    spoilt = bytearray(data)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = spoilt.find(mark)
        while place >= 0:
            spoilt[place + flags] |= 1
            place = spoilt.find(mark, place + 4)
    return bytes(spoilt)


_HUGE = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 4), }"
NOT_NPZ: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"conductance_s = [[1, 2]]\n",
    "truncated": lambda: npz_bytes()[: len(npz_bytes()) // 2],
    "spoilt": lambda: flipped(npz_bytes()),
    "a single .npy": lambda: npy(GOOD["conductance_s"]),
    "a pickle": lambda: __import__("pickle").dumps(_Payload()),
    "no arrays in the zip": lambda: zipped(conductance_s=b"1 2 3", input_v=b"\x00"),
    "objects in the zip": lambda: zipped(conductance_s=npy([[_Payload()]])),
    "empty zip": lambda: zipped(),
    "password": lambda: encrypted(npz_bytes()),
    "more cells than memory": lambda: zipped(
        conductance_s=(_HUGE % 10**14).ljust(128).replace(b"v\x00", b"v\x00", 1)[:127] + b"\n"
    ),
    "header that is code": lambda: zipped(
        conductance_s=b"\x93NUMPY\x01\x00v\x00" + b"__import__('os').abort()".ljust(117) + b"\n"
    ),
    "header without end": lambda: zipped(conductance_s=b"\x93NUMPY\x01\x00v\x00" + b"(" * 118),
}


@pytest.mark.parametrize("content", NOT_NPZ.values(), ids=NOT_NPZ)
def test_what_is_no_npz_of_plain_arrays_is_refused(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    array = tmp_path / "array.npz"
    array.write_bytes(content())
    names_all(refused(tmp_path, "solve", array, "-o", tmp_path / "out.npz"), "array.npz")
    assert not PROOF.exists()


def test_unknown_fidelity_is_refused_with_the_closest(tmp_path: Path) -> None:
    out = ("-o", tmp_path / "out.npz")
    sentence = refused(tmp_path, "solve", saved(tmp_path), *out, "--fidelity", "spise")
    names_all(sentence, "'spise'", "ideal, surrogate, exact, spice", "did you mean 'spice'?")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    array = saved(tmp_path)
    (tmp_path / "folder").mkdir()
    for place, words in {
        tmp_path / "missing" / "out.npz": ["does not exist", "-o"],
        tmp_path / "folder": ["folder", "-o"],
        array / "out.npz": ["-o"],
        tmp_path / ("a" * 300): ["too long"],
        Path("/proc/out.npz"): ["/proc/out.npz", "-o"],
    }.items():
        names_all(refused(tmp_path, "solve", array, "-o", place), *words)
    names_all(refused(tmp_path, "solve", array, "-o", ""), "folder")


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    # Renaming a finished file onto /dev/null as root would take the device away.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    names_all(refused(tmp_path, "solve", saved(tmp_path), "-o", pipe), "pipe", "regular file")
    assert pipe.is_fifo()


def test_an_array_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    out = ("-o", tmp_path / "out.npz")
    names_all(refused(tmp_path, "solve", tmp_path / "no.npz", *out), "no.npz", "No such file")
    names_all(refused(tmp_path, "solve", tmp_path, *out), "directory")
    names_all(refused(tmp_path, "solve", "", *out), "directory")


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, out = saved(tmp_path), tmp_path / "out.npz"
    out.write_bytes(b"the old result")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif call == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:

        def broken(handle: int, *_: object, **__: object) -> io.BufferedWriter:
            class Full(io.FileIO):
                def write(self, _data: object) -> int:
                    return full()

            return io.BufferedWriter(Full(handle, "w"))

        monkeypatch.setattr(os, "fdopen", broken)
    names_all(refused(tmp_path, "solve", array, "-o", out), "No space left", "disk is full", "-o")
    assert out.read_bytes() == b"the old result"


def can_mount() -> bool:
    probe = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize(
    ("state", "word"),
    [("full", "disk is full"), pytest.param("ro", "read-only", marks=pytest.mark.slow)],
)
def test_a_really_full_or_read_only_disk_leaves_nothing(
    state: str, word: str, tmp_path: Path
) -> None:
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    place = tmp_path / "disk"
    place.mkdir()
    array = saved(tmp_path, input_v=np.full((4000, 2), 0.1))
    prepare = "true" if state == "full" else 'mount -o remount,ro "$1"'
    call = (
        f'mount -t tmpfs -o size=64k none "$1" && {prepare} && '
        '"$2" -m workflows solve "$3" -o "$1/out.npz" --json; code=$?; ls -A "$1" >&2; exit $code'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", call, "sh", place, sys.executable, array],
        capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done
    names_all(done.stdout, "out.npz", word)
    assert len(done.stderr.splitlines()) == 1, done.stderr  # the sentence, and no file listed


@pytest.mark.slow
@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["too full for this run", "allowed: about", "-o"]),  # before it has begun
        ("netlist", ["No space left", "disk is full", "-o"]),
    ],
)
def test_a_run_on_a_full_disk_leaves_nothing(
    command: str, words: list[str], small_config: Path, tmp_path: Path
) -> None:
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    place = tmp_path / "disk"
    place.mkdir()
    call = (
        'mount -t tmpfs -o size=12k none "$1" && '
        '"$2" -m workflows "$4" "$3" -o "$1/new/run" --json; code=$?; ls -A "$1" >&2; exit $code'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", call, "sh", place, sys.executable, small_config, command],
        capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done
    names_all(done.stdout, *words)
    assert "spiceloop: " in done.stderr.splitlines()[-1]  # no file is listed after it


def test_open_cells_and_merged_wires_are_no_error(tmp_path: Path) -> None:
    array = saved(
        tmp_path, conductance_s=cells(0, 0, 0.0), r_wordline_ohm=0.0, r_bitline_ohm=np.zeros(1)
    )
    ran = spiceloop("solve", array, "-o", tmp_path / "out.npz")
    assert ran.code == 0, ran.err
    with np.load(tmp_path / "out.npz") as out:
        assert out["current_a"] == pytest.approx(np.array([[4e-6, 9e-6, 1.2e-5]]), rel=1e-12)
