"""`[device]` of a configuration as what the cells of a chip are."""

from __future__ import annotations

from pathlib import Path

from compact_models.cell_device import CellDevice
from cosim.array.device_spec import DeviceSpec


def cell_device(spec: DeviceSpec) -> CellDevice | None:
    """The device in the netlist's cells; None where these are ohmic.

    A pulse device is: what it conducts does not depend on the voltage.

    Raises:
        InputError: there is no such model or parameter set.
    """
    if not spec.name:
        return None
    from compact_models.library import find_model, find_set  # loads sympy

    model = find_model(spec.name)
    if model.pulse is not None:
        return None
    return CellDevice(model, find_set(model, spec.parameters or None))


def with_places(spec: DeviceSpec, folder: Path) -> DeviceSpec:
    """The same with the paths of files, which are relative to the configuration's folder."""
    found = {
        key: str((folder / name).resolve())
        for key, ending in (("name", ".py"), ("parameters", ".toml"))
        if (name := getattr(spec, key)).endswith(ending)
    }
    return spec.model_copy(update=found) if found else spec
