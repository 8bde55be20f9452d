"""What a run records of writing its network, for the report."""

from __future__ import annotations

from pathlib import Path

from workflows import runfolder
from workflows.report import WritingData
from workflows.report.text import percent, significant
from workflows.write_chip import ChipWriting

_NOTHING = 1e-5  # of a state's range: rounding of ramps and tables


def read_writing(run: Path) -> WritingData | None:
    """`write.json` and `write.npz` of a run; None where its network was not written.

    Raises:
        InputError: a file is not what it should be.
    """
    if not (run / "write.json").exists():
        return None
    found: ChipWriting = runfolder.read_json(run / "write.json", ChipWriting)
    stored = runfolder.Stored(run / "write.npz", sha256=found.arrays_sha256)
    cells = (found.cells,)
    return WritingData(
        device=found.device,
        levels=found.levels,
        tolerance_s=found.tolerance_s,
        target_s=stored["target_s", cells],
        achieved_s=stored["achieved_s", cells],
        pulses=stored["pulses", cells],
        engine=found.judged.engine,
        n_images=found.images,
        accuracy_target=found.accuracy_spice_target,
        accuracy_written=found.accuracy_spice_written,
        facts=_facts(found),
    )


def _facts(found: ChipWriting) -> tuple[tuple[str, str], ...]:
    judged = found.judged
    by_spice = f"{judged.met} of {judged.cells} met in {judged.pulses} pulses"
    facts = [
        ("Cells met", f"{found.met:,} of {found.cells:,}"),
        ("Tolerance", f"{significant(found.tolerance_s * 1e6)} µS"),
        ("Levels", f"{found.levels}"),
        ("Error, rms and worst", f"{significant(found.rms_error_s * 1e6)} and"
         f" {significant(found.worst_error_s * 1e6)} µS"),
        ("Scheme", found.scheme),
        ("Pulses", f"{found.pulses:,}, at most {found.most_pulses} on a cell"),
        ("Time on the chip", f"{significant(found.latency_s * 1e3)} ms"),
        ("Heat in the cells", f"{significant(found.energy_j * 1e9)} nJ"),
        ("From the drivers", f"{significant(found.energy_given_j * 1e9)} nJ"),
        ("Worst disturb, all pulses together", _share(found.worst_disturb)),
        ("Accuracy in SPICE with the targets", percent(found.accuracy_spice_target)),
        ("Accuracy in SPICE as written", percent(found.accuracy_spice_written)),
        ("Written in SPICE itself", judged.reason or by_spice),
        ("The same cells by the surrogate",
         f"{judged.met_surrogate} of {judged.cells} met in {judged.pulses_surrogate} pulses"),
        ("Surrogate against SPICE, one pulse, worst cell", _share(judged.states_apart)),
    ]  # fmt: skip
    return tuple(facts)


def _share(value: float | None) -> str:
    if value is None:
        return "not measured"
    if abs(value) < _NOTHING:
        return f"below {100 * _NOTHING:g} % of a state's range"
    return f"{100 * value:.2g} % of a state's range"
