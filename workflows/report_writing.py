"""What a run records of writing its network, for the report."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.write.unmet import Unmet, counted
from netlists.chip import Chip
from workflows import runfolder
from workflows.config import Config, WriteSpec
from workflows.npz import read_npz
from workflows.report import WritingData
from workflows.report.text import percent, significant
from workflows.write_record import ChipWriting, in_words, ratio_words
from workflows.written_cells import reason

Array = NDArray[np.float64]


def read_writing(run: Path) -> ChipWriting | None:
    """`write.json` of a run; None where its network was not written.

    Raises:
        InputError: it is not what it should be.
    """
    path = run / "write.json"
    if not path.exists():
        return None
    found: ChipWriting = runfolder.read_json(path, ChipWriting, command="write-network")
    return found


def writing_data(run: Path, found: ChipWriting, config: Config, chip: Chip) -> WritingData:
    """The record of a run's writing and `write.npz`, for the report.

    Args:
        run: a run folder.
        found: its `write.json`.
        config: its configuration.
        chip: its chip.

    Raises:
        InputError: a file is not what it should be.
    """
    runfolder.check_together(run / "write.npz", found.arrays_sha256, "write-network")
    stored, whole = runfolder.Stored(run / "write.npz"), read_npz(run / "write.npz")
    cells = (found.cells,)
    tiles = [(plan.name, part) for plan in chip.plans for part in plan.tiles]
    places = tuple(
        (f"{name}.{part.name}", row, col)
        for name, part in tiles
        for row in range(part.rows)
        for col in range(part.cols)
    )
    if len(places) != found.cells:
        raise stored.wrong(f"it has {found.cells} cells and the chip {len(places)}")
    arrays = {name: stored[name, cells] for name in ("target_s", "achieved_s")}
    arrays["pulses"] = _column(stored, whole, "pulses", found.cells, "i").astype(np.float64)
    codes = _column(stored, whole, "unmet", found.cells, "U")
    if not set(codes.tolist()) <= set(Unmet):
        raise stored.wrong("unmet holds a word that is none of the reasons")
    _check(run / "write.json", found, config, arrays, counted(codes))
    return WritingData(
        device=found.device,
        levels=found.levels,
        tolerance_s=found.tolerance_s,
        target_s=arrays["target_s"],
        achieved_s=arrays["achieved_s"],
        pulses=arrays["pulses"],
        engine=found.judged.engine,
        n_images=found.images,
        accuracy_target=found.accuracy_spice_target,
        accuracy_written=found.accuracy_spice_written,
        places=places,
        reasons=tuple(reason(code) for code in codes.tolist()),
        facts=_facts(found, config.writing),
    )


def _column(
    stored: runfolder.Stored, whole: Mapping[str, NDArray[Any]], name: str, length: int, kind: str
) -> NDArray[Any]:
    """A column that is of numpy's kind `i` or `U`."""
    column = whole.get(name)
    if column is None or column.shape != (length,) or column.dtype.kind != kind:
        raise stored.wrong(f"{name} is no column of {length} cells")
    return column


