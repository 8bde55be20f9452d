"""Updates by the coincidences of trains: means, noise, bounds, routes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.emit.loop_code import FUNCTIONS, pulse_law
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.library import find_model
from compact_models.model import CompactModel
from compact_models.variation import Draw, Stream
from cosim.pulses import update
from cosim.pulses.cells import PulseCells, pulse_cells
from cosim.pulses.trains import (
    PulseTrains,
    UpdateRule,
    coincidence_counts,
    has_pulse,
    pulse_trains,
)
from cosim.pulses.update import apply_trains, pulsed_update, update_by_pulses
from tests.write.pairs import COLS, DRAW, ROWS, batch

STRAIGHT = ("soft_bounds", "constant_step", "linear_step")
CURVED = ("exp_step", "pow_step", "piecewise_step")
ROUTES = {"visit": 1e-3, "map": 1e9}  # how long a visit is said to take [ns]


def device(name: str, **changed: float) -> tuple[CompactModel, dict[str, float]]:
    model = find_model(name)
    return model, {**model.parameter_sets[0].values, **changed}


def ideal(dw_min: float = 1e-3) -> tuple[CompactModel, dict[str, float]]:
    return device("constant_step", w_min=-1e6, w_max=1e6, dw_min=dw_min, dw_min_std=0.0)


def spread(values: dict[str, float], shape: tuple[int, ...]) -> dict[str, float | torch.Tensor]:
    """The parameters with another step and other bounds in every cell."""
    rng = np.random.default_rng(1)
    own = {
        name: torch.from_numpy(values[name] * rng.uniform(0.5, 1.5, shape))
        for name in ("dw_min", "w_min", "w_max")
        if values[name] != 0
    }
    return {**values, **own, "up_down": torch.from_numpy(rng.uniform(-0.1, 0.1, shape))}


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the two ways in which straight steps are made, whatever is faster."""
    monkeypatch.setattr(update, "_VISIT_NS", ROUTES[request.param])
    return str(request.param)


def after(
    cells: PulseCells, w: torch.Tensor, trains: PulseTrains, noise: Draw | None = None
) -> torch.Tensor:
    moved = w.clone()
    apply_trains(cells, moved, trains, noise)
    return moved


@pytest.mark.parametrize("managed", [True, False])
def test_the_mean_update_is_the_outer_product(managed: bool) -> None:
    """A thousand pairs, each often, on cells that add without bounds."""
    model, values = ideal()
    x, d = batch(1000)
    x, d = 0.3 * x, 0.3 * d
    rule = UpdateRule(0.3, 1e-3, 31, managed, managed)
    total = torch.zeros(ROWS, COLS, dtype=torch.float64)
    x_side, d_side = x.abs() * torch.tensor([1, -1, 1, 1, -1]), d.abs() * torch.tensor([1, 1, -1])
    turns = 4
    for turn in range(turns):
        draw = Stream(7).at("tile_0", turn)
        pulsed_update(pulse_cells(model, values, total), total, x_side, d_side, rule, draw)
    wanted = -0.3 * x_side.T @ d_side * turns
    off = (total - wanted).norm() / wanted.norm()
    assert float(off) < 0.01
    assert bool((total.sign() == wanted.sign()).all())


@pytest.mark.parametrize("of_all", [False, True])
@pytest.mark.parametrize("name", STRAIGHT)
def test_cells_move_as_pulse_by_pulse(route: str, name: str, of_all: bool) -> None:
    # With larger steps some cells would overshoot their bounds, which one map cannot do.
    model, values = device(name, dw_min=0.01)
    moves_as_the_reference(model, values, of_all)
    assert pulse_cells(model, values, torch.zeros(2, 2)).map_noise is not None, route


@pytest.mark.parametrize(
    ("name", "of_all"), [("exp_step", False), ("pow_step", True), ("piecewise_step", True)]
)
def test_curved_steps_are_those_of_pulse_by_pulse(name: str, of_all: bool) -> None:
    model, values = device(name)
    moves_as_the_reference(model, values, of_all)


