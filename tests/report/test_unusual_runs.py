"""Runs that failed, have nothing or too much to show; what a new report replaces."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compact_models.errors import InputError
from tests.report.page import Page
from tests.report.synthetic import report_data, tile
from workflows.report import FIDELITIES, ReportData, build_report


def test_no_failure_is_said_plainly(tmp_path: Path) -> None:
    data = report_data(n_images=40, n_failed=0)
    ok = tuple(s for s in data.simulations if s.outcome == "ok")
    data = replace(data, simulations=ok, tiles=(), curves=(), training={})
    page = Page(build_report(data, tmp_path / "r").read_text("utf-8"))
    assert "0 of 40 images failed in SPICE" in page.text
    assert "0 failed of 23 simulations." in page.text


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
