"""A chip whose cells are devices: programmed conductances become states, and states what they are.

Programming is described by conductances, at the read voltage, with errors of their own; a device
takes the state that has such a conductance, as far as its range goes. Netlists are given the state.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from compact_models.errors import InputError
from cosim.array.device_cells import DeviceCells, device_cells
from netlists.chip import Chip
from netlists.hardware import Hardware


def cells_of(hardware: Hardware) -> DeviceCells | None:
    """What the cells of a chip are; None where they are ohmic.

    Raises:
        InputError: cells of this device cannot hold weights.
    """
    if hardware.device is None:
        return None
    return device_cells(hardware.device, hardware.driver.v_read_v)


def held_chip(chip: Chip) -> Chip:
    """The chip with every cell in the state that has its conductance.

    Cells that were programmed beyond what their device reaches stop there. A chip with ohmic cells
    is what it was.

    Raises:
        InputError: cells of this device cannot hold weights.
    """
    cells = cells_of(chip.hardware)
    if cells is None:
        return chip
    reached = tuple(
        tuple(cells.reached(torch.from_numpy(g)) for g in layer) for layer in chip.conductance_s
    )
    return replace(
        chip,
        conductance_s=tuple(tuple(g.numpy() for g in layer) for layer in reached),
        states=tuple(tuple(cells.held_of(g) for g in layer) for layer in reached),
    )


def check_range(hardware: Hardware) -> None:
    """Refuses a range of conductances that the device of the cells does not have.

    Raises:
        InputError: it does not reach [cell] g_off_s or g_on_s; or cannot hold weights at all.
    """
    cells = cells_of(hardware)
    if cells is None:
        return
    low, high = cells.range_s
    for key in ("g_off_s", "g_on_s"):
        value = getattr(hardware.cell, key)
        if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
            raise InputError(
                f"cells of {cells.device.label} do not have this conductance",
                where=f"[cell] {key}",
                value=value,
                allowed=f"{low:.4g} to {high:.4g} S at {cells.read_v:g} V",
                hint="set both g_off_s and g_on_s to what the device reaches",
            )
