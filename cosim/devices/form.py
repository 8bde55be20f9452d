"""In which form ngspice gets a dynamic device: compiled (OSDI), or as behavioural (B) sources.

Compiled is faster. Where a device cannot be compiled it runs as B sources, which give the same
numbers, and every result says which form it had and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.read_form import is_linear
from cosim.devices.osdi import compile_osdi, find_openvaf, try_compiler
from cosim.ngspice import Ngspice
from netlists.cells import held, memristor


@dataclass(frozen=True)
class DeviceForm:
    """A form, chosen or asked for.

    Attributes:
        library: the OSDI library of the device; None: it runs as B sources.
        why_not: why it was not compiled, in words; empty if it was, or if B sources were asked for.
    """

    library: bytes | None = None
    why_not: str = ""

    @property
    def compiled(self) -> bool:
        """The device is a compiled (OSDI) model."""
        return self.library is not None

    @property
    def label(self) -> str:
        """What results call it."""
        if self.compiled:
            return "compiled (OSDI)"
        return f"B sources (not compiled: {self.why_not})" if self.why_not else "B sources"


B_SOURCES = DeviceForm()


def device_form(
    model: CompactModel,
    parameter_set: ParameterSet,
    ngspice: Ngspice,
    *,
    compiled: bool | None = None,
) -> DeviceForm:
    """The form of a device.

    Args:
        model: the device.
        parameter_set: its numbers.
        ngspice: who gets it.
        compiled: True: compiled or refused; False: B sources; None: compiled where that is
            possible.

    Raises:
        InputError: `compiled` is True and that is not possible.
    """
    if compiled is False:
        return B_SOURCES
    return _compiled(memristor.compiled(model, parameter_set)[1], ngspice, refuse=bool(compiled))


def held_form(device: CellDevice, ngspice: Ngspice) -> DeviceForm:
    """The form of cells that are read while their states stand still.

    Compiled where that is possible; a current that is proportional to the voltage is a linear
    element in any case.

    Args:
        device: what the cells are.
        ngspice: who gets them.
    """
    if is_linear(device.model):
        return B_SOURCES
    return _compiled(held.compiled(device)[1], ngspice, refuse=False)


def _compiled(text: str, ngspice: Ngspice, *, refuse: bool) -> DeviceForm:
    try:
        return DeviceForm(compile_osdi(text, require_compiler(ngspice)))
    except InputError as error:
        if refuse:
            raise
        return DeviceForm(None, error.what)


def trial_form(ngspice: Ngspice) -> tuple[DeviceForm, InputError | None]:
    """The form of a device of two lines, compiled anew, and why it is not compiled."""
    try:
        return DeviceForm(try_compiler(require_compiler(ngspice))), None
    except InputError as error:
        return DeviceForm(None, error.what), error


def can_compile(ngspice: Ngspice) -> bool:
    """True if compiled models can be made, which is tried, and loaded here."""
    return trial_form(ngspice)[0].compiled


def require_compiler(ngspice: Ngspice) -> Path:
    """The Verilog-A compiler for an ngspice that loads what it makes; it has not been tried.

    Raises:
        InputError: one of the two is missing.
    """
    if not ngspice.osdi:
        raise InputError(
            f"ngspice {ngspice.version} loads no compiled devices",
            where=str(ngspice.path),
            hint="install ngspice 42 or newer, as './run setup' does where the machine offers it",
        )
    compiler = find_openvaf()
    if compiler is None:
        raise InputError(
            "there is no Verilog-A compiler",
            where="openvaf-r",
            hint='install the extra "spiceloop[osdi]"',
        )
    return compiler
