"""The trained network written into dynamic cells: pulses, what they reach, and what it costs.

The chip of a run has ohmic cells with a drawn programming error. Here its target conductances are
written instead, tile by tile, by write-verify on the tile's own wires and drivers. Thousands of
pulses go through the update surrogate of the device; one of them goes through ngspice too, on the
whole tile, and how far the two are apart is said.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.calibration.update import QUICK, calibrate_update, check_levels
from cosim.fidelities.exact import ExactModel
from cosim.forward import forward
from cosim.ngspice import Ngspice, find_ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import Predicted, quiet_limits_v
from cosim.write.array_surrogate import surrogate_engine
from cosim.write.default_pulses import EDGE
from cosim.write.engines import ngspice_engine
from cosim.write.ledger import worst_disturb
from cosim.write.verify import VerifySpec, Written, write_verify
from cosim.write.writable import WritableArray
from netlists.chip import Chip
from netlists.mapping import tile_targets
from netlists.pulse import Pulse
from netlists.write_schemes import find_scheme
from workflows import runfolder
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, load_split

Array = NDArray[np.float64]

_READ_V = 0.1
_HEADROOM = 1.4  # of the highest amplitude, over the usual pulse
_HALF = 0.5  # of V/2


@dataclass(frozen=True)
class ChipWriting:
    """`write.json`: what writing the network took and left."""

    device: str
    cells: int
    met: int
    tolerance_s: float
    pulses: int
    most_pulses: int
    latency_s: float
    energy_j: float
    energy_given_j: float
    worst_error_s: float
    rms_error_s: float
    worst_disturb: float
    images: int
    accuracy_target: float
    accuracy_written: float
    spice_engine: str
    spice_states_apart: float | None
    spice_reason: str
    wall_s: float
    arrays_sha256: str


def write_chip_run(run: Path, reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
    """Writes a run's network; returns (JSON object, lines of text, exit code)."""
    found = write_chip(run, find_ngspice(), reporter)
    apart = found.spice_reason
    if found.spice_states_apart is not None:
        apart = f"{100 * found.spice_states_apart:.2g} % of a state's range at worst"
    lines = [
        f"{found.device}: {found.met} of {found.cells} cells within"
        f" {found.tolerance_s * 1e6:.3g} uS, largest error {found.worst_error_s * 1e6:.3g} uS,"
        f" rms {found.rms_error_s * 1e6:.3g} uS",
        f"{found.pulses} pulses, at most {found.most_pulses} on a cell, {found.latency_s:.3g} s,"
        f" {found.energy_j:.3g} J in cells, {found.energy_given_j:.3g} J from the drivers",
        f"accuracy {found.accuracy_target:.4f} with the targets,"
        f" {found.accuracy_written:.4f} as written, {found.images} held-out images, exact circuit",
        f"one of the pulses in {found.spice_engine}, on its whole tile: {apart}",
        f"disturb: at worst {100 * found.worst_disturb:.2g} % of a state's range, in all pulses",
    ]
    return dataclasses.asdict(found), lines, 0 if found.met == found.cells else 1


