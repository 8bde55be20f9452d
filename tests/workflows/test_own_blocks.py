"""The designer's road: an own amplifier with a library's transistors, trained with and verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cosim.ngspice import Ngspice
from netlists.readout.tia import TiaSpec
from tests.netlists.decks import printed
from tests.netlists.transistor_tia import FOUNDRY, write_amplifier
from tests.workflows.command import names_all, refused, spiceloop
from tests.workflows.conftest import SMALL
from workflows import runfolder
from workflows.calibration_store import read_calibration
from workflows.config import Config, load_config, parse_config
from workflows.deck import write_chip_deck

BLOCKS = """\
[tia]
v_rail_v = 1.4
[blocks]
tia = "my_tia.cir:my_tia"
lib = "models.lib typical"
"""


def study(folder: Path, blocks: str = BLOCKS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_amplifier(folder)
    config = folder / "study.toml"
    config.write_text(SMALL + blocks)
    return config


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained, verified and reported, whose sources are gone."""
    folder = tmp_path_factory.mktemp("own")
    config = study(folder / "sources")
    for words in (
        ["train", config, "-o", folder / "run"], ["verify", folder / "run", "--chips", "2"],
    ):  # fmt: skip
        done = spiceloop(*words)
        assert done.code == 0, done.err
        shutil.rmtree(folder / "sources", ignore_errors=True)
    assert "ideal -   surrogate 0" in done.out
    assert "exact and ideal have no equations for the user's own block (tia my_tia)" in done.out
    names_all(done.out, "2 chips of the same weights", "by the surrogate", "the same class as")
    assert spiceloop("report", folder / "run").code == 0
    return folder / "run"


def table(path: Path) -> np.ndarray:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    named = np.genfromtxt(lines, delimiter=",", names=True, ndmin=1)
    codes = [name for name in named.dtype.names if name.startswith("code_")]
    return np.stack([named[name] for name in codes], axis=1)


@pytest.mark.ngspice
def test_the_run_is_verified_by_surrogate_and_spice_alone(road: Path) -> None:
    found = json.loads((road / "verify.json").read_text())
    assert found["failed"] == 0
    assert found["accuracy_ideal"] is found["accuracy_exact"] is found["control_agreement"] is None
    assert found["agreement"] == 1
    assert found["logit_max_lsb"] <= 1
    fresh = found["fresh"]
    assert (fresh["engine"], fresh["samples"]) == ("surrogate", [1, 2])
    # Amplifiers of transistors that no bench had, by what was fitted, and in ngspice.
    assert fresh["judge"]["engine"].startswith("ngspice-")
    assert fresh["judge"]["agreement"] == 1
    assert found["fresh"]["without_answer"] == [0, 0]
    assert sum("fresh_chip_2" in one["deck"] for one in found["simulations"]) >= 1
    page = (road / "report" / "index.html").read_text()
    assert "exact and ideal have no equations" in page
    assert "the user&#39;s own tia, my_tia of my_tia.cir" in page
    assert "your amplifier is stable is not examined" in page
    back = spiceloop("netlist", road, "-o", road.parent / "back", "--phase", "backward")
    names_all(back.err, "circuits of spiceloop's own", "your tia does not stand in this phase")
    # Ours of the backward phase played no part either.
    assert "gain 10000" not in page
    assert "[backward" not in page


@pytest.mark.ngspice
def test_what_needs_the_exact_circuit_is_refused_before_it_begins(road: Path) -> None:
    names_all(refused(road, "write-network", road), "'tia' is the user's own", "no equations")


@pytest.mark.ngspice
def test_transistors_compute_what_the_closed_form_of_an_amplifier_does(
    road: Path, tmp_path: Path, ngspice: Ngspice
) -> None:
    """The independent route: our amplifier without offset, exactly solved, in the same chip."""
    config = runfolder.read_config(road)
    chip = runfolder.read_chip(road, config)
    plain = Config(tia=TiaSpec(v_rail_v=100)).hardware
    ours = runfolder.Chip(plain, chip.plans, chip.periphery, chip.conductance_s, chip.weights)
    inputs = np.random.default_rng(0).uniform(0, 1, (4, 4))
    for name, one in (("own", chip), ("ours", ours)):
        write_chip_deck(tmp_path / name, one, inputs, title="t", origin=(), ngspice=ngspice)
    own, exact = table(tmp_path / "own" / "expected.csv"), table(tmp_path / "ours" / "expected.csv")
    assert np.ptp(exact) > 50
    assert np.abs(own - exact).max() <= 3


