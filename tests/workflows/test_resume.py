"""A training that is stopped at any moment goes on to the same bytes, and nobody takes it before.

The folder of a run is copied at moments of one training: a copy is what SIGKILL would have left.
The slow test kills a process itself, at times that are really random.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compact_models.errors import InputError
from compact_models.scratch import take_lock
from tests.workflows.command import names_all, refused, spiceloop
from workflows import begun_run, cli, made_run, train
from workflows.begun_run import Beginning
from workflows.checkpoint import Checkpoint

pytestmark = pytest.mark.ngspice

# The surrogate is always further off than this: every array is anchored, and anchors move.
STUDY = """\
[data]
name = "file"
file = "mine.csv"
label = "class"
scale = "minmax"
[network]
module = "net.py:make"
[train]
epochs = {epochs}
max_surrogate_error = 1e-9
[calibration]
arrays = 1
held_out_arrays = 1
[verify]
images = 4
"""
NET = """\
import torch
def make():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
"""
SAME = ("chip.npz", "model.pt", "model_float.pt", "training.json", "calibration.npz", "plans.json")


def study(folder: Path, epochs: int) -> Path:
    """A study with a network and data of its user's."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, (60, 3)).round(3)
    rows = [f"{a},{b},{c},{'yes' if a + c > 2 * b else 'no'}" for a, b, c in x]
    (folder / "mine.csv").write_text("a,b,c,class\n" + "\n".join(rows) + "\n")
    (folder / "net.py").write_text(NET)
    (folder / "study.toml").write_text(STUDY.format(epochs=epochs))
    return folder / "study.toml"


def leave() -> None:
    """As the command leaves after Ctrl-C, which would end the tests' own process."""
    sys.exit(130)


def content(run: Path) -> dict[str, bytes]:
    """What has to be the same."""
    return {name: (run / name).read_bytes() for name in SAME}


@dataclass(frozen=True)
class Trained:
    """A finished run, and copies of it from before it was."""

    run: Path
    at: dict[str, Path]


@pytest.fixture(scope="module")
def trained_on_the_way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("resume")
    run, at = folder / "run", {}

    def then_copied(name: str, call: Callable[..., Any], *, before: bool = False) -> Any:
        def copying(*given: Any, **named: Any) -> Any:
            found = None if before else call(*given, **named)
            place = folder / f"{name} {sum(one.startswith(name) for one in at) + 1}"
            at[place.name] = shutil.copytree(run, place)
            return call(*given, **named) if before else found

        return copying

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "load_split", then_copied("claimed", train.load_split, before=True))
        patch.setattr(
            made_run, "calibrate", then_copied("reference", made_run.calibrate, before=True)
        )
        for method in ("write_calibration", "write_state"):
            call = getattr(Checkpoint, method)
            patch.setattr(Checkpoint, method, then_copied(method, call))
        patch.setattr(
            made_run, "write_calibration", then_copied("writing", made_run.write_calibration)
        )
        ran = spiceloop("train", study(folder, 2), "-o", run)
    assert ran.code == 0, ran.err
    return Trained(run, at)


def test_the_moments_are_all_there(trained_on_the_way: Trained) -> None:
    at = trained_on_the_way.at
    assert sorted(at) == [
        "claimed 1", "reference 1", "write_calibration 1", "write_state 1", "write_state 2",
        "writing 1",
    ]  # fmt: skip
    for run in at.values():
        assert json.loads((run / "run.json").read_text())["status"] == "running"
    done = trained_on_the_way.run
    assert not (done / "checkpoint").exists()
    record = json.loads((done / "run.json").read_text())
    assert (record["status"], record["resumed"]) == ("finished", 0)
    history = json.loads((done / "training.json").read_text())
    assert history[-1]["anchors"] > history[0]["anchors"] > 0


