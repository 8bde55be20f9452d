"""The transfer matrix of an ohmic array, measured in ngspice: one `.dc` sweep over unit vectors.

The currents of an ohmic array are linear in its inputs, so a read of every row alone, the others at
0 V, says all about it, and any number of vectors is then one product. That product is no longer a
run of ngspice: whoever wants every vector through the simulator reads the array with
`cosim.array.read_one.read_array(..., "spice")`, which never takes this way by itself.

Decks have no `.save` line. The check of Kirchhoff's law needs the voltage of every node of the
array anyway, and ngspice compares each saved name with every node: naming them costs a third of
the run, while leaving the others out saves nothing that can be measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.array.read_one import read_array
from cosim.ngspice import Ngspice, Outcome
from netlists.array import ReadArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpiceTransfer:
    """A transfer matrix and how its measurement ended.

    Args:
        transfer_s: [row, col] in siemens: the current out of bit line `col` for 1 V on word line
            `row`; NaN throughout unless the outcome is ok, since products need all rows.
        engine: what measured it, e.g. `ngspice-46 KLU`.
        outcome: how it ended.
        reason: why, if it did not end well.
        wall_s: seconds.
    """

    transfer_s: Array
    engine: str
    outcome: Outcome
    reason: str
    wall_s: float

    def current_a(self, input_v: Array) -> Array:
        """Currents out of the bit lines by a product, [batch, col] in amperes.

        Args:
            input_v: [batch, row] in volts.

        Raises:
            InputError: the inputs have another shape.
        """
        rows = len(self.transfer_s)
        if input_v.ndim != 2 or input_v.shape[1] != rows:
            raise InputError(
                "wrong shape",
                where="input_v",
                value=input_v.shape,
                allowed=f"[batch, row] = (n, {rows})",
            )
        return input_v @ self.transfer_s


def measure_transfer(
    array: ReadArray, *, ngspice: Ngspice | None = None, jobs: int = 1
) -> SpiceTransfer:
    """Measures the transfer matrix of an array of ohmic cells in ngspice.

    Every point of the sweep is held to Kirchhoff's law, as every read in ngspice is.

    Args:
        array: the array.
        ngspice: the simulator; found if not given.
        jobs: decks at a time; the rows are shared out among them.

    Returns:
        The matrix, or NaN with the outcome. A failed simulation is a result.

    Raises:
        InputError: the simulator cannot be found or started, or `jobs` is less than one.
    """
    if jobs < 1:
        raise InputError("at least one job is needed", where="jobs", value=jobs, allowed=">= 1")
    # 1 V each: the currents in amperes are the matrix in siemens.
    read = read_array(array, np.eye(array.crossbar.rows), "spice", ngspice=ngspice, jobs=jobs)
    transfer = read.current_a
    if read.outcome is not Outcome.OK:
        # Decks that ended well beside one that did not would leave rows that look whole.
        transfer = np.full_like(transfer, np.nan)
    return SpiceTransfer(transfer, read.engine, read.outcome, read.reason, read.wall_s)
