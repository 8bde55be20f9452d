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
from cosim.driven.table import MOST_SIGMA
from cosim.driven.writable import WritableArray
from cosim.surrogate.update import UpdateSurrogate
from cosim.synapse.default_pulses import EDGE
from cosim.tables.cache import CalibratedUpdate, cached_update, updates_folder
from cosim.tables.update import MOST, Report, check_levels
from cosim.write.amplitudes import AmplitudeRule, quiet_rule
from cosim.write.polarity import check_polarity
from cosim.write.verify import MeanDevice, VerifySpec
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import WriteScheme, write_schemes
from workflows.config import Config

Array = NDArray[np.float64]

_READ_V = 0.1  # of cells that a chip reads as ohmic ones
_HEADROOM = 1.4  # of the highest amplitude, over the usual pulse
_STILL = 1e-4  # of a state's range


@dataclass(frozen=True, eq=False)
class WritePlan:
    """How the tiles of a network are written.

    Attributes:
        scheme: what the lines that are not selected carry.
        spec: when a cell is done.
        update: what one pulse does to the device, and when that was measured.
        rule: how high the next pulse is.
    """

    scheme: WriteScheme
    spec: VerifySpec
    update: CalibratedUpdate
    rule: AmplitudeRule

    @property
    def surrogate(self) -> UpdateSurrogate:
        """What one pulse does to the device."""
        return self.update.surrogate


def plan_writing(config: Config, report: Report | None = None) -> WritePlan:
    """What `[write]` asks for, with the update surrogate: some 50 s for `stanford`, the first time.

    Raises:
        InputError: as `check_writing`; or pulses of one sign move nothing, or do the opposite.
    """
    scheme, wanted = chosen_scheme(config), config.writing
    _equal_wires(config)
    update = calibrated(config, report)
    surrogate = update.surrogate
    for end, words in ((0, "lowest"), (-1, "highest")):
        # Where the source had no answer at all the heat is NaN and the change says nothing.
        known = not bool(surrogate.heat_j_per_v2[end].isnan().all())
        if known and float(surrogate.change[end].abs().max()) >= _STILL:
            continue
        what = f"no state of {written_device(config)} moves by its {words} pulse"
        if not known:
            what = f"the {words} pulse of {wanted.device!r} was not solved ({surrogate.reason})"
        raise InputError(
            what,
            where="[write] amplitude_v, amplitude_down_v, width_s",
            value=(wanted.amplitude_v, wanted.amplitude_down_v, wanted.width_s),
            allowed=f"pulses that write: {surrogate.range_v[end]:.3g} V, the usual one and what"
            " cells may need beyond it, does not",
        )
    check_polarity(
        MeanDevice.of(_bare(config, (1, 1)), _read_v(config)), surrogate,
        ("[write] amplitude_v", wanted.amplitude_v),
        ("[write] amplitude_down_v", wanted.amplitude_down_v),
    )  # fmt: skip
    rule = quiet_rule(surrogate, scheme.half_selected, most_gain=most_gain(config))
    return WritePlan(scheme, verify_spec(config), update, rule)


def check_writing(config: Config) -> None:
    """Refuses a `[write]` that no network could be written by.

    Raises:
        InputError: an unknown device, set or scheme, pulses that the device cannot be given, or
            segments that differ.
    """
    chosen_scheme(config)
    _equal_wires(config)
    _device(config)
    _range_v(config)
    if config.hardware.cells:
        raise InputError(
            "a network is written into cells of one range, and layers of this one differ",
            where="[layer]",
            value=", ".join(config.hardware.cells),
            hint="leave their [layer.NAME.device] out",
        )


def chosen_scheme(config: Config) -> WriteScheme:
    """The scheme, one for cells without selector or transistor.

    Raises:
        InputError: it is none of those.
    """
    name, known = config.writing.scheme, write_schemes()
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
        hint="" if name in known else closest(name.lower(), bare),
    )  # fmt: skip


def verify_spec(config: Config) -> VerifySpec:
    """When a cell is done: half a step of the levels from its target."""
    range_s = config.hardware.cell.g_on_s - config.hardware.cell.g_off_s
    return VerifySpec(
        tolerance_s=range_s / (2 * (config.writing.levels - 1)),
        read_v=_read_v(config),
        most_pulses=config.writing.most_pulses,
        at_once=config.writing.at_once,
        rounds=config.writing.rounds,
    )


