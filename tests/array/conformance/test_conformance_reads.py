"""Every reader and every array-like against ngspice, forward, backward and perturbed.

What a reader states of its own error, `estimate`, is what it is held to; one that states nothing is
exact. A reader that says by a warning that it does not know such an array is held to nothing.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.array.read_one import FIDELITIES, read_array
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.surroundings import Ends, TileWires
from cosim.ngspice import Deck, Ngspice, Outcome, run_deck
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires
from tests.array.conformance.arrays import READ
from tests.array.conformance.cases import DEVICES, INNER, MANY, OHMIC, Case, of_device
from tests.array.conformance.found import made
from tests.array.conformance.readers import (
    READERS,
    REFERENCE,
    TOLERANCE,
    fits,
    parts_of,
    read_before,
    tiles_of,
)

pytestmark = pytest.mark.ngspice

ROUNDING = 1e-9
_FEW = 20  # cells
NEWTON = 1e-7  # ngspice ends its iteration at reltol 1e-7; at 1e-10 all of them agree to 1e-10


@dataclass(frozen=True, eq=False)
class Currents:
    """What a case reads, [chip, tile, batch, line] each; None where nobody can read so."""

    forward: torch.Tensor
    backward: torch.Tensor | None
    perturbed: torch.Tensor | None = None


def currents(one: Any, case: Case, *, turns: bool = True) -> Currents:
    """All that is read of tiles or of an array; a perturbed read leaves nothing behind."""
    forward = one.read(case.drive_v)
    perturbed = None
    if case.changed is not None and hasattr(one, "read_perturbed"):
        perturbed = one.read_perturbed(case.drive_v, case.changed, case.by_s)
    backward = one.read_transposed(case.drive_back_v) if turns else None
    return Currents(forward, backward, perturbed)


def told_by_ngspice(case: Case, ngspice: Ngspice) -> Currents:
    """The currents of the netlists of all tiles; one run serves everybody who is held to it."""
    reads: SpiceReads = made(READERS[REFERENCE], parts_of(case, ngspice))
    found = {
        "forward": reads.read(case.g, case.drive_v),
        "backward": reads.read_transposed(case.g, case.drive_back_v),
    }
    if case.changed is not None:
        found["perturbed"] = reads.read(case.perturbed, case.drive_v)
    for read in found.values():
        assert (read.outcome, read.reason) == (Outcome.OK, "")
        assert read.engine.startswith(ngspice.label)
    return Currents(**{direction: read.current_a for direction, read in found.items()})


def off(found: Currents, told: Currents) -> dict[str, float]:
    """Errors relative in the Frobenius norm of a tile's currents, of the worst tile."""
    errors = {}
    for direction, mine in vars(found).items():
        if mine is not None:
            known = getattr(told, direction)
            assert mine.shape == known.shape
            size = torch.linalg.matrix_norm(known)
            errors[direction] = float((torch.linalg.matrix_norm(mine - known) / size).max())
    return errors