def moves_as_the_reference(model: CompactModel, values: dict[str, float], of_all: bool) -> None:
    start = torch.zeros(40, 30, dtype=torch.float64)
    chosen = spread(values, (40, 30)) if of_all else values
    x, d = batch(13, 40, 30)
    trains = pulse_trains(x, d, UpdateRule(20 * values["dw_min"], values["dw_min"]), DRAW)
    slow = update_by_pulses(model, chosen, start, trains)
    fast = after(pulse_cells(model, chosen, start), start, trains)
    assert float((slow - start).abs().max()) > 5 * values["dw_min"] * 0.3
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-13)
    single = start.float()
    in_single = after(pulse_cells(model, chosen, single), single, trains)
    torch.testing.assert_close(in_single.double(), slow, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*STRAIGHT, *CURVED])
def test_the_text_for_loops_says_what_torch_says(name: str) -> None:
    model, values = device(name)
    chosen = spread(values, (3, 2))
    per_cell = [key for key, value in chosen.items() if isinstance(value, torch.Tensor)]
    text, others = pulse_law(model, per_cell)
    scope = dict(FUNCTIONS)
    exec(text, scope)  # noqa: S102
    w = torch.tensor([[0.1, -0.2], [0.0, 0.3], [-0.3, 0.25]], dtype=torch.float64)
    functions = torch_model(model)
    assert functions.pulse_steps is not None
    p = functions.parameters(chosen)
    wanted = [torch.as_tensor(x).expand(3, 2).flatten() for x in functions.pulse_steps(w, p)]
    cells = np.stack([np.asarray(chosen[key]).ravel() for key in per_cell], -1)
    shared = [float(p[key]) for key in others]
    for cell, now in enumerate(w.flatten().tolist()):
        for up in (True, False):
            step, noise = scope["law"](cells, shared, cell, now, up)
            assert step == pytest.approx(float(wanted[1 - up][cell]), rel=1e-12)
            assert noise == pytest.approx(float(wanted[3 - up][cell]), rel=1e-12)


def test_steps_that_overshoot_are_taken_one_by_one() -> None:
    model, values = device("soft_bounds", dw_min=1.5, w_min=-1.0, w_max=1.0)
    start = torch.zeros(ROWS, COLS, dtype=torch.float64)
    cells = pulse_cells(model, values, start)
    assert cells.map_noise is None
    x, d = batch(7)
    trains = pulse_trains(x, d, UpdateRule(1.0, 0.1), DRAW)
    slow = update_by_pulses(model, values, start, trains)
    assert bool((slow.abs() == 1.0).any())
    torch.testing.assert_close(after(cells, start, trains), slow, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("soft_bounds", {"dw_min": 0.02, "dw_min_std": 0.5}),
        ("constant_step", {"dw_min": 0.003, "dw_min_std": 0.5}),
        # Weights where the relative noise of a step matters: c e is 0.1.
        ("linear_step", {"dw_min": 0.1, "dw_min_std": 1.0, "gamma_up": 1.0, "gamma_down": 1.0}),
        # Noise that neither goes with the step nor is the same everywhere.
        ("exp_step", {"dw_min": 0.003, "dw_min_std": 0.5}),
    ],
)
@pytest.mark.usefixtures("route")
def test_noise_has_mean_and_variance_of_the_pulses(name: str, chosen: dict[str, float]) -> None:
    """40,000 equal cells, three samples with 9, 4 and 2 pulses, each way, by a z-test."""
    model, values = device(name, w_min=-1.0, w_max=1.0, **chosen)
    n, up = 200, torch.arange(200) < 100
    start = torch.full((n, n), 0.1, dtype=torch.float64)
    words = torch.tensor([0x1FF, 0xF, 0x3], dtype=torch.int32)[:, None].expand(3, n).clone()
    bits = torch.where(up, -1, (1 << 31) - 1).to(torch.int32).expand(3, n).clone()
    trains = PulseTrains(words, bits, torch.tensor([9, 4, 2]), 0, 0)
    cells = pulse_cells(model, values, start)
    slow = update_by_pulses(model, values, start, trains, DRAW)
    fast = after(cells, start, trains, DRAW)
    mean_device = after(cells, start, trains)
    for half in (up, ~up):
        one, other = slow[:, half].flatten(), fast[:, half].flatten()
        count = one.numel()
        assert float(one.std()) > 1e-3
        error = ((one.var() + other.var()) / count).sqrt()
        assert abs(float((one.mean() - other.mean()) / error)) < 3.5
        expected = mean_device[:, half].mean()
        assert abs(float((other.mean() - expected) / (other.std() / count**0.5))) < 3.5
        fourth = [
            (sample - sample.mean()).pow(4).mean() - sample.var() ** 2 for sample in (one, other)
        ]
        error = ((fourth[0] + fourth[1]) / count).sqrt()
        assert abs(float((one.var() - other.var()) / error)) < 3.5


