"""The report: complete, escaped, self-contained, reproducible, and honest about failures."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle, StepPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from compact_models.errors import InputError
from cosim.calibration.evidence import MeasuredCurve
from tests.report.synthetic import HOSTILE, fresh, hostile, report_data, tile, writing
from workflows.report import FIDELITIES, ReportData, build_report
from workflows.report.figures import (
    conductance_histogram,
    conductance_map,
    error_quantiles,
    find_figures,
    fresh_chips,
    ir_drop,
    transfer_curves,
)
from workflows.report.figures.confusion import figure as draw
from workflows.report.figures.fresh_chips import bars
from workflows.report.figures.transfer_curves import error_axis
from workflows.report.statistics import has_result, quantile_of_all, wilson_interval
from workflows.report.style import RULE, figure_style
from workflows.report.text import label, quantity, quantity_range, seconds, significant


class Page(HTMLParser):
    """Collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            elif key in {"src", "href", "xlink:href", "data", "action", "poster", "srcset"}:
                self.targets.append(value or "")
            elif key.startswith("on"):
                self.tags.append(f"handler {key}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return list(rows.fieldnames or ()), list(rows)


@pytest.fixture(scope="module")
def data() -> ReportData:
    return report_data()


@pytest.fixture(scope="module")
def slim() -> ReportData:
    """Images and codes alone: quick to draw."""
    return replace(report_data(n_images=30), tiles=(), curves=(), training={}, simulations=())


@pytest.fixture(scope="module")
def folder(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(data, tmp_path_factory.mktemp("run") / "report").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text("utf-8"))


def test_each_figure_file_gives_a_drawing_numbers_and_a_place_in_the_page(
    folder: Path, page: Page
) -> None:
    files = {p.stem for p in Path("workflows/report/figures").glob("*.py")} - {"__init__"}
    assert {entry.name for entry in find_figures()} == files
    for name in files:
        ElementTree.parse(folder / "figures" / f"{name}.svg")  # noqa: S314 # our own file
        assert read(folder / "figures" / f"{name}.csv")[1], name
        assert f"figure-{name}" in page.ids
    assert page.tags.count("svg") == len(files)


def test_page_needs_nothing_but_itself(folder: Path, page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not [tag for tag in page.tags if tag.startswith("handler")]
    for target in page.targets:
        local = target.startswith("data:image/png;base64,") or (folder / target).is_file()
        inside = target.startswith("#") and target[1:] in page.ids
        assert local or inside, target[:80]
    text = (folder / "index.html").read_text("utf-8")
    names = {'xmlns="http://www.w3.org/2000/svg"', 'xmlns:xlink="http://www.w3.org/1999/xlink"'}
    for found in re.finditer(r'[\w:]*="?https?://[^"\s]*"?|https?://\S+', text):
        assert found.group() in names
    assert "@import" not in text
    for target in re.findall(r"url\(([^)]*)\)", text):
        assert target.startswith("#")
        assert target[1:] in page.ids


def test_ids_of_the_inlined_drawings_do_not_collide(page: Page) -> None:
    assert len(page.ids) > 100
    assert len(page.ids) == len(set(page.ids))


def test_same_data_give_the_same_bytes(data: ReportData, folder: Path, tmp_path: Path) -> None:
    again = build_report(data, tmp_path / "again").parent
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_markup_in_names_stays_text(data: ReportData, tmp_path: Path) -> None:
    short = replace(data, curves=data.curves[:1], tiles=data.tiles[:1])
    found = build_report(hostile(short), tmp_path / "report")
    text = found.read_text("utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert page.tags.count("svg") == len(find_figures())
    assert HOSTILE in page.text  # shown as it was written, not dropped
    for svg in (found.parent / "figures").glob("*.svg"):
        tree = ElementTree.parse(svg)  # noqa: S314 # our own file
        assert not [e for e in tree.iter() if e.tag.endswith("script")]
    _, rows = read(found.parent / "figures" / "simulations.csv")
    assert rows[0]["deck"] == HOSTILE


def test_csv_holds_the_numbers_of_the_data(data: ReportData, folder: Path) -> None:
    header, rows = read(folder / "figures" / "ir_drop.csv")
    assert header[-1] == "ir_drop_share"
    for t in data.tiles:
        values = [float(r["ir_drop_share"]) for r in rows if r["tile"] == t.name]
        np.testing.assert_array_equal(np.reshape(values, t.ir_drop.shape), t.ir_drop)
    corner = next(r for r in rows if (r["row"], r["col"]) == ("0", "5"))
    assert (corner["word_line"], corner["bit_line"]) == ("x0", "o2-")
    _, rows = read(folder / "figures" / "parity.csv")
    for fidelity in ("spice", "surrogate", "ideal"):
        codes = np.reshape([float(r[f"{fidelity}_code_lsb"]) for r in rows], (200, 10))
        np.testing.assert_array_equal(codes, data.codes[fidelity])
    _, rows = read(folder / "figures" / "write_targets.csv")
    assert data.writing is not None
    np.testing.assert_array_equal([float(r["achieved_s"]) for r in rows], data.writing.achieved_s)
    assert [k for k, r in enumerate(rows) if r["met"] == "0"] == [17, 400, 4000]
    _, rows = read(folder / "figures" / "transfer_curves.csv")
    for curve in data.curves:
        mine = [r for r in rows if r["curve"] == curve.name]
        np.testing.assert_array_equal([float(r["spice_y"]) for r in mine], curve.spice_y)
        np.testing.assert_array_equal([float(r["surrogate_y"]) for r in mine], curve.surrogate_y)
    _, rows = read(folder / "figures" / "training.csv")
    np.testing.assert_array_equal([float(r["loss"]) for r in rows], data.training["loss"])
    errors = [float(r["surrogate_error_share"]) for r in rows]
    np.testing.assert_array_equal(errors, data.training["surrogate_error"])


def test_failed_images_stay_in_every_count(data: ReportData, folder: Path, page: Page) -> None:
    assert "3 of 200 images failed in SPICE" in page.text
    assert "30 without a result (1.5 %)" in page.text
    assert "3 without a result." in page.text
    _, rows = read(folder / "figures" / "confusion.csv")
    assert sum(int(r["images"]) for r in rows) == 200
    assert sum(int(r["images"]) for r in rows if r["spice_answer"] == "(no result)") == 3
    right = sum(int(r["images"]) for r in rows if r["true_class"] == r["spice_answer"])
    assert right / 200 == data.accuracy["spice"]
    _, rows = read(folder / "figures" / "error_quantiles.csv")
    top = max(float(r["cumulative_share"]) for r in rows)
    assert top == pytest.approx(0.985)
    assert {r["n_without_result"] for r in rows} == {"30"}


def test_failed_images_have_a_column_only_where_there_are_some(data: ReportData) -> None:
    def ticks(of: ReportData) -> list[list[str]]:
        return [[word.get_text() for word in ax.get_xticklabels()] for ax in draw(of).axes]

    answered = has_result(data.codes["spice"])
    codes = {name: values[answered] for name, values in data.codes.items()}
    whole = replace(data, codes=codes, labels=data.labels[answered])
    assert ticks(data) == [list(data.class_names), ["none"]]
    assert ticks(whole) == [list(data.class_names)]


def test_each_failed_simulation_is_listed(page: Page) -> None:
    assert "2 failed of 25 simulations: 1 no convergence, 1 timeout." in page.text
    assert "layer1_batch7" in page.text
    assert "gmin and source stepping failed at point 14 of 25" in page.text


def test_no_failure_is_said_plainly(tmp_path: Path) -> None:
    data = report_data(n_images=40, n_failed=0)
    ok = tuple(s for s in data.simulations if s.outcome == "ok")
    data = replace(data, simulations=ok, tiles=(), curves=(), training={})
    page = Page(build_report(data, tmp_path / "r").read_text("utf-8"))
    assert "0 of 40 images failed in SPICE" in page.text
    assert "0 failed of 23 simulations." in page.text


def test_provenance_is_complete(data: ReportData, page: Page) -> None:
    assert "98.5 %" in page.text
    for words in (data.config_hash, data.command, *data.repeat_commands, *data.versions.values()):
        assert words in page.text
    assert " ".join(data.config_toml.split()) in page.text
    for label_, value in (*data.hardware, *((k, str(v)) for k, v in data.seeds.items())):
        assert label_ in page.text
        assert value in page.text
    for row in data.calibration:
        assert row.quantity in page.text


def all_failed(data: ReportData) -> ReportData:
    failed = report_data(n_images=30, n_failed=30)
    return replace(failed, tiles=data.tiles, curves=data.curves, training=data.training)


def spice_not_run(data: ReportData) -> ReportData:
    codes = {f: c for f, c in data.codes.items() if f != "spice"}
    accuracy = {**data.accuracy, "spice": None, "exact": None}
    return replace(
        data, codes=codes, accuracy=accuracy, agreement=None, logit_rmse_lsb=None,
        logit_max_lsb=None, control_agreement=None, control_logit_rmse_lsb=None,
    )  # fmt: skip


def nearly_empty(data: ReportData) -> ReportData:
    return replace(
        data, tiles=(), curves=(), training={}, simulations=(), calibration=(), hardware=(),
        versions={}, seeds={}, stages=(), notes=(), repeat_commands=(), command="", config_toml="",
        accuracy={}, accuracy_float=None, codes={}, n_images=0, failed=0,
        labels=np.zeros(0, dtype=np.int64), agreement=float("nan"), logit_rmse_lsb=float("nan"),
    )  # fmt: skip


def one_cell(data: ReportData) -> ReportData:
    return replace(data, codes={}, tiles=(tile("only", 0, 1, 1),))


def many_tiles(data: ReportData) -> ReportData:
    few = tuple(tile(f"xtile_{k}", k // 5, 5, 2 + 2 * (k % 3)) for k in range(17))
    return replace(data, codes={}, tiles=few)


def long_tile_of_dead_cells(data: ReportData) -> ReportData:
    wide = tile("wide", 0, 2, 600)
    dead = replace(wide, name="dead", ir_drop=np.full((2, 600), np.nan))
    flat = replace(wide, name="flat", conductance_s=np.zeros((2, 600)))
    return replace(data, codes={}, tiles=(wide, dead, flat))


def perfect(data: ReportData) -> ReportData:
    spice = data.codes["spice"]
    return replace(data, codes=dict.fromkeys(FIDELITIES, spice))


def one_class_constant_codes(data: ReportData) -> ReportData:
    return replace(
        data, labels=np.zeros(1, dtype=np.int64), class_names=("數字",), n_images=1, failed=0,
        codes=dict.fromkeys(FIDELITIES, np.zeros((1, 1))), accuracy=dict.fromkeys(FIDELITIES, 1.0),
        accuracy_float=1.0,
    )  # fmt: skip


def many_classes(data: ReportData) -> ReportData:
    return replace(
        data, class_names=tuple(f"class with a long name {k}" for k in range(40)),
        codes={f: np.tile(c, 4) for f, c in data.codes.items()},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (all_failed, "30 of 30 images failed in SPICE"),
        (spice_not_run, "SPICE has not been asked"),
        (nearly_empty, "No accuracy was measured."),
        (one_cell, "word line bias, bit line o0+"),
        pytest.param(many_tiles, "1 more tile in the CSV only", marks=pytest.mark.slow),
        (long_tile_of_dead_cells, "hardly driven"),
        pytest.param(perfect, "300 codes per model", marks=pytest.mark.slow),
        (one_class_constant_codes, "n = 1 image, none of them failed"),
        (many_classes, "class w…name 2"),
    ],
)
def test_unusual_runs_have_a_report(
    slim: ReportData,
    tmp_path: Path,
    change: Callable[[ReportData], ReportData],
    says: str,
) -> None:
    page = Page(build_report(change(slim), tmp_path / "report").read_text("utf-8"))
    assert says in page.text
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", page.text)


def test_a_figure_without_data_is_named_with_its_reason(slim: ReportData, tmp_path: Path) -> None:
    page = Page(build_report(slim, tmp_path / "r").read_text("utf-8"))
    assert "Training history: the run recorded no training." in page.text
    assert not (tmp_path / "r" / "figures" / "training.svg").exists()


def test_a_new_report_replaces_the_old_one_whole(data: ReportData, tmp_path: Path) -> None:
    small = replace(data, tiles=(), curves=(), codes={}, simulations=())
    build_report(replace(small, training=data.training), tmp_path / "report")
    build_report(replace(small, title="second", training={}), tmp_path / "report")
    assert not (tmp_path / "report" / "figures" / "training.svg").exists()
    assert "second" in (tmp_path / "report" / "index.html").read_text("utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_a_folder_with_other_files_is_never_replaced(data: ReportData, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "index.html").write_text("my own page")
    with pytest.raises(InputError, match="no report"):
        build_report(data, home)
    assert (home / "index.html").read_text() == "my own page"
    (home / "index.html").unlink()
    (home / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        build_report(data, home)
    with pytest.raises(InputError, match="does not exist"):
        build_report(data, tmp_path / "missing" / "report")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home"]


def test_reader_settings_of_matplotlib_play_no_part(folder: Path, data: ReportData) -> None:
    from matplotlib import rc_context

    from workflows.report.figures import accuracy
    from workflows.report.style import figure_style
    from workflows.report.svg import svg_text

    theirs = {"font.size": 23, "axes.facecolor": "red", "svg.fonttype": "path"}
    with rc_context(theirs), figure_style():
        drawn = svg_text(accuracy.figure(data), "accuracy")
    assert drawn in (folder / "figures" / "accuracy.svg").read_text("utf-8")


def test_wilson_interval_at_published_points() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(right / n, n) == pytest.approx((low, high), abs=5e-5)


def test_failed_samples_count_as_the_worst_in_a_quantile() -> None:
    eight = np.array([3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert quantile_of_all(eight, n=10, share=0.5) == 5.0
    assert quantile_of_all(eight, n=10, share=0.95) == np.inf
    assert quantile_of_all(eight, n=8, share=0.95) == 8.0
    assert quantile_of_all(np.zeros(0), n=10, share=0.5) == np.inf


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (3.0, "3"), (0.0410, "0.0410"), (12.345, "12.3"), (2.5e-7, "2.50e-07"),
     (None, "not measured"), (float("nan"), "not measured"), (999.6, "1000")],
)  # fmt: skip
def test_numbers_in_words(value: float | None, words: str) -> None:
    assert significant(value) == words


def test_times_and_labels_in_words() -> None:
    assert [seconds(t) for t in (0.085, 4.62, 200.0, 7500.0)] == [
        "85 ms", "4.6 s", "3 min 20 s", "2 h 05 min",
    ]  # fmt: skip
    assert label("line\nbreak\x00") == "line break"
    assert label("xcell_123456789_987654321", 11) == "xcell…54321"


def test_shapes_that_do_not_fit_are_refused(data: ReportData) -> None:
    with pytest.raises(ValueError, match=r"codes of spice .*\(200, 10\)"):
        replace(data, codes={"spice": np.zeros((200, 9))})
    with pytest.raises(ValueError, match="unknown fidelity"):
        replace(data, codes={"spcie": np.zeros((200, 10))})
    with pytest.raises(ValueError, match="labels must be"):
        replace(data, labels=np.full(200, 10))
    with pytest.raises(ValueError, match="row_labels"):
        replace(data.tiles[0], row_labels=("x0",))
    with pytest.raises(ValueError, match="one shape"):
        replace(data.curves[0], spice_y=np.zeros(3))


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


def test_a_setting_reads_alike_wherever_it_stands() -> None:
    said = [quantity(*one) for one in ((6123136.0, "Ω"), (0.0, "V"), (2.75e-5, "S"), (4.5e-8, "S"))]
    assert said == ["6.123 MΩ", "0 V", "27.5 µS", "45 nS"]
    assert quantity_range(1e-8, 8e-8, "S") == "10 to 80 nS"


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
