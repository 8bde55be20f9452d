"""What a report is made of: plain records, filled by whoever read the run folder.

The report draws and writes; it computes nothing that a run has not recorded, and it knows
no run-folder layout. `ReportData` and the records of calibration are the whole seam: fill
a `ReportData`, hand it to `build_report`. Everything is in SI units unless a name says
otherwise; logits are ADC codes, so their unit is one LSB of the output converter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cosim.calibration.evidence import HeldOutError, MeasuredCurve
from cosim.network.whole_chip import SimulationRecord
from cosim.training.endurance import LearntLayer
from workflows.fresh_record import FreshRecord

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FIDELITIES = ("ideal", "surrogate", "exact", "spice")
"""The four ways of computing one network, from the crudest to the reference."""


@dataclass(frozen=True, eq=False)
class TileData:
    """One crossbar tile as programmed, and how much of its drive the wires ate.

    Attributes:
        name: the tile's name in the netlist.
        layer: index of the network layer that it belongs to, 0 first.
        conductance_s: `[row, col]` programmed conductance in siemens; row = word line,
            col = bit line.
        ir_drop: `[row, col]` share (0..1) of the applied voltage lost at each cell, averaged
            over the verified images with the applied voltage as weight. NaN where a cell was
            never driven.
        row_labels: one name per word line, in wiring order (row 0 at the top).
        col_labels: one name per bit line, in wiring order (col 0 next to the driver).
    """

    name: str
    layer: int
    conductance_s: FloatArray
    ir_drop: FloatArray
    row_labels: tuple[str, ...]
    col_labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks that arrays and labels describe the same grid of cells."""
        shape = self.conductance_s.shape
        wanted = (len(self.row_labels), len(self.col_labels))
        if shape != wanted or self.ir_drop.shape != wanted:
            raise ValueError(
                f"tile {self.name}: conductance_s {shape} and ir_drop {self.ir_drop.shape} must "
                f"both be [row, col] = {wanted}, the numbers of row_labels and col_labels"
            )


@dataclass(frozen=True)
class MissedCell:
    """A cell that write-verify has not brought to its target: where it is [S], and why."""

    tile: str
    row: int
    col: int
    target_s: float
    achieved_s: float
    pulses: int
    reason: str