@pytest.mark.usefixtures("route")
def test_the_noise_is_normal_and_of_its_own_in_every_cell_and_sample() -> None:
    """Constant steps, one pulse in each of four samples: four numbers from every cell."""
    model, values = device("constant_step", w_min=-1e3, w_max=1e3, dw_min=1.0, dw_min_std=1.0)
    n = 256
    start = torch.zeros(n, n, dtype=torch.float64)
    cells = pulse_cells(model, values, start)
    one = torch.ones(1, n, dtype=torch.int32)
    found, w = [], start
    four = PulseTrains(one.expand(4, n), one.expand(4, n), torch.ones(4), 0, 0)
    for count in range(1, 5):
        trains = PulseTrains(four.words[:count], four.bits[:count], four.length[:count], 0, 0)
        now = after(cells, start, trains, DRAW)
        found.append((now - w + 1).flatten())
        w = now
    drawn = torch.stack(found)
    size = drawn.shape[1]
    assert float(drawn.mean(1).abs().max()) < 4 / size**0.5
    assert float((drawn.square().mean(1) - 1).abs().max()) < 4 * (2 / size) ** 0.5
    assert float((drawn.pow(4).mean(1) - 3).abs().max()) < 4 * (96 / size) ** 0.5
    other = torch.corrcoef(torch.cat([drawn, drawn.roll(1, 1), drawn.roll(n, 1)]))
    assert float((other - torch.eye(12)).abs().max()) < 5 / size**0.5
    ordered = drawn.flatten().sort().values
    share = torch.arange(len(ordered)) / len(ordered)
    assert float((torch.special.ndtr(ordered) - share).abs().max()) < 1.95 / len(ordered) ** 0.5


@pytest.mark.parametrize("name", [*STRAIGHT, *CURVED])
def test_weights_stay_within_the_bounds_of_their_cell(name: str) -> None:
    model, values = device(name)
    shape = (6, 5)
    chosen = spread(values, shape)
    x, d = torch.ones(40, 6), torch.cat([torch.ones(40, 2), -torch.ones(40, 3)], 1)
    start = torch.full(shape, 0.2 * values["w_max"], dtype=torch.float64)
    rule = UpdateRule(31 * values["dw_min"], values["dw_min"])
    w = start.clone()
    pulsed_update(pulse_cells(model, chosen, w), w, x, d, rule, DRAW)
    low, high = (torch.as_tensor(chosen[name]).expand(shape) for name in ("w_min", "w_max"))
    assert bool(((w >= low - 1e-12) & (w <= high + 1e-12)).all())
    moved = w - start
    assert bool((moved[:, 2:].mean() > 0) & (moved[:, :2].mean() < 0))


