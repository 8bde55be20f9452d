"""The report of a run: figures with their numbers, and one HTML page that needs nothing else.

`build_report(data, folder)` writes `folder/index.html`, `folder/figures/NAME.svg` and
`folder/figures/NAME.csv`. A figure is a file in `figures/`: adding one means adding a file.
"""

from workflows.report.build import build_report
from workflows.report.data import (
    FIDELITIES,
    ReportData,
    TileData,
    WritingData,
)

__all__ = [
    "FIDELITIES",
    "ReportData",
    "TileData",
    "WritingData",
    "build_report",
]
