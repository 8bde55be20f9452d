"""Commands given in the wrong order, to the wrong folder, for the wrong count or no simulator."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from compact_models.errors import InputError
from tests.workflows.command import names_all, refused, spiceloop
from workflows.runfolder import new_folder


@pytest.mark.ngspice
def test_an_existing_run_is_never_written_over(small_config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "precious.txt").write_text("mine")
    for existing in (run, run / "precious.txt"):
        for call in (["train", small_config], ["demo", "--quick"], ["netlist", small_config]):
            sentence = refused(tmp_path, *call, "-o", existing)
            names_all(sentence, str(existing), "exists", "-o")


@pytest.mark.ngspice
def test_an_existing_link_is_never_written_through(small_config: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for call in (["train", small_config], ["netlist", small_config]):
        names_all(refused(tmp_path, *call, "-o", tmp_path / "link"), "exists")


@pytest.mark.ngspice
@pytest.mark.parametrize("call", [["train"], ["netlist"]])
def test_a_run_goes_where_it_can_or_nowhere(
    call: list[str], small_config: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for place, word in {
        tmp_path / "file" / "run": "part of the path is a file",
        tmp_path / "new" / ("a" * 300): "too long",
        tmp_path / "new" / ("a" * 252): "too long",
        Path("/proc/run"): "/proc/run",
        Path(): "exists",
        Path("/"): "exists",
    }.items():
        names_all(refused(tmp_path, *call, small_config, "-o", place), word)


def test_parents_that_were_made_go_again_when_the_run_fails(tmp_path: Path) -> None:
    config = tmp_path / "chip.toml"
    config.write_text('[data]\nname = "file"\nfile = "no.npz"\n')
    names_all(refused(tmp_path, "netlist", config, "-o", tmp_path / "a" / "b" / "deck"), "no.npz")


@pytest.mark.parametrize("command", ["verify", "report", "netlist"])
@pytest.mark.ngspice
def test_a_folder_that_is_no_run_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no TOML, no run")
    more = ["-o", tmp_path / "deck"] if command == "netlist" else []
    names_all(refused(tmp_path, command, tmp_path / "empty", *more), "run.json", "spiceloop train")
    for path in ("missing", "file", "file/below"):
        names_all(refused(tmp_path, command, tmp_path / path, *more), path)
    names_all(refused(tmp_path, command, tmp_path / ("a" * 300), *more), "too long")


@pytest.mark.ngspice
def test_a_report_needs_a_verified_run(trained: Path, tmp_path: Path) -> None:
    sentence = refused(tmp_path, "report", trained)
    names_all(sentence, "not been verified", f"spiceloop verify {trained}")


@pytest.mark.ngspice
@pytest.mark.parametrize("count", [0, -1, 39, 10**30])
def test_a_count_of_images_that_there_are_not_is_refused(
    count: int, trained: Path, tmp_path: Path
) -> None:
    sentence = refused(tmp_path, "verify", trained, "--images", str(count))
    names_all(sentence, "--images", str(count), "1 to 38")


def calls(config: Path, folder: Path) -> list[list[str | Path]]:
    """Every command that needs the simulator."""
    return [
        ["demo", "--quick", "-o", folder / "run"],
        ["train", config, "-o", folder / "run"],
        ["verify", folder],
    ]


def test_a_missing_simulator_is_named_with_the_way_to_get_it(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPICELOOP_NGSPICE", raising=False)
    monkeypatch.setenv("PATH", "")
    for call in calls(small_config, tmp_path):
        names_all(refused(tmp_path, *call), "ngspice was not found", "./run setup")
    ran = spiceloop("check", "--json")
    assert (ran.code, ran.err) == (1, "")
    assert json.loads(ran.out)["usable"] is False
    assert "ngspice was not found" in json.loads(ran.out)["advice"][0]


SCRIPTS = {
    "too old": ("echo '** ngspice-31 : Circuit level simulation program'", ["31", ">= 39"]),
    "not ngspice": ("echo 'hello'", ["not ngspice", "hello"]),
    "silent": ("exit 1", ["not ngspice"]),
    "noisy": ("head -c 100000 /dev/urandom", ["not ngspice"]),
    "lies": ("echo '** ngspice-46'; echo trash > probe.raw", ["could not solve a divider"]),
    "writes nothing": ("echo '** ngspice-46'", ["could not solve a divider"]),
}


@pytest.mark.parametrize(("script", "words"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_program_that_is_no_good_simulator_is_refused(
    script: str, words: list[str], small_config: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fake = tmp_path / "ngspice"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("SPICELOOP_NGSPICE", str(fake))
    sentence = refused(tmp_path, "train", small_config, "-o", tmp_path / "run")
    names_all(sentence, str(fake), *words)


@pytest.mark.parametrize("value", ["/dev/null", "/", "./no such program", "x\ny", "--version"])
def test_a_simulator_that_is_no_program_is_refused(
    value: str, small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICELOOP_NGSPICE", value)
    sentence = refused(tmp_path, "train", small_config, "-o", tmp_path / "run")
    names_all(sentence, "SPICELOOP_NGSPICE", repr(value))


def test_solve_in_spice_without_a_simulator_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.workflows.test_bad_arrays import saved

    monkeypatch.setenv("SPICELOOP_NGSPICE", os.devnull)
    call = ("solve", saved(tmp_path), "-o", tmp_path / "out.npz", "--fidelity", "spice")
    names_all(refused(tmp_path, *call), "SPICELOOP_NGSPICE")


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (InputError("no"), InputError),
        (OSError(errno.ENOSPC, "No space left on device"), InputError),
        (MemoryError(), MemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_folder_that_is_not_finished_never_appears(
    raised: BaseException, seen: type[BaseException], tmp_path: Path
) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "a" / "b" / "run") as folder:
            (folder / "half").write_text("done")
            raise raised

    with pytest.raises(seen):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_a_finished_folder_appears_whole_and_alone(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with new_folder(tmp_path / "a" / "run") as folder:
            (folder / "file").write_text("done")
            assert not (tmp_path / "a" / "run").exists()
    finally:
        os.umask(before)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]
    assert (tmp_path / "a" / "run" / "file").read_text() == "done"
    assert (tmp_path / "a" / "run").stat().st_mode & 0o777 == mode


def test_a_folder_that_appeared_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "run"):
            (tmp_path / "run").mkdir()

    with pytest.raises(InputError, match="exists already"):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