@pytest.mark.parametrize("name", [*STRAIGHT, *CURVED])
def test_the_same_draw_is_the_same_update(name: str) -> None:
    model, values = device(name)
    x, d = batch(6)
    start = torch.zeros(ROWS, COLS, dtype=torch.float64) + 0.01
    rule = UpdateRule(9 * values["dw_min"], values["dw_min"])

    def drawn(draw: Draw) -> torch.Tensor:
        w = start.clone()
        pulsed_update(pulse_cells(model, values, w), w, x, d, rule, draw)
        return w

    first = drawn(DRAW)
    assert torch.equal(first, drawn(DRAW))
    others = (Stream(8).at("tile_0", 0), Stream(7, 1).at("tile_0", 0), Stream(7).at("t", 0))
    for other in (*others, Stream(7).at("tile_0", 1)):
        assert not torch.equal(first, drawn(other))


@pytest.mark.parametrize("name", ["soft_bounds", "constant_step", "exp_step"])
@pytest.mark.usefixtures("route")
def test_threads_and_the_kind_of_tensor_change_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, values = device(name)
    monkeypatch.setattr(update, "_THREAD_NS", 1e-9)
    x, d = batch(6, 37, 11)
    start = torch.full((37, 11), 0.01, dtype=torch.float64)
    rule = UpdateRule(9 * values["dw_min"], values["dw_min"])
    cells = pulse_cells(model, values, start)

    def moved(w: torch.Tensor, threads: int) -> torch.Tensor:
        pulsed_update(cells, w, x, d, rule, DRAW, threads=threads)
        return w

    one = moved(start.clone(), 1)
    assert torch.equal(moved(start.clone(), 3), one)
    view = torch.full((11, 37), 0.01, dtype=torch.float64).T
    assert torch.equal(moved(view, 2), one)
    learnt = torch.nn.Parameter(start.clone())
    assert torch.equal(moved(learnt, 1), one)
    assert not torch.equal(one, start)


@pytest.mark.parametrize("name", ["soft_bounds", "pow_step"])
@pytest.mark.usefixtures("route")
def test_an_update_tells_what_it_did(name: str) -> None:
    model, values = device(name)
    x, d = batch(5, 7, 4)
    rule = UpdateRule(9 * values["dw_min"], values["dw_min"])
    w = torch.zeros(7, 4)
    steps_before = torch.full((7, 4), 2, dtype=torch.int32)
    counts = steps_before.clone()
    done = pulsed_update(pulse_cells(model, values, w), w, x, d, rule, DRAW, counts=counts)
    trains = pulse_trains(x, d, rule, DRAW)
    assert torch.equal(done.trains.words, trains.words)
    assert torch.equal(done.trains.bits, trains.bits)
    each = coincidence_counts(trains)
    assert (done.steps_up, done.steps_down) == (
        int(each.clamp_min(0).sum()),
        -int(each.clamp_max(0).sum()),
    )
    assert done.steps_up > 0
    assert done.steps_down > 0
    assert torch.equal(counts - steps_before, each.abs().sum(0))
    assert done.mean_coincidences == pytest.approx(float(each.abs().double().mean()))
    assert done.word_pulses == int(has_pulse(trains.words).sum())
    assert done.bit_pulses == int(has_pulse(trains.bits).sum())
    assert done.clipped_share == 0.0
    plain = UpdateRule(40 * values["dw_min"], values["dw_min"], 10, False, False)
    with pytest.warns(RuntimeWarning, match="clipped"):
        done = pulsed_update(pulse_cells(model, values, w), w, x, d, plain, DRAW)
    chances = [2 * x.abs(), 2 * d.abs()]  # the root of lr / (dw_min max_pulses) is 2
    above = sum(int((chance > 1).sum()) for chance in chances)
    assert done.clipped_share == pytest.approx(above / (x.numel() + d.numel()))


