"""PySpice in both directions: what goes over computes the same, what comes in is checked."""

from __future__ import annotations

import ctypes.util
import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.errors import InputError
from cosim.calibration import periphery, wires
from cosim.ngspice import Deck, Ngspice, RawPlot, run_deck
from cosim.ngspice.bench import OPTIONS, stepped_inputs, sweep_deck
from netlists.array import ReadArray, array_circuit
from netlists.circuit import Circuit, ForeignSubcircuit, Instance, Note, Resistor, VoltageSource
from netlists.crossbar import Crossbar
from netlists.foreign import check_block
from netlists.hardware import Hardware, TileSpec
from netlists.network import network_circuit
from netlists.pyspice import from_pyspice, pyspice_netlist, to_pyspice
from netlists.readout import tia
from netlists.wires import Wires
from tests.cosim.chips import chip_of, small_hardware, small_inputs, small_network

ROOT = Path(__file__).resolve().parents[2]
netlist = pyspice_netlist()


@dataclasses.dataclass(frozen=True)
class Bench:
    """A circuit with what is sent through it and what is read."""

    circuit: Circuit
    inputs: tuple[str, ...]
    vectors: np.ndarray

    def with_sources(self) -> Circuit:
        items = (*self.circuit.items, *stepped_inputs(self.inputs, self.vectors))
        return dataclasses.replace(self.circuit, items=items)


def array_bench() -> Bench:
    """3x5 with an open cell, both kinds of wires and ends, no two cells alike."""
    rng = np.random.default_rng(5)
    conductance = rng.uniform(1e-6, 1e-4, (3, 5))
    conductance[1, 2] = 0.0
    array = ReadArray(Crossbar(conductance, Wires(r_wordline_ohm=20, r_bitline_ohm=7)), 50.0, 3.0)
    circuit = array_circuit(array, title="an asymmetric array")
    return Bench(circuit, tuple(f"in_{k}" for k in range(3)), rng.uniform(-0.2, 0.2, (4, 3)))


def chip_bench() -> Bench:
    """One layer of 6 inputs in two tiles."""
    x = small_inputs(5)
    hardware = Hardware(tile=TileSpec(max_rows=4, max_cols=8))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)  # two processes build this chip and compare what it computes
        network = nn.Sequential(nn.Linear(6, 3), nn.Tanh()).double()
    chip = chip_of(network, hardware, x)
    assert len(chip.plans[0].tiles) == 2
    circuit = network_circuit(chip, title="a chip of two tiles", header=("with a header",))
    return Bench(circuit, tuple(f"in_{k}" for k in range(6)), x)


def calibration_bench(make: Callable[[Any], object], module: Any) -> Bench:
    """The circuit that a calibration puts into its deck."""
    x = small_inputs(5)
    chip = chip_of(small_network(nn.Tanh), small_hardware(), x)
    seen: list[Bench] = []

    def keep(circuit: Circuit, inputs: list[str], vectors: np.ndarray, **named: Any) -> Deck:
        seen.append(Bench(circuit, tuple(inputs), vectors))
        return sweep_deck(circuit, inputs, vectors, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "sweep_deck", keep)
        make(chip)
    return seen[0]


def amplifier_bench() -> Bench:
    block = tia.loop_subcircuit(Hardware().tia)  # the loop: a controlled source goes over too
    return calibration_bench(lambda chip: periphery.amplifier_sweep(chip, 0, block, 0), periphery)


def converter_bench() -> Bench:
    return calibration_bench(lambda chip: periphery.converter_sweep(chip, 0, 0), periphery)


def wire_bench() -> Bench:
    def make(chip: Any) -> object:
        return wires.wire_sweeps(
            chip.hardware, 4, 6, np.full(6, 0.7), lowest=0.0, arrays=1, seed=3, path="a"
        )

    return calibration_bench(make, wires)


BENCHES = [array_bench, chip_bench, amplifier_bench, converter_bench, wire_bench]


def run(text: str, points: int, ngspice: Ngspice) -> RawPlot:
    analysis = f"\n{OPTIONS}\n.dc vindex 0 {points - 1} 1\n.end\n"
    deck = Deck(text + analysis, expected_points=points)
    return run_deck(deck, ngspice, timeout_s=60).require_ok().plot


