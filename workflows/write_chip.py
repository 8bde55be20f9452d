"""The trained network written into dynamic cells: pulses, what they reach, and what it costs.

The chip of a run has ohmic cells with a drawn programming error. Here its target conductances are
written instead, tile by tile, by write-verify on the tile's own wires and drivers. Thousands of
pulses go through the update surrogate of the device; ngspice judges: it writes a few of the cells
itself, and it runs the held-out images through the chip as it was meant and as it was written.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
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
from cosim.fidelities.spice import read_chip
from cosim.forward import forward
from cosim.ngspice import Ngspice, find_ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import AmplitudeRule, quiet_rule
from cosim.write.array_surrogate import MOST_SIGMA, draw_spread, surrogate_engine
from cosim.write.default_pulses import EDGE
from cosim.write.ledger import worst_disturb
from cosim.write.verify import VerifySpec, Written, write_verify
from cosim.write.writable import WritableArray
from netlists.chip import Chip
from netlists.mapping import tile_targets
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme, find_scheme, write_schemes
from workflows import runfolder
from workflows.config import Config
from workflows.console import Reporter
from workflows.data import Split, load_split
from workflows.train import jobs
from workflows.write_judge import Judged, judge_group

Array = NDArray[np.float64]

_READ_V = 0.1
_NOTHING = 1e-5  # of a state's range: rounding of ramps and tables
_HEADROOM = 1.4  # of the highest amplitude, over the usual pulse


@dataclass(frozen=True)
class ChipWriting:
    """`write.json`: what writing the network took and left.

    Accuracies are of the held-out images that are verified too; an image without an answer counts
    as wrong.
    """

    device: str
    scheme: str
    levels: int
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
    accuracy_spice_target: float
    accuracy_spice_written: float
    surrogate_nrmse: float | None
    judged: Judged
    wall_s: float
    arrays_sha256: str


def write_chip_run(run: Path, reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
    """Writes a run's network; returns (JSON object, lines of text, exit code)."""
    found = write_chip(run, find_ngspice(), reporter)
    return dataclasses.asdict(found), writing_lines(found), 0 if found.met == found.cells else 1


def writing_lines(found: ChipWriting) -> list[str]:
    """A written network in words."""
    judged = found.judged
    apart = judged.reason or (
        f"{judged.met} of {judged.cells} met in {judged.pulses} pulses, by the surrogate"
        f" {judged.met_surrogate} in {judged.pulses_surrogate}"
    )
    if judged.states_apart is not None:
        apart += f"; one pulse {in_words(judged.states_apart)} apart at worst"
    return [
        f"written    {found.met} of {found.cells} cells within {found.tolerance_s * 1e6:.3g} uS"
        f" of their targets ({found.levels} levels, {found.device}, {found.scheme});"
        f" largest error {found.worst_error_s * 1e6:.3g} uS, rms {found.rms_error_s * 1e6:.3g} uS",
        f"cost       {found.pulses} pulses, at most {found.most_pulses} on a cell,"
        f" {found.latency_s:.3g} s, {found.energy_j:.3g} J in cells,"
        f" {found.energy_given_j:.3g} J from the drivers",
        f"accuracy   {found.accuracy_spice_target:.4f} with the targets,"
        f" {found.accuracy_spice_written:.4f} as written, in {judged.engine}, {found.images} images"
        f" (exact {found.accuracy_target:.4f}, {found.accuracy_written:.4f})",
        f"disturb    at worst {in_words(found.worst_disturb)}, all pulses together",
        f"judge      {judged.cells} cells of the mean device written in {judged.engine} on their"
        f" whole tile: {apart}",
        f"surrogate  {in_words(found.surrogate_nrmse, 'of a step rms')} off on pulses that it was"
        " not made from",
    ]


def in_words(share: float | None, of: str = "of a state's range") -> str:
    """A small share in percent."""
    if share is None:
        return "not measured"
    if abs(share) < _NOTHING:
        return f"below {100 * _NOTHING:g} % {of}"
    return f"{100 * abs(share):.2g} % {of}"


