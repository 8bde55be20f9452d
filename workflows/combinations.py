"""What goes together: algorithm, device, who reads and who updates; docs/training.md shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal, get_args

from compact_models.errors import InputError, closest
from compact_models.ohmic import OhmicCell
from cosim.array.device_spec import DeviceSpec
from cosim.pulses.spec import PulsesSpec
from cosim.training.train_spec import ALGORITHMS, TrainSpec, algorithm_specs
from workflows.config import Config

Kind = Literal["none", "pulse device", "compact model"]
"""What cells are: ohmic; a law of what a pulse does; equations of current and state."""


def refusal(algorithm: str, device: Kind, read: str, update: str) -> str:
    """Why these four do not go together, in words; empty where they do.

    Args:
        algorithm: that trains.
        device: what the cells are.
        read: who computes the arrays.
        update: who computes what pulses do; empty where none are applied.
    """
    if algorithm == "backprop":
        if read == "spice":
            return "no gradient comes out of ngspice"
        if read == "exact" and device == "compact model":
            return (
                "no gradient comes out of Newton's method: train through the surrogate, which is"
                " compared with exact"
            )
        if device == "pulse device":
            return (
                "backprop moves no cell by pulses, and a pulse device is read like an ohmic cell:"
                " it would change nothing"
            )
        return ""
    if device == "none":
        return "pulses move devices, and ohmic cells ([cell]) do not move"
    if update == "step" and device != "pulse device":
        return (
            "only a pulse device has a law of its step; others are updated by table, ode or spice"
        )
    return ""


def check_combination(config: Config) -> None:
    """Refuses a study whose parts do not go together.

    Raises:
        InputError: they do not; or there is no such device, set or parameter.
    """
    if config.device.name and "cell" in config.blocks.roles:
        raise InputError(
            "[device] and [blocks] cell are two cells",
            where="[device] name",
            value=config.device.name,
            hint="leave one of them out",
        )
    if device_kind(config.device) == "pulse device" and config.cell != OhmicCell():
        raise InputError(
            "[device] and [cell] are two cells",
            where="[device] name",
            value=config.device.name,
            hint="leave [cell] out: conductances are those of the device",
        )
    written = config.write.device
    if config.device.name and written and written != config.device.name:
        raise InputError(
            "the network is trained in one device and written into another",
            where="[write] device",
            value=written,
            allowed=f"{config.device.name}, as [device] says, or nothing",
            hint="leave [write] device out",
        )
    _check_layer(config.train, config.device, "[train]", "[device]")
    for name in config.layer:
        own = config.of_layer(name)
        _check_layer(own.train, own.device, f"[layer.{name}]", f"[layer.{name}.device]")
    _check_pulses(config.train, "[train.pulses]")
    for name in config.layer:
        _check_pulses(config.of_layer(name).train, f"[layer.{name}.pulses]")
    _check_share(config)
    _not_there_yet(config)


def _check_pulses(train: TrainSpec, section: str) -> None:
    """Refuses management of trains that are not drawn: it would change nothing."""
    pulses = getattr(train, "pulses", PulsesSpec())
    for key in ("update_management", "update_bl_management"):
        if pulses.kind == "deterministic" and not getattr(pulses, key):
            raise InputError(
                "deterministic trains are scaled to the largest x and d, and have max_pulses slots,"
                " with and without it",
                where=f"{section} {key}",
                value=False,
                hint="leave it out",
            )


def _check_share(config: Config) -> None:
    """Refuses reads in ngspice beside reads that have nothing to be compared with."""
    layers = [config.of_layer(name).train for name in config.layer]
    reads = {config.train.read, *(one.read for one in layers)}
    why = {
        "ideal": "ideal reads have no wires, and are off ngspice by all that wires take",
        "spice": "every read is one of ngspice already",
    }
    if not config.train.spice_check_share:
        return
    if "cell" in config.blocks.roles:
        raise InputError(
            "cells of your own are read by ngspice in a whole chip only",
            where="[train] spice_check_share",
            value=config.train.spice_check_share,
            hint="leave it out; spiceloop verify compares the trained chip with ngspice",
        )
    for read in sorted(reads & why.keys()):
        raise InputError(
            why[read],
            where="[train] spice_check_share",
            value=f"{config.train.spice_check_share:g}, read = {read!r}",
            allowed="beside read = surrogate or exact",
            hint="leave it out; spiceloop verify compares the trained chip with ngspice",
        )


def _check_layer(train: TrainSpec, device: DeviceSpec, section: str, cells: str) -> None:
    kind = device_kind(device, cells)
    update = str(getattr(train, "update", ""))
    why = refusal(train.algorithm, kind, train.read, update)
    if why:
        raise InputError(
            why,
            where=f"{section}, {cells}",
            value=f"{train.algorithm}, {update or train.read}, {device.name or 'no device'}",
            hint='name a device: [device] name = "soft_bounds"' if kind == "none" else "",
        )


def _not_there_yet(config: Config) -> None:
    """Refuses what the keys can say and nothing does yet."""
    train = config.train
    usual: dict[str, tuple[object, object, str]] = {}
    if train.algorithm == "backprop":
        usual["[device.d2d]"] = (", ".join(config.device.d2d), "", "leave it out")
        usual["[device] sigma_step"] = (config.device.sigma_step, 0.0, "leave it out")
        other = [name for name in config.layer if _other(config, name)]
        usual["[layer]"] = (", ".join(other), "", "all layers have the cells of [device]")
    else:
        for name in config.layer:
            kinds = {device_kind(config.device), device_kind(config.of_layer(name).device)}
            if _other(config, name) and kinds != {"pulse device"}:
                own = config.of_layer(name).device
                usual[f"[layer.{name}.device]"] = (
                    own.name or "no device",
                    config.device.name,
                    "layers may have pulse devices of their own; of compact models all have one",
                )
    for where, (value, has, hint) in usual.items():
        if value != has:
            raise InputError(
                f"{train.algorithm} does not do this yet", where=where, value=value, hint=hint
            )


def _other(config: Config, layer: str) -> bool:
    """A layer's cells are others than `[device]`, and not only differ or are more of them."""
    return config.of_layer(layer).device.kind != config.device.kind