@pytest.mark.ngspice
@pytest.mark.parametrize("bench", BENCHES)
def test_the_handed_over_circuit_computes_the_same(
    bench: Callable[[], Bench], ngspice: Ngspice
) -> None:
    """Every node voltage and source current, to 1e-12 of the largest of its kind."""
    made = bench()
    points = len(made.vectors)
    ours = sweep_deck(made.circuit, made.inputs, made.vectors, name="ours")
    expected = run_deck(ours, ngspice, timeout_s=60).require_ok().plot
    got = run(str(to_pyspice(made.with_sources())), points, ngspice)
    assert sorted(got.names) == sorted(expected.names)
    for kind in ("v(", "i("):
        names = [name for name in expected.names if name.startswith(kind)]
        size = np.abs(expected.matrix(names)).max()
        assert kind == "i(" or size > 0  # converters take no current
        difference = np.abs(got.matrix(names) - expected.matrix(names)).max()
        assert difference <= 1e-12 * size


def test_hierarchy_elements_and_parameters_are_pyspice_objects() -> None:
    made = to_pyspice(chip_bench().circuit)
    assert isinstance(made, netlist.Circuit)
    blocks = {block.name: block for block in made.subcircuits}
    assert {"network", "layer_0", "layer_0_tile_0", "layer_0_tile_1", "cell", "tia"} <= set(blocks)
    assert float(blocks["tia"].parameters["rf"]) == 1e4
    assert [str(node) for node in blocks["tia"].external_nodes] == ["in", "out"]
    amplifier = blocks["layer_0"].Xtia_0_0
    assert amplifier.subcircuit_name == "tia"
    assert amplifier.node_names == ["bl_0_0", "v_0_0"]
    assert set(amplifier.parameters) == {"rf", "vos"}
    assert list(blocks["layer_0_tile_0"].elements) == []  # the array is text
    assert blocks["layer_0_tile_0"].raw_spice.count("xcell_") == 18


def test_a_value_changed_in_pyspice_changes_the_text() -> None:
    circuit = Circuit(
        "a divider",
        (),
        (
            Note("two resistors"),
            VoltageSource("vin", "a", "0", 1.0),
            Resistor("rtop", "a", "b", 1e3),
            Resistor("rlow", "b", "0", 1 / 3),
        ),
    )
    made = to_pyspice(circuit)
    assert "Rlow b 0 0.3333333333333333\n" in str(made)
    assert "* two resistors\n" in str(made)
    made.Rtop.resistance = 2e3
    assert "Rtop a b 2000.0\n" in str(made)


def test_an_element_that_pyspice_would_rename_is_refused() -> None:
    circuit = Circuit("t", (), (Instance("tile", "cell", ("a", "b")),))
    with pytest.raises(InputError, match=r"tile.*'x' and more"):
        to_pyspice(circuit)


def test_handing_over_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Our amplifiers have a port called `in`, of which PySpice warns."""
    with caplog.at_level(logging.DEBUG):
        to_pyspice(amplifier_bench().circuit)
        assert caplog.records == []
        netlist.SubCircuit("other", "a").R(1, "a", "in", 1)
    assert "keyword" in caplog.text  # and the silence is ours alone


# A library that failed to load a circuit keeps the one before: each is removed after use.
SHARED = """
import json, sys
from netlists.pyspice import to_pyspice
from tests.netlists.test_pyspice import array_bench, chip_bench

found = []
for bench, kind, names in (
    (array_bench(), "branches", [f"vsense_{k}" for k in range(5)]),
    (chip_bench(), "nodes", [f"code_{k}" for k in range(3)]),
):
    simulator = to_pyspice(bench.with_sources()).simulator(simulator="ngspice-shared")
    simulator.options("klu", reltol=1e-7, abstol=1e-15, vntol=1e-10, itl1=500)
    analysis = simulator.dc(Vindex=slice(0, len(bench.vectors) - 1, 1))
    found.append([[float(v) for v in getattr(analysis, kind)[name]] for name in names])
    simulator.ngspice.destroy()
    simulator.ngspice.remove_circuit()
