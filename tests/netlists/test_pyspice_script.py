"""A circuit as a PySpice script computes what its deck does, and a designer can read it."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import runpy
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from cosim.network.held_chip import held_chip
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import OPTIONS, sweep_deck
from netlists.array import ReadArray, array_circuit
from netlists.circuit import Circuit, ForeignSubcircuit, PiecewiseVoltage, SourceFiles
from netlists.counting import Pattern, pattern, run_length
from netlists.crossbar import Crossbar
from netlists.dialects.pyspice_script import ScriptOutputs, pyspice_script
from netlists.hardware import Hardware, TileSpec
from netlists.network import network_circuit
from netlists.pyspice import pyspice_netlist
from netlists.python_text import names_as_arguments
from netlists.wires import Wires
from tests.cosim.chips import chip_of
from tests.cosim.test_device_chip import BENT, device
from tests.netlists.test_pyspice import Bench, amplifier_bench, array_bench, chip_bench


@pytest.fixture(autouse=True)
def _scripts_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A script has its process to itself, and sets what it likes in PySpice."""
    pyspice_netlist()
    server = importlib.import_module("PySpice.Spice.NgSpice.Server")
    log = logging.getLogger("PySpice")
    monkeypatch.setattr(server, "RawFile", server.RawFile)
    level = log.level
    yield
    log.setLevel(level)


def uneven_bench() -> Bench:
    """Every segment another, with shorts on both kinds of lines."""
    rng = np.random.default_rng(8)
    word, bit = rng.uniform(1, 20, (3, 4)), rng.uniform(1, 20, (3, 4))
    word[1, 0] = word[2, 2] = bit[0, 1] = bit[2, 3] = 0.0
    crossbar = Crossbar(rng.uniform(1e-6, 1e-4, (3, 4)), Wires(word, bit))
    circuit = array_circuit(ReadArray(crossbar, 50.0, 3.0), title="uneven wires")
    return Bench(circuit, tuple(f"in_{k}" for k in range(3)), rng.uniform(-0.2, 0.2, (2, 3)))


def one_kind_of_wire_bench() -> Bench:
    """Bit lines without resistance; one vector alone."""
    rng = np.random.default_rng(9)
    crossbar = Crossbar(rng.uniform(1e-6, 1e-4, (4, 2)), Wires(r_wordline_ohm=9, r_bitline_ohm=0))
    circuit = array_circuit(ReadArray(crossbar, 50.0, 3.0), title="word lines alone")
    return Bench(circuit, tuple(f"in_{k}" for k in range(4)), rng.uniform(-0.2, 0.2, (1, 4)))


