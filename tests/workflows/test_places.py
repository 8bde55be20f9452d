"""Where runs go: claimed at once, found too full at once, cleared of what killed commands left."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from compact_models.errors import InputError
from compact_models.scratch import clear_abandoned, clear_scratch, scratch_folder, take_lock
from tests.workflows.command import names_all, refused, spiceloop
from workflows.runfolder import new_folder

LONG_AGO = (time.time() - 1000, time.time() - 1000)

HOLD = """
import sys, time
from pathlib import Path
from compact_models.scratch import claim, scratch_folder
part = Path(sys.argv[1])
with claim(part), scratch_folder() as scratch:
    (part / "chip.npz").write_text("half")
    (part / "netlist").mkdir()
    print(scratch, flush=True)
    time.sleep(100)
"""


@contextmanager
def holder(run: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that makes a run, and its scratch folder."""
    (run.parent / "tmp").mkdir(exist_ok=True)
    part = run.with_name(f".{run.name}.part")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, part], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(run.parent / "tmp")}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.ngspice
def test_a_name_belongs_to_the_first_and_to_the_next_once_that_was_killed(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "my run"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with holder(run) as (process, scratch):
        assert scratch.parent == tmp_path / "tmp"
        with monkeypatch.context() as nothing_is_read:
            nothing_is_read.setattr("workflows.train.load_split", None)
            nothing_is_read.setattr("workflows.netlist.load_config", None)
            for command in ("train", "netlist"):
                sentence = refused(tmp_path, command, small_config, "-o", run)
                names_all(sentence, str(run), "another command is making this now")
        os.utime(scratch, LONG_AGO)
        assert clear_scratch() == []  # its holder lives
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / ".my run.part" / "chip.npz").read_text() == "half"
        trained = spiceloop("train", small_config, "-o", run)
    assert trained.code == 0, trained.err
    names_all(trained.err, ".my run.part", "killed", scratch.name)
    assert not scratch.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my run", "tmp"]
    assert (run / "chip.npz").stat().st_size > 1000
    # What is said to be next can be pasted into a shell, spaces and all.
    assert f"next: spiceloop verify {shlex.quote(str(run))}" in trained.out


def test_of_two_at_once_one_goes_on_and_the_next_comes_after(tmp_path: Path) -> None:
    def again() -> None:
        with new_folder(tmp_path / "run"):
            raise AssertionError("claimed twice")

    with new_folder(tmp_path / "run") as part:
        (part / "mine").write_text("mine")
        with pytest.raises(InputError, match="another command is making this now"):
            again()
        assert (part / "mine").read_text() == "mine"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]
    with pytest.raises(InputError, match="exists already"):
        again()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_unfinished_folder_is_left_alone(kind: str, tmp_path: Path) -> None:
    part, other = tmp_path / ".run.part", tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    if kind == "file":
        part.write_text("mine")
    else:
        part.symlink_to(other)

    def fill() -> None:
        with new_folder(tmp_path / "run"):
            raise AssertionError("not reached")

    with pytest.raises(InputError, match="something else has this name"):
        fill()
    assert (other / "precious").read_text() == "mine"
    assert part.is_file() or part.is_symlink()


def test_only_what_is_ours_old_and_held_by_nobody_is_cleared(tmp_path: Path) -> None:
    names = (".verify.json.a1.part", ".report.b2.old", ".report.c3.part", ".d.part", "e.part")
    for name in names:
        (tmp_path / name).mkdir() if name.startswith(".report") else (tmp_path / name).touch()
        if name != ".d.part":
            os.utime(tmp_path / name, LONG_AGO)
    (tmp_path / ".report.b2.old" / "index.html").write_text("old")
    os.utime(tmp_path / ".report.b2.old", LONG_AGO)
    (tmp_path / ".link.part").symlink_to(tmp_path / "e.part")
    os.utime(tmp_path / ".link.part", LONG_AGO, follow_symlinks=False)
    held = take_lock(tmp_path / ".report.c3.part")
    try:
        removed = clear_abandoned(tmp_path, ".", (".part", ".old"))
    finally:
        os.close(held)
    assert sorted(path.name for path in removed) == [".report.b2.old", ".verify.json.a1.part"]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".report.c3.part", ".d.part", "e.part", ".link.part"}


@pytest.mark.ngspice
def test_what_a_killed_verification_left_in_a_run_goes_with_the_next(trained: Path) -> None:
    left = trained / ".verify.npz.abc.part"
    left.write_bytes(b"half")
    os.utime(left, LONG_AGO)
    ran = spiceloop("verify", trained, "--images", "1")
    assert ran.code == 0, ran.err
    names_all(ran.err, str(left), "killed")
    assert not left.exists()


@pytest.mark.ngspice
def test_a_full_disk_is_found_before_training(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.made_run.calibrate", None)  # not reached
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=40_000))
    sentence = refused(tmp_path, "train", small_config, "-o", tmp_path / "run")
    names_all(sentence, "too full", "0.04 MB free", "-o")


@pytest.mark.ngspice
def test_a_read_only_disk_is_found_before_anything_runs(
    small_config: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Root may write everywhere but in /proc and on what is mounted read-only."""
    monkeypatch.setattr("workflows.train.load_split", None)
    names_all(refused(tmp_path, "train", small_config, "-o", "/proc/run"), "/proc/run")
    monkeypatch.setattr("workflows.verify.load_split", None)
    monkeypatch.setattr("workflows.write_chip.load_split", None)

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("compact_models.files.tempfile.NamedTemporaryFile", read_only)
    for command in ("verify", "write-network"):
        names_all(refused(tmp_path, command, trained), str(trained), "read-only")


def test_a_scratch_folder_goes_with_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        (folder / "deck.cir").write_text("* deck")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    with pytest.raises(InputError, match="/proc"), scratch_folder():
        raise AssertionError("not reached")