def test_both_routes_are_taken() -> None:
    """Few coincidences are visited, many are mapped: the noise tells which was taken."""
    model, values = device("constant_step", w_min=-1e6, w_max=1e6)
    x, d = batch(8, 30, 20)
    for lr, dense in ((0.1, False), (25.0, True)):
        rule = UpdateRule(lr * values["dw_min"], values["dw_min"])
        w = torch.zeros(30, 20)
        cells = pulse_cells(model, values, w)
        done = pulsed_update(cells, w, x, d, rule, DRAW)
        forced = []
        for share in ROUTES.values():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(update, "_VISIT_NS", share)
                forced.append(after(cells, torch.zeros(30, 20), done.trains, DRAW))
        assert not torch.equal(*forced)
        assert torch.equal(w, forced[dense])


def test_refusals() -> None:
    rule = UpdateRule(0.01, 1e-3)
    x, d = batch(4)
    model, values = device("soft_bounds")
    start = torch.zeros(ROWS, COLS)
    with pytest.raises(InputError, match="wrong shape"):
        pulsed_update(pulse_cells(model, values, start.T), start.T, x, d, rule, DRAW)
    with pytest.raises(InputError, match="dw_min"):
        pulsed_update(
            pulse_cells(model, {**values, "dw_min": torch.ones(2)}, start), start, x, d, rule, DRAW
        )
    vteam = find_model("vteam")
    with pytest.raises(InputError, match="not a pulse device"):
        pulsed_update(
            pulse_cells(vteam, vteam.parameter_sets[0].values, start), start, x, d, rule, DRAW
        )
    cells = pulse_cells(model, values, start)
    trains = pulse_trains(x, d, rule, DRAW)
    with pytest.raises(InputError, match="not those of the weights"):
        apply_trains(cells, start.double(), trains)
    with pytest.raises(InputError, match="counts"):
        apply_trains(cells, start, trains, counts=torch.zeros(ROWS, COLS))
    with pytest.raises(InputError, match="precision"):
        pulse_cells(model, values, start.half())
    assert not bool(start.any())


def test_two_updates_in_a_row_differ_and_repeat_from_the_same_start() -> None:
    """The step is part of the address: a run that goes on draws what it would have drawn."""
    model, values = device("soft_bounds")
    x, d = batch(6)
    start = torch.zeros(ROWS, COLS, dtype=torch.float64) + 0.01
    rule = UpdateRule(9 * values["dw_min"], values["dw_min"])
    cells, stream = pulse_cells(model, values, start), Stream(3, 1)

    def run(w: torch.Tensor, first: int, last: int) -> list[torch.Tensor]:
        found = [w]
        for step in range(first, last):
            found.append(found[-1].clone())
            pulsed_update(cells, found[-1], x, d, rule, stream.at("tile_0/update", step))
        return found

    once = run(start, 0, 3)
    assert not torch.equal(once[1] - once[0], once[2] - once[1])
    words = [pulse_trains(x, d, rule, stream.at("tile_0/update", k)).words for k in (0, 1)]
    assert not torch.equal(*words)
    resumed = run(run(start, 0, 1)[-1], 1, 3)
    assert torch.equal(resumed[-1], once[-1])


def test_cells_are_prepared_once() -> None:
    """What is written to a parameter later belongs to other cells."""
    model, values = device("soft_bounds")
    x, d = batch(6)
    start = torch.zeros(ROWS, COLS, dtype=torch.float64)
    own = {**values, "dw_min": torch.full((ROWS, COLS), values["dw_min"], dtype=torch.float64)}
    cells = pulse_cells(model, own, start)
    rule = UpdateRule(9 * values["dw_min"], values["dw_min"])
    trains = pulse_trains(x, d, rule, DRAW)
    before = after(cells, start, trains)
    own["dw_min"].mul_(3)
    assert torch.equal(after(cells, start, trains), before)
    wanted = update_by_pulses(model, values, start, pulse_trains(x, d, rule, DRAW))
    torch.testing.assert_close(before, wanted, rtol=1e-9, atol=1e-12)
