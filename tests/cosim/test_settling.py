"""Arrays with capacitances: against ngspice, all modes of the dense network, scipy's integrator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from compact_models.errors import InputError
from cosim.ngspice import Deck, Ngspice, Outcome, run_deck
from cosim.nodal.lines import Lines
from cosim.nodal.transfer import solve_transfer
from cosim.settling import settling as settling_module
from cosim.settling.capacitances import Capacitances, capacitance_matrix
from cosim.settling.settling import Settling, solve_settling
from cosim.settling.sparse_network import sparse_network
from tests.cosim.settling_reference import (
    COLS,
    ROWS,
    dense_waveform,
    drives,
    elements,
    problem,
    solved,
)

Array = np.ndarray


def span(found: Settling, points: int = 60) -> Array:
    """Times from a thousandth to ten times the slowest time constant."""
    return np.geomspace(1e-3, 10, points) / float(found.rate.min())


def at(found: Settling, times: Array) -> Array:
    return found.current_a(torch.from_numpy(times)).numpy()


def off(found: Array, wanted: Array) -> float:
    """The largest difference, [..., time], as a part of the largest current of the line."""
    return float((np.abs(found - wanted).max(-1) / np.abs(wanted).max(-1)).max())


def plain(given: dict[str, Array]) -> None:
    del given["right"], given["top"]


def both_ends(given: dict[str, Array]) -> None:
    pass


def shorts(given: dict[str, Array]) -> None:
    given["word"][1, 2:4] = 0.0
    given["word"][4] = 0.0
    given["bit"][:, 3] = 0.0
    given["bit"][2, :] = 0.0
    given["driver"][[0, 2]] = 0.0
    given["sense"][[1, 5]] = 0.0


def ideal_bit_lines(given: dict[str, Array]) -> None:
    """Every cell's capacitance ends in a sense node: displacement currents are sensed."""
    given["bit"][:], given["sense"][:] = 0.0, 0.0


def ideal_word_lines(given: dict[str, Array]) -> None:
    """The drivers push charge through the cells: bit lines jump at t = 0."""
    given["word"][:], given["driver"][:] = 0.0, 0.0


def opens(given: dict[str, Array]) -> None:
    plain(given)
    given["word"][1, 3], given["word"][3, 0], given["bit"][2, 5] = np.inf, np.inf, np.inf
    given["driver"][4], given["sense"][2] = np.inf, np.inf


def no_capacitance_at_some(given: dict[str, Array]) -> None:
    for name in ("c_word", "c_bit", "c_cell"):
        given[name][::2] = 0.0
    given["c_driver"][:], given["c_sense"][:] = 0.0, 0.0


def islands(given: dict[str, Array]) -> None:
    """A word line and a piece of another that only capacitances tie to the rest; a piece that
    nothing does."""
    plain(given)
    given["driver"][1], given["g"][1] = np.inf, 0.0
    given["word"][3, 4], given["g"][3, 4:] = np.inf, 0.0
    given["word"][0, 6], given["g"][0, 6], given["c_cell"][0, 6] = np.inf, 0.0, 0.0
    given["c_word"][0, 6] = 0.0


CASES = (
    plain, both_ends, shorts, ideal_bit_lines, ideal_word_lines, opens, no_capacitance_at_some,
    islands,
)  # fmt: skip


def changed(change: Any) -> dict[str, Array]:
    given, rng = problem(), np.random.default_rng(5)
    given |= {"right": rng.uniform(50, 900, ROWS), "top": rng.uniform(10, 300, COLS)}
    change(given)
    return given


@pytest.mark.parametrize("change", CASES)
def test_waveforms_are_those_of_all_elements(change: Any) -> None:
    given, volts = changed(change), drives(batch=2)
    found = solved(given, volts)
    assert bool(found.converged.all())
    times = span(found)
    made = elements(**given)
    wanted = np.stack([dense_waveform(made, v, COLS, times) for v in volts])
    flows = np.abs(wanted).max((0, 2)) > 0  # an open line carries nothing
    assert off(at(found, times)[:, flows], wanted[:, flows]) < 2e-6
    assert not np.abs(at(found, times)[:, ~flows]).any()
    assert flows.sum() == (COLS - 1 if change is opens else COLS)


