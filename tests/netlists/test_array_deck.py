"""Which cell hangs on which node: read from the text of a deck, and asked of ngspice."""

from __future__ import annotations

import re

import numpy as np
import pytest

from compact_models.errors import InputError
from cosim.array.read_one import read_array
from cosim.ngspice import Ngspice
from cosim.ngspice.bench import sweep_deck
from netlists.array import ReadArray, array_circuit
from netlists.circuit import Circuit, Resistor, Subcircuit
from netlists.crossbar import Crossbar, Mesh
from netlists.device_array import DeviceArray
from netlists.dialects.ngspice import render
from netlists.wires import Wires
from tests.netlists.decks import assert_only_known_cards, cards, subcircuits

# Six values of which no two are equal: a transposed or mirrored array cannot pass.
G = np.array([[1e-6, 2e-6, 3e-6], [4e-6, 5e-6, 6e-6]])


def tile(wires: Wires, conductance_s: np.ndarray = G) -> set[str]:
    text = render(array_circuit(ReadArray(Crossbar(conductance_s, wires)), title="test"))
    return {re.sub(r"g=(\S+)", lambda g: f"g={float(g[1]):g}", card)
            for card in subcircuits(text)["tile_0"]}  # fmt: skip


def test_every_cell_and_segment_hangs_where_the_conventions_say() -> None:
    assert tile(Wires(r_wordline_ohm=2.5, r_bitline_ohm=0.5)) == {
        ".subckt tile_0 wl_0 wl_1 bl_0 bl_1 bl_2",
        "xcell_0_0 w_0_0 b_0_0 cell g=1e-06",
        "xcell_0_1 w_0_1 b_0_1 cell g=2e-06",
        "xcell_0_2 w_0_2 b_0_2 cell g=3e-06",
        "xcell_1_0 w_1_0 b_1_0 cell g=4e-06",
        "xcell_1_1 w_1_1 b_1_1 cell g=5e-06",
        "xcell_1_2 w_1_2 b_1_2 cell g=6e-06",
        # Word lines come from the driver at the left ...
        "rw_0_0 wl_0 w_0_0 2.5", "rw_0_1 w_0_0 w_0_1 2.5", "rw_0_2 w_0_1 w_0_2 2.5",
        "rw_1_0 wl_1 w_1_0 2.5", "rw_1_1 w_1_0 w_1_1 2.5", "rw_1_2 w_1_1 w_1_2 2.5",
        # ... and bit lines go to the sense node below the last row.
        "rb_0_0 b_0_0 b_1_0 0.5", "rb_1_0 b_1_0 bl_0 0.5",
        "rb_0_1 b_0_1 b_1_1 0.5", "rb_1_1 b_1_1 bl_1 0.5",
        "rb_0_2 b_0_2 b_1_2 0.5", "rb_1_2 b_1_2 bl_2 0.5",
    }  # fmt: skip


@pytest.mark.parametrize(("word", "bit"), [(0.0, 0.5), (2.5, 0.0), (0.0, 0.0), (-0.0, -0.0)])
def test_a_resistance_of_zero_makes_two_nodes_one(word: float, bit: float) -> None:
    found = tile(Wires(r_wordline_ohm=word, r_bitline_ohm=bit))
    resistors = {card for card in found if card.startswith("r")}
    assert len(resistors) == 6 * (word > 0) + 6 * (bit > 0)
    at = ("w_1_2" if word > 0 else "wl_1", "b_1_2" if bit > 0 else "bl_2")
    assert f"xcell_1_2 {at[0]} {at[1]} cell g=6e-06" in found
    assert all(float(card.split()[3]) > 0 for card in resistors)