@dataclass(frozen=True, eq=False)
class WritingData:
    """A network that was written into dynamic cells by write-verify.

    Attributes:
        device: model and parameter set.
        levels: how many conductances the tolerance tells apart.
        tolerance_s: how far a cell may be from its target, in siemens.
        target_s: `[cell]` of all tiles, in siemens.
        achieved_s: `[cell]` likewise, as read at the end.
        pulses: `[cell]` pulses that were meant for it.
        places: tile, row and column of every cell.
        reasons: why a cell is not within the tolerance, in words; empty where it is.
        engine: the simulator that gave the accuracies.
        n_images: images of the accuracies; a failed one counts as wrong.
        accuracy_target: of the circuit in SPICE with the targets.
        accuracy_written: of the circuit in SPICE with what was achieved.
        facts: (label, value with its unit): cost, disturb, what SPICE says of some of the cells.
    """

    device: str
    levels: int
    tolerance_s: float
    target_s: FloatArray
    achieved_s: FloatArray
    pulses: FloatArray
    engine: str
    n_images: int
    accuracy_target: float
    accuracy_written: float
    places: tuple[tuple[str, int, int], ...]
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def error(self) -> FloatArray:
        """Achieved less target in siemens, `[cell]`."""
        return self.achieved_s - self.target_s

    @property
    def met(self) -> NDArray[np.bool_]:
        """Which cells are within the tolerance, `[cell]`."""
        return np.abs(self.error) <= self.tolerance_s

    def missed(self, most: int) -> list[MissedCell]:
        """The cells that are not, those that are furthest off first, `most` of them."""
        off = np.flatnonzero(~self.met)
        order = off[np.argsort(-np.abs(self.error[off]), kind="stable")]
        return [self._missed(k) for k in order[:most].tolist()]

    def _missed(self, k: int) -> MissedCell:
        tile, row, col = self.places[k]
        target_s, achieved_s = float(self.target_s[k]), float(self.achieved_s[k])
        return MissedCell(
            tile, row, col, target_s, achieved_s, int(self.pulses[k]), self.reasons[k]
        )


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that a report shows.

    Rates are shares (0..1). A failed image stays in every denominator: it is neither right
    nor in agreement. `None` means not measured, and is said so in the report.

    Attributes:
        title: headline of the run, from the user's file.
        created_utc: when the run ended, ISO 8601.
        command: the command line of the run.
        repeat_commands: command lines that rebuild the run and the report, in order.
        config_toml: the resolved configuration.
        config_hash: its hash.
        versions: program or library -> version.
        seeds: purpose -> seed.
        stages: (name, wall seconds) in the order in which they ran.
        hardware: (label, value with its unit), the main numbers of the circuit.
        n_images: verified images, the failed ones included.
        accuracy_float: accuracy of the floating-point network on the same images.
        accuracy: fidelity -> accuracy.
        agreement: share of images with one predicted class in surrogate and spice.
        logit_rmse_lsb: root mean square of surrogate - spice over images and classes, in LSB.
        logit_max_lsb: largest absolute surrogate - spice, in LSB.
        control_agreement: as `agreement`, for the ideal model: the negative control.
        control_logit_rmse_lsb: as `logit_rmse_lsb`, for the ideal model.
        failed: images without a valid spice result.
        labels: `[image]` true class, an index into `class_names`.
        codes: fidelity -> `[image, class]` output codes in LSB; a row with NaN is a failed image.
        class_names: one name per class.
        tiles: the crossbar tiles, in network order.
        curves: transfer curves of the periphery.
        calibration: errors of the calibrated surrogate on held-out samples.
        training: `[epoch]` columns `epoch`, `loss`, `train_accuracy`, `test_accuracy`, of training
            in cells `pulses`, `coincidences`, `energy_j`, `clipped`; of the surrogate beside exact
            `surrogate_error`, `closed_form_error`; of what training read beside ngspice
            `spice_inputs`, and `spice_error`, nan where ngspice failed. Any may be absent.
        max_surrogate_error: what currents were allowed to be off in training; None: not known.
        learnt: layers whose cells have learnt.
        simulations: every run of the simulator, the failed ones included.
        writing: the network in dynamic cells; None if it was not written.
        notes: sentences that a reader must know, shown near the top.
        held_out: images that were held out; the verified ones are the first of them. 0: not known.
        sample: which chip of the study was verified.
        trained: whether training knew this chip's offsets and gains.
        fresh: chips of the same weights that training never saw; None if none were read.
        noun: what one of the images is called.
        pairs: a sentence: where the conductances of differential pairs crowd.
    """

    title: str
    created_utc: str
    command: str
    repeat_commands: tuple[str, ...]
    config_toml: str
    config_hash: str
    versions: Mapping[str, str]
    seeds: Mapping[str, int]
    stages: tuple[tuple[str, float], ...]
    hardware: tuple[tuple[str, str], ...]
    n_images: int
    accuracy_float: float | None
    accuracy: Mapping[str, float | None]
    agreement: float | None
    logit_rmse_lsb: float | None
    logit_max_lsb: float | None
    control_agreement: float | None
    control_logit_rmse_lsb: float | None
    failed: int
    labels: IntArray
    codes: Mapping[str, FloatArray]
    class_names: tuple[str, ...]
    tiles: tuple[TileData, ...] = ()
    curves: tuple[MeasuredCurve, ...] = ()
    calibration: tuple[HeldOutError, ...] = ()
    training: Mapping[str, FloatArray] = field(default_factory=dict)
    max_surrogate_error: float | None = None
    learnt: tuple[LearntLayer, ...] = ()
    simulations: tuple[SimulationRecord, ...] = ()
    writing: WritingData | None = None
    notes: tuple[str, ...] = ()
    held_out: int = 0
    sample: int = 0
    trained: bool = False
    fresh: FreshRecord | None = None
    noun: str = "image"
    pairs: str = ""

    def __post_init__(self) -> None:
        """Checks that codes, labels and classes fit together."""
        wanted = (len(self.labels), len(self.class_names))
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < wanted[1]:
            raise ValueError(f"labels must be indices into the {wanted[1]} class_names, from 0")
        for fidelity, codes in self.codes.items():
            if fidelity not in FIDELITIES:
                raise ValueError(f"codes: unknown fidelity {fidelity!r}; known: {FIDELITIES}")
            if codes.shape != wanted:
                raise ValueError(
                    f"codes of {fidelity} {codes.shape} must be [image, class] = {wanted}, "
                    "the numbers of labels and class_names"
                )
