"""What writing a trained network took and left: its record in a run, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compact_models.library import find_model
from cosim.network.whole_chip import SimulationRecord
from cosim.write.unmet import in_words as unmet_words
from workflows.write_advice import Knobs, next_action, shorter_s
from workflows.write_judge import Judged

_NOTHING = 1e-5  # of a state's range: rounding of ramps and tables


@dataclass(frozen=True)
class ChipWriting:
    """`write.json`: what writing the network took and left.

    Accuracies are of the held-out images that are verified too. An image without an answer in the
    simulator counts as wrong: `failed_target` and `failed_written` of them with either chip.
    `noun` is what one of them is called.
    `reason` says why the loop ended early on a tile; empty if it did on none. `write` is `[write]`
    of the configuration, and `pulsed` are the cells that were not where they should be at once.
    Pulses and heat are those of the update surrogate; `judged` says how many times as much ngspice
    needed for some of the cells. `unmet` counts the cells that are off, by the reason. `wall_s` is
    what the call took and what the tiles had taken that one before it had finished.
    """

    write: dict[str, Any]
    device: str
    scheme: str
    levels: int
    cells: int
    met: int
    pulsed: int
    tolerance_s: float
    pulses: int
    most_pulses: int
    latency_s: float
    energy_j: float
    energy_given_j: float
    energy_read_j: float
    worst_error_s: float
    rms_error_s: float
    worst_disturb: float
    images: int
    accuracy_target: float
    accuracy_written: float
    accuracy_spice_target: float
    accuracy_spice_written: float
    failed_target: int
    failed_written: int
    simulations: tuple[SimulationRecord, ...]
    unmet: dict[str, int]
    reason: str
    surrogate_nrmse: float | None
    surrogate_note: str
    judged: Judged
    wall_s: float
    arrays_sha256: str
    noun: str = "image"


def writing_lines(found: ChipWriting) -> list[str]:
    """A written network in words."""
    judged = found.judged
    apart = (
        f"{judged.met} of {judged.cells} met in {judged.pulses} pulses, by the surrogate"
        f" {judged.met_surrogate} in {judged.pulses_surrogate}"
    )
    if judged.reason:
        apart += f"; a run failed: {judged.reason}"
    if judged.states_apart is not None:
        apart += f"; one pulse {in_words(judged.states_apart)} apart at worst"
    lost = ""
    if without_answer(found):
        lost = (
            f"; without an answer, counted as wrong: {found.failed_target} with the targets,"
            f" {found.failed_written} as written"
        )
    return [
        f"written    {found.met} of {found.cells} cells within {found.tolerance_s * 1e6:.3g} uS"
        f" of their targets, {found.cells - found.pulsed} of them without a pulse"
        f" ({found.levels} levels, {found.device}, {found.scheme});"
        f" largest error {found.worst_error_s * 1e6:.3g} uS, rms {found.rms_error_s * 1e6:.3g} uS",
        *([f"off        {unmet_words(found.unmet)}; all in write.csv"] if found.unmet else []),
        *([f"next       {advice}"] if (advice := _next(found)) else []),
        f"cost       by the surrogate: {found.pulses} pulses, at most {found.most_pulses} on a"
        f" cell, {found.latency_s:.3g} s; heat in the cells {found.energy_j:.3g} J by pulses and"
        f" {found.energy_read_j:.3g} J by readings, {found.energy_given_j:.3g} J from the drivers",
        f"bound      {ratio_words(judged)}",
        f"accuracy   {found.accuracy_spice_target:.4f} with the targets,"
        f" {found.accuracy_spice_written:.4f} as written, in {judged.engine}, {found.images}"
        f" {found.noun}s (exact {found.accuracy_target:.4f}, {found.accuracy_written:.4f}){lost}",
        f"disturb    at worst {in_words(found.worst_disturb)}, all pulses together",
        f"judge      {judged.cells} cells of the mean device in {len(judged.groups)} groups written"
        f" in {judged.engine}, as {judged.form}, on their whole tile: {apart}",
        f"surrogate  {in_words(found.surrogate_nrmse, 'of a step rms')} off on pulses that it was"
        f" not made from; {found.surrogate_note}",
        *([f"ended      early, {found.reason}"] if found.reason else []),
    ]


def _next(found: ChipWriting) -> str:
    """What of `[write]` would help, in words; a pulse device steps alike at any height."""
    write = found.write
    return next_action(
        found.unmet,
        Knobs(
            most_pulses=f"[write] most_pulses above {write['most_pulses']}",
            width=f"[write] width_s, now {write['width_s']:.3g}",
            amplitudes="[write] amplitude_v, amplitude_down_v",
            tolerance=f"[write] levels below {write['levels']}",
            quieter='a bias that half-selects less ([write] scheme = "v3")'
            if found.scheme == "v2"
            else "",
            shaped=find_model(str(write["device"])).pulse is None,
            shorter_s=shorter_s(float(write["width_s"]), found.tolerance_s, found.worst_error_s),
        ),
    )


def ratio_words(judged: Judged) -> str:
    """How many times the surrogate's pulses and heat the simulator needed for the same cells."""
    if judged.pulses_ratio is None or judged.energy_ratio is None:
        why = judged.reason or "none of them needed a pulse"
        return f"not measured: {why}"
    (few, many), (little, much) = judged.pulses_ratio, judged.energy_ratio
    return (
        f"{judged.cells} judged cells needed {few:.3g} to {many:.3g} times the surrogate's pulses"
        f" and {little:.3g} to {much:.3g} times its heat in {judged.engine}, group by group"
    )


def without_answer(found: ChipWriting) -> int:
    """Images that the simulator could not answer, over both chips."""
    return found.failed_target + found.failed_written


def exit_code(found: ChipWriting) -> int:
    """0 if every cell is within its tolerance and every image had an answer."""
    return 0 if found.met == found.cells and not without_answer(found) else 1


def in_words(share: float | None, of: str = "of a state's range") -> str:
    """A small share in percent."""
    if share is None:
        return "not measured"
    if abs(share) < _NOTHING:
        return f"below {100 * _NOTHING:g} % {of}"
    return f"{100 * abs(share):.2g} % {of}"
