"""Every reader of tiles against ngspice, forward and backward, on arrays that no transpose fits.

A fidelity is one line of `READERS`. What it is held to is a relative bound, or its own estimate.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.array.read_one import FIDELITIES, read_array
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.surroundings import Ends, TileTransfer, TileWires
from cosim.ngspice import Deck, Ngspice, Outcome, run_deck
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires

pytestmark = pytest.mark.ngspice


def rng_of(case: str) -> np.random.Generator:
    return np.random.default_rng([ord(letter) for letter in case])


def uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape))


@dataclass(frozen=True, eq=False)
class Case:
    """A stack of tiles with what drives it forward and backward; no two ends are alike."""

    conductance_s: torch.Tensor
    wires: TileWires
    forward: Ends
    backward: Ends
    drive_v: torch.Tensor
    drive_back_v: torch.Tensor


def case_of(
    name: str,
    shape: tuple[int, int, int, int],
    wires: TileWires,
    *,
    held: bool = True,
    bare: bool = False,
) -> Case:
    """Cells of 1 to 100 uS, one of them open; sense resistances line by line."""
    rng = rng_of(name)
    chips, tiles, rows, cols = shape
    g = uniform(rng, 1e-6, 1e-4, *shape)
    g[0, 0, rows // 2, cols // 2] = 0.0 if rows * cols > 1 else 5e-5
    back_sense = uniform(rng, 70, 1400, chips, tiles, rows)
    forward = Ends(
        40.0,
        uniform(rng, 5, 900, chips, tiles, cols),
        uniform(rng, -0.02, 0.02, chips, tiles, cols) if held else None,
    )
    backward = Ends(13.0, back_sense, uniform(rng, -0.02, 0.02, tiles, rows) if held else None)
    drive = uniform(rng, -0.2, 0.2, chips, tiles, 3, rows)
    drive_back = uniform(rng, -0.2, 0.2, chips, tiles, 4, cols)
    if bare:
        forward, backward = Ends(), Ends()
    return Case(g, wires, forward, backward, drive, drive_back)


def padded() -> Case:
    """What `TileLayout` makes of a smaller tile: no cells above and on the right, no drive."""
    case = case_of("padded", (1, 2, 5, 6), TileWires(300.0, 900.0))
    case.conductance_s[:, 1, :2] = 0.0
    case.conductance_s[:, 1, :, 4:] = 0.0
    case.drive_v[:, 1, :, :2] = 0.0
    case.drive_back_v[:, 1, :, 4:] = 0.0
    return case


def uneven() -> Case:
    """Segments one by one, some of them shorts."""
    rng = rng_of("uneven")
    word, bit = uniform(rng, 1, 800, 4, 6), uniform(rng, 1, 800, 4, 6)
    word[1, 2] = bit[3, 4] = 0.0
    return case_of("uneven", (1, 1, 4, 6), TileWires(word, bit))


CASES: dict[str, Callable[[], Case]] = {
    "two chips of three tiles": lambda: case_of("many", (2, 3, 5, 7), TileWires(300.0, 900.0)),
    "more rows than columns": lambda: case_of("tall", (1, 1, 9, 4), TileWires(900.0, 300.0)),
    "nothing held": lambda: case_of("free", (1, 1, 4, 6), TileWires(300.0, 90.0), held=False),
    "one row": lambda: case_of("row", (1, 2, 1, 6), TileWires(300.0, 900.0)),
    "one column": lambda: case_of("column", (1, 2, 6, 1), TileWires(300.0, 900.0)),
    "one cell": lambda: case_of("cell", (1, 1, 1, 1), TileWires(300.0, 900.0)),
    "no word-line resistance": lambda: case_of("word", (1, 1, 4, 6), TileWires(0.0, 900.0)),
    "no bit-line resistance": lambda: case_of("bit", (1, 1, 4, 6), TileWires(300.0, 0.0)),
    "padded tiles": padded,
    "segments that differ": uneven,
    "no resistance at all": lambda: case_of(
        "ideal", (2, 2, 4, 6), TileWires(), held=False, bare=True
    ),
}


class Reader(Protocol):
    """What the array takes of a fidelity that knows the transfer."""

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer: ...

    def transposed(self, conductance_s: torch.Tensor) -> TileTransfer: ...


def anchored_before(case: Case) -> tuple[AnchoredReads, Callable[[], float]]:
    """The surrogate, anchored both ways on cells up to 0.3 % away from those it is asked for."""
    reads = AnchoredReads(ExactReads(case.wires, case.forward, case.backward), 2e-3)
    away = 1 + uniform(rng_of("away"), -0.003, 0.003, *case.conductance_s.shape)
    reads.transfer(case.conductance_s * away)
    reads.transposed(case.conductance_s * away)
    anchors = reads.anchors

    def bound() -> float:
        assert reads.anchors == anchors  # it is the closed form that answers
        return max(reads.estimate, ROUNDING)

    return reads, bound


ROUNDING = 1e-9
WIRES_ALIKE = tuple(name for name in CASES if name != "segments that differ")

# How a reader is made for a case, with what it is held to once it has read (Frobenius, relative, of
# every tile's currents), and the cases that it knows.
Maker = Callable[[Case], tuple[Reader, Callable[[], float]]]
READERS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "exact": (
        lambda case: (ExactReads(case.wires, case.forward, case.backward), lambda: ROUNDING),
        tuple(CASES),
    ),
    "ideal": (lambda _case: (IdealReads(), lambda: ROUNDING), ("no resistance at all",)),
    "surrogate": (anchored_before, WIRES_ALIKE),
}


_TOLD: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}


def told_by_ngspice(name: str, ngspice: Ngspice) -> tuple[torch.Tensor, torch.Tensor]:
    """Forward and backward currents of a case; one run serves all readers."""
    if name not in _TOLD:
        case = CASES[name]()
        reads = SpiceReads(case.wires, case.forward, case.backward, ngspice, jobs=2)
        forward = reads.read(case.conductance_s, case.drive_v)
        backward = reads.read_transposed(case.conductance_s, case.drive_back_v)
        for read in (forward, backward):
            assert (read.outcome, read.reason) == (Outcome.OK, "")
            assert read.engine.startswith(ngspice.label)
        _TOLD[name] = forward.current_a, backward.current_a
    return _TOLD[name]


@pytest.mark.parametrize(
    ("reader", "name"),
    [(reader, name) for reader, (_, known) in READERS.items() for name in CASES if name in known],
)
def test_a_reader_gives_the_currents_of_ngspice(reader: str, name: str, ngspice: Ngspice) -> None:
    case = CASES[name]()
    make, _ = READERS[reader]
    made, bound = make(case)
    forward, backward = told_by_ngspice(name, ngspice)
    for found, told in (
        (made.transfer(case.conductance_s).current_a(case.drive_v), forward),
        (made.transposed(case.conductance_s).current_a(case.drive_back_v), backward),
    ):
        assert found.shape == told.shape
        off = torch.linalg.matrix_norm(found - told) / torch.linalg.matrix_norm(told)
        assert float(off.max()) <= bound(), off


def test_the_backward_read_is_the_netlist_turned_by_hand(ngspice: Ngspice) -> None:
    """3 x 2 cells written out: bit lines driven behind 13 ohm, word lines held at -5 to 8 mV."""
    cells_ohm = np.array([[1e4, 3e4], [2e4, 7e4], [5e4, 1.5e4]])
    text = """* word lines 0 to 2, bit lines a and b, driven at the bottom, sensed on the left