def test_segments_that_differ_hang_where_the_conventions_say() -> None:
    """A short is no element and makes nodes one; an open is no element and parts them."""
    word = np.array([[1.5, 0.0, 3.0], [0.0, 0.0, 6.5]])
    bit = np.array([[0.25, 0.0, np.inf], [1.25, 2.5, 0.0]])
    array = ReadArray(
        Crossbar(G, Wires(word, bit)), np.array([50.0, 0.0]), np.array([0.0, np.inf, 7.0])
    )
    found = subcircuits(render(array_circuit(array, title="test")))
    cells = {re.sub(r"g=(\S+)", lambda g: f"g={float(g[1]):g}", card) for card in found["tile_0"]}
    assert cells == {
        ".subckt tile_0 wl_0 wl_1 bl_0 bl_1 bl_2",
        "rw_0_0 wl_0 w_0_0 1.5", "rw_0_2 w_0_0 w_0_2 3.0", "rw_1_2 wl_1 w_1_2 6.5",
        "rb_0_0 b_0_0 b_1_0 0.25", "rb_1_0 b_1_0 bl_0 1.25", "rb_1_1 b_1_1 bl_1 2.5",
        "xcell_0_0 w_0_0 b_0_0 cell g=1e-06",
        "xcell_0_1 w_0_0 b_1_1 cell g=2e-06",
        "xcell_0_2 w_0_2 b_0_2 cell g=3e-06",
        "xcell_1_0 wl_1 b_1_0 cell g=4e-06",
        "xcell_1_1 wl_1 b_1_1 cell g=5e-06",
        "xcell_1_2 w_1_2 bl_2 cell g=6e-06",
    }  # fmt: skip
    assert set(found[""]) == {
        "xtile_0 wl_0 in_1 bl_0 bl_1 bl_2 tile_0", "rdriver_0 in_0 wl_0 50.0",
        "rsense_2 bl_2 sense_2 7.0",
        "vsense_0 bl_0 0 0.0", "vsense_1 sense_1 0 0.0", "vsense_2 sense_2 0 0.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.full((2, 3), -1.0), r"r_wordline_ohm\[0, 0\]: 6 of 6 .*-1\.0"),
        (np.full((3, 2), 1.0), r"r_wordline_ohm: one value.*\(3, 2\).*\(2, 3\)"),
        (np.ones(3), r"r_wordline_ohm: not resistances.*\(3,\)"),
        ([[1.0, 2.0, 3.0]], r"r_wordline_ohm: .*got 'list'"),
        ("5", r"r_wordline_ohm: .*got '5'"),
        (True, "r_wordline_ohm: .*got True"),
        (np.inf, "r_wordline_ohm: .*got inf"),
        (1e-9, "r_wordline_ohm: .*1e-06 to 1e"),
    ],
)
def test_wires_that_are_none_are_refused_in_our_words(value: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Crossbar(G, Wires(value))  # type: ignore[arg-type]
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    "wires",
    [
        Wires(r_wordline_ohm=0.0, r_bitline_ohm=2.0),
        Wires(r_wordline_ohm=1.0, r_bitline_ohm=0.0),
        Wires(np.array([[1.0, 0, 2], [3, np.inf, 4]]), np.array([[0.0, 0, 1], [2, 3, 0]])),
    ],
)
def test_the_elements_that_are_counted_are_those_of_the_text(wires: Wires) -> None:
    """Lines of resistors and cells, those of the cells' block once a cell."""
    conductance_s = np.where(G == 5e-6, 0, G)
    circuit = array_circuit(ReadArray(Crossbar(conductance_s, wires), r_sense_ohm=3.0), title="t")
    blocks = subcircuits(render(circuit))
    in_cell = sum(card[0] in "rb" for card in blocks["cell"][1:])
    in_tile = [card[0] for card in blocks["tile_0"] if card[0] in "rx"]
    outside = sum(card[0] in "rvbe" for card in blocks[""])
    counted = in_tile.count("r") + in_cell * in_tile.count("x") + outside
    assert in_tile.count("x") == 5
    assert circuit.element_count() == counted


def test_an_open_cell_is_left_out_and_its_wires_stay() -> None:
    open_one = G.copy()
    open_one[0, 1] = 0.0
    found = tile(Wires(), open_one)
    assert not any(card.startswith("xcell_0_1") for card in found)
    assert "rw_0_1 w_0_0 w_0_1 1.0" in found
    assert len(found) == 1 + 5 + 12


