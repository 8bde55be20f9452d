"""`spiceloop device plot`: every model has its page, and the numbers in it are right."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from compact_models.library import all_models, all_sets, find_model, find_set
from compact_models.model import CompactModel
from cosim.devices.switching_time import switching_times
from cosim.portraits.loop import Loop
from cosim.portraits.panel import QUICK
from cosim.portraits.portrait import portrait
from tests.workflows.command import names_all, refused, spiceloop
from workflows.device.axes import RESET, SET, eng, quantity, seconds, unit_axis
from workflows.device.one_way import one_way
from workflows.device.plot import page, plot_device
from workflows.report.style import figure_style

TWO_STATES = """
import sympy
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

g = Parameter("g", "S", "conductance", above=0)
k = Parameter("k", "1/(V*s)", "speed", above=0)
tau = Parameter("tau", "s", "delay", above=0)
x = State("x", "1", "place", lower=0, upper=1)
u = State("u", "V", "voltage that has arrived", scale=1)
MODEL = CompactModel(
    name="delayed", title="follows its voltage late", kind="dynamic", source="a test",
    current=g * (x + sympy.Rational(1, 10)) * V,
    rates={x: k * u, u: (V - u) / tau},
    parameter_sets=(
        ParameterSet("one", "round numbers", {"g": 1e-4, "k": 1e6, "tau": 1e-6},
                     {"x": 0.5, "u": 0.0}, 1.0, 1e-5),
    ),
)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path_factory.mktemp("no-devices")))


def times_at(model: CompactModel, volts: list[float], first: float, last: float) -> list[float]:
    one = model.parameter_sets[0]
    found = switching_times(model, one, volts, from_fraction=first, to_fraction=last, longest_s=1e9)
    return [float(time_s) for time_s in found]


# One of each kind of equations: with a threshold and without, a step, a drift. Two states: below,
# under --all.
PAGES = ("vteam", "ion_drift_biolek", "soft_bounds", "pcm")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in PAGES else pytest.mark.slow)
        for name in sorted(all_models())
    ],
)
def test_every_model_has_its_page(tmp_path: Path, name: str) -> None:
    out = tmp_path / f"{name}.png"
    done = plot_device(name, None, out, QUICK)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    picture = imread(out)
    assert picture.shape[0] > 1000
    assert picture.shape[1] > 1300
    ink = (picture[..., :3].min(-1) < 0.5).mean()
    assert 0.003 < ink < 0.3
    json.dumps(done.panels, allow_nan=False)
    assert all(done.panels.values())
    kind = all_models()[name].kind
    # In the two TEAMs the current of the OFF state, at these voltages, is below a threshold.
    stuck = {"pulses"} if name in {"team", "team_exp"} else set()
    assert set(done.absent) <= stuck, done.absent
    if kind == "dynamic":
        assert set(done.panels) == {"loop", "switching", "pulses", "variability"}
        assert done.panels["variability"]["devices_lost"] == 0


def test_vteam_times_and_pulses_are_those_of_the_closed_form() -> None:
    one = find_set(find_model("vteam"), "sine")
    numbers = portrait(find_model("vteam"), one, QUICK)
    found = numbers["switching"].numbers()
    assert (found["from_part"], found["to_part"]) == (0.01, 0.5)
    # 49 % of 3 nm, at 10 m/s (v / -0.2 V - 1)^3 and 0.5 mm/s (v / 0.02 V - 1)
    for v, time_s in zip(*(found["set_times"][k] for k in ("voltage_v", "time_s")), strict=True):
        assert time_s == pytest.approx(0.49 * 3e-9 / (10 * (v / -0.2 - 1) ** 3), rel=1e-9)
    for v, time_s in zip(*(found["reset_times"][k] for k in ("voltage_v", "time_s")), strict=True):
        assert time_s == pytest.approx(0.49 * 3e-9 / (5e-4 * (v / 0.02 - 1)), rel=1e-9)
    assert all(v > -0.2 for v in found["set_times"]["not_switched_v"])
    assert found["set_times"]["not_switched_v"]
    volts, times = (found["set_times"][k] for k in ("voltage_v", "time_s"))
    assert found["set_times"]["decades"] == pytest.approx(math.log10(times[0] / times[-1]))
    assert min(volts) == pytest.approx(-1.25 * 0.25)
    train = numbers["pulses"].numbers()
    assert train["part_of_range"] == pytest.approx(0.8, abs=0.02)
    assert train["up_v"] < -0.2
    assert train["down_v"] > 0.02
    # from 0.9 to 0.1 of 50 to 1,000 ohm
    assert train["start_s"] == pytest.approx(1 / (50 + 950 * 0.9), rel=1e-6)
    assert train["top_s"] == pytest.approx(1 / (50 + 950 * 0.1), rel=0.05)


