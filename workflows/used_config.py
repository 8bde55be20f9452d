"""The configuration that a run really used: what played no part is left out, what came in is in."""

from __future__ import annotations

import tomllib
from typing import Any

import tomli_w

from compact_models.ohmic import OhmicCell
from cosim.array.cell_pulses import cell_pulses
from workflows.cell_device import found_device, spread_of
from workflows.config import Config
from workflows.report_hardware import in_cells
from workflows.runfolder import RunRecord


def used_config(record: RunRecord, config: Config, *, images: int, written: bool) -> str:
    """As a TOML file that reads back to the same chip and training.

    Args:
        record: of the run.
        config: as its file says it, with defaults.
        images: that were verified.
        written: whether the network was written into dynamic cells.
    """
    values: dict[str, Any] = tomllib.loads(config.to_toml())
    if record.module:
        values["network"] = {"module": values["network"]["module"]}
    if record.made_by == "map":
        values["train"] = {"max_surrogate_error": values["train"]["max_surrogate_error"]}
    values["verify"]["images"] = images
    if in_cells(config):
        _as_the_device_has_it(values, config)
    else:
        for section in ("pulse", "backward"):  # of updates and errors, which there were none of
            del values[section]
    for section, used in (
        ("device", bool(config.device.name)),
        ("layer", bool(config.layer)),
        ("blocks", bool(config.blocks.roles)),
        ("write", written),
    ):
        if not used:
            del values[section]
    return tomli_w.dumps(values)


def _as_the_device_has_it(values: dict[str, Any], config: Config) -> None:
    """What a device brings along: its set, and a pulse device its conductances and its pulses."""
    model, numbers = found_device(config.device)
    values["device"]["parameters"] = config.device.parameters or numbers.name
    if model.pulse is None:
        if config.cell == OhmicCell():  # all that the device reaches
            del values["cell"]
        return
    del values["cell"]
    values["device"]["d2d"] = spread_of(config.device)
    for name, own in values["layer"].items():
        if "device" in own:
            own["device"]["d2d"] = spread_of(config.of_layer(name).device)
    up, down = cell_pulses(numbers, config.pulse)
    values["pulse"] |= {
        "amplitude_v": up.amplitude_v,
        "amplitude_down_v": -down.amplitude_v,
        "width_s": up.width_s,
        "edge_s": up.rise_s,
    }