def _check(
    path: Path,
    found: ChipWriting,
    config: Config,
    arrays: dict[str, Array],
    unmet: dict[str, int],
) -> None:
    """Holds what `write.json` says against the arrays and the configuration."""
    spec = config.writing
    again = f"run: spiceloop write-network {shlex.quote(str(path.parent))}"
    if found.write != spec.model_dump(mode="json"):
        changed = [k for k, v in spec.model_dump(mode="json").items() if found.write.get(k) != v]
        raise InputError(
            f"the network was written with another [write]: {', '.join(changed)}",
            where=str(path),
            hint=again,
        )
    off_s = np.abs(arrays["achieved_s"] - arrays["target_s"])
    tolerance_s = (config.hardware.cell.g_on_s - config.hardware.cell.g_off_s) / (
        2 * (spec.levels - 1)
    )
    known: dict[str, str | float] = {
        "device": f"{spec.device} {spec.parameters}",
        "scheme": spec.scheme,
        "levels": spec.levels,
        "tolerance_s": tolerance_s,
        "met": int((off_s <= tolerance_s).sum()),
        "pulsed": int((arrays["pulses"] > 0).sum()),
        "pulses": float(arrays["pulses"].sum()),
        "most_pulses": float(arrays["pulses"].max(initial=0)),
        "worst_error_s": float(off_s.max(initial=0)),
        "rms_error_s": float(np.sqrt((off_s**2).mean())),
    }
    for name, want in known.items():
        have = getattr(found, name)
        same = have == want if isinstance(want, str) else math.isclose(have, want, rel_tol=1e-9)
        if not same:
            raise InputError(
                "this contradicts write.npz and config.toml",
                where=f"{path}: {name}",
                value=have,
                allowed=str(want),
                hint=again,
            )
    if found.unmet != unmet or sum(unmet.values()) != found.cells - found.met:
        raise InputError(
            "this contradicts write.npz", where=f"{path}: unmet", value=found.unmet,
            allowed=str(unmet), hint=again,
        )  # fmt: skip
    for name in ("accuracy_spice_target", "accuracy_spice_written"):
        right = getattr(found, name) * found.images
        if not (0 <= right <= found.images and math.isclose(right, round(right), abs_tol=1e-6)):
            raise InputError(
                f"this is no share of {found.images} images",
                where=f"{path}: {name}",
                value=getattr(found, name),
                hint=again,
            )


def _facts(found: ChipWriting, spec: WriteSpec) -> tuple[tuple[str, str], ...]:
    judged = found.judged
    by_spice = f"{judged.met} of {judged.cells} met in {judged.pulses} pulses"
    if judged.reason:
        by_spice += f"; a run failed: {judged.reason}"
    facts = [
        ("Cells met", f"{found.met:,} of {found.cells:,}"),
        *([("Ended early", found.reason)] if found.reason else []),
        ("Tolerance", f"{significant(found.tolerance_s * 1e6)} µS"),
        ("Levels", f"{found.levels}"),
        ("Error, rms and worst", f"{significant(found.rms_error_s * 1e6)} and"
         f" {significant(found.worst_error_s * 1e6)} µS"),
        ("Scheme", f"{found.scheme}, {spec.at_once} cells of a row at once"),
        ("Usual pulses", f"{spec.amplitude_v:g} V and {spec.amplitude_down_v:g} V,"
         f" {significant(spec.width_s * 1e9)} ns"),
        ("Spread of switching voltages, of steps",
         f"{100 * spec.sigma_switching:g} %, {100 * spec.sigma_step:g} %"),
        ("Pulses, by the surrogate", f"{found.pulses:,}, at most {found.most_pulses} on a cell"),
        ("In SPICE, over the surrogate", ratio_words(judged)),
        ("Time on the chip", f"{significant(found.latency_s * 1e3)} ms"),
        ("Heat in the cells, by the surrogate", f"{significant(found.energy_j * 1e9)} nJ"),
        ("From the drivers", f"{significant(found.energy_given_j * 1e9)} nJ"),
        ("Heat in the cells by readings", f"{significant(found.energy_read_j * 1e9)} nJ"),
        ("Worst disturb, all pulses together", in_words(found.worst_disturb)),
        ("Accuracy in SPICE with the targets", percent(found.accuracy_spice_target)),
        ("Accuracy in SPICE as written", percent(found.accuracy_spice_written)),
        ("Images without an answer in SPICE, counted as wrong",
         f"{found.failed_target} with the targets, {found.failed_written} as written"),
        ("Some cells of the mean device, written in SPICE", by_spice),
        ("The same by the surrogate",
         f"{judged.met_surrogate} of {judged.cells} met in {judged.pulses_surrogate} pulses"),
        ("Their pulses, surrogate against SPICE, worst cell", in_words(judged.states_apart)),
        ("The cells in SPICE", judged.form),
        ("Surrogate on pulses held out, rms", in_words(found.surrogate_nrmse, "of a step")),
    ]  # fmt: skip
    return tuple(facts)
