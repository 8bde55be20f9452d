"""Random small arrays at all four fidelities: single lines, any ends, segments that differ, opens.

One start of ngspice reads all of them. The exact solver is the other route; the closed form is held
to one per cent where it says nothing, and the ideal one to what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cosim.array.read_one import read_array
from cosim.ngspice import Ngspice
from cosim.ngspice.bench import sweep_deck
from cosim.ngspice.runner import run_deck
from netlists.array import ReadArray, array_circuit
from netlists.circuit import Circuit, Instance, Subcircuit
from netlists.crossbar import Crossbar
from netlists.wires import Wires

Array = np.ndarray
VECTORS = 2


def segments(rng: np.random.Generator, shape: tuple[int, int], opens: float) -> float | Array:
    """None, all alike, or each its own, some of them shorts and a share of opens."""
    kind = rng.integers(4)
    if kind < 2:
        return float(10 ** rng.uniform(-1, 3.5)) * kind
    each = 10 ** rng.uniform(-1, 3.5, shape)
    if kind == 3:
        each[rng.random(shape) < 0.3] = 0.0
        each[rng.random(shape) < opens] = np.inf
    return each


def ends(rng: np.random.Generator, lines: int, opens: bool) -> float | Array:
    kind = rng.integers(3)
    if kind < 2:
        return float(10 ** rng.uniform(0, 4)) * kind
    each = 10 ** rng.uniform(0, 4, lines) * (rng.random(lines) < 0.7)
    return np.where(rng.random(lines) < 0.1, np.inf, each) if opens else each


def drawn(count: int, *, opens: bool) -> list[tuple[ReadArray, Array]]:
    found = []
    for k in range(count):
        rng = np.random.default_rng([k, opens])
        n, m = (int(x) for x in rng.integers(2, 8, 2))
        rows, cols = [(1, m), (n, 1), (1, 1), (n, m)][k % 4]
        g = 10 ** rng.uniform(-6, -3.5, (rows, cols))
        # Beside many opens whole pieces float, or a node has no element at all.
        share = (0.05, 0.4)[k // 4 % 2] if opens else 0.0
        g[rng.random(g.shape) < 0.15 + share] = 0.0
        wires = Wires(*(segments(rng, g.shape, share) for _ in range(2)))
        array = ReadArray(Crossbar(g, wires), ends(rng, rows, opens), ends(rng, cols, opens))
        if opens and not array.has_opens:
            continue
        found.append((array, rng.uniform(*((-0.2, 0.2) if k % 3 else (0, 0.2)), (VECTORS, rows))))
    return found


def read_all(arrays: Sequence[tuple[ReadArray, Array]], ngspice: Ngspice) -> list[Array]:
    """Currents of all arrays from one deck in which each is a block of its own."""
    blocks, top, inputs, vectors = {}, [], [], []
    for k, (array, drive) in enumerate(arrays):
        circuit = array_circuit(array, title="one of many")
        cell, tile = circuit.subcircuits
        assert isinstance(tile, Subcircuit)
        ports = tuple(f"in_{row}" for row in range(array.crossbar.rows))
        items = tuple(
            replace(item, subcircuit=f"tile_{k}") if isinstance(item, Instance) else item
            for item in circuit.items
        )
        blocks[cell.name] = cell
        blocks[f"tile_{k}"] = replace(tile, name=f"tile_{k}")
        blocks[f"array_{k}"] = Subcircuit(f"array_{k}", ports, items)
        nodes = tuple(f"in_{k}_{row}" for row in range(array.crossbar.rows))
        top.append(Instance(f"xarray_{k}", f"array_{k}", nodes))
        inputs += nodes
        vectors.append(drive)
    whole = Circuit("many arrays", tuple(blocks.values()), tuple(top))
    deck = sweep_deck(whole, inputs, np.concatenate(vectors, axis=1), name="many")
    result = run_deck(deck, ngspice, timeout_s=60)
    assert result.ok, result.reason
    return [
        result.plot.matrix([f"i(v.xarray_{k}.vsense_{col})" for col in range(array.crossbar.cols)])
        for k, (array, _) in enumerate(arrays)
    ]


@pytest.mark.ngspice
@pytest.mark.parametrize("opens", [False, True])
def test_four_fidelities_of_any_small_array(opens: bool, ngspice: Ngspice) -> None:
    arrays = drawn(160, opens=opens)
    said = 0
    by_ngspice = read_all(arrays, ngspice)
    for k, ((array, drive), spice) in enumerate(zip(arrays, by_ngspice, strict=True)):
        exact = read_array(array, drive, "exact")
        assert exact.outcome == "ok", (k, exact.reason)
        largest = float(np.abs(drive).max() * array.crossbar.conductance_s.sum())
        assert exact.current_a == pytest.approx(spice, rel=1e-9, abs=1e-12 * largest), k
        ideal = read_array(array, drive, "ideal")
        assert ideal.outcome == "ok"
        assert ideal.current_a == pytest.approx(drive @ array.crossbar.conductance_s, rel=1e-14)
        near = read_array(array, drive, "surrogate")
        if array.has_opens:
            assert near.outcome == "invalid"
            assert "use exact or spice" in near.reason
            continue
        said += bool(near.note)
        if near.outcome == "ok" and not near.note:
            # Of the transfer it is one per cent: of currents that cancel, of what does not.
            own = [
                read_array(array, np.eye(len(drive.T)), f).current_a for f in ("exact", "surrogate")
            ]
            assert np.linalg.norm(own[0] - own[1]) <= 0.01 * np.linalg.norm(own[0]), k
    if not opens:
        assert 0.1 * len(arrays) < said < 0.7 * len(arrays)


@pytest.mark.ngspice
@pytest.mark.parametrize("opens", [False, True])
def test_read_array_takes_its_own_road_to_ngspice(opens: bool, ngspice: Ngspice) -> None:
    """The deck of one array, its node names where shorts make nodes one, and Kirchhoff's check."""
    kept = [pair for pair in drawn(60, opens=opens) if not pair[0].crossbar.wires.equal][:6]
    if opens:
        pieces = [(array.pieces, array, drive) for array, drive in drawn(160, opens=True)]
        tied = [(array, drive) for found, array, drive in pieces if found.floating]
        bare = [
            (array, drive)
            for found, array, drive in pieces
            if found.bare_word.any() or found.bare_bit.any()
        ]
        # Arrays with cells but no way through: Kirchhoff's check has only rounding to look at.
        dead = [
            (array, drive)
            for found, array, drive in pieces
            if array.crossbar.conductance_s.any() and not found.live.any()
        ]
        assert min(len(tied), len(bare), len(dead)) >= 5
        kept += tied[:5] + bare[:5] + dead[:12]
    for array, drive in kept:
        spice = read_array(array, drive, "spice", ngspice=ngspice)
        assert spice.outcome == "ok", spice.reason
        exact = read_array(array, drive, "exact").current_a
        scale = float(np.abs(drive).max() * array.crossbar.conductance_s.sum())
        assert spice.current_a == pytest.approx(exact, rel=1e-9, abs=1e-12 * scale)


@pytest.mark.ngspice
def test_cells_without_a_way_through_carry_rounding_and_that_is_no_broken_law(
    ngspice: Ngspice,
) -> None:
    """Each cell hangs at its word line alone: 1e-17 A must not be held to 1e-17 A."""
    g = np.diag([3e-6, 5e-6, 8e-6])
    word = np.array([[0.31, 7.0, 0.17], [3.3, 0.45, 21.0], [0.6, 130.0, 0.9]])
    bit = np.where(np.eye(3) > 0, 0.4, np.inf)
    ends = np.array([0.0, 33.0, 0.0]), np.array([2.0, 2.0, np.inf])
    drive = np.array([[0.13, -0.17, 0.19], [0.07, 0.11, -0.05]])
    read = read_array(
        ReadArray(Crossbar(g, Wires(word, bit)), *ends), drive, "spice", ngspice=ngspice
    )
    assert read.outcome == "ok", read.reason
    assert read.current_a == pytest.approx(np.zeros((2, 3)), abs=1e-15)