def test_a_device_with_two_states_is_timed_by_integration(tmp_path: Path) -> None:
    path = tmp_path / "delayed.py"
    path.write_text(TWO_STATES, encoding="utf-8")
    model = find_model(str(path))
    found = times_at(model, [1.0, 0.01, -1.0], 0.1, 0.6)
    # x = 0.1 + k V (t - tau (1 - exp(-t / tau))), so t is a root; late, t is the way and a delay
    t = np.linspace(0, 1e-4, 1_000_001)
    for v, time_s in zip((1.0, 0.01), found, strict=False):
        x = 0.1 + 1e6 * v * (t - 1e-6 * (1 - np.exp(-t / 1e-6)))
        assert time_s == pytest.approx(t[np.argmax(x >= 0.6)], rel=0.02)
    assert math.isnan(found[2])


@pytest.mark.slow
def test_a_device_with_two_states_has_its_page(tmp_path: Path) -> None:
    path = tmp_path / "delayed.py"
    path.write_text(TWO_STATES, encoding="utf-8")
    done = plot_device(str(path), None, tmp_path / "delayed.svg", QUICK)
    assert not done.absent
    assert (tmp_path / "delayed.svg").read_text("utf-8").startswith("<?xml")


def directions(ax: Axes) -> list[tuple[float, float]]:
    """Where each arrow points, on the panel."""
    heads = [one for one in ax.texts if isinstance(one, Annotation) and one.arrow_patch is not None]
    return [
        (float(one.xy[0]) - one.xyann[0], float(one.xy[1]) - one.xyann[1])
        for one in heads
        if one.arrow_patch is not None and one.arrow_patch.get_gid() == "direction"
    ]


def test_arrows_go_the_way_of_the_sweep() -> None:
    model = find_model("vteam")
    one = find_set(model, "sine")
    panels = portrait(model, one, QUICK)
    with figure_style():
        linear, logarithmic = page(model, one, panels).axes[:2]
    for ax in (linear, logarithmic):
        # up, back, down, back: so runs the voltage of a sinusoid
        assert [x > 0 for x, _ in directions(ax)] == [True, False, False, True]
    assert [y > 0 for _, y in directions(linear)] == [True, False, False, True]
    assert [y > 0 for _, y in directions(logarithmic)] == [True, False, True, False]
    loop = panels["loop"]
    assert isinstance(loop, Loop)
    assert loop.periods == 2  # the first starts in the middle of the range
    # The state is at 50 ohm where the RESET half begins and higher on its way back.
    assert loop.window > 2
    i = loop.current_a[np.isclose(np.abs(loop.voltage_v), 0.25)]
    assert np.abs(i).max() == pytest.approx(0.25 / 50, rel=1e-3)


def test_the_panels_say_what_they_show() -> None:
    model = find_model("vteam")
    one = find_set(model, "sine")
    panels = portrait(model, one, QUICK)
    with figure_style():
        loop, _, switching, _, fan = page(model, one, panels).axes[:5]
    legend = loop.get_legend()
    assert legend is not None
    pale = [x for x in legend.findobj(Line2D) if x.get_alpha() == loop.lines[2].get_alpha() != 1]
    assert [x.get_color() for x in pale] == [SET, RESET]  # of the first period, as it is drawn
    (said,) = (text.get_text() for text in switching.texts)
    stuck = panels["switching"].numbers()["set_times"]["not_switched_v"]
    assert f"SET: none up to {eng(max(abs(v) for v in stuck), 'V')}\n" in said
    assert fan.get_title(loc="left").endswith("7 parameters and the initial w")
    assert panels["variability"].numbers()["varied"][-1] == "initial w"


