"""What is drawn: nothing hidden, in the unit of its numbers, within its bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle, StepPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from cosim.calibration.evidence import MeasuredCurve
from tests.report.synthetic import fresh, report_data, writing
from workflows.report import ReportData
from workflows.report.figures import (
    conductance_histogram,
    conductance_map,
    error_quantiles,
    find_figures,
    fresh_chips,
    ir_drop,
    training,
    transfer_curves,
)
from workflows.report.figures.confusion import figure as draw
from workflows.report.figures.fresh_chips import bars
from workflows.report.figures.transfer_curves import error_axis
from workflows.report.statistics import has_result
from workflows.report.style import RULE, figure_style


def test_failed_images_have_a_column_only_where_there_are_some(data: ReportData) -> None:
    def ticks(of: ReportData) -> list[list[str]]:
        return [[word.get_text() for word in ax.get_xticklabels()] for ax in draw(of).axes]

    answered = has_result(data.codes["spice"])
    codes = {name: values[answered] for name, values in data.codes.items()}
    whole = replace(data, codes=codes, labels=data.labels[answered])
    assert ticks(data) == [list(data.class_names), ["none"]]
    assert ticks(whole) == [list(data.class_names)]


@pytest.mark.parametrize("name", [entry.name for entry in find_figures()])
def test_no_label_lies_on_what_is_drawn(name: str) -> None:
    """Words inside a panel, keys included, against every dot, line and bar of it, in pixels.

    The data are as unkind as they come: dots and curves everywhere, and failures.
    """
    usual, epoch, cells = report_data(n_failed=60), np.arange(15.0), np.linspace(1e-6, 1e-4, 4820)
    pulses = np.arange(4820) % 30 + 1.0
    shown = replace(
        usual,
        writing=replace(writing(), target_s=cells, achieved_s=cells[::-1].copy(), pulses=pulses),
        codes=dict(usual.codes) | {"surrogate": -usual.codes["exact"]},
        training={
            "epoch": epoch,
            "train_accuracy": 1 - epoch / 15,
            "test_accuracy": epoch / 15,
            "pulses": 9e5 - 6e4 * epoch,
            "coincidences": 6e4 * epoch,
            "energy_j": 1e-9 * epoch,
        },
        fresh=fresh(400),
    )
    module = next(entry.module for entry in find_figures() if entry.name == name)
    with figure_style():
        figure = module.figure(shown)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for ax in figure.axes:
            words = [text for text in ax.texts if text.get_text().strip()]
            words += [key for key in (ax.get_legend(),) if key is not None]
            marks = np.concatenate([np.empty((0, 2)), *(_points(line) for line in ax.lines)])
            bars = [box for patch in ax.patches for box in _bars(patch)]
            for word in words:
                box = word.get_window_extent(canvas.get_renderer())
                inside = (marks >= (box.x0, box.y0)) & (marks <= (box.x1, box.y1))
                assert not inside.all(axis=1).any(), word
                assert not any(box.overlaps(bar) for bar in bars), word


def _bars(patch: Patch) -> list[Bbox]:
    """What is filled for a value, in pixels; bands over a whole panel are no data."""
    transform = patch.axes.transData
    if isinstance(patch, StepPatch):
        values, edges, _ = patch.get_data()
        places = zip(edges[:-1], edges[1:], values, strict=True)
        return [transform.transform_bbox(Bbox([[a, 0], [b, v]])) for a, b, v in places if v]
    bar = isinstance(patch, Rectangle) and patch.get_data_transform() == transform
    return [patch.get_window_extent()] if bar and patch.get_width() * patch.get_height() else []


def _points(line: Line2D) -> np.ndarray:
    """Of what carries data: dots, and places along a line, in pixels; rules are no data."""
    if line.get_color() == RULE:
        return np.empty((0, 2))
    xy = line.get_transform().transform(line.get_xydata())
    if line.get_linestyle() != "None" and len(xy) > 1:
        at = np.linspace(0, len(xy) - 1, 40 * len(xy))
        xy = np.column_stack([np.interp(at, np.arange(len(xy)), column) for column in xy.T])
    return xy[np.isfinite(xy).all(axis=1)]


@pytest.mark.parametrize(
    ("quantity", "largest", "size", "words"),
    [
        ("output [V]", 0.02, 1e-3, "error (mV)"),
        ("output voltage (V)", 3e-5, 1e-6, "error (µV)"),
        ("code (LSB)", 0.02, 1, "error (LSB)"),
        ("share", 0.02, 1, "error"),
    ],
)
def test_axes_of_errors_have_the_unit_of_their_quantity(
    quantity: str, largest: float, size: float, words: str
) -> None:
    assert error_axis(quantity, largest) == (size, words)


def test_no_axis_counts_in_powers_of_ten_beside_it() -> None:
    """An error of 20 µV has ticks that are plain numbers of microvolts."""
    x = np.linspace(0, 1, 9)
    curve = MeasuredCurve("a", "tia", x, "input (µA)", x, x + 2e-5 * np.sin(9 * x), "output (V)")
    with figure_style():
        drawn = transfer_curves.figure(replace(report_data(), curves=(curve,)))
        FigureCanvasAgg(drawn).draw()
        bottom = drawn.axes[1]
        assert bottom.yaxis.get_offset_text().get_text() == ""
        assert bottom.get_ylabel() == "error (µV)"
        ticks = [one.get_text().replace("\u2212", "-") for one in bottom.get_yticklabels()]
    assert {-20.0, 0.0, 20.0} <= {float(one) for one in ticks}


def test_of_two_models_with_the_same_errors_both_curves_are_seen() -> None:
    """The one below is wider: some of the page has its colour, and some that of the other."""
    data = report_data()
    same = dict(data.codes) | {"exact": data.codes["surrogate"]}
    with figure_style():
        drawn = error_quantiles.figure(replace(data, codes=same))
        drawn.axes[1].remove()  # the table, which is a key to the colours
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    green, blue = (pixels[..., k] - np.delete(pixels, k, axis=2).max(axis=2) for k in (1, 2))
    assert (green > 15).sum() > 300
    assert (blue > 40).sum() > 300


def drawn_errors(data: ReportData) -> tuple[str, dict[str, np.ndarray]]:
    """The title of the errors of currents, and the lines by their names, [epoch, 2]."""
    with figure_style():
        ax = training.figure(data).axes[-1]
    return ax.get_title("left"), {str(line.get_label()): line.get_xydata() for line in ax.lines}


def test_errors_beside_ngspice_stand_beside_those_of_exact_each_named() -> None:
    """In epoch 4 ngspice gave no answer: no point there, and a mark that says so."""
    data = report_data()
    title, lines = drawn_errors(data)
    assert title == "Currents off exact by 0.550 % and off SPICE by 0.600 % at most"
    used = lines.pop("surrogate as it was used, off exact")
    spice = lines.pop("what training used, off SPICE")
    closed = lines.pop("surrogate without anchors, off exact")
    np.testing.assert_allclose(used[:, 1], 100 * data.training["surrogate_error"])
    np.testing.assert_allclose(closed[:, 1], 100 * data.training["closed_form_error"])
    np.testing.assert_allclose(spice[:, 1], 100 * data.training["spice_error"])
    assert lines.pop("SPICE failed").tolist() == [[4, 0]]
    assert lines.pop("allowed (max_surrogate_error)")[:, 1].tolist() == [0.6, 0.6]
    assert not lines
    assert "300 inputs of which SPICE read as well, without an answer in 1 epoch." in (
        training.note(replace(data, held_out=0))
    )


def test_errors_beside_ngspice_alone_are_drawn_and_those_that_nobody_knows_named() -> None:
    """Of a training that reads exactly, and of one of which every simulation failed."""
    data = report_data()
    alone = {key: data.training[key] for key in ("epoch", "loss", "spice_error", "spice_inputs")}
    title, lines = drawn_errors(replace(data, training=alone))
    assert title == "Currents off SPICE by 0.600 % at most"
    assert "surrogate as it was used, off exact" not in lines
    title, lines = drawn_errors(
        replace(data, training=alone | {"spice_error": np.full(15, np.nan)})
    )
    assert title == "Errors of currents are not known"
    assert len(lines["SPICE failed"]) == 15


def test_a_cell_that_offsets_give_more_than_was_applied_is_not_said_to_lose() -> None:
    data = report_data()
    one = data.tiles[0]
    drop = np.full_like(one.ir_drop, 0.01)
    drop[2, 5] = -0.055
    gaining = replace(data, tiles=(replace(one, ir_drop=drop),))
    said = ir_drop.note(gaining)
    assert "5.5 % gained from offsets" in said
    assert "-5.5" not in said
    assert "25.0 % lost" in ir_drop.note(replace(data, tiles=(replace(one, ir_drop=drop + 0.24),)))


def test_conductances_of_a_device_of_nanosiemens_are_drawn_in_them() -> None:
    data = report_data()
    small = tuple(replace(t, conductance_s=t.conductance_s / 1e3) for t in data.tiles)
    for module in (conductance_map, conductance_histogram):
        drawn = module.figure(replace(data, tiles=small))
        words = {one.get_text() for one in drawn.findobj(Text)}
        assert "conductance (nS)" in words
        assert not any("µS" in one for one in words)


def test_no_bar_has_chips_of_both_sides_of_the_threshold() -> None:
    accuracy = np.array([0.90, 0.93, 0.95, 0.95, 0.98, 1.0])
    left, right, chips = bars(accuracy, images=100, width=4, threshold=0.95)
    np.testing.assert_allclose(left, [0.865, 0.905, 0.95, 0.985])
    np.testing.assert_allclose(right, [0.905, 0.95, 0.985, 1.0])
    assert chips.tolist() == [1, 1, 3, 1]
    left, right, chips = bars(np.array([0.9, 0.9, 0.95]), images=20, width=1, threshold=None)
    np.testing.assert_allclose([left, right], [[0.875, 0.925], [0.925, 0.975]])
    assert chips.tolist() == [2, 1]


@pytest.mark.parametrize("threshold", [None, 0.94, 1.0])
def test_bars_of_chips_that_are_all_right_have_a_width_and_end_at_all(
    threshold: float | None,
) -> None:
    left, right, _ = bars(np.array([1.0, 0.98, 0.0]), images=50, width=1, threshold=threshold)
    assert (left < right).all()
    assert (left.min(), right.max()) == (0.0, 1.0)


def test_no_axis_of_accuracies_goes_beyond_all() -> None:
    """Chips that are all right, and a threshold just below."""
    data = report_data()
    all_right = replace(fresh(), accuracy=(1.0,) * 30, mean=1.0, minimum=1.0, accuracy_min=0.99)
    ax = fresh_chips.figure(replace(data, fresh=all_right)).axes[0]
    assert ax.get_xlim()[1] <= 1