print(json.dumps(found))
"""


@pytest.mark.ngspice
def test_ngspice_inside_pyspice_computes_the_same(ngspice: Ngspice) -> None:
    """PySpice's shared library in a process of its own, two circuits one after the other."""
    library = ctypes.util.find_library("ngspice")
    if library is None:
        pytest.skip("libngspice (Debian: libngspice0) is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SHARED],
        cwd=ROOT,
        env={**os.environ, "NGSPICE_LIBRARY_PATH": library, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    currents, codes = json.loads(done.stdout.strip().split("\n")[-1])
    expected = []
    for bench, signals in (
        (array_bench(), [f"i(vsense_{k})" for k in range(5)]),
        (chip_bench(), [f"v(code_{k})" for k in range(3)]),
    ):
        ours = sweep_deck(bench.circuit, bench.inputs, bench.vectors, name="ours")
        plot = run_deck(ours, ngspice, timeout_s=60).require_ok().plot
        expected.append(plot.matrix(signals).T)
    np.testing.assert_allclose(currents, expected[0], rtol=1e-12, atol=0)
    np.testing.assert_array_equal(codes, expected[1])
    assert len(np.unique(codes)) > 4


def test_pyspice_is_not_loaded_until_it_is_needed() -> None:
    code = "import netlists.pyspice, sys; print('PySpice' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# What a user brings in.


class Cell(netlist.SubCircuit):
    """A cell that takes more than its share at high voltages."""

    def __init__(self) -> None:
        super().__init__("MyCell", "a", "b", g=1e-6, V0=0.3)
        self.B("cell", "a", "b", i="{g}*{v0}*sinh(V(a,b)/{v0})")


def test_a_class_becomes_a_block() -> None:
    block = from_pyspice(Cell, role="cell")
    assert (block.name, block.ports) == ("mycell", ("a", "b"))
    assert dict(block.parameters) == {"g": 1e-6, "v0": 0.3}
    assert block.text.startswith(".subckt mycell a b g=1e-06 v0=0.3\nBcell a b")
    assert block.text.endswith(".ends MyCell")


def test_defaults_with_units_become_plain_numbers() -> None:
    """PySpice itself writes them as `rf=10 kOhm`, with a sign that ngspice cannot read."""
    from PySpice.Unit import u_kOhm, u_MOhm

    made = netlist.SubCircuit("amp", "a", "b", rf=u_kOhm(10), r2=u_MOhm(2.2))
    made.R("f", "a", "b", "{rf}")
    block = from_pyspice(made, role="tia")
    assert dict(block.parameters) == {"rf": 1e4, "r2": 2.2e6}
    assert block.text.isascii()


def sub(*ports: str, text: str = "R1 a b 1000", name: str = "mine", **parameters: Any) -> Any:
    made = netlist.SubCircuit(name, *(ports or ("a", "b")), **parameters)
    made.raw_spice = text
    return made


@pytest.mark.parametrize(
    ("made", "role", "message"),
    [
        (sub(), "adc", "role.*'adc'.*cell, tia, neuron"),
        (sub(), "neurn", "did you mean 'neuron'"),
        (sub("a"), "tia", "two ports.*in, out"),
        (sub("a", "b", "c"), "neuron", "two ports"),
        (sub("a", "0"), "tia", "ground is no port"),
        (sub("out", "in"), "neuron", "wrong order.*in, out"),
        (sub("BL", "WL", g=1e-6), "cell", "wrong order.*wl, bl"),
        (sub(), "cell", "'g' is missing"),
        (sub(name="2nd"), "tia", "not a netlist name.*'2nd'"),
        (sub(rf="10k"), "tia", "'rf'.*not a number.*'10k'.*10e3"),
        (sub(rf=float("nan")), "tia", "cannot hold this number"),
        (sub(text=".include models.lib"), "tia", r"\.include.*models\.lib.*into the subcircuit"),
        (sub(text="  .LIB 'x' tt"), "tia", r"\.lib has no place"),
        (sub(text="R1 a b 1\n.control\nquit\n.endc"), "tia", r"line 3: \.control has no place"),
        (sub(text=".op"), "neuron", r"\.op has no place.*belong to the deck"),
        (sub(text=".tran 1n 1u"), "neuron", r"\.tran has no place"),
        (sub(text=".options reltol=1"), "neuron", r"\.options has no place"),
        (sub(text=".end"), "neuron", r"\.end has no place"),
        (sub(text="*# shell ls"), "neuron", r"runs what stands behind \*#"),
        (sub(text=".ends mine\nV9 a 0 5\n.subckt more"), "tia", "nothing beside it.*V9"),
        (sub(text=".subckt inner x"), "tia", ".ends is missing"),
        (sub(text="R1 a b 1\u00b5"), "tia", "printable ASCII"),
        (netlist.Circuit("whole"), "tia", "no PySpice subcircuit"),
        ("R1 a b 1", "tia", "no PySpice subcircuit"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(made: Any, role: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_pyspice(made, role=role)


def test_a_class_that_needs_arguments_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"SubCircuit: .*give an instance instead of the class"):
        from_pyspice(netlist.SubCircuit, role="cell")


def test_comments_models_and_inner_subcircuits_are_welcome() -> None:
    made = sub(text="* 10 \u00b5A at most\n.param k=2\n.func twice(x) {2*x}")
    made.model("dd", "D", IS=1e-12)
    made.D("1", "a", "b", model="dd")
    inner = netlist.SubCircuit("inner", "x", "y")
    inner.R(1, "x", "y", 5)
    made.subcircuit(inner)
    made.X("1", "inner", "a", "b")
    block = from_pyspice(made, role="neuron")
    assert ".model dd D (IS=1e-12)" in block.text
    assert block.text.count(".subckt") == 2


def test_text_that_begins_otherwise_than_the_block_says_is_refused() -> None:
    text = ".subckt mine\n+ b a\nR1 a b 1\n.ends"
    with pytest.raises(InputError, match=r"mine b a.*allowed: mine a b"):
        check_block("tia", ForeignSubcircuit("mine", ("a", "b"), text))
    assert check_block("tia", ForeignSubcircuit("mine", ("b", "a"), text)).name == "mine"


def test_hardware_checks_its_blocks() -> None:
    block = from_pyspice(sub(), role="tia")
    with pytest.raises(ValueError, match="'g' is missing"):
        Hardware(blocks={"cell": block})
    with pytest.raises(ValueError, match="no such role"):
        Hardware(blocks={"driver": block})
    assert Hardware(blocks={"tia": block}).blocks["tia"] is block


@pytest.mark.parametrize("name", ["driver", "layer_0", "layer_1_neuron", "network", "cell"])
def test_a_block_with_the_name_of_one_of_ours_is_refused(name: str) -> None:
    hardware = Hardware(blocks={"tia": from_pyspice(sub(name=name), role="tia")})
    chip = chip_of(small_network(), hardware, small_inputs(3))
    with pytest.raises(InputError, match=f"two blocks of the chip have this name.*'{name}'"):
        network_circuit(chip, title="t")


def test_a_block_may_have_the_name_of_the_one_it_replaces() -> None:
    hardware = Hardware(blocks={"tia": from_pyspice(sub(name="tia"), role="tia")})
    circuit = network_circuit(chip_of(small_network(), hardware, small_inputs(3)), title="t")
    assert isinstance(circuit.subcircuit("tia"), ForeignSubcircuit)


# The documentation.

PAGE = (ROOT / "docs" / "pyspice.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```\n+```text\n(.*?)^```$", PAGE, re.M | re.S)


def test_there_are_two_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.ngspice
def test_the_example_that_hands_over_prints_what_the_page_says(tmp_path: Path) -> None:
    """In a process of its own: the shared library is found when Python starts."""
    code, printed = EXAMPLES[0]
    library = ctypes.util.find_library("ngspice")
    if library is None:
        pytest.skip("libngspice (Debian: libngspice0) is not installed")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NGSPICE_LIBRARY_PATH": str(library),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_the_example_that_plugs_in_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = EXAMPLES[1]
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        exec(compile(code, "docs/pyspice.md", "exec"), {"__name__": "page"})  # noqa: S102 - ours
    assert capsys.readouterr().out == printed
    assert list(tmp_path.iterdir()) == []