@pytest.mark.parametrize("moment", ["claimed 1", "reference 1", "write_state 1", "writing 1"])
def test_from_any_moment_it_ends_in_the_same_bytes(
    moment: str, trained_on_the_way: Trained, tmp_path: Path
) -> None:
    run = shutil.copytree(trained_on_the_way.at[moment], tmp_path / "run")
    ran = spiceloop("train", "--resume", run, "--json")
    assert ran.code == 0, ran.err
    assert content(run) == content(trained_on_the_way.run)
    answer, record = json.loads(ran.out), json.loads((run / "run.json").read_text())
    assert (record["status"], record["resumed"], answer["resumed"]) == ("finished", 1, 1)
    assert record["command"].endswith("-o " + str(trained_on_the_way.run))
    assert [name for name, _ in record["stages"]][-1] == "training through the surrogate"
    assert (answer["algorithm"], answer["device"]) == ("backprop", "")
    assert len(answer["surrogate_error"]) == 2
    assert answer["anchors"] > 0
    assert answer["pulses"] is answer["energy_j"] is None
    assert answer["wall_s"] == pytest.approx(sum(wall for _, wall in record["stages"]))
    names_all(ran.err, "is no more: going on")
    assert not (run / "checkpoint").exists()
    names_all(refused(run, "train", "--resume", run), "finished", f"spiceloop verify {run}")


def test_nothing_takes_a_run_that_is_not_finished(
    trained_on_the_way: Trained, tmp_path: Path
) -> None:
    run = shutil.copytree(trained_on_the_way.at["write_state 1"], tmp_path / "my run")
    config, net = (trained_on_the_way.run.parent / name for name in ("study.toml", "net.py"))
    resume = f"spiceloop train --resume '{run}'"
    for call in (
        ["verify", run], ["report", run], ["write-network", run],
        ["netlist", run, "-o", tmp_path / "deck"], ["train", config, "-o", run],
        ["map", f"{net}:make", "--config", config, "-o", run], ["demo", "--quick", "-o", run],
    ):  # fmt: skip
        names_all(refused(tmp_path, *call), str(run), "not finished", resume)
    held = take_lock(run)
    try:
        names_all(refused(tmp_path, "verify", run), "training it now", resume)
        names_all(
            refused(tmp_path, "train", "--resume", run), "another process is training", "process"
        )
    finally:
        os.close(held)


def test_a_run_goes_on_with_what_it_was_begun_with_alone(
    trained_on_the_way: Trained, tmp_path: Path
) -> None:
    run = shutil.copytree(trained_on_the_way.at["write_state 1"], tmp_path / "run")
    folder = trained_on_the_way.run.parent
    resume = ("train", "--resume", run)

    def said() -> str:
        ran = spiceloop(*resume)
        assert ran.code == 2, ran.err
        assert json.loads((run / "run.json").read_text())["status"] == "failed"
        return ran.sentence

    names_all(refused(tmp_path, *resume, folder / "study.toml"), "--resume", "configuration in RUN")
    names_all(refused(tmp_path, *resume, "-o", tmp_path / "other"), "--resume", "-o")
    names_all(refused(tmp_path, *resume, "--set", "train.epochs=3"), "--set", "train --help")
    names_all(refused(tmp_path, "train"), "CONFIG.toml is missing", "--resume RUN", "--help")
    for name, other, words in (
        (run / "config.toml", ("epochs = 2", "epochs = 3"), ["changed after", "config.toml"]),
        (folder / "mine.csv", ("yes", "maybe"), ["the data changed", "mine.csv", "bring it back"]),
        (folder / "net.py", ("Tanh", "ReLU"), ["the network's file changed", "net.py:make"]),
    ):
        text = name.read_text()
        name.write_text(text.replace(*other))
        names_all(said(), *words)
        name.write_text(text)
    (run / "checkpoint" / "state.pt").write_bytes(b"no state")
    names_all(said(), "state.pt", "cannot be used", "remove it")
    (run / "checkpoint" / "state.pt").unlink()  # from the calibration on, then
    ran = spiceloop(*resume)
    assert ran.code == 0, ran.err
    assert content(run) == content(trained_on_the_way.run)


@pytest.mark.parametrize(
    ("kind", "left"), [(KeyboardInterrupt, "stopped"), (MemoryError, "failed")]
)
def test_what_stops_a_training_stands_in_its_run(
    kind: type[BaseException], left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, run = Checkpoint.write_state, tmp_path / "run"

    def stopping(*given: Any) -> None:
        write(*given)
        raise kind

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write_state", stopping)
        patch.setattr(cli, "_leave", leave)
        ran = spiceloop("train", study(tmp_path, 2), "-o", run)
    assert ran.code == {"stopped": 130, "failed": 1}[left]
    names_all(ran.err, f"spiceloop train --resume {run}")
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], bool(record["reason"])) == (left, left == "failed")
    assert spiceloop("train", "--resume", run).code == 0