def test_resistors_at_the_ends_are_left_out_where_they_are_zero() -> None:
    def top(r_driver_ohm: float, r_sense_ohm: object) -> set[str]:
        array = ReadArray(Crossbar(G, Wires()), r_driver_ohm, r_sense_ohm)  # type: ignore[arg-type]
        return set(subcircuits(render(array_circuit(array, title="test")))[""])

    assert top(0.0, 0.0) == {
        "xtile_0 in_0 in_1 bl_0 bl_1 bl_2 tile_0",
        "vsense_0 bl_0 0 0.0", "vsense_1 bl_1 0 0.0", "vsense_2 bl_2 0 0.0",
    }  # fmt: skip
    assert top(50.0, np.array([0.0, 7.0, 0.0])) == {
        "xtile_0 wl_0 wl_1 bl_0 bl_1 bl_2 tile_0",
        "rdriver_0 in_0 wl_0 50.0", "rdriver_1 in_1 wl_1 50.0", "rsense_1 bl_1 sense_1 7.0",
        "vsense_0 bl_0 0 0.0", "vsense_1 sense_1 0 0.0", "vsense_2 bl_2 0 0.0",
    }  # fmt: skip


@pytest.mark.ngspice
@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("col", [0, 1, 2])
def test_one_hot_cell_conducts_from_its_own_row_to_its_own_column(
    row: int, col: int, ngspice: Ngspice
) -> None:
    hot = np.zeros((2, 3))
    hot[row, col] = 1e-3
    array = ReadArray(Crossbar(hot, Wires(r_wordline_ohm=100.0, r_bitline_ohm=1000.0)), 10.0, 1.0)
    found = read_array(array, np.eye(2), "spice", ngspice=ngspice)
    assert found.outcome == "ok", found.reason
    # Segments on the way: col + 1 of the word line, from its row down of the bit line.
    path_ohm = 1000 + 10 + 1 + 100 * (col + 1) + 1000 * (2 - row)
    expected = np.zeros((2, 3))
    expected[row, col] = 1 / path_ohm
    assert found.current_a == pytest.approx(expected, rel=1e-9, abs=1e-15)


NUMBERS = np.array([1e-12, 1.2345678901234567e-5, 3.3e-7, 2**-20, 0.1 + 0.2, 5e-9]).reshape(2, 3)


def test_every_number_of_a_deck_is_a_plain_exponent() -> None:
    array = ReadArray(Crossbar(NUMBERS, Wires(r_wordline_ohm=1e6, r_bitline_ohm=1e-3)), 1e7, 1e3)
    deck = sweep_deck(array_circuit(array, title="t"), ["in_0", "in_1"], NUMBERS[:, :2], name="t")
    assert_only_known_cards(deck.text)
    for card in cards(deck.text):
        values = re.findall(r"(?<![a-z0-9_.])[-+]?\.?\d[^\s,()=*/{}]*", card)
        for value in values:
            assert re.fullmatch(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", value), card


@pytest.mark.ngspice
def test_numbers_read_back_through_ngspice_to_the_last_digits(ngspice: Ngspice) -> None:
    array = ReadArray(Crossbar(NUMBERS, Wires(r_wordline_ohm=0, r_bitline_ohm=0)))
    found = read_array(array, np.eye(2), "spice", ngspice=ngspice)
    assert found.current_a == pytest.approx(NUMBERS, rel=1e-14, abs=0)


@pytest.mark.parametrize("g", [np.nan, np.inf, -1e-9])
def test_a_cell_that_cannot_be_built_is_named(g: float) -> None:
    bad = G.copy()
    bad[1, 2] = g
    with pytest.raises(InputError, match=r"conductance_s\[1, 2\]"):
        Crossbar(bad, Wires())


@pytest.mark.parametrize("name", ["r 1", "r1\n.control", "R1", "", "r1;"])
def test_an_element_whose_name_would_change_the_deck_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="not a netlist name"):
        render(Circuit("t", (), (Resistor(name, "a", "0", 1.0),)))
    with pytest.raises(InputError, match="not a netlist name"):
        render(Circuit("t", (Subcircuit(name, ("a",), ()),), ()))