def write_chip(run: Path, ngspice: Ngspice, reporter: Reporter) -> ChipWriting:
    """Writes the network of a run into dynamic cells; `write.json` and `write.npz` go into the run.

    Args:
        run: a run folder.
        ngspice: the simulator that judges.
        reporter: where progress goes.

    Raises:
        InputError: this is no run, or the device cannot hold its conductances.
    """
    begun_stages = len(reporter.stages)
    config = runfolder.read_config(run)
    chip = runfolder.read_chip(run, config)
    split = load_split(config.data, seed=config.study.seed)
    scheme = _scheme(config)
    surrogate = _calibrated(config, reporter)
    targets = _targets(chip)
    spec = VerifySpec(
        tolerance_s=(config.cell.g_on_s - config.cell.g_off_s) / (2 * (config.write.levels - 1)),
        read_v=_READ_V,
        most_pulses=config.write.most_pulses,
        at_once=config.write.at_once,
        rounds=config.write.rounds,
    )
    rule = quiet_rule(surrogate, scheme.half_selected, most_gain=_most_gain(config))
    written = _write_tiles(config, targets, scheme, surrogate, rule, spec, reporter)
    with reporter.stage("some cells of it in ngspice") as progress:
        judged = judge_group(
            _fresh(config, targets[0][0]), targets[0][0], scheme, surrogate, rule, spec, ngspice,
            lambda pulses: progress(pulses, max(pulses, 2 * spec.at_once)),
        )  # fmt: skip
    count = min(config.verify.images, len(split.test_y))
    achieved = [[one.conductance_s for one in layer] for layer in written]
    with reporter.stage("the written chip in ngspice") as progress:
        in_spice = [
            _spice_accuracy(
                chip, cells, split, count, ngspice, jobs(config),
                lambda done, of, k=k: progress(k * of + done, 2 * of),  # type: ignore[misc]
            )
            for k, cells in enumerate((targets, achieved))
        ]  # fmt: skip
    all_written = [one for layer in written for one in layer]
    flat = [np.concatenate([g.ravel() for layer in x for g in layer]) for x in (targets, achieved)]
    counts = np.concatenate([one.ledger.pulses.ravel() for one in all_written])
    sha256 = runfolder.write_npz(
        run / "write.npz",
        {"target_s": flat[0], "achieved_s": flat[1], "pulses": counts.astype(float)},
    )
    off = flat[1] - flat[0]
    ledgers = [one.ledger for one in all_written]
    result = ChipWriting(
        device=f"{config.write.device} {config.write.parameters}",
        scheme=scheme.name,
        levels=config.write.levels,
        cells=len(off),
        met=int(sum(one.within.sum() for one in all_written)),
        tolerance_s=spec.tolerance_s,
        pulses=int(counts.sum()),
        most_pulses=int(counts.max()),
        latency_s=sum(one.latency_s for one in all_written),
        energy_j=float(sum(one.energy_j.sum() for one in ledgers)),
        energy_given_j=float(sum(one.given_j for one in ledgers)),
        worst_error_s=float(np.abs(off).max()),
        rms_error_s=float(np.sqrt((off**2).mean())),
        worst_disturb=max((worst_disturb(one).moved for one in ledgers), key=abs),
        images=count,
        accuracy_target=_exact_accuracy(chip, targets, split, count),
        accuracy_written=_exact_accuracy(chip, achieved, split, count),
        accuracy_spice_target=in_spice[0],
        accuracy_spice_written=in_spice[1],
        surrogate_nrmse=None if surrogate.held_out is None else surrogate.held_out.nrmse,
        judged=judged,
        wall_s=sum(wall for _, wall in reporter.stages[begun_stages:]),
        arrays_sha256=sha256,
    )
    runfolder.write_json(run / "write.json", dataclasses.asdict(result))
    return result


def _scheme(config: Config) -> WriteScheme:
    """The scheme of the configuration, for cells without selector or transistor."""
    try:
        scheme = find_scheme(config.write.scheme)
    except InputError as error:
        raise error.within("[write]") from error
    if scheme.access != "nothing":
        raise InputError(
            f"scheme {scheme.name!r} needs a {scheme.access} before every memristor; a chip's cells"
            " have none",
            where="[write] scheme",
            value=scheme.name,
            allowed=", ".join(k for k, x in write_schemes().items() if x.access == "nothing"),
        )
    return scheme


