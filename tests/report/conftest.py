"""A run as the report gets it, and its page, built once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.page import Page
from tests.report.synthetic import report_data
from workflows.report import ReportData, build_report


@pytest.fixture(scope="session")
def data() -> ReportData:
    return report_data()


@pytest.fixture(scope="session")
def slim() -> ReportData:
    """Images and codes alone: quick to draw."""
    return replace(report_data(n_images=30), tiles=(), curves=(), training={}, simulations=())


@pytest.fixture(scope="session")
def folder(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(data, tmp_path_factory.mktemp("run") / "report").parent


@pytest.fixture(scope="session")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text("utf-8"))
