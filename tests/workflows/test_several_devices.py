"""Studies whose layers hold weights in several devices, or in other devices: every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workflows.command import spiceloop

STUDY = """
[data]
name = "iris"
[network]
hidden = [6]
activation = "tanh"
[tile]
max_rows = 4
max_cols = 8
[train]
epochs = 2
learning_rate = 0.02
{train}
[verify]
images = 20
"""
IN_CELLS = """algorithm = "pulsed_sgd"
[device]
name = "constant_step"
devices_per_weight = 2
pulses_reach = "in turn"
[layer.fc2]
devices_per_weight = 3
[layer.fc2.device]
name = "linear_step"
pair = "both"
"""
PROGRAMMED = """[device]
devices_per_weight = 2
[cell]
sigma_program = 0.1
"""


def called(*arguments: str | Path) -> str:
    ran = spiceloop(*arguments)
    assert ran.code == 0, ran.err
    return ran.out


@pytest.mark.ngspice
@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "tiles"), [(IN_CELLS, [8, 6]), (PROGRAMMED, [8, 4])], ids=["in cells", "programmed"]
)
def test_several_devices_from_training_to_the_netlist(
    tmp_path: Path, train: str, tiles: list[int]
) -> None:
    study, run = tmp_path / "study.toml", tmp_path / "run"
    study.write_text(STUDY.format(train=train), encoding="utf-8")
    called("train", str(study), "-o", str(run))
    plans = json.loads((run / "plans.json").read_text(encoding="utf-8"))
    assert [len(plan["tiles"]) for plan in plans] == tiles
    told = json.loads(called("verify", str(run), "--json"))
    assert told["agreement"] == 1.0
    assert told["logit_rmse_lsb"] <= 0.5
    called("verify", str(run), "--chips", "3")
    called("netlist", str(run), "-o", str(tmp_path / "net"))
    text = (tmp_path / "net" / "network.cir").read_text(encoding="utf-8")
    assert text.count("\nxtile_") == sum(tiles)
    assert "arrays of" in text
    assert ("cells of fc2" in text) == ("linear_step" in train)
    called("report", str(run))
