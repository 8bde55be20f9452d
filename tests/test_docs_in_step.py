"""Pages that are written by the code say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workflows.combinations import table
from workflows.config import parse_config
from workflows.config_reference import reference
from workflows.study_checks import check_study

ROOT = Path(__file__).resolve().parent.parent


def test_the_configuration_reference_is_in_step() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m workflows.config_reference > docs/configuration.md"


def test_the_table_of_what_goes_together_is_in_step() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    said = page.partition("workflows.combinations -->")[2].partition("<!-- end -->")[0]
    assert said.strip() == table().strip(), "the output of: python -m workflows.combinations"


def _blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_readmes_configuration_is_valid() -> None:
    data, cells, blocks, chip = (
        parse_config(block, where="README.md") for block in _blocks("toml")
    )
    assert data.data.file.startswith("mine.")
    assert (cells.train.algorithm, cells.device.name) == ("pulsed_sgd", "constant_step")
    check_study(cells)
    assert blocks.blocks.tia == "my_tia.cir:my_tia"
    assert chip.network.hidden == (48, 32)


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = _blocks("python")
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own page
    engine, _, difference = capsys.readouterr().out.strip().rpartition(" ")
    assert engine.startswith("ngspice-")
    assert float(difference) < 1e-12