def calibrated(config: Config, report: Report | None = None) -> CalibratedUpdate:
    """What one pulse does to the device, up to what the cell that needs most may need.

    Raises:
        InputError: as `check_writing`.
    """
    model, numbers = _device(config)
    range_v, width_s = _range_v(config), config.writing.width_s
    highest_v = max(config.writing.amplitude_v, config.writing.amplitude_down_v)
    pulse = Pulse(highest_v, width_s, EDGE * width_s, EDGE * width_s)
    return cached_update(model, numbers, pulse, range_v, folder=updates_folder(), report=report)


def most_gain(config: Config) -> float:
    """Of the cell that switches at the lowest voltages: the mean device's over these."""
    return math.exp(MOST_SIGMA * config.writing.sigma_switching)


def fresh_tile(config: Config, target_s: Array) -> WritableArray:
    """A tile for these targets [row, col], whose cells are all off.

    Raises:
        InputError: the device cannot be as conducting as a cell that is off.
    """
    tile = _bare(config, target_s.shape)
    try:
        return tile.at_conductance(
            np.full(target_s.shape, config.hardware.cell.g_off_s), _read_v(config)
        )
    except InputError as error:
        raise InputError(
            f"cells that are off cannot be {written_device(config)}",
            where="[cell] g_off_s",
            value=config.hardware.cell.g_off_s,
            allowed=error.allowed,
            hint="train with cells that the device of [write] can be",
        ) from error


def _read_v(config: Config) -> float:
    """What cells are read with between pulses: where they are devices, as the chip reads them."""
    return config.driver.v_read_v if config.device.name else _READ_V


def _bare(config: Config, shape: tuple[int, ...]) -> WritableArray:
    """A tile with cells in the set's initial states."""
    model, numbers = _device(config)
    return WritableArray(
        model=model,
        parameter_set=numbers,
        wires=_equal_wires(config),
        states={x.name: np.full(shape, numbers.initial[x.name]) for x in model.states},
        r_word_driver_ohm=config.driver.r_driver_ohm,
        r_bit_driver_ohm=config.driver.r_driver_ohm,
    )


def _equal_wires(config: Config) -> Wires:
    try:
        return Wires(*config.hardware.wires.equal_ohm("writing"))
    except InputError as error:
        raise error.at("[wires] file") from error


def written_device(config: Config) -> str:
    """What the network is written into, as a user calls it: the model and its set.

    Raises:
        InputError: there is no such model or set.
    """
    model, numbers = _device(config)
    return f"{model.name} {numbers.name}"


def _device(config: Config) -> tuple[CompactModel, ParameterSet]:
    try:
        model = find_model(config.writing.device)
    except InputError as error:
        raise error.at("[write] device") from error
    try:
        return model, find_set(model, config.writing.parameters or None)
    except InputError as error:
        raise error.at("[write] parameters") from error


def _range_v(config: Config) -> tuple[float, float]:
    """The least and the greatest level that a cell may need [V]."""
    wanted = config.writing
    low, high = sorted((wanted.amplitude_v, wanted.amplitude_down_v))
    if not low < 0 < high:
        raise InputError(
            "pulses that raise and that lower a conductance have opposite signs",
            where="[write] amplitude_v, amplitude_down_v",
            value=(wanted.amplitude_v, wanted.amplitude_down_v),
            allowed="one above and one below 0 V",
        )
    beyond = _HEADROOM * most_gain(config)
    range_v = beyond * low, beyond * high
    model, numbers = _device(config)
    try:
        check_levels(model, numbers, range_v)
    except InputError as error:
        if error.where == "model":
            raise error.at("[write] device") from error
        most_v = MOST * numbers.amplitude_v / beyond
        raise InputError(
            f"the highest pulse that a cell may need, {beyond:.3g} times the usual one, is beyond"
            " what the model is good for",
            where="[write] amplitude_v, amplitude_down_v",
            value=(wanted.amplitude_v, wanted.amplitude_down_v),
            allowed=f"{-most_v:.3g} to {most_v:.3g} V; more with a smaller sigma_switching than"
            f" {wanted.sigma_switching:g}",
        ) from error
    return range_v
