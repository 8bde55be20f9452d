"""The page: complete, escaped, self-contained, reproducible."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.report.page import Page, read
from tests.report.synthetic import HOSTILE, hostile
from workflows.report import ReportData, build_report
from workflows.report.figures import (
    find_figures,
)
from workflows.report.style import figure_style


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
    errors = [float(r["spice_error_share"]) for r in rows]
    np.testing.assert_array_equal(errors, data.training["spice_error"])


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


def test_each_failed_simulation_is_listed(page: Page) -> None:
    assert "2 failed of 25 simulations: 1 no convergence, 1 timeout." in page.text
    assert "layer1_batch7" in page.text
    assert "gmin and source stepping failed at point 14 of 25" in page.text


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


def test_reader_settings_of_matplotlib_play_no_part(folder: Path, data: ReportData) -> None:
    from matplotlib import rc_context

    from workflows.report.figures import accuracy
    from workflows.report.svg import svg_text

    theirs = {"font.size": 23, "axes.facecolor": "red", "svg.fonttype": "path"}
    with rc_context(theirs), figure_style():
        drawn = svg_text(accuracy.figure(data), "accuracy")
    assert drawn in (folder / "figures" / "accuracy.svg").read_text("utf-8")