def test_what_fails_before_there_is_a_calibration_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    config = study(tmp_path, 1)
    monkeypatch.setattr(made_run, "calibrate", failing)
    monkeypatch.setattr(cli, "_leave", leave)
    assert spiceloop("train", config, "-o", tmp_path / "new" / "run").code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "net.py", "study.toml"]


@pytest.mark.parametrize(
    ("host", "pid", "words"),
    [
        ("another", 1, ["on another", '"status": "stopped"']),
        ("", os.getpid(), ["another process", '"status": "stopped"']),
        ("", 2**22 + 7, []),  # above what Linux gives
    ],
    ids=["another host", "alive", "gone"],  # every worker of a test run has a process of its own
)
def test_without_locks_the_process_is_looked_for(
    host: str, pid: int, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_path: Path) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(begun_run, "take_lock", no_locks)
    begun = Beginning.now(command="x", config_hash="y", module="", versions={})
    begun = begun.model_copy(update={"pid": pid} | ({"host": host} if host else {}))
    tmp_path.joinpath("run").mkdir()
    begun_run.write_beginning(tmp_path / "run", begun)
    if not words:
        with begun_run.taken_up(tmp_path / "run", lambda _: None) as now:
            assert (now.pid, now.resumed) == (os.getpid(), 1)
        return
    with pytest.raises(InputError) as told, begun_run.taken_up(tmp_path / "run", lambda _: None):
        raise AssertionError("not reached")
    names_all(told.value.sentence(), str(pid), *words)


IN_SITU = """\
algorithm = "pulsed_sgd"
batch_size = 10
[train.pulses]
max_pulses = 20
[train.periphery]
noise_management = "abs_max"
sigma_out = 0.02
[device]
name = "constant_step"
parameters = "gokmen_vlasov"
[device.d2d]
up_down = 0.02
[layer.0]
learning_rate = 0.2
[layer.2]
read = "exact"
[layer.2.device.d2d]
dw_min = 0.0
"""


def test_training_in_cells_goes_on_to_the_same_bytes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With noise of reads, of pulses and of cells: all of it is drawn by address."""
    write, run, at = Checkpoint.write_state, tmp_path / "run", tmp_path / "after one epoch"

    def copying(*given: Any) -> None:
        write(*given)
        if not at.exists():
            shutil.copytree(run, at)

    config = study(tmp_path, 3)
    text = config.read_text().replace("max_surrogate_error = 1e-9\n", IN_SITU)
    config.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write_state", copying)
        ran = spiceloop("train", config, "-o", run, "--json")
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    assert (answer["algorithm"], answer["device"]) == ("pulsed_sgd", "constant_step")
    assert answer["pulses"] > 100
    assert answer["anchors"] > 0
    assert all(0 < error <= 0.002 for error in answer["surrogate_error"])
    history = json.loads((run / "training.json").read_text())
    assert {line["worst_array"] for line in history} == {"layer_0.tile_0"}  # the other is exact
    resumed = spiceloop("train", "--resume", at)
    assert resumed.code == 0, resumed.err
    assert content(at) == content(run)
    verified = spiceloop("verify", run, "--json")
    assert verified.code == 0, verified.err
    found = json.loads(verified.out)
    assert found["agreement"] == 1
    assert found["logit_rmse_lsb"] < 0.5


@pytest.mark.slow
def test_killed_at_three_random_times_it_ends_in_the_same_bytes(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    config = study(tmp_path, 12)

    def started(*arguments: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "workflows", "train", *arguments],
            cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def wait_for_claim(process: subprocess.Popen[bytes]) -> float:
        while not (tmp_path / "run" / "run.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        return time.monotonic()

    def status() -> str:
        return str(json.loads((tmp_path / "run" / "run.json").read_text())["status"])

    begun = time.monotonic()
    whole = started(config, "-o", tmp_path / "whole")
    assert whole.wait() == 0
    took = time.monotonic() - begun
    process = started(config, "-o", tmp_path / "run")
    claimed = wait_for_claim(process)
    for _ in range(3):
        after_s = float(np.random.default_rng().uniform(0, took / 2))
        record_property("killed after [s]", after_s)
        print(f"killed {after_s:.3f} s after its start; a whole training takes {took:.3f} s")
        time.sleep(max(0.0, claimed + after_s - time.monotonic()))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if status() == "finished":  # killed on its way out, or not at all
            break
        process = started("--resume", tmp_path / "run")
        claimed = time.monotonic()
    process.wait()
    assert status() == "finished"
    assert content(tmp_path / "run") == content(tmp_path / "whole")
