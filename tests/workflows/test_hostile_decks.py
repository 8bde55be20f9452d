"""Names that try to become cards, commands or files of a deck stay comments, and change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim.ngspice import Ngspice
from tests.netlists.decks import assert_only_known_cards, cards, printed, whole_deck
from tests.workflows.command import spiceloop

NET = """\
import torch
from torch import nn

def make():
    torch.manual_seed(1)
    network = nn.Sequential()
    network._modules[{first!r}] = nn.Linear(3, 4)
    network._modules[{second!r}] = nn.Tanh()
    network._modules[{third!r}] = nn.Linear(4, 2)
    return network
"""

HOSTILE = {
    "control block": "a\n.control\nshell touch {proof}\n.endc\n",
    "include": "\n.include /etc/passwd\n",
    "library": ".lib '/etc/passwd' tt",
    "command in a comment": "*#shell touch {proof}",
    "command after a return": "x\r*#shell touch {proof}\r",
    "end of the deck": "\n.end\n",
    "end of the block": "\n.ends layer_0\n.subckt cell wl bl\nrcell wl bl 1\n.ends\n",
    "card": "\nrshort wl_0 bl_0 1m\n",
    "continuation": "\n+ g=1\n",
    "comment signs": "a ; b $ c // d ; $",
    "expressions": "{{1/0}} {{g}} 'rf' \"vos\" %d %s %n",
    "shell": "`touch {proof}` $(touch {proof}) | touch {proof} ; touch {proof} &",
    "backslashes": "a\\\\",
    "other line ends": "a\x0b.control\x0c.control\x1c.control\x85.control\u2028.control",
    "not ASCII": "Wärme\u202e\u0000\x1b[2J",
    "long": "x" * 20_000,
    "python": '"); import os; os.system("touch {proof}") #',
    "blank": " ",
}


def deck(folder: Path, source: str, target: Path) -> str:
    target.parent.mkdir(exist_ok=True)
    target.write_text(source, encoding="utf-8")
    ran = spiceloop("netlist", f"{target}:make", "-o", folder)
    assert ran.code == 0, ran.err
    return whole_deck(folder)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    source = NET.format(first="one", second="act", third="two")
    assert_only_known_cards(deck(folder / "deck", source, folder / "net.py"))
    return folder / "deck"


@pytest.mark.ngspice
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_module_names_stay_comments(
    name: str, clean: Path, tmp_path: Path, ngspice: Ngspice
) -> None:
    proof = tmp_path / "proof"
    name = name.format(proof=proof)
    source = NET.format(first=f"{name}1", second=f"{name}2", third=f"{name}3")
    text = deck(tmp_path / "deck", source, tmp_path / "net.py")
    assert_only_known_cards(text)
    assert cards(text) == cards(whole_deck(clean))
    assert np.array_equal(printed(tmp_path / "deck", ngspice.path), printed(clean, ngspice.path))
    expected = np.loadtxt(tmp_path / "deck" / "expected.csv", delimiter=",", skiprows=1)
    assert np.array_equal(printed(tmp_path / "deck", ngspice.path), expected[:, 1:])
    assert not proof.exists()


@pytest.mark.ngspice
@pytest.mark.parametrize("name", [name for name in HOSTILE.values() if len(name) < 200])
def test_hostile_paths_stay_comments(
    name: str, clean: Path, tmp_path: Path, ngspice: Ngspice
) -> None:
    proof = tmp_path / "proof"
    name = name.format(proof="proof").replace("/", "_").replace("\0", "")
    source = NET.format(first="one", second="act", third="two")
    (tmp_path / "in").mkdir()
    text = deck(tmp_path / f"out{name}", source, tmp_path / "in" / f"{name}" / "net.py")
    assert_only_known_cards(text)
    assert cards(text) == cards(whole_deck(clean))
    there = printed(tmp_path / f"out{name}", ngspice.path)
    assert np.array_equal(there, printed(clean, ngspice.path))
    assert not proof.exists()


@pytest.mark.ngspice
def test_hostile_names_of_data_run_and_configuration_change_nothing(
    tmp_path: Path, small_config: Path
) -> None:
    rng = np.random.default_rng(3)
    folder = tmp_path / "x\n.include passwd\n`touch proof` {g}"
    folder.mkdir()
    np.savez(folder / "data $;.npz", x=rng.uniform(0, 1, (40, 3)), y=np.arange(40) % 2)
    config = folder / "chip\n.end\n.toml"
    text = small_config.read_text().replace('"iris"', '"file"\nfile = "data $;.npz"')
    config.write_text(text)
    run = folder / "run\n.control\nquit\n.endc"
    ran = spiceloop("train", config, "-o", run)
    assert ran.code == 0, ran.err
    assert_only_known_cards(whole_deck(run / "netlist"))
    for command in ("verify", "report"):
        ran = spiceloop(command, run)
        assert ran.code == 0, ran.err
    ran = spiceloop("netlist", config, "-o", folder / "deck")
    assert ran.code == 0, ran.err
    assert_only_known_cards(whole_deck(folder / "deck"))