def test_notes_titles_and_headers_cannot_become_cards() -> None:
    evil = "x\n.control\nquit\n.endc"
    notes = tuple((evil, evil, evil) for _ in range(2))
    block = Subcircuit("tile_0", ("wl_0",), (Crossbar(G, Wires(), notes=notes),), description=evil)
    text = render(Circuit(evil, (block,), (), (evil,)))
    assert_only_known_cards(f"{text}.end\n")


def cell_by_cell(array: Mesh, cell_line: dict[tuple[int, int], str]) -> list[str]:
    """The lines of an array as the conventions say them, one cell after the other."""
    lines = []
    word, bit = array.wires.r_wordline_ohm, array.wires.r_bitline_ohm
    for (row, col), line in cell_line.items():
        at = (f"w_{row}_{col}" if word else f"wl_{row}", f"b_{row}_{col}" if bit else f"bl_{col}")
        left = f"w_{row}_{col - 1}" if col else f"wl_{row}"
        below = f"b_{row + 1}_{col}" if row + 1 < array.rows else f"bl_{col}"
        lines += [f"rw_{row}_{col} {left} {at[0]} {word!r}"] if word else []
        lines += [f"rb_{row}_{col} {at[1]} {below} {bit!r}"] if bit else []
        lines.append(line.replace("NODES", " ".join(at)))
    return lines


def body(array: Crossbar | DeviceArray) -> list[str]:
    text = render(Circuit("t", (Subcircuit("tile_0", array.ports, (array,)),), ()))
    lines = text.partition("tile_0\n")[2].partition("\n.ends")[0].split("\n")
    return [line for line in lines if not line.startswith("+")]


SHAPES = [(1, 1), (1, 5), (5, 1), (3, 4), (12, 11)]
WIRES = [(2.5, 0.5), (0.0, 0.5), (2.5, 0.0), (0.0, 0.0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("word", "bit"), WIRES)
def test_every_line_of_an_array_stands_in_its_place(
    shape: tuple[int, int], word: float, bit: float
) -> None:
    g = np.random.default_rng(0).uniform(1e-6, 1e-4, shape)
    g[-1, 0] = 0.0
    notes = tuple(tuple(f"@ ~ | {{}} %s {row} {col}" for col in range(shape[1]))
                  for row in range(shape[0]))  # fmt: skip
    wires = Wires(r_wordline_ohm=word, r_bitline_ohm=bit)
    for comments in ((), notes):
        array = Crossbar(g, wires, cell="mine", notes=comments)
        cells = {
            (row, col): (
                (f"xcell_{row}_{col} NODES mine g={value!r}" if value
                 else f"* xcell_{row}_{col} is open (0 S)")
                + (f" ; {comments[row][col]}" if comments else "")
            )
            for (row, col), value in zip(np.ndindex(shape), g.ravel().tolist(), strict=True)
        }  # fmt: skip
        in_place = cell_by_cell(array, cells)
        assert body(array) == sorted(in_place, key=lambda line: line[0] != "r")  # wires first


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("word", "bit"), WIRES)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("names", [(), ("x0",), ("x0", "r_on")])
def test_every_line_of_an_array_of_devices_stands_in_its_place(
    shape: tuple[int, int], word: float, bit: float, compiled: bool, names: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    stuck = np.full(shape, np.nan)
    stuck[-1, 0] = 0.0
    stuck[0, -1] = 0.25 if shape != (1, 1) else np.nan
    own = {name: rng.uniform(-1, 1, shape) for name in names}
    wires = Wires(r_wordline_ohm=word, r_bitline_ohm=bit)
    array = DeviceArray(stuck, wires, "mine", compiled, own)
    cells = {}
    for row, col in np.ndindex(shape):
        pairs = "".join(f" {name}={float(own[name][row, col])!r}" for name in names)
        cells[row, col] = f"{'n' if compiled else 'x'}cell_{row}_{col} NODES mine{pairs}"
        if stuck[row, col] == 0.25:
            cells[row, col] = f"rcell_{row}_{col} NODES 4.0 ; stuck at 0.25 S"
        elif stuck[row, col] == 0:
            cells[row, col] = f"* cell_{row}_{col} is stuck open (0 S)"
    assert body(array) == cell_by_cell(array, cells)