def device_bench() -> Bench:
    """A chip of two tiles whose cells are compact models, as raw SPICE."""
    hardware = Hardware(
        device=device(**BENT), wires=Wires(20, 12), tile=TileSpec(max_rows=2, max_cols=4)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = nn.Linear(3, 2).double()
    x = np.random.default_rng(4).uniform(0, 1, (3, 3))
    circuit = network_circuit(held_chip(chip_of(network, hardware, x)), title="cells that bend")
    return Bench(circuit, ("in_0", "in_1", "in_2"), x)


def script(bench: Bench) -> str:
    nodes = bench.inputs[:1]
    outputs = ScriptOutputs(nodes, np.zeros((len(bench.vectors), 1)), "nobody")
    options = OPTIONS.split()[1:]
    return pyspice_script(bench.circuit, bench.inputs, bench.vectors, outputs, options=options)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "bench",
    [array_bench, uneven_bench, one_kind_of_wire_bench, chip_bench, amplifier_bench, device_bench],
)
def test_the_script_computes_what_the_deck_does(
    bench: Callable[[], Bench], ngspice: Ngspice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node voltage and source current, to 1e-9 of the largest of its kind."""
    monkeypatch.setenv("PATH", str(Path(ngspice.path).parent), prepend=":")
    made = bench()
    (tmp_path / "script.py").write_text(script(made))
    names = runpy.run_path(str(tmp_path / "script.py"))
    found = names["simulate"](names["build"]())
    deck = sweep_deck(made.circuit, made.inputs, made.vectors, name="ours")
    plot = run_deck(deck, ngspice, timeout_s=60).require_ok().plot
    for kind, ours in (("v", found.nodes), ("i", found.branches)):
        theirs = {name.lower(): np.asarray(wave) for name, wave in ours.items()}
        wanted = [name for name in plot.names if name.startswith(f"{kind}(")]
        assert kind == "v" or len(wanted) > len(made.inputs)
        # Sources at the inputs are the script's own, and have names of their own.
        expected = {name[2:-1]: plot.matrix([name])[:, 0] for name in wanted}
        both = {name for name in expected if name in theirs}
        assert set(expected) - both <= {f"{letter}in_{k}" for letter in "vb" for k in range(9)}
        largest = max(np.abs(values).max() for values in expected.values())
        off = max(np.abs(theirs[name] - expected[name]).max() for name in both)
        assert off <= 1e-9 * largest
        assert largest > 0


@pytest.mark.ngspice
def test_what_ngspice_says_between_its_numbers_is_no_number(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    """A run of more than a quarter of a second says how far it is, in the middle of the data."""
    made = array_bench()
    (tmp_path / "script.py").write_text(script(made))
    slow = tmp_path / "bin" / "ngspice"
    slow.parent.mkdir()
    slow.write_text(
        f"#!{sys.executable}\n"
        "import subprocess, sys\n"
        f"done = subprocess.run([{str(ngspice.path)!r}, *sys.argv[1:]], capture_output=True)\n"
        "head, mark, data = done.stdout.partition(b'Binary:\\n')\n"
        "data = data[:40] + b' Reference value :  3.00000e+00\\r' + data[40:]\n"
        "sys.stdout.buffer.write(head + mark + data)\n"
        "sys.stderr.buffer.write(done.stderr)\n"
    )
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    told = []
    for path in (str(Path(ngspice.path).parent), str(slow.parent)):
        done = subprocess.run(
            [sys.executable, tmp_path / "script.py"],
            env={"PATH": f"{path}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(done.stdout)
    assert told[0] == told[1]
    assert told[0].startswith("index,in_0\n0,0.1")


def test_the_script_of_many_cells_is_loops() -> None:
    """A chip of 18 cells and one of 720 differ in their numbers, not in what a designer reads."""
    text = script(chip_bench())
    structure, numbers = text.split("# The numbers.")
    assert "class Layer0(SubCircuit):" in structure
    assert 'self.X(f"tia_0_{k}", "tia", f"bl_0_{k}", f"v_0_{k}", rf=rf, vos=vos)' in structure
    assert structure.count("self.X(") < 15
    assert numbers.count("e-0") > 18
    assert "RawFile" in structure
    assert "raw SPICE" not in text
    assert "raw SPICE" in script(device_bench())


@pytest.mark.parametrize(
    "text", ['"""\nimport os', "a\\", "{k}", '"; import os #', "\\N{DIGIT ONE}", "'''"]
)
def test_what_a_user_calls_things_is_never_python(text: str) -> None:
    """Titles, comments and texts of blocks stay what they are, wherever they stand."""
    block = ForeignSubcircuit("own", ("a", "b"), f".subckt own a b\n* {text}\n.ends")
    circuit = Circuit(text, (block,), (), header=(text,))
    outputs = ScriptOutputs(("a",), np.zeros((1, 1)), text)
    made = pyspice_script(circuit, ("a",), np.ones((1, 1)), outputs, options=())
    names: dict[str, object] = {"__name__": "script"}
    exec(compile(made, "script.py", "exec"), names)  # noqa: S102 - it is what is tested
    assert names["SOURCE"] == " ".join(text.split())
    assert str(names["OWN_TEXT"]).strip() == block.text
    assert "os" not in names


def test_what_cannot_stand_in_a_script_is_refused() -> None:
    outputs = ScriptOutputs(("a",), np.zeros((1, 1)), "nobody")

    def refuse(circuit: Circuit, words: str) -> None:
        with pytest.raises(InputError, match=words):
            pyspice_script(circuit, ("a",), np.ones((1, 1)), outputs, options=())

    source = PiecewiseVoltage("vramp", "a", "0", ((0.0, 0.0), (1.0, 1.0)))
    refuse(Circuit("t", (), (source,)), "top: PiecewiseVoltage.*two-terminal cells")
    files = SourceFiles(('.include "kit.inc"',), {"kit.inc": "* a kit"})
    own = ForeignSubcircuit("own", ("a", "b"), "", files=files)
    refuse(Circuit("t", (own,), ()), "'own'.*files of your own.*-o FOLDER")


@pytest.mark.parametrize(
    ("first", "second", "parts"),
    [
        ("wl_0_3", "wl_0_4", ("wl_0_", (3, 1))),
        ("V(v_0_1)-V(v_0_0)", "V(v_0_3)-V(v_0_2)", ("V(v_0_", (1, 2), ")-V(v_0_", (0, 2), ")")),
        ("n_5", "n_3", ("n_", (5, -2))),
        ("one", "one", ("one",)),
        ("0.05*v", "0.06*v", None),  # no number counts up behind a point with zeros
        ("a_1", "b_2", None),
        ("a_1", "a_1_1", None),
    ],
)
def test_texts_count_up(first: str, second: str, parts: tuple[object, ...] | None) -> None:
    found = pattern(first, second)
    assert (found.parts if found else None) == parts


def test_runs_end_where_counting_does() -> None:
    texts = [(f"x_{k}", f"in_{k + 2}") for k in (0, 1, 2, 4)]
    length, found = run_length(texts)
    assert length == 3
    assert found[1] == Pattern(("in_", (2, 1)))
    assert [one.text(2) for one in found] == ["x_2", "in_4"]
    assert run_length(texts[:1]) == (1, (Pattern(("x_0",)), Pattern(("in_2",))))


def test_names_become_as_few_arguments_as_say_them() -> None:
    names = [
        "a",
        *(f"wl_1_{k}" for k in range(4)),
        "in_7",
        "in_8",
        *(f"b{2 * k}" for k in (0, 1, 2)),
    ]
    made = names_as_arguments(names)
    assert made[:2] == ['"a"', '*numbered("wl_1", 4)']

    def of_script(name: str, count: int, first: int = 0) -> list[str]:
        return [f"{name}_{k}" for k in range(first, first + count)]

    assert eval(f"[{', '.join(made)}]", {"numbered": of_script}) == names  # noqa: S307


def test_more_than_one_wire_resistance_is_a_table() -> None:
    """Two arrays with wires of their own, equal within each."""
    first = array_bench().circuit
    tile = next(block for block in first.subcircuits if block.name == "tile_0")
    assert not isinstance(tile, ForeignSubcircuit)
    other = dataclasses.replace(
        tile,
        name="tile_1",
        items=(dataclasses.replace(tile.items[0], wires=Wires(1.0, 2.0)),),  # type: ignore[call-overload]
    )
    both = dataclasses.replace(first, subcircuits=(*first.subcircuits, other))
    text = script(dataclasses.replace(array_bench(), circuit=both))
    assert '("w_0_0", "wl_0", "w_0_0", 1.0)' in text
    assert '("w_0_0", "wl_0", "w_0_0", 20.0)' in text
    assert "R_WORDLINE_OHM" not in text
