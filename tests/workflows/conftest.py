"""What the tests of the command line share: small networks, one of them trained on a chip."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.workflows.command import spiceloop
from tests.workflows.written_study import STUDY

SMALL = """\
[data]
name = "iris"
[network]
hidden = [3]
[train]
epochs = 1
[calibration]
arrays = 1
held_out_arrays = 1
[verify]
images = 4
"""


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that trains in a second."""
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def _trained(small_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    trained = spiceloop("train", small_config, "-o", run)
    assert trained.code == 0, trained.err
    return run


@pytest.fixture(scope="session")
def _verified(_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("verified") / "run"
    shutil.copytree(_trained, run)
    verified = spiceloop("verify", run)
    assert verified.code == 0, verified.err
    return run


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Path:
    """A copy of a trained run, to be spoilt; use it only in tests marked `ngspice`."""
    return Path(shutil.copytree(_trained, tmp_path / "run"))


@pytest.fixture
def verified(_verified: Path, tmp_path: Path) -> Path:
    """A copy of a trained and verified run; use it only in tests marked `ngspice`."""
    return Path(shutil.copytree(_verified, tmp_path / "run"))


@pytest.fixture(scope="session")
def _trained_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY.format(up=1.5))
    trained = spiceloop("train", folder / "study.toml", "-o", folder / "run")
    assert trained.code == 0, trained.err
    return folder / "run"


@pytest.fixture
def trained_study(_trained_study: Path, tmp_path: Path) -> Path:
    """A copy of a run that can be written in a second; only in tests marked `ngspice`."""
    return Path(shutil.copytree(_trained_study, tmp_path / "run"))


@pytest.fixture(scope="session")
def written_study(_trained_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run, verified and written, not to be changed; only in tests marked `ngspice`."""
    run = Path(shutil.copytree(_trained_study, tmp_path_factory.mktemp("written") / "run"))
    for call in (("verify", run), ("write-network", run)):
        ran = spiceloop(*call)
        assert ran.code == 0, ran.err
    return run
