"""Numbers that an instrument writes where it had none: they are codes, not measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compact_models.errors import InputError
from workflows.device.number_table import NumberTable

# SCPI has 9.9e37 for an overflow, -9.9e37 for one of the other sign and 9.91e37 for no number;
# others have 1e38, 3.4e38 (the end of a 32-bit number), 7e22 (Keithley 4200) or 199.999e9 and
# 199.999e99 (Keysight's and HP's source units). Nothing that is measured has such a size.
_CODE = 1e20
_DUMMY = 1.99999e11
_ROUNDING = 1e-5


def check_overflow(path: Path, table: NumberTable) -> None:
    """Refuses a table with an instrument's codes among its numbers.

    Raises:
        InputError: names the first line of them, and how many there are.
    """
    size = np.abs(table.as_written)
    code = (size >= _CODE) | (np.abs(size / _DUMMY - 1) < _ROUNDING)
    if not code.any():
        return
    row, place = (int(k) for k in np.argwhere(code)[0])
    one = table.columns[place]
    rows = int(code.any(axis=1).sum())
    raise InputError(
        f"{one.name} is no measurement but an instrument's code for an overflow or for no reading"
        f" ({rows} of {len(code)} rows have such numbers)",
        where=f"{path}:{table.lines[row]}",
        value=float(table.as_written[row, place]),
        allowed=f"what was measured, in {one.unit.text or 'pulses'}",
        hint="take such lines out, or put a # before each; then measure in a larger range",
    )
