"""`netlist --pyspice FILE.py`: the script runs by itself, and what cannot be is said in words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workflows.command import names_all, refused, spiceloop


def printed(script: Path) -> tuple[list[str], np.ndarray, str]:
    """Names, codes [vector, output] and the last line of what a script says, in a bare process."""
    command = [sys.executable, "-I", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    head, *rows, last = done.stdout.strip().split("\n")
    return head.split(","), np.array([row.split(",")[1:] for row in rows], dtype=float), last


@pytest.mark.ngspice
@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_the_script_prints_the_codes_of_the_deck(phase: str, trained: Path, tmp_path: Path) -> None:
    deck, script = tmp_path / "deck", tmp_path / "chip.py"
    ran = spiceloop("netlist", trained, "-o", deck, "--pyspice", script, "--phase", phase, "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["netlist"], said["pyspice"]) == (str(deck), str(script))
    names, codes, last = printed(script)
    table = (deck / "expected.csv").read_text().split("\n")
    first = 2 if phase == "forward" else 1  # which sample of the data file, before the codes
    assert names[1:] == table[0].split(",")[first:]
    expected = np.loadtxt(deck / "expected.csv", delimiter=",", skiprows=1)[:, first:]
    np.testing.assert_array_equal(codes, expected)
    assert len(np.unique(codes)) > 5
    assert last == "# at most 0 from what the exact solver gives"


def test_a_script_alone_needs_no_folder(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\ndef make(): return nn.Linear(3, 2)\n")
    ran = spiceloop("netlist", f"{tmp_path / 'net.py'}:make", "--pyspice", tmp_path / "chip.py")
    assert ran.code == 0, ran.err
    assert ran.out.strip().endswith(f"next: python {tmp_path / 'chip.py'}")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "chip.py",
        "net.py",
    ]
    text = (tmp_path / "chip.py").read_text()
    assert "WARNING: no data are named" in text
    compile(text, "chip.py", "exec")


def test_wrong_combinations_are_refused(small_config: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()

    def netlist(*arguments: str | Path) -> str:
        return refused(tmp_path, "netlist", small_config, *arguments)

    names_all(netlist(), "-o FOLDER", "--pyspice FILE.py")
    names_all(
        netlist("--pyspice", tmp_path / "chip.py", "--phase", "update"),
        "--phase update", "transient", "--phase forward, --phase backward", "-o FOLDER",
    )  # fmt: skip
    names_all(netlist("--pyspice", tmp_path / "chip.cir"), "chip.cir", "FILE.py")
    names_all(netlist("--pyspice", tmp_path / "folder.py"), "--pyspice", "folder")
    names_all(netlist("--pyspice", tmp_path / "none" / "chip.py"), "--pyspice", "does not exist")


def test_blocks_out_of_files_are_refused(tmp_path: Path) -> None:
    amplifier = ".subckt amp in out\nr1 in out 1e4\nr2 in 0 1\n.ends\n"
    (tmp_path / "amp.cir").write_text(amplifier)
    (tmp_path / "study.toml").write_text('[blocks]\ntia = "amp.cir:amp"\n')
    (tmp_path / "net.py").write_text("from torch import nn\ndef make(): return nn.Linear(3, 2)\n")
    target = f"{tmp_path / 'net.py'}:make"
    where = tmp_path / "out"
    where.mkdir()
    sentence = refused(
        where, "netlist", target, "--config", tmp_path / "study.toml",
        "--pyspice", where / "chip.py",
    )  # fmt: skip
    names_all(sentence, "'amp'", "files of your own", "-o FOLDER")
