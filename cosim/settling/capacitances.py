"""The capacitances of an array: what its wires and cells have to charge before a read is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.settling.sparse_network import SparseNetwork, laplacian

Array = NDArray[np.float64]
Farad = float | torch.Tensor


@dataclass(frozen=True)
class Capacitances:
    """Capacitances of one array in farad, >= 0 and finite.

    One word-line and one bit-line node belong to every cell, as in `cosim.nodal.lines.Lines`; a
    capacitance per segment is put at the segment's node next to the cell. What stands at a driver
    or sense node itself does nothing there: a source holds it.

    Attributes:
        c_wordline_f: from the word-line node of every cell to ground; one value or [row, col].
        c_bitline_f: from the bit-line node of every cell to ground; one value or [row, col].
        c_cell_f: across every cell; one value or [row, col].
        c_driver_f: to ground between a driver's resistance and the first segment of its word line,
            at the left; one value or [row].
        c_sense_f: to ground between the last segment of a bit line and the resistance of its sense
            node, at the bottom; one value or [col].
    """

    c_wordline_f: Farad
    c_bitline_f: Farad
    c_cell_f: Farad = 0.0
    c_driver_f: Farad = 0.0
    c_sense_f: Farad = 0.0


def capacitance_matrix(network: SparseNetwork, capacitances: Capacitances) -> sp.csr_array:
    """The charges of the nodes for their voltages, [node, node] in farad.

    Ground is no node here, so the rows of the sense nodes tell what charge comes out of the array:
    that of the cells, not that to ground.

    Raises:
        InputError: a capacitance is negative or not finite, or a shape does not fit.
    """
    count = network.laplacian_s.shape[0]
    to_ground = np.zeros(count)
    for name, nodes in (
        ("c_wordline_f", network.word),
        ("c_bitline_f", network.bit),
        ("c_driver_f", network.driver_end),
        ("c_sense_f", network.sense_end),
    ):
        np.add.at(to_ground, nodes, _checked(name, capacitances, nodes.shape))
    to_ground[network.unknown :] = 0.0
    cell = _checked("c_cell_f", capacitances, network.word.shape)
    across = laplacian(network.word.ravel(), network.bit.ravel(), cell.ravel(), count)
    return (across + sp.diags_array(to_ground)).tocsr()


def _checked(name: str, capacitances: Capacitances, shape: tuple[int, ...]) -> Array:
    given = torch.as_tensor(getattr(capacitances, name), dtype=torch.float64)
    value = given.detach().cpu().numpy()
    good = (value >= 0) & np.isfinite(value)
    if not good.all():
        raise InputError(
            "not a capacitance",
            where=name,
            value=float(value[~good].flat[0]),
            allowed=">= 0 F and finite",
        )
    if value.ndim and value.shape != shape:
        raise InputError(
            "one value, or one for every node",
            where=name,
            value=value.shape,
            allowed=str(list(shape)),
        )
    return np.broadcast_to(value, shape)