def test_cells_alone_may_have_the_capacitance() -> None:
    """C is singular though every node has some."""
    given, volts = problem(), drives(batch=1)
    for name in ("c_word", "c_bit", "c_driver", "c_sense"):
        given[name][:] = 0.0
    found = solved(given, volts)
    times = span(found)
    for name in ("c_word", "c_bit"):
        given[name][:] = 1e-21
    wanted = dense_waveform(elements(**given), volts[0], COLS, times)
    assert off(at(found, times)[0], wanted) < 1e-4


@pytest.mark.ngspice
def test_waveforms_are_those_of_ngspice(ngspice: Ngspice) -> None:
    given, volts = problem(), drives(batch=1)
    found = solved(given, volts)
    made = elements(**given)
    stop = 12 / float(found.rate.min())
    text = ["* step of an array with capacitances"]
    text += [f"vd{i} d{i} 0 {float(v)!r}" for i, v in enumerate(volts[0])]
    text += [f"vs{j} s{j} 0 0" for j in range(COLS)]
    for k, (a, b, x) in enumerate(made.named(made.siemens)):
        text.append(f"r{k} {a} {b} {1 / float(x)!r}")
    for k, (a, b, x) in enumerate(made.named(made.farad)):
        text.append(f"c{k} {a} {b} {float(x)!r} ic=0")
    signals = tuple(f"i(vs{j})" for j in range(COLS))
    text += [
        ".options reltol=1e-7 abstol=1e-16 vntol=1e-11 chgtol=1e-24 gmin=1e-18",
        f".save {' '.join(signals)}",
        f".tran {stop / 2000!r} {stop!r} 0 {stop / 2000!r} uic",
        ".end",
        "",
    ]
    deck = Deck(text="\n".join(text), name="settling", expected_signals=signals)
    result = run_deck(deck, ngspice, timeout_s=60)
    assert result.outcome is Outcome.OK, result.reason
    plot = result.plot
    later = plot.axis > 0.01 * stop / 12  # the first steps of the simulator are of first order
    wanted = plot.matrix(signals).T[:, later]
    part = np.abs(at(found, plot.axis[later])[0] - wanted).max(1) / np.abs(found.final_a[0].numpy())
    print(f"difference to ngspice, of the final current: {part.max():.1e}")
    assert later.sum() > 1000
    assert part.max() < 1e-3


def test_sixty_four_rows_against_an_integrator() -> None:
    rng = np.random.default_rng(7)
    n = 64
    g = torch.from_numpy(rng.uniform(1e-6, 1e-4, (n, n)))
    volts = torch.from_numpy(rng.uniform(0, 0.2, (1, n)))
    lines = Lines(1.5, 2.5, torch.from_numpy(rng.uniform(100, 400, n)))
    wires = Capacitances(1e-15, torch.from_numpy(rng.uniform(1e-15, 2e-15, (n, n))), 0.0, 2e-15)
    found = solve_settling(g, lines, wires, volts)
    network = sparse_network(g, lines)
    k = network.unknown
    y, c = network.laplacian_s, capacitance_matrix(network, wires)
    inverse = 1 / c.diagonal()[:k]
    push = -inverse * (y[:k, k : k + n] @ volts[0].numpy())
    slope = (y[:k, :k].multiply(-inverse[:, None])).tocsc()
    times = np.array([0.3, 1, 3, 8]) / float(found.rate.min())
    run = solve_ivp(
        lambda _t, v: slope @ v + push, (0, times[-1]), np.zeros(k), method="BDF", jac=slope,
        t_eval=times, rtol=1e-5, atol=1e-8, first_step=1e-15,
    )  # fmt: skip
    wanted = -(y[k + n :, :k] @ run.y)
    assert off(at(found, times)[0], wanted) < 1e-4
    torch.testing.assert_close(
        found.final_a,
        solve_transfer(
            g, r_wordline_ohm=1.5, r_bitline_ohm=2.5, r_driver_ohm=lines.r_driver_ohm
        ).current_a(volts),
        rtol=1e-10,
        atol=0,
    )


