"""`[device]` of a configuration as what the cells of a chip are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from cosim.array.device_spec import DeviceSpec

if TYPE_CHECKING:  # a configuration is read before sympy and torch are
    from compact_models.model import CompactModel, ParameterSet
    from compact_models.ohmic import OhmicCell
    from cosim.network.learning_device import LearningDevice
    from netlists.drivers.level import DriverSpec


def found_device(spec: DeviceSpec, section: str = "[device]") -> tuple[CompactModel, ParameterSet]:
    """The model and the parameter set of a device that is named.

    Raises:
        InputError: there is none of that name.
    """
    from compact_models.library import find_model, find_set

    try:
        model = find_model(spec.name)
    except InputError as error:
        raise error.at(f"{section} name") from error
    try:
        return model, find_set(model, spec.parameters or None)
    except InputError as error:
        raise error.at(f"{section} parameters") from error


def spreads(model: CompactModel) -> list[str]:
    """The parameters in which cells of a device may differ."""
    from cosim.array.pulse_pairs import SPREAD

    return list(SPREAD) if model.pulse is not None else [one.name for one in model.parameters]


def spread_of(spec: DeviceSpec) -> dict[str, float]:
    """How cells of a device differ: as its set says, but where `[device.d2d]` says more.

    Raises:
        InputError: there is no such device.
    """
    _, nominal = found_device(spec)
    return {**nominal.d2d, **spec.d2d}


def cells_that_learn(spec: DeviceSpec, cell: OhmicCell, driver: DriverSpec) -> LearningDevice:
    """Cells that pulses move; their spread is that of the set, but where `[device.d2d]` says more.

    Args:
        spec: `[device]`.
        cell: `[cell]`, the range of weights of a compact model, or its default for all it reaches.
        driver: `[driver]`, by whose voltage conductances are meant.

    Raises:
        InputError: there is no such device, or its cells cannot learn.
    """
    from cosim.network.build_in_situ import learning_device

    model, nominal = found_device(spec)
    return learning_device(
        model,
        nominal,
        cell=cell,
        read_v=driver.v_read_v,
        d2d=spread_of(spec),
        pair=spec.pair,
        sigma_step=spec.sigma_step,
    )


def cell_device(spec: DeviceSpec) -> CellDevice | None:
    """The device in the netlist's cells; None where these are ohmic.

    A pulse device is: what it conducts does not depend on the voltage.

    Raises:
        InputError: there is no such model or parameter set.
    """
    if not spec.name:
        return None
    model, numbers = found_device(spec)
    return None if model.pulse is not None else CellDevice(model, numbers)


def raising_sign_of(spec: DeviceSpec) -> int:
    """The polarity that raises the conductance of a named device; 1 of one that steps by a law.

    Raises:
        InputError: there is no such device, or no pulse raises it.
    """
    from cosim.network.chip_updates import raising_sign

    device = cell_device(spec)
    return 1 if device is None else raising_sign(device)


def with_places(spec: DeviceSpec, folder: Path) -> DeviceSpec:
    """The same with the paths of files, which are relative to the configuration's folder."""
    found = {
        key: str((folder / name).resolve())
        for key, ending in (("name", ".py"), ("parameters", ".toml"))
        if (name := getattr(spec, key)).endswith(ending)
    }
    return spec.model_copy(update=found) if found else spec
