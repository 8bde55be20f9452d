"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
Out = Annotated[Path, typer.Option("-o", "--out", help="where the result goes")]