@pytest.mark.ngspice
def test_the_deck_runs_from_its_folder_alone(road: Path, tmp_path: Path, ngspice: Ngspice) -> None:
    done = spiceloop("netlist", road, "-o", tmp_path / "deck")
    assert done.code == 0, done.err
    assert "expected.csv has what ngspice-" in done.out
    moved = tmp_path / "moved here"
    shutil.move(tmp_path / "deck", moved)
    assert "* exact and ideal" not in (moved / "expected.csv").read_text()
    assert (moved / "expected.csv").read_text().startswith("# exact and ideal have no equations")
    text = (moved / "network.cir").read_text()
    assert '\n.lib "models.lib" typical\n.include "my_tia.cir"\n' in text
    assert np.array_equal(printed(moved, ngspice.path), table(moved / "expected.csv"))
    assert np.array_equal(printed(road / "netlist", ngspice.path)[:1],
                          table(road / "netlist" / "expected.csv")[:1])  # fmt: skip


@pytest.mark.ngspice
def test_a_run_whose_block_was_changed_is_refused(road: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(road, run)
    own = run / "blocks" / "my_tia.cir"
    own.write_text(own.read_text().replace("ib bias vss {ibias}", "ib bias vss {2*ibias}"))
    names_all(refused(run, "verify", run), "was changed after the run", str(run / "config.toml"))
    (run / "blocks" / "models.lib").unlink()
    names_all(refused(run, "verify", run), "models.lib", "cannot be read")


@pytest.mark.ngspice
def test_where_files_lie_does_not_matter_but_what_they_say(road: Path, tmp_path: Path) -> None:
    config = study(tmp_path / "elsewhere")
    hashes = [load_config(config).hash]
    assert hashes == [runfolder.read_config(road).hash]
    (tmp_path / "elsewhere" / "models.lib").write_text(
        (tmp_path / "elsewhere" / "models.lib").read_text().replace("vth=0.5", "vth=0.51")
    )
    assert load_config(config).hash != hashes[0]
    assert parse_config(SMALL, where="small").hash == parse_config(
        SMALL + "[blocks]\n", where="small"
    ).hash  # fmt: skip


# Kits that somebody has put beside the repository.
KIT = Path(__file__).resolve().parents[3] / "shared" / "pdk" / "gf180mcu"


@pytest.mark.ngspice
def test_statistics_of_a_kit_are_found_before_anything_is_trained(tmp_path: Path) -> None:
    """The simulator would draw other transistors for each of its starts."""
    config = study(tmp_path)
    library = tmp_path / "models.lib"
    library.write_text(
        library.read_text().replace(".param vth=0.5", ".param vth='0.5+agauss(0,0.01,1)*switch'")
    )
    own = tmp_path / "my_tia.cir"
    text = own.read_text()
    own.write_text(f".param switch=1\n{text}")
    names_all(
        refused(tmp_path, "train", config, "-o", tmp_path / "run"),
        "the user's tia: ngspice draws this block's values anew", " V of v(",
        "are still on: switch = 1 (my_tia.cir, line 1)", "set .param switch=0",
    )  # fmt: skip
    own.write_text(f".param switch=0\n{text}")
    assert spiceloop("train", config, "-o", tmp_path / "run").code == 0


@pytest.mark.slow
@pytest.mark.ngspice
@pytest.mark.skipif(not KIT.is_dir(), reason="the kit is not here")
def test_the_road_with_a_foundrys_transistors(tmp_path: Path) -> None:
    """Three commands; op-amps of 15 BSIM4 transistors at every bit line."""
    config = tmp_path / "study.toml"
    config.write_text(
        SMALL.replace("epochs = 1", "epochs = 120").replace("images = 4", "images = 38")
        + f'[tia]\nv_rail_v = 1.4\n[blocks]\ntia = "my_tia.cir:my_tia"\n'
        f'include = "{KIT}/design.ngspice"\nlib = "{KIT}/sm141064.ngspice typical"\n'
    )
    (tmp_path / "my_tia.cir").write_text(FOUNDRY)
    run = tmp_path / "run"
    for words in (["train", config, "-o", run], ["verify", run], ["report", run]):
        done = spiceloop(*words)
        assert done.code == 0, done.err
    found = json.loads((run / "verify.json").read_text())
    assert found["failed"] == 0
    assert found["agreement"] == 1
    assert found["logit_rmse_lsb"] <= 0.5
    assert found["accuracy_spice"] > 0.8


FACTORY = """\
from PySpice.Spice.Netlist import SubCircuit

def cell():
    made = SubCircuit("Bent", "wl", "bl", g=1e-6)
    made.R("select", "wl", "mid", 2000)
    made.B("cell", "mid", "bl", i="{g}*0.4*sinh(V(mid,bl)/0.4)")
    return made

def neuron():
    made = SubCircuit("soft", "a", "y", vos=0.0)
    made.B("out", "y", "0", v="max(0, V(a)+{vos})")
    return made
"""


@pytest.mark.ngspice
def test_factories_of_pyspice_blocks(tmp_path: Path) -> None:
    """Cell and neuron; the curve of the cell comes back with the calibration of the run."""
    (tmp_path / "own.py").write_text(FACTORY)
    config = study(tmp_path, '[blocks]\ncell = "own.py:cell"\nneuron = "own.py:neuron"\n')
    run = tmp_path / "run"
    assert spiceloop("train", config, "-o", run).code == 0
    (tmp_path / "own.py").unlink()
    assert sorted(path.name for path in (run / "blocks").iterdir()) == ["bent.cir", "soft.cir"]
    done = spiceloop("verify", run, "--json")
    found = json.loads(done.out)
    assert done.code == 0, done.err
    # Read as ohmic, the cells would be off by 40 LSB: 2 kohm stand before each.
    assert found["logit_max_lsb"] <= 6
    calibration = read_calibration(run, runfolder.read_chip(run, runfolder.read_config(run)))
    assert [len(layer.wires.cell.value) for layer in calibration.model.fitted] == [1, 1]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ('tia = "gone.cir:x"', ("[blocks] tia", "no such file", "gone.cir")),
        ('tia = "my_tia.cir"', ("[blocks] tia", "names no block", "my.cir:name")),
        ('tia = "my_tia.cir:my_tai"', ("my_tia.cir", "did you mean 'my_tia'")),
        ('cell = "my_tia.cir:my_tia"', ("'g' is missing", ".subckt my_tia in out g=1e-6")),
        ('tia = "typo.cir:typo"', ("typo.cir, line 4", "'rff'", "R1 in out {rff+1}", "'rf'")),
        ('tai = "my_tia.cir:my_tia"', ("[blocks] tai", "unknown key", "did you mean 'tia'")),
        ('lib = "models.lib typical"', ("[blocks]", "a library without a block")),
        ('tia = "my_tia.cir:my_tia"\nlib = "models.lib"', ("[blocks] lib", "file and a section")),
        ('tia = "my_tia.cir:my_tia"\nlib = "models.lib slow"', ("models.lib, line", "not there")),
        ('tia = "my_tia.cir:my_tia"\nlib = "models.lib typ"', ("no such section", "typical")),
        ('tia = "own.py:nothing"', ("own.py", "no factory", "cell")),
        ('tia = "own.py:neuron"\nlib = 3', ("[blocks] lib", "got 3")),
        ('neuron = "evil.cir:evil"', ("evil.cir, line 2", "runs what stands behind *#")),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_before_anything_runs(
    blocks: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(FACTORY)
    (tmp_path / "evil.cir").write_text(f".subckt evil in out\n*# shell touch {tmp_path}/x\n.ends\n")
    (tmp_path / "typo.cir").write_text(
        ".subckt typo in out rf=10k\n* of 10k\nE1 out 0 0 in 1e4\nR1 in out {rff+1}\n.ends\n"
    )
    config = study(tmp_path, f"[blocks]\n{blocks}\n")
    names_all(refused(tmp_path, "netlist", config, "-o", tmp_path / "out"), *words)