def test_settling_is_the_last_time_outside_the_band() -> None:
    given, volts = problem(), drives(batch=6)
    times = np.append(0, np.geomspace(1e-15, 2e-10, 4000))
    for options in ({"tolerance": 1e-2}, {"tolerance": 1e-4}, {"tolerance_a": 2e-8}):
        found = solved(given, volts, **options)
        final = found.final_a.numpy()[..., None]
        band = options.get("tolerance_a", options.get("tolerance", 0) * np.abs(final))
        outside = np.abs(at(found, times) - final) > band
        last = len(times) - 1 - outside[..., ::-1].argmax(-1)
        assert outside.any(-1).all()
        assert not outside[..., -1].any()
        assert bool((found.settling_s.numpy() >= times[last]).all())
        assert bool((found.settling_s.numpy() <= times[last + 1]).all())
        # Some lines leave the band again: the first time inside would not do.
        assert (outside.argmin(-1) < last).any()


def test_the_reference_settles_at_the_same_time() -> None:
    given, volts = problem(), drives(batch=1)
    found = solved(given, volts, tolerance=1e-3)
    made, final = elements(**given), found.final_a[0].numpy()
    for j in range(COLS):
        t = float(found.settling_s[0, j])
        around = dense_waveform(made, volts[0], COLS, t * np.array([1 - 1e-4, 1 + 1e-4]))[j]
        before, after = np.abs(around / final[j] - 1)
        assert before > 1e-3 > after


@pytest.mark.parametrize("change", CASES)
def test_the_first_moment_is_the_area_above_the_waveform(change: Any) -> None:
    given, volts = changed(change), drives(batch=1)
    found = solved(given, volts)
    slow = 1 / float(found.rate.min())
    times = np.append(0, slow * np.geomspace(1e-6, 30, 1000))
    wanted = dense_waveform(elements(**given), volts[0], COLS, times)
    final = found.final_a[0].numpy()
    area = np.trapezoid(final[:, None] - wanted, times, axis=1)
    moment = found.first_moment_s[0].numpy() * final
    flows = final != 0
    assert np.isnan(moment[~flows]).all()
    # What the trapezoids miss.
    assert np.abs(area - moment)[flows].max() < 1e-4 * np.abs(moment[flows]).max()


def test_charge_through_cells_counts_in_the_first_moment() -> None:
    """One cell between a driver and a sense node: its capacitance is charged at once."""
    one = torch.ones(1, 1, dtype=torch.float64)
    found = solve_settling(1e-4 * one, Lines(0.0, 0.0), Capacitances(0, 0, 1e-15), 0.2 * one)
    assert float(found.first_moment_s) == pytest.approx(-1e-15 / 1e-4, rel=1e-12)
    assert float(found.settling_s) == 0.0


def test_a_delay_is_never_negative_and_says_where_there_is_none() -> None:
    """Two rows of opposite signs: the near one arrives first, and the current comes back."""
    both = torch.full((2, 1), 1e-4, dtype=torch.float64)
    lines = Lines(0.0, torch.tensor([[5e3], [1.0]], dtype=torch.float64))
    charged = Capacitances(0.0, torch.tensor([[1e-12], [1e-15]], dtype=torch.float64))
    volts = torch.tensor([[-0.19, 0.2], [0.1, 0.2]], dtype=torch.float64)
    found = solve_settling(both, lines, charged, volts)
    assert found.monotonic.flatten().tolist() == [False, True]
    peak = float(found.current_a(torch.linspace(0, 1e-9, 50, dtype=torch.float64))[0, 0].max())
    assert peak > 1.5 * float(found.final_a[0, 0]) > 0
    assert float(found.first_moment_s[0, 0]) < 0
    assert bool(found.elmore_s[0].isnan().all())
    torch.testing.assert_close(found.elmore_s[1], found.first_moment_s[1], rtol=0, atol=0)
    assert float(found.elmore_s[1, 0]) > 0