def device_kind(device: DeviceSpec, section: str = "[device]") -> Kind:
    """What cells are, once the device, its set and the parameters that vary are found.

    Raises:
        InputError: there is none of that name.
    """
    if not device.name:
        return "none"
    from workflows.cell_device import found_device, spreads  # which load sympy and torch

    model, _ = found_device(device, section)
    known = spreads(model)
    for name in device.d2d:
        if name not in known:
            raise InputError(
                f"cells of {device.name} do not differ in this parameter",
                where=f"{section[:-1]}.d2d] {name}",
                allowed=", ".join(known),
                hint=closest(name, known),
            )
    return "compact model" if model.pulse is None else "pulse device"


def table() -> str:
    """Which combinations there are, as Markdown."""
    lines = ["| algorithm | cells | read | update | |", "| --- | --- | --- | --- | --- |"]
    for algorithm in ALGORITHMS:
        fields = algorithm_specs()[algorithm].model_fields
        reads = get_args(fields["read"].annotation)
        updates = get_args(fields["update"].annotation) if "update" in fields else ("",)
        for kind in get_args(Kind):
            went = [
                (read, update)
                for read in reads
                for update in updates
                if not refusal(algorithm, kind, read, update)
            ]
            cells = "ohmic, no [device]" if kind == "none" else kind
            if not went:
                why = refusal(algorithm, kind, reads[0], updates[0])
                lines.append(f"| `{algorithm}` | {cells} | - | - | no: {why} |")
                continue
            read, update = (_listed(pair[k] for pair in went) for k in (0, 1))
            no = [refusal(algorithm, kind, reads[0], one) for one in updates]
            why = next((text for text in no if text), "")
            lines.append(f"| `{algorithm}` | {cells} | {read} | {update or '-'} | {why} |")
    return "\n".join(lines) + "\n"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{one}`" for one in dict.fromkeys(values) if one)


if __name__ == "__main__":
    sys.stdout.write(table())