def write_chip(run: Path, ngspice: Ngspice, reporter: Reporter) -> ChipWriting:
    """Writes the network of a run into dynamic cells; `write.json` and `write.npz` go into the run.

    Args:
        run: a run folder.
        ngspice: the simulator of the pulse that is checked.
        reporter: where progress goes.

    Raises:
        InputError: this is no run, or the device cannot hold its conductances.
    """
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    split = load_split(config.data, seed=config.study.seed)
    surrogate = _calibrated(config, reporter)
    targets = _targets(chip)
    spec = VerifySpec(
        tolerance_s=(config.cell.g_on_s - config.cell.g_off_s) / (2 * (config.write.levels - 1)),
        read_v=_READ_V,
        most_pulses=config.write.most_pulses,
    )
    tiles = [(layer, k) for layer, plan in enumerate(chip.plans) for k in range(len(plan.tiles))]
    done: dict[tuple[int, int], Written] = {}
    low_v, high_v = quiet_limits_v(surrogate, _HALF)
    rule = Predicted(surrogate, surrogate, limits_v=(low_v, high_v))
    pulses = (surrogate.pulse, surrogate.pulse)
    with reporter.stage("writing the network into its cells") as progress:
        for number, (layer, k) in enumerate(tiles):
            target = targets[layer][k]
            fresh = _fresh(config, target)

            def report(lines: int, of: int, number: int = number) -> None:
                progress(1000 * number + 1000 * lines // of, 1000 * len(tiles))

            done[layer, k] = write_verify(
                fresh, target, find_scheme("v2"), pulses, surrogate_engine(surrogate), rule, spec,
                report=report,
            )  # fmt: skip
    with reporter.stage("one of its pulses in ngspice"):
        apart, reason = _against_spice(config, targets[0][0], surrogate, ngspice, (low_v, high_v))
    count = min(config.verify.images, len(split.test_y))
    achieved = [
        [done[layer, k].conductance_s for k in range(len(plan.tiles))]
        for layer, plan in enumerate(chip.plans)
    ]
    flat = [np.concatenate([g.ravel() for layer in x for g in layer]) for x in (targets, achieved)]
    counts = np.concatenate([done[place].ledger.pulses.ravel() for place in tiles])
    sha256 = runfolder.write_npz(
        run / "write.npz", {"target_s": flat[0], "achieved_s": flat[1], "pulses": counts}
    )
    off = flat[1] - flat[0]
    ledgers = [done[place].ledger for place in tiles]
    result = ChipWriting(
        device=f"{config.write.device} {config.write.parameters}",
        cells=len(off),
        met=int(sum(one.within.sum() for one in done.values())),
        tolerance_s=spec.tolerance_s,
        pulses=int(counts.sum()),
        most_pulses=int(counts.max()),
        latency_s=sum(one.latency_s for one in done.values()),
        energy_j=float(sum(one.energy_j.sum() for one in ledgers)),
        energy_given_j=float(sum(one.given_j for one in ledgers)),
        worst_error_s=float(np.abs(off).max()),
        rms_error_s=float(np.sqrt((off**2).mean())),
        worst_disturb=max((worst_disturb(one).moved for one in ledgers), key=abs),
        images=count,
        accuracy_target=_accuracy(chip, targets, split, count),
        accuracy_written=_accuracy(chip, achieved, split, count),
        spice_engine=f"ngspice-{ngspice.version}",
        spice_states_apart=apart,
        spice_reason=reason,
        wall_s=sum(wall for _, wall in reporter.stages),
        arrays_sha256=sha256,
    )
    runfolder.write_json(run / "write.json", dataclasses.asdict(result))
    return result


def _calibrated(config: Config, reporter: Reporter) -> UpdateSurrogate:
    wanted = config.write
    model = find_model(wanted.device)
    numbers = find_set(model, wanted.parameters)
    levels = sorted((wanted.amplitude_v, wanted.amplitude_down_v))
    if not levels[0] < 0 < levels[1]:
        raise InputError(
            "pulses that raise and that lower a conductance have opposite signs",
            where="write.amplitude_v, write.amplitude_down_v",
            value=(wanted.amplitude_v, wanted.amplitude_down_v),
        )
    range_v = (_HEADROOM * levels[0], _HEADROOM * levels[1])
    check_levels(model, numbers, range_v)
    pulse = Pulse(levels[1], wanted.width_s, EDGE * wanted.width_s, EDGE * wanted.width_s)
    with reporter.stage(f"what a pulse does to {wanted.device} {wanted.parameters}"):
        return calibrate_update(model, numbers, pulse, range_v, effort=QUICK)


def _targets(chip: Chip) -> list[list[Array]]:
    """The conductances that the weights stand for, [layer][tile] -> [row, col]."""
    return [
        [
            g.numpy()
            for g in tile_targets(
                plan, torch.from_numpy(layer / plan.weight_scale), chip.hardware.cell
            )
        ]
        for layer, plan in zip(chip.weights, chip.plans, strict=True)
    ]


def _fresh(config: Config, target_s: Array) -> WritableArray:
    """A tile whose cells are all off."""
    model = find_model(config.write.device)
    numbers = find_set(model, config.write.parameters)
    tile = WritableArray(
        model=model,
        parameter_set=numbers,
        wires=config.wires,
        states={x.name: np.full(target_s.shape, numbers.initial[x.name]) for x in model.states},
        r_driver_ohm=config.driver.r_driver_ohm,
    )
    return tile.at_conductance(np.full(target_s.shape, config.cell.g_off_s), _READ_V)


def _against_spice(
    config: Config,
    target_s: Array,
    surrogate: UpdateSurrogate,
    ngspice: Ngspice,
    limits_v: tuple[float, float],
) -> tuple[float | None, str]:
    """How far apart the states are after the first row's first pulse, and why if there is none."""
    fresh = _fresh(config, target_s)
    fresh = fresh.at_conductance(np.clip(target_s, 2 * config.cell.g_off_s, None), _READ_V)
    amplitude = np.zeros(target_s.shape)
    raises = config.write.amplitude_v > 0
    amplitude[0] = 0.9 * (limits_v[1] if raises else limits_v[0])
    stimulus = fresh.under(find_scheme("v2").levels(amplitude), surrogate.pulse)
    known, found = ngspice_engine(ngspice)(stimulus), surrogate_engine(surrogate)(stimulus)
    if known.failed:
        return None, known.failed
    ours, theirs = (fresh.after(one.states).fractions() for one in (found, known))
    return float(np.nanmax(np.abs(ours - theirs))), ""


def _accuracy(chip: Chip, conductance_s: list[list[Array]], split: Split, count: int) -> float:
    """Of the exact circuit with these cells, on the held-out images that are verified too."""
    model = ExactModel(chip.hardware, chip.plans, chip.periphery)
    cells = [[torch.from_numpy(g) for g in layer] for layer in conductance_s]
    with torch.no_grad():
        x = torch.from_numpy(split.test_x[:count])
        codes = forward(chip.hardware, chip.plans, cells, model, x)
    return float((codes.argmax(1).numpy() == split.test_y[:count]).mean())