def test_one_capacitance_is_one_exponential() -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    lines = Lines(0.0, 0.0, r_driver_ohm=1e3)
    found = solve_settling(1e-3 * one, lines, Capacitances(1e-12, 7e-12), 0.5 * one)
    tau = 0.5e-9  # 1 kohm beside the cell's 1 kohm; the bit line is held
    assert found.order.tolist() == [1]
    for value, wanted in (
        (found.final_a, 0.25e-3),
        (found.first_moment_s, tau),
        (found.elmore_s, tau),
        (found.time_constant_s, tau),
        (found.settling_s, tau * np.log(1000)),
        (found.current_a(torch.tensor([tau], dtype=torch.float64)), 0.25e-3 * (1 - np.exp(-1))),
    ):
        assert float(value) == pytest.approx(wanted, rel=1e-9)
    half = solve_settling(
        1e-3 * one, lines, Capacitances(1e-12, 0), 0.5 * one, tolerance_a=0.125e-3
    )
    assert float(half.settling_s) == pytest.approx(tau * np.log(2), rel=1e-9)


def test_time_constants_are_eigenvalues_of_the_network() -> None:
    given, volts = problem(), drives(batch=2)
    found = solved(given, volts)
    t = {k: torch.as_tensor(np.asarray(x)) for k, x in given.items()}
    network = sparse_network(t["g"], Lines(t["word"], t["bit"], t["driver"], t["sense"]))
    capacitances = Capacitances(t["c_word"], t["c_bit"], t["c_cell"], t["c_driver"], t["c_sense"])
    k = network.unknown
    y = network.laplacian_s[:k, :k].toarray()
    c = capacitance_matrix(network, capacitances)[:k, :k].toarray()
    all_s = 1 / np.linalg.eigvals(np.linalg.solve(c, y)).real
    for one in found.time_constant_s.flatten().tolist():
        assert np.abs(all_s / one - 1).min() < 1e-3  # it may be a part of 1e-3 in its line only
    assert float(found.time_constant_s.max()) == pytest.approx(all_s.max(), rel=1e-8)


def test_a_step_between_vectors_is_the_difference_of_two() -> None:
    given, volts = problem(), drives(batch=2)
    up = solved(given, volts)
    step = solved(given, volts[:1], from_v=torch.from_numpy(volts[1]))
    times = span(up)
    wanted = up.final_a.numpy()[1, :, None] + at(up, times)[0] - at(up, times)[1]
    assert off(at(step, times)[0], wanted) < 5e-6
    torch.testing.assert_close(step.start_a[0], up.final_a[1], rtol=1e-9, atol=0)
    torch.testing.assert_close(step.final_a[0], up.final_a[0], rtol=1e-9, atol=0)
    before = step.current_a(torch.tensor([-1.0]))
    torch.testing.assert_close(before[0, :, 0], step.start_a[0], rtol=0, atol=0)


def test_a_vector_does_not_depend_on_its_batch() -> None:
    given, volts = problem(), drives(batch=3)
    volts[1] *= 1e-3
    together, alone = solved(given, volts), solved(given, volts[2:])
    assert torch.equal(together.settling_s[2], alone.settling_s[0])
    assert torch.equal(together.first_moment_s[2], alone.first_moment_s[0])


def test_far_lines_settle_later() -> None:
    """Word lines are driven from the left, bit lines sensed below the last row."""
    g = torch.full((12, 9), 1e-5, dtype=torch.float64)
    volts = torch.zeros(2, 12, dtype=torch.float64)
    volts[0, 0], volts[1, -1] = 0.2, 0.2
    found = solve_settling(g, Lines(5.0, 20.0), Capacitances(1e-15, 2e-15), volts)
    assert bool((found.elmore_s.diff(dim=1) > 0).all())  # from the driver outwards
    assert bool((found.elmore_s[0] > 2 * found.elmore_s[1]).all())  # row 0 is the far one
    turned = solve_settling(g.mT, Lines(20.0, 5.0), Capacitances(2e-15, 1e-15), volts[:, :9])
    assert float(found.elmore_s[0, -1]) == pytest.approx(float(turned.elmore_s[0, -1]), rel=1e-9)
    assert float(found.elmore_s[0, 0]) != pytest.approx(float(turned.elmore_s[0, 0]), rel=0.01)


def test_without_capacitance_it_has_settled_at_once() -> None:
    given, volts = problem(), drives()
    for name in ("c_word", "c_bit", "c_cell", "c_driver", "c_sense"):
        given[name][:] = 0.0
    found = solved(given, volts)
    assert bool(found.converged.all())
    for zero in (found.settling_s, found.first_moment_s, found.time_constant_s, found.order):
        assert not bool(zero.any())
    at_once = found.current_a(torch.tensor([0.0, 1e-9]))
    torch.testing.assert_close(at_once, found.final_a[..., None].expand_as(at_once))


