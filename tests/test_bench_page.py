"""docs/results.md keeps the tables of benchmarks that were not run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.__main__ import with_section
from benchmarks.seeded_faults import FAULTS

PAGE = "# Measured\n\nText.\n\n## One\n\n| a |\n\nfirst\n\n## Two\n\n| b |\n\nsecond\n"


def test_a_section_takes_the_place_of_the_old_one() -> None:
    page = with_section(PAGE, "## One\n\n| new |\n")
    assert page == "# Measured\n\nText.\n\n## One\n\n| new |\n\n## Two\n\n| b |\n\nsecond\n"
    assert with_section(page, "## One\n\n| a |\n\nfirst\n") == PAGE


def test_a_new_section_comes_last() -> None:
    page = with_section(PAGE, "## Three\n\nthird\n")
    assert page == PAGE + "\n## Three\n\nthird\n"


def test_the_page_itself_stays_as_it_is() -> None:
    page = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    last = "## " + page.rstrip("\n").split("\n## ")[-1] + "\n"
    assert with_section(page, last) == page


def test_the_places_of_seeded_faults_are_there() -> None:
    """The benchmark takes a quarter of an hour, and a file that moved would end it midway."""
    root = Path(__file__).parents[1]
    counts = {
        fault.what: (root / fault.path).read_text(encoding="utf-8").count(fault.old)
        for fault in FAULTS
    }
    assert set(counts.values()) == {1}, counts