def test_a_state_of_zero_is_not_said_to_vary() -> None:
    model = find_model("vteam")
    one = dataclasses.replace(find_set(model, "sine"), initial={"w": 0.0})
    panels = portrait(model, one, QUICK)
    assert "initial w" not in panels["variability"].numbers()["varied"]
    with figure_style():
        title = page(model, one, panels).axes[4].get_title(loc="left")
    assert title.endswith("7 parameters; a state of 0 stays")


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (1.7e-9, "m", "1.7 nm"),
        (300.0, "K", "300 K"),
        (13650.0, "ohm", "13.65 kΩ"),
        (8e23, "1/m^3", "8×10²³/m³"),  # noqa: RUF001
        (0.3145, "1", "0.3145"),
        (0.0, "m", "0 m"),
    ],
)
def test_a_number_and_its_unit_are_one_word(value: float, unit: str, words: str) -> None:
    said = quantity(value, unit)
    assert said.split(" ") == [said]
    assert said.replace("\N{NO-BREAK SPACE}", " ") == words


def test_times_are_told_in_powers_of_ten_of_seconds() -> None:
    told = [seconds(x).replace("\N{NO-BREAK SPACE}", " ") for x in (1e-9, 1e-4, 10.0, 1e6, 2e9)]
    assert told == ["1 ns", "100 µs", "10 s", "10⁶ s", "2×10⁹ s"]  # noqa: RUF001
    ax = Figure().add_subplot()
    ax.set_xlim(0, 1.5)
    unit_axis(ax, "x", "V", "voltage")
    ax.set_ylim(0, 5e4)
    unit_axis(ax, "y", "s", "time")
    assert ax.xaxis.get_major_formatter()(0.5) == "0.5\N{NO-BREAK SPACE}V"  # as beside it 1 V
    assert ax.yaxis.get_major_formatter()(2e4) == "20000\N{NO-BREAK SPACE}s"


@pytest.mark.slow
def test_long_times_and_doi_of_a_page() -> None:
    model = find_model("stanford")
    one = find_set(model, "asu")
    with figure_style():
        figure = page(model, one, portrait(model, one, QUICK))
        figure.canvas.draw()
    switching, table = figure.axes[2], figure.axes[5]
    ticks = [label.get_text() for label in switching.get_yticklabels()]
    assert any(text.startswith("10⁶") for text in ticks), ticks
    assert not any(text.endswith(("Ms", "Gs", "ks")) for text in ticks), ticks
    assert "10 years" in [text.get_text() for text in switching.texts]
    said = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in table.texts]
    assert "gap = 1.7 nm, temperature = 298 K" in said
    heading = figure.texts[1].get_text()
    assert "doi\n" not in heading
    assert "doi\N{NO-BREAK SPACE}10.1109/LED.2012.2210856" in heading


@pytest.mark.slow
def test_a_logarithmic_loop_is_broken_at_zero() -> None:
    model = find_model("stanford")
    one = find_set(model, "sky130")
    with figure_style():
        axes = page(model, one, portrait(model, one, QUICK)).axes
    for ax in (axes[1], axes[4]):
        foot = ax.get_ylim()[0]
        for line in ax.lines:
            v, i = (np.asarray(x, dtype=float) for x in line.get_data())
            if len(v) > 2:  # what is drawn of the current, not a mark
                assert np.isfinite(i).all()
                assert (i > 0).all()
                # Neither in the air nor straight down: it ends where the axis has its foot from.
                assert 0.0199 <= np.abs(v).min() / np.abs(v).max() < 0.04
                # In this coarse sweep the foot is that of its first point away from zero.
                assert i.min() > 0.2 * foot


def test_the_legend_of_drift_lies_on_no_band() -> None:
    model = find_model("pcm")
    one = model.parameter_sets[0]
    with figure_style():
        figure = page(model, one, portrait(model, one, QUICK))
        figure.canvas.draw()
    drift = figure.axes[0]
    bands = [one for one in drift.collections if isinstance(one, PolyCollection)]
    assert len(bands) == 4
    legend = drift.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    lowest = min(
        float(drift.transData.transform(path.vertices)[:, 1].min())
        for band in bands
        for path in band.get_paths()
    )
    assert box.y1 < lowest