def test_what_ends_at_nothing_settles_in_ampere_only() -> None:
    given, volts = problem(), drives(batch=1)
    zero = np.zeros_like(volts)
    relative = solved(given, zero, from_v=torch.from_numpy(volts))
    assert bool(torch.isinf(relative.settling_s).all())
    absolute = solved(given, zero, from_v=torch.from_numpy(volts), tolerance_a=1e-7)
    assert bool(torch.isfinite(absolute.settling_s).all())
    assert bool((absolute.settling_s > 0).any())
    nothing = solved(given, zero)
    assert not bool(nothing.settling_s.any())
    assert bool(nothing.converged.all())


def test_what_does_not_converge_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    given, volts = problem(20, 20), drives(20)
    good = solved(given, volts)
    monkeypatch.setattr(settling_module, "_MOST_ORDER", 15)
    found = solved(given, volts, accuracy=1e-10)
    assert bool(good.converged.all())
    assert not bool(found.converged.any())
    assert bool(torch.isnan(found.settling_s).all())
    assert bool(torch.isnan(found.time_constant_s).all())
    assert bool(torch.isnan(found.current_a(torch.tensor([1e-11]))).all())
    assert bool((found.estimate > 1e-10).all())
    torch.testing.assert_close(found.first_moment_s, good.first_moment_s)
    torch.testing.assert_close(found.final_a, good.final_a)


@pytest.mark.parametrize("accuracy", [1e-3, 1e-5, 1e-7])
def test_the_estimate_is_not_below_the_error(accuracy: float) -> None:
    given, volts = problem(16, 24), drives(16)
    found, best = solved(given, volts, accuracy=accuracy), solved(given, volts, accuracy=1e-10)
    assert found.order.amax() < best.order.amin()
    times = span(best, 200)
    wanted = at(best, times)
    size = np.maximum(np.abs(wanted).max(-1), np.abs(best.final_a.numpy()))
    error = np.abs(at(found, times) - wanted).max(-1) / size
    assert (error <= accuracy).all()
    assert (error <= np.maximum(found.estimate.numpy(), 1e-9)).all()


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"c_word": -1e-15}, {}, "c_wordline_f: not a capacitance; got -1e-15; allowed: >= 0"),
        ({"c_bit": np.inf}, {}, "c_bitline_f: not a capacitance; got inf"),
        ({"c_cell": np.ones((7, 5))}, {}, r"c_cell_f: one value.*got \(7, 5\).*\[5, 7\]"),
        ({"c_driver": np.ones(7)}, {}, r"c_driver_f: one value.*\[5\]"),
        ({"c_sense": np.nan}, {}, "c_sense_f: not a capacitance; got nan"),
        ({"word": -1.0}, {}, "r_wordline_ohm: not a resistance"),
        ({"word": np.ones((2, 5, 7))}, {}, "lines: one array at a time"),
        ({"g": np.ones((2, 5, 7))}, {}, "conductance_s: one array at a time"),
        ({}, {"volts": np.ones((1, 7))}, r"drive_v: as many voltages.*\[batch, 5\]"),
        ({}, {"volts": np.ones(5)}, r"drive_v: as many voltages as word lines"),
        ({}, {"volts": np.full((1, 5), np.nan)}, "drive_v: not a voltage; got nan"),
        ({}, {"from_v": torch.ones(2, 5)}, r"from_v: as many vectors before.*got \(2, 5\)"),
        ({}, {"tolerance": 0.0}, "tolerance: not a tolerance; got 0.0; allowed: above 0, below 1"),
        ({}, {"tolerance_a": -1.0}, "tolerance_a: not a tolerance"),
        ({}, {"accuracy": 1e-15}, "accuracy: not a tolerance.*from 1e-10, below 0.01"),
    ],
)
def test_what_cannot_be_solved_is_refused(
    change: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    given = {**problem(), **change}
    with pytest.raises(InputError, match=said) as caught:
        solved(given, **{"volts": drives(batch=1), **options})
    assert "\n" not in str(caught.value)