va in_a 0 0.17
vb in_b 0 -0.11
ra in_a end_a 13
rb in_b end_b 13
ra2 end_a b2a 900
rb2 end_b b2b 900
ra1 b2a b1a 900
rb1 b2b b1b 900
ra0 b1a b0a 900
rb0 b1b b0b 900
r0a b0a w0a 10000
r0b b0b w0b 30000
r1a b1a w1a 20000
r1b b1b w1b 70000
r2a b2a w2a 50000
r2b b2b w2b 15000
rw0b w0b w0a 300
rw1b w1b w1a 300
rw2b w2b w2a 300
rw0a w0a end_0 300
rw1a w1a end_1 300
rw2a w2a end_2 300
rs0 end_0 sense_0 70
rs1 end_1 sense_1 200
rs2 end_2 sense_2 1000
v0 sense_0 0 -0.005
v1 sense_1 0 0.008
v2 sense_2 0 0
.option reltol=1e-9 abstol=1e-18 vntol=1e-13
.op
.end
"""
    result = run_deck(Deck(text, "by_hand", expected_points=1), ngspice, timeout_s=30)
    by_hand = result.plot.matrix(["i(v0)", "i(v1)", "i(v2)"])[0]
    g = torch.from_numpy(1 / cells_ohm)[None, None]
    sense_ohm, held_v = np.array([70.0, 200.0, 1000.0]), np.array([-0.005, 0.008, 0.0])
    ends = Ends(13.0, torch.from_numpy(sense_ohm), torch.from_numpy(held_v))
    wires, drive = TileWires(300.0, 900.0), torch.from_numpy(np.array([[[[0.17, -0.11]]]]))
    exact = ExactReads(wires, Ends(40.0, 9.0), ends)
    spice = SpiceReads(wires, Ends(40.0, 9.0), ends, ngspice).read_transposed(g, drive)
    np.testing.assert_allclose(spice.current_a[0, 0, 0].numpy(), by_hand, rtol=1e-9)
    found = exact.transposed(g).current_a(drive)[0, 0, 0].numpy()
    np.testing.assert_allclose(found, by_hand, rtol=1e-9)
    # With the ends of the forward read, or its lines counted from the other end, it is another.
    swapped = ExactReads(wires, ends, Ends(40.0, 9.0, ends.held_v)).transposed(g)
    turned = ExactReads(
        wires, Ends(), replace(ends, r_sense_ohm=torch.from_numpy(sense_ohm[::-1].copy()))
    )
    for other in (swapped, turned.transposed(g)):
        off = np.abs(other.current_a(drive)[0, 0, 0].numpy() / by_hand - 1).max()
        assert off > 1e-3


def test_one_chip_and_tile_of_many_is_what_it_is_alone(ngspice: Ngspice) -> None:
    name = "two chips of three tiles"
    case = CASES[name]()
    forward, backward = told_by_ngspice(name, ngspice)
    ends = [
        Ends(
            end.r_driver_ohm,
            end.r_sense_ohm.expand(2, 3, -1)[1, 2],
            end.held_v.expand(2, 3, -1)[1, 2],
        )
        for end in (case.forward, case.backward)
    ]
    alone = SpiceReads(case.wires, *ends, ngspice)
    g = case.conductance_s[1:, 2:]
    one = alone.read(g, case.drive_v[1:, 2:]).current_a
    torch.testing.assert_close(one[0, 0], forward[1, 2], rtol=1e-12, atol=1e-18)
    one = alone.read_transposed(g, case.drive_back_v[1:, 2:]).current_a
    torch.testing.assert_close(one[0, 0], backward[1, 2], rtol=1e-12, atol=1e-18)


def test_one_array_reads_backward_at_every_fidelity(ngspice: Ngspice) -> None:
    """What `solve` reads with, for an array alone; offsets at the sensed lines too."""
    case = CASES["more rows than columns"]()
    back, g = case.backward, case.conductance_s[0, 0].numpy()
    array = ReadArray(
        Crossbar(g, Wires(9.0, 3.0)),
        13.0,
        back.r_sense_ohm[0, 0].numpy(),
        back.held_v[0].numpy(),
        "backward",
    )
    v = case.drive_back_v[0, 0].numpy()
    found = {name: read_array(array, v, name, ngspice=ngspice) for name in FIDELITIES}
    assert {str(read.outcome) for read in found.values()} == {"ok"}
    spice = found["spice"].current_a
    assert spice.shape == (4, 9)
    np.testing.assert_allclose(found["exact"].current_a, spice, rtol=0, atol=1e-9 * spice.max())
    off = {n: np.linalg.norm(r.current_a - spice) / np.linalg.norm(spice) for n, r in found.items()}
    assert off["surrogate"] < 1e-3
    assert off["ideal"] > 0.02
    np.testing.assert_allclose(found["ideal"].current_a, v @ g.T, rtol=1e-12)


def test_a_failed_simulation_says_which_tile_and_leaves_no_number(
    ngspice: Ngspice, tmp_path: Path
) -> None:
    """The simulator dies at the second deck that has more than one array in its batch."""
    broken = tmp_path / "ngspice"
    count = tmp_path / "count"
    broken.write_text(
        f"#!/bin/sh\necho x >> {count}\n"
        f'[ "$(wc -l < {count})" = 2 ] && kill -9 $$\nexec {ngspice.path} "$@"\n'
    )
    broken.chmod(0o755)
    case = CASES["two chips of three tiles"]()
    reads = SpiceReads(
        case.wires, case.forward, case.backward, replace(ngspice, path=broken), jobs=1
    )
    read = reads.read(case.conductance_s, case.drive_v)
    assert read.outcome is Outcome.CRASHED
    assert read.reason.startswith("chip 0, tile 1: killed by signal 9")
    assert read.current_a[0, 0].isfinite().all()
    assert read.current_a[0, 1:].isnan().all()
    assert read.current_a[1].isnan().all()
    assert shutil.which(str(broken))
    assert len(count.read_text().split()) == 2  # nothing is started after it


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"drive_v": torch.zeros(2, 3, 4, 6).double()}, "drive_v"),
        ({"drive_v": torch.full((2, 3, 4, 5), torch.nan).double()}, "drive_v"),
        ({"conductance_s": torch.full((2, 3, 5, 7), -1e-6).double()}, "conductance_s"),
    ],
)
def test_what_no_netlist_can_hold_is_refused(
    change: dict[str, torch.Tensor], said: str, ngspice: Ngspice
) -> None:
    case = replace(CASES["two chips of three tiles"](), **change)
    reads = SpiceReads(case.wires, case.forward, case.backward, ngspice)
    with pytest.raises(InputError, match=said):
        reads.read(case.conductance_s, case.drive_v)
