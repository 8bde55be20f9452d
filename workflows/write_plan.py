"""What `[write]` of a configuration asks for: scheme, device, pulses, when a cell is done.

`check_writing` says before a network is trained what could never be written as configured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.library import find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from cosim.calibration.update import calibrate_update, check_levels
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import AmplitudeRule, quiet_rule
from cosim.write.array_surrogate import MOST_SIGMA
from cosim.write.default_pulses import EDGE
from cosim.write.verify import VerifySpec
from cosim.write.writable import WritableArray
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme, write_schemes
from workflows.config import Config

Array = NDArray[np.float64]

_READ_V = 0.1
_HEADROOM = 1.4  # of the highest amplitude, over the usual pulse


@dataclass(frozen=True, eq=False)
class WritePlan:
    """How the tiles of a network are written.

    Attributes:
        scheme: what the lines that are not selected carry.
        spec: when a cell is done.
        surrogate: what one pulse does to the device.
        rule: how high the next pulse is.
    """

    scheme: WriteScheme
    spec: VerifySpec
    surrogate: UpdateSurrogate
    rule: AmplitudeRule


def plan_writing(config: Config) -> WritePlan:
    """What `[write]` asks for, with the update surrogate measured: some 20 s for `stanford`.

    Raises:
        InputError: as `check_writing`.
    """
    scheme = chosen_scheme(config)
    surrogate = calibrated(config)
    rule = quiet_rule(surrogate, scheme.half_selected, most_gain=most_gain(config))
    return WritePlan(scheme, verify_spec(config), surrogate, rule)


def check_writing(config: Config) -> None:
    """Refuses a `[write]` that no network could be written by.

    Raises:
        InputError: an unknown device, set or scheme, or pulses that the device cannot be given.
    """
    chosen_scheme(config)
    _device(config)
    _range_v(config)


def chosen_scheme(config: Config) -> WriteScheme:
    """The scheme, one for cells without selector or transistor.

    Raises:
        InputError: it is none of those.
    """
    name, known = config.write.scheme, write_schemes()
    bare = [key for key, scheme in known.items() if scheme.access == "nothing"]
    if name in bare:
        return known[name]
    what = "no such scheme"
    if name in known:
        what = (
            f"scheme {name!r} needs a {known[name].access} before every memristor; a chip's cells"
            " have none"
        )
    raise InputError(
        what, where="[write] scheme", value=name, allowed=", ".join(bare),
        hint="" if name in known else closest(name, bare),
    )  # fmt: skip


def verify_spec(config: Config) -> VerifySpec:
    """When a cell is done: half a step of the levels from its target."""
    range_s = config.cell.g_on_s - config.cell.g_off_s
    return VerifySpec(
        tolerance_s=range_s / (2 * (config.write.levels - 1)),
        read_v=_READ_V,
        most_pulses=config.write.most_pulses,
        at_once=config.write.at_once,
        rounds=config.write.rounds,
    )


def calibrated(config: Config) -> UpdateSurrogate:
    """What one pulse does to the device, up to what the cell that needs most may need.

    Raises:
        InputError: as `check_writing`.
    """
    model, numbers = _device(config)
    range_v, width_s = _range_v(config), config.write.width_s
    highest_v = max(config.write.amplitude_v, config.write.amplitude_down_v)
    pulse = Pulse(highest_v, width_s, EDGE * width_s, EDGE * width_s)
    return calibrate_update(model, numbers, pulse, range_v)


def most_gain(config: Config) -> float:
    """Of the cell that switches at the lowest voltages: the mean device's over these."""
    return math.exp(MOST_SIGMA * config.write.sigma_switching)


def fresh_tile(config: Config, target_s: Array) -> WritableArray:
    """A tile for these targets [row, col], whose cells are all off.

    Raises:
        InputError: the device cannot be as conducting as a cell that is off.
    """
    model, numbers = _device(config)
    tile = WritableArray(
        model=model,
        parameter_set=numbers,
        wires=config.wires,
        states={x.name: np.full(target_s.shape, numbers.initial[x.name]) for x in model.states},
        r_driver_ohm=config.driver.r_driver_ohm,
    )
    return tile.at_conductance(np.full(target_s.shape, config.cell.g_off_s), _READ_V)


def _device(config: Config) -> tuple[CompactModel, ParameterSet]:
    try:
        model = find_model(config.write.device)
    except InputError as error:
        raise error.within("[write] device") from error
    try:
        return model, find_set(model, config.write.parameters)
    except InputError as error:
        raise error.within("[write] parameters") from error


def _range_v(config: Config) -> tuple[float, float]:
    """The least and the greatest level that a cell may need [V]."""
    wanted = config.write
    low, high = sorted((wanted.amplitude_v, wanted.amplitude_down_v))
    if not low < 0 < high:
        raise InputError(
            "pulses that raise and that lower a conductance have opposite signs",
            where="[write] amplitude_v, amplitude_down_v",
            value=(wanted.amplitude_v, wanted.amplitude_down_v),
        )
    beyond = _HEADROOM * most_gain(config)
    range_v = beyond * low, beyond * high
    model, numbers = _device(config)
    try:
        check_levels(model, numbers, range_v)
    except InputError as error:
        if error.where == "model":
            raise error.within("[write] device") from error
        raise InputError(
            f"{error.what}: pulses may have to be {beyond:.3g} times as high as the usual one, by"
            f" {_HEADROOM:g} for cells that need more and the rest for their spread",
            where="[write] amplitude_v, amplitude_down_v, sigma_switching",
            value=(wanted.amplitude_v, wanted.amplitude_down_v, wanted.sigma_switching),
            allowed=f"pulses within {error.allowed}",
        ) from error
    return range_v
