"""Arrays of compact models that are moved by trains: table, equations and ngspice side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.array.analog_array import AnalogArray
from cosim.array.device_cells import device_cells
from cosim.array.device_pairs import DevicePairs
from cosim.array.layout import TileLayout
from cosim.array.one_pulse import one_step
from cosim.array.paired_cells import Pair
from cosim.array.reads.ideal import IdealReads
from cosim.array.updates.device import DeviceUpdates
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.network.chip_updates import raising_sign
from cosim.ngspice import Ngspice, Outcome
from cosim.pulses.trains import PulseTrains, coincidence_counts, packed
from cosim.tables.layout import Effort
from netlists.pulse import Pulse
from netlists.update.spec import PulseSpec
from netlists.wires import Wires
from tests.write.tables import kept_table

MODEL = find_model("vteam")
NUMBERS = find_set(MODEL, "symmetric")
DEVICE = CellDevice(MODEL, NUMBERS)
CELLS = device_cells(DEVICE, 0.2)
UP = Pulse(-1.6, 5e-8, 1e-9, 1e-9)
PULSES = TrainPulses(UP, UP.at(1.7))
COARSE = Effort(levels=9, level_rounds=3, states=9, state_rounds=2, error=1e-2, held_out=100)
LAYOUT = TileLayout((0, 3, 5), (0, 2, 3))
# 100 ohm a segment on the word lines, of which a pulse loses a percent or two.
LIKE = WritableArray(
    MODEL, NUMBERS, Wires(r_wordline_ohm=100.0, r_bitline_ohm=60.0), {"w": np.full((3, 4), 1e-9)},
    r_word_driver_ohm=150.0, r_bit_driver_ohm=400.0,
)  # fmt: skip


def trains(seed: int, updates: int = 1) -> PulseTrains:
    rng = np.random.default_rng(seed)
    sides = []
    for lines in (5, 3):
        has = rng.random((updates, lines, 3)) < 0.7
        sides.append(packed(has, rng.random((updates, lines)) < 0.5))
    return PulseTrains(*sides, torch.full((updates,), 3), 0, 0)


def array(fidelity: str, means: Means, pair: Pair, chips: int = 1) -> AnalogArray:
    ends = 1.5e-5, 4.5e-5  # narrower than the device, off its middle
    pairs = DevicePairs(CELLS, ends, 0.002, pair)
    updates = DeviceUpdates(fidelity, LAYOUT, LIKE, [[PULSES] * 4] * chips, means, "fc1")
    made = AnalogArray(LAYOUT, pairs, IdealReads(), updates, chips=chips)
    rng = np.random.default_rng(4)
    made.program(torch.from_numpy(rng.uniform(-0.9, 0.9, (chips, 5, 3))))
    return made


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_a_weight_is_a_state_and_back() -> None:
    made = array("ode", Means(), "both", 2)
    cells = made.cells
    assert isinstance(cells, DevicePairs)
    assert cells.conductance_s(torch.tensor([-1.0, 0.0, 1.0])).tolist() == pytest.approx(
        [1.5e-5, 3e-5, 4.5e-5]
    )
    # Independent of the code: VTEAM's resistance is straight in its state.
    state = cells.states(made.w)
    ohm = 2e4 + 6e4 * state / 3e-9
    torch.testing.assert_close(1 / ohm, made.conductance_s(), rtol=1e-12, atol=0)
    torch.testing.assert_close(cells.weights(state), made.w, rtol=0, atol=1e-12)
    low, high = cells.bounds(made.w)
    assert float(low.max()) == pytest.approx((1.25e-5 - 3e-5) / 1.5e-5)
    assert float(high.min()) == pytest.approx((5e-5 - 3e-5) / 1.5e-5)
    beyond = made.program(torch.full((5, 3), 9.0, dtype=torch.float64))
    assert float(made.w[:, 0].max()) == float(high.max())
    assert bool((beyond > 1).all())


@pytest.mark.ngspice
@pytest.mark.parametrize("pair", [pytest.param("reference", marks=pytest.mark.slow), "both"])
def test_weights_move_as_in_ngspice(ngspice: Ngspice, pair: Pair) -> None:
    table = kept_table(MODEL, NUMBERS, UP, (-1.6, 1.7), COARSE)
    means = Means(tables=(table,), ngspice=ngspice)
    chips = [trains(1)]
    moved, heat = {}, {}
    for fidelity in ("table", "ode", "spice"):
        made = array(fidelity, means, pair)
        before = made.w.clone()
        said = made.update(chips, None)
        assert (said.outcome, said.reason, made.version) == (Outcome.OK, "", 2)
        moved[fidelity], heat[fidelity] = made.w - before, said.energy_j
        asked = torch.stack([coincidence_counts(one).abs().sum(0) for one in chips])
        assert torch.equal(made.steps[:, 0], asked)
        assert torch.equal(made.steps[:, 1], asked if pair == "both" else 0 * asked)
        assert said.coincidences == int(asked.sum()) * len(made.cells.sides)
    known = moved["spice"]
    for fidelity, most in (("ode", 0.01), ("table", 0.03)):
        assert rms(moved[fidelity] - known) < most * rms(known)
        assert heat[fidelity] == pytest.approx(heat["spice"], rel=0.03)
    # The plus cell of -x d^T, word line by output; the minus cell of a reference is at rest.
    counts = torch.stack([coincidence_counts(one) for one in chips])  # [chip, update, row, out]
    plain = (counts.abs().sum(1) == counts.sum(1).abs()) & counts.any(1)  # all steps one way
    assert bool((plain & (counts.sum(1) > 0)).any())
    assert bool((plain & (counts.sum(1) < 0)).any())
    assert torch.equal(known[:, 0].sign()[plain], counts.sum(1).double().sign()[plain])
    if pair == "both":
        assert torch.equal(known[:, 1].sign()[plain], -counts.sum(1).double().sign()[plain])
    else:
        assert float(known[:, 1].abs().max()) < 1e-4 * rms(known)
        assert bool((moved["table"][:, 1] == 0).all())
    # A step of conductance is that much only behind these wires and drivers.
    free = replace(
        array("ode", means, pair).updates,  # type: ignore[type-var]
        like=replace(LIKE, wires=Wires(0.0, 0.0), r_word_driver_ohm=0.0, r_bit_driver_ohm=0.0),
    )
    made = array("ode", means, pair)
    made.updates = free
    before = made.w.clone()
    made.update(chips, None)
    assert rms(made.w - before - known) > 5 * rms(moved["table"] - known)


@pytest.mark.parametrize(
    ("name", "parameters", "sign"), [("vteam", "symmetric", -1), ("stanford", "sky130", 1)]
)
def test_up_is_the_polarity_that_raises_the_conductance(
    name: str, parameters: str, sign: int
) -> None:
    model = find_model(name)
    device = CellDevice(model, find_set(model, parameters))
    cells = device_cells(device, 0.2)
    assert raising_sign(device) == sign
    spec = PulseSpec() if name == "vteam" else PulseSpec(amplitude_v=1.2, amplitude_down_v=1.25)
    found = one_step(cells, cells.range_s, TrainPulses.of(spec, up_sign=sign))
    assert found.up > 0 > found.down
    assert found.disturb < 0.05
    if name == "vteam":
        with pytest.raises(InputError, match="do not step cells"):
            one_step(cells, cells.range_s, TrainPulses.of(spec, up_sign=-sign))


@pytest.mark.parametrize(
    ("amplitude_v", "width_s", "words"),
    [
        (0.9, 5e-8, ("do not step cells", "amplitude_v = 1.946", "amplitude_down_v = 1.957")),
        (2.6, 5e-8, ("of which only one line has a pulse", "19 %", "amplitude_v = 1.946")),
        (1.6, 5e-5, ("through much of its range", "amplitude_v = 1.00")),
        (1.6, 5e-14, ("do not step cells", "no level up to 4.8 V", "another width_s")),
    ],
)
def test_pulses_that_train_nothing_are_refused_with_better_ones(
    amplitude_v: float, width_s: float, words: tuple[str, ...]
) -> None:
    up = Pulse(-amplitude_v, width_s, 0.02 * width_s, 0.02 * width_s)
    with pytest.raises(InputError) as caught:
        one_step(CELLS, CELLS.range_s, TrainPulses(up, up.at(amplitude_v)))
    for word in words:
        assert word in caught.value.sentence()


@pytest.mark.ngspice
def test_an_update_that_fails_says_where_and_what_to_do(
    ngspice: Ngspice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosim.driven.spice.timeout_for", lambda *_given, **_named: 1e-4)
    made = array("spice", Means(ngspice=ngspice), "reference")
    before = made.w.clone()
    said = made.update([trains(1)], None)
    assert said.outcome is Outcome.TIMEOUT
    for word in ("fc1, chip_0/tile_0: update 0", "timeout", "smaller pulses"):
        assert word in said.reason
    torch.testing.assert_close(made.w, before, rtol=0, atol=1e-12)


def test_single_precision_is_refused() -> None:
    made = array("ode", Means(), "reference").float()
    with pytest.raises(InputError, match=r"double precision.*model\.double"):
        made.update([trains(1)], None)
