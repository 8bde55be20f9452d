"""Statistics and numbers as the report says them; data that do not fit are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workflows.report import ReportData
from workflows.report.statistics import quantile_of_all, wilson_interval
from workflows.report.text import label, quantity, quantity_range, seconds, significant


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


def test_a_setting_reads_alike_wherever_it_stands() -> None:
    said = [quantity(*one) for one in ((6123136.0, "Ω"), (0.0, "V"), (2.75e-5, "S"), (4.5e-8, "S"))]
    assert said == ["6.123 MΩ", "0 V", "27.5 µS", "45 nS"]
    assert quantity_range(1e-8, 8e-8, "S") == "10 to 80 nS"