def _write_tiles(
    config: Config,
    targets: list[list[Array]],
    scheme: WriteScheme,
    surrogate: UpdateSurrogate,
    rule: AmplitudeRule,
    spec: VerifySpec,
    reporter: Reporter,
) -> list[list[Written]]:
    """Every tile, [layer][tile], from cells that are all off."""
    lines = sum(len(target) for layer in targets for target in layer)
    pulses = (surrogate.pulse, surrogate.pulse)
    found: list[list[Written]] = []
    done = 0
    with reporter.stage("writing the network into its cells") as progress:
        for layer in targets:
            tiles: list[Written] = []
            for target in layer:

                def report(
                    groups: int, of: int, begun: int = done, rows: int = len(target)
                ) -> None:
                    progress(begun + rows * groups // of, lines)

                fresh = _fresh(config, target)
                spread = draw_spread(
                    fresh.shape,
                    sigma_switching=config.write.sigma_switching,
                    sigma_step=config.write.sigma_step,
                    seed=config.study.seed,
                    sample=config.study.sample,
                    path=f"layer_{len(found)}.tile_{len(tiles)}",
                )
                engine = surrogate_engine(surrogate, spread=spread)
                tiles.append(
                    write_verify(fresh, target, scheme, pulses, engine, rule, spec, report=report)
                )
                done += len(target)
            found.append(tiles)
    return found


def _calibrated(config: Config, reporter: Reporter) -> UpdateSurrogate:
    wanted = config.write
    model = find_model(wanted.device)
    numbers = find_set(model, wanted.parameters)
    levels = sorted((wanted.amplitude_v, wanted.amplitude_down_v))
    if not levels[0] < 0 < levels[1]:
        raise InputError(
            "pulses that raise and that lower a conductance have opposite signs",
            where="[write] amplitude_v, amplitude_down_v",
            value=(wanted.amplitude_v, wanted.amplitude_down_v),
        )
    beyond = _HEADROOM * _most_gain(config)
    range_v = (beyond * levels[0], beyond * levels[1])
    try:
        check_levels(model, numbers, range_v)
    except InputError as error:
        raise InputError(
            f"{error.what}: pulses may have to be {beyond:.3g} times as high as the usual one, by"
            f" {_HEADROOM:g} for cells that need more and the rest for their spread",
            where="[write] amplitude_v, amplitude_down_v, sigma_switching",
            value=(wanted.amplitude_v, wanted.amplitude_down_v, wanted.sigma_switching),
            allowed=f"pulses within {error.allowed}",
        ) from error
    pulse = Pulse(levels[1], wanted.width_s, EDGE * wanted.width_s, EDGE * wanted.width_s)
    with reporter.stage(f"what a pulse does to {wanted.device} {wanted.parameters}"):
        return calibrate_update(model, numbers, pulse, range_v, effort=QUICK)


def _most_gain(config: Config) -> float:
    return math.exp(MOST_SIGMA * config.write.sigma_switching)


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


def _exact_accuracy(
    chip: Chip, conductance_s: list[list[Array]], split: Split, count: int
) -> float:
    """Of the exact circuit with these cells, on the held-out images that are verified too."""
    model = ExactModel(chip.hardware, chip.plans, chip.periphery)
    cells = [[torch.from_numpy(g) for g in layer] for layer in conductance_s]
    with torch.no_grad():
        x = torch.from_numpy(split.test_x[:count])
        codes = forward(chip.hardware, chip.plans, cells, model, x)
    return float((codes.argmax(1).numpy() == split.test_y[:count]).mean())


def _spice_accuracy(
    chip: Chip,
    conductance_s: list[list[Array]],
    split: Split,
    count: int,
    ngspice: Ngspice,
    at_a_time: int,
    on_progress: Callable[[int, int], None],
) -> float:
    """The same of the whole chip in ngspice; an image that fails counts as wrong."""
    cells = tuple(tuple(layer) for layer in conductance_s)
    read = read_chip(
        dataclasses.replace(chip, conductance_s=cells), split.test_x[:count], ngspice,
        jobs=at_a_time, title="a written network", on_progress=on_progress,
    )  # fmt: skip
    answered = ~np.isnan(read.codes).any(1)
    right = np.nan_to_num(read.codes).argmax(1) == split.test_y[:count]
    return float((right & answered).mean())