def test_symmetry_points_and_drift_are_those_published() -> None:
    model = find_model("exp_step")
    steps = portrait(model, find_set(model, "reram_es"), QUICK)["steps"].numbers()
    assert steps["symmetry_point"] == pytest.approx(-0.2185, abs=0.002)  # aihwkit 1.2.0
    model = find_model("constant_step")
    steps = portrait(model, find_set(model, "gokmen_vlasov"), QUICK)["steps"].numbers()
    assert steps["number_of_states"] == pytest.approx(1200)
    assert not steps["cancels_at_one_weight"]
    model = find_model("pcm")
    drift = portrait(model, model.parameter_sets[0], QUICK)["drift"].numbers()
    ratio = drift["median_last_s"][2] / drift["median_first_s"][2]
    # the mean exponent at half of the range, over 20 s to 1e8 s; 80 cells a level
    assert ratio == pytest.approx((1e8 / 20) ** -0.049, rel=0.06)
    medians = drift["median_last_s"]
    assert all(a < b for a, b in pairwise(medians))


def test_the_command_says_where_the_figure_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = spiceloop("device", "plot", "linear_step", "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    first = next(iter(all_sets(find_model("linear_step"))))
    assert said["parameter_set"] == first
    assert said["figure"] == f"linear_step_{first}.png"
    assert (tmp_path / said["figure"]).read_bytes().startswith(b"\x89PNG\r\n")
    assert set(said["panels"]) == {"pulses", "steps", "alternation", "noise"}
    ran = spiceloop("device", "plot", "linear_step", "-o", "page.pdf")
    assert ran.code == 0, ran.err
    names_all(ran.out, "page.pdf", "4 of 4 panels")
    names_all(ran.err, "computing linear_step", "drawing page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vteem",), ["vteem", "did you mean 'vteam'"]),
        (("vteam", "--params", "sin"), ["sin", "did you mean 'sine'"]),
        (("vteam", "-o", "{folder}/page.gif"), ["--out", "page.gif", ".png, .svg, .pdf"]),
        (("vteam", "-o", "{folder}/page"), ["--out", ".png, .svg, .pdf"]),
        (("vteam", "-o", "{folder}/no/page.png"), ["--out", "folder does not exist"]),
        (("vteam", "-o", "{folder}"), ["--out", "this is a folder", "give a file name"]),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    given = [argument.replace("{folder}", str(tmp_path)) for argument in arguments]
    if "-o" not in given:
        given += ["-o", str(tmp_path / "page.png")]
    names_all(refused(tmp_path, "device", "plot", *given), *words)


@pytest.mark.slow
def test_a_sweep_that_never_switches_back_says_so(tmp_path: Path) -> None:
    out = tmp_path / "one.svg"
    call = ("device", "plot", "vteam", "-o", out, "--params")
    found = json.loads(spiceloop(*call, "pt_hf_ti", "--json").out)
    (remark,) = found["remarks"]
    names_all(
        remark, "switches the device ON once and never back", "every period after the first is one",
        "RESET takes 36.5 ms at +1 V, the whole period 1 µs",
    )  # fmt: skip
    shown = " ".join(out.read_text(encoding="utf-8").split())
    for line in ("this sweep switches the", "device ON once and never", "not in this sweep"):
        assert line in shown
    assert json.loads(spiceloop(*call, "sine", "--json").out)["remarks"] == []


def test_a_loop_that_does_not_open_is_told_in_words() -> None:
    phase = np.linspace(0, 2 * np.pi, 41)
    volts = np.sin(phase)
    once = np.concatenate([volts[:-1] * np.where(phase[:-1] < 2, 1e-3, 1e-6), volts * 1e-6])
    two = np.concatenate([volts[:-1], volts])
    loop = Loop(two, once, 40, 0, 1.0, 0.25)
    names_all(one_way(loop), "switches the device OFF once and never back")
    names_all(one_way(Loop(volts, volts * 1e-6, 40, 0, 1.0, 0.25)), "does not switch the device")
    opens = np.where(phase < 1.5, 1e-6, 2e-6) * volts
    assert one_way(Loop(volts, opens, 40, 0, 2.0, 0.25)) == ""