def held_to(read: Callable[[], Currents], stated: Callable[[], float]) -> tuple[Currents, float]:
    """What somebody reads, and the error that he states; infinite where he warns that he may not.

    Args:
        read: the read.
        stated: the error, asked for after it.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = read()
    assert {one.category for one in said} <= {RuntimeWarning}, [str(one.message) for one in said]
    return found, float("inf") if said else stated()


def by_tiles(name: str, case: Case) -> tuple[Currents, float]:
    """What a reader gives, who has seen other cells before, and the error that it states."""
    one = tiles_of(name, case)

    def read() -> Currents:
        read_before(one)
        anchors = getattr(one.reads, "anchors", 0)
        found = currents(one, case, turns=one.turns)
        assert getattr(one.reads, "anchors", 0) == anchors  # it is the closed form that answers
        return found

    return held_to(read, lambda: getattr(one.reads, "estimate", 0.0))


def by_array(kind: str, name: str, case: Case, ngspice: Ngspice) -> tuple[Currents, float]:
    """The same of an array, which takes transfers to go with the cells between computations."""
    one = READ[kind].in_state(case, lambda of: made(READERS[name], parts_of(of, ngspice)))
    found = held_to(
        lambda: currents(one, case), lambda: TOLERANCE if _moves(READERS[name]) else 0.0
    )
    if name != REFERENCE:
        again = one.read(case.drive_v)
        assert torch.equal(again, found[0].forward)  # a perturbed read leaves nothing behind
    return found


def _moves(reader: type) -> bool:
    """It lets transfers be off while cells move."""
    return isinstance(getattr(reader, "moved_tolerance", None), property)


def readings(case: Case, ngspice: Ngspice) -> dict[str, tuple[Currents, float]]:
    """Of everybody who knows such cells: currents, and the error that is stated for them."""
    found = {}
    for name, reader in READERS.items():
        if not fits(reader, case):
            continue
        if name != REFERENCE:
            found[name] = by_tiles(name, case)
        # In ngspice one array after another where that is few tiles.
        if case.layout is not None and hasattr(reader, "forget"):
            if name == REFERENCE and case.g.numel() > _FEW:
                continue
            for kind, how in READ.items():
                if how.arrays == case.layout.arrays:
                    found[f"{kind} by {name}"] = by_array(kind, name, case, ngspice)
    return found


def beyond(
    found: dict[str, tuple[Currents, float]], told: Currents, exact: float
) -> dict[str, dict[str, float]]:
    """Who is further off than he states, and by how much, in which direction."""
    errors = {who: off(mine, told) for who, (mine, _) in found.items()}
    return {
        who: own
        for who, own in errors.items()
        if not all(error <= max(found[who][1], exact) for error in own.values())
    }


@pytest.mark.parametrize("name", OHMIC)
def test_everybody_gives_the_currents_of_ngspice(name: str, ngspice: Ngspice) -> None:
    case = OHMIC[name]()
    told = told_by_ngspice(case, ngspice)
    found = readings(case, ngspice)
    assert beyond(found, told, ROUNDING) == {}
    assert {"exact", "anchored"} <= found.keys()
    if case.bare:
        assert {"ideal", "AnalogArray by ideal"} <= found.keys()
    if name == MANY:  # whose wires every closed form knows: nobody is let off
        assert max(bound for _, bound in found.values()) <= 0.01
        # The perturbed read is another one than the read, by more than anybody's bound.
        assert told.perturbed is not None
        assert float((told.perturbed / told.forward - 1).abs().max()) > 0.1


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name == INNER else []) for name in DEVICES],
)
def test_tiles_of_devices_give_the_currents_of_ngspice(name: str, ngspice: Ngspice) -> None:
    case = of_device(name)
    told = told_by_ngspice(case, ngspice)
    found = readings(case, ngspice)
    assert found.keys() >= {"device_exact", "device_surrogate"}
    assert beyond(found, told, NEWTON) == {}
    assert max(bound for _, bound in found.values()) < 5e-3
    # Resistors of the same conductances at the read voltage, the control.
    assert case.cells is not None
    resistors = replace(case, cells=None)
    ohmic = off(currents(tiles_of("exact", resistors), resistors), told)
    assert case.cells.linear or min(ohmic.values()) > 3e-4


def test_gradients_of_padded_tiles_are_those_of_each_of_them_alone(ngspice: Ngspice) -> None:
    """Of every transfer that has them: padding neither has nor changes a gradient."""
    case = OHMIC[MANY]()
    assert case.layout is not None
    chip, tile = 1, 0  # padded above and on the right
    live = case.layout.live(tile)
    taken = 0
    for name in (one for one, reader in READERS.items() if fits(reader, case)):
        found = []
        for of in (case, case.alone(chip, tile)):
            reads, g = made(READERS[name], parts_of(of, ngspice)), of.g.clone().requires_grad_()
            if not hasattr(reads, "transfer"):
                continue
            reads.transfer(g).current_a(of.drive_v).square().sum().backward()
            assert g.grad is not None
            found.append(g.grad[-1, tile if of is case else 0][live])
            assert bool(found[-1].abs().min() > 0)
        if found:
            torch.testing.assert_close(*found, rtol=1e-9, atol=0, msg=name)
            taken += 1
    assert taken >= 3


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
    """Of every reader: it mixes neither chips nor tiles, nor what their lines end in."""
    case = OHMIC[MANY]()
    for name in (one for one, reader in READERS.items() if fits(reader, case)):
        chip, tile = 1, 2
        alone = case.alone(chip, tile)
        if name == REFERENCE:
            many = told_by_ngspice(case, ngspice)
            one = told_by_ngspice(alone, ngspice)
        else:
            turned = tiles_of(name, case).turns
            many = currents(tiles_of(name, case), case, turns=turned)
            one = currents(tiles_of(name, alone), alone, turns=turned)
        for mine, whole in ((one.forward, many.forward), (one.backward, many.backward)):
            if mine is not None and whole is not None:
                torch.testing.assert_close(
                    mine[0, 0], whole[chip, tile], rtol=1e-9, atol=1e-16, msg=name
                )


def test_one_array_reads_backward_at_every_fidelity(ngspice: Ngspice) -> None:
    """What `solve` reads with, for an array alone; offsets at the sensed lines too."""
    case = OHMIC["more rows than columns"]()
    back, g = case.backward, case.g[0, 0].numpy()
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
    case = OHMIC[MANY]()
    reads = SpiceReads(
        case.wires, case.forward, case.backward, replace(ngspice, path=broken), jobs=1
    )
    read = reads.read(case.g, case.drive_v)
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
        ({"drive_v": torch.zeros(2, 4, 4, 6).double()}, "drive_v"),
        ({"drive_v": torch.full((2, 4, 4, 5), torch.nan).double()}, "drive_v"),
        ({"g": torch.full((2, 4, 5, 6), -1e-6).double()}, "conductance_s"),
    ],
)
def test_what_no_netlist_can_hold_is_refused(
    change: dict[str, torch.Tensor], said: str, ngspice: Ngspice
) -> None:
    case = replace(OHMIC[MANY](), **change)
    reads = SpiceReads(case.wires, case.forward, case.backward, ngspice)
    with pytest.raises(InputError, match=said):
        reads.read(case.g, case.drive_v)
