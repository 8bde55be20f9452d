"""`spiceloop demo`: the main job from end to end on the handwritten digits."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from cosim.ngspice import Ngspice, find_ngspice
from cosim.training.backprop_spec import BackpropSpec
from workflows.config import Config, VerifySpec
from workflows.console import Reporter
from workflows.failures import failure_lines
from workflows.fresh_chips import FreshRequest
from workflows.fresh_record import fresh_lines, unanswered
from workflows.report_run import report_run
from workflows.runfolder import refuse_existing
from workflows.train import train_run
from workflows.verify import Verification, verify_run
from workflows.write_chip import write_chip
from workflows.write_record import ChipWriting, without_answer, writing_lines


def demo_config(*, quick: bool) -> Config:
    """The defaults: digits, 64-32-10, 1 ohm per segment; `quick` only shows that it runs."""
    if not quick:
        return Config()
    return Config(train=BackpropSpec(epochs=8), verify=VerifySpec(images=40))


Answer = tuple[dict[str, Any], list[str], int]


@dataclasses.dataclass(frozen=True)
class _Verified:
    """A run that is trained and verified, and its stages so far."""

    run: Path
    trained: dict[str, Any]
    result: Verification
    stages: tuple[tuple[str, float], ...]


def quick_run(config: Config, out: Path, reporter: Reporter, *, command: str) -> Answer:
    """Trains, verifies and reports; see `full_run`."""
    fresh = FreshRequest(chips=10, spice_chips=1)
    verified = _verified(config, out, find_ngspice(), reporter, command, fresh)
    return _reported(verified, None, (), reporter)


def full_run(config: Config, out: Path, reporter: Reporter, *, command: str) -> Answer:
    """Trains, verifies, writes into dynamic cells and reports.

    Args:
        config: the study.
        out: the run folder, a new one.
        reporter: where progress goes.
        command: the command line, for the report.

    Returns:
        The JSON object, lines of text, and the exit code: 1 if an image had no answer.
    """
    ngspice = find_ngspice()
    verified = _verified(
        config, out, ngspice, reporter, command, FreshRequest(chips=30, spice_chips=1)
    )
    writing = Reporter(reporter.console)
    try:
        written = write_chip(out, ngspice, writing)
    except KeyboardInterrupt:
        place = shlex.quote(str(out))
        reporter.say(
            f"spiceloop: {out} is trained and verified and stays;"
            f" next: spiceloop write-network {place}; spiceloop report {place}"
        )
        raise
    return _reported(verified, written, tuple(writing.stages), reporter)


def _verified(
    config: Config,
    out: Path,
    ngspice: Ngspice,
    reporter: Reporter,
    command: str,
    fresh: FreshRequest,
) -> _Verified:
    refuse_existing(out)
    reporter.say(f"spiceloop: {config.data.name} on a chip, ngspice-{ngspice.version}, into {out}")
    trained = train_run(config, out, ngspice, reporter, command=command)
    verifying = Reporter(reporter.console)  # what a run records of a stage is its own
    try:
        result = verify_run(out, None, ngspice, verifying, fresh)
    except KeyboardInterrupt:
        again = f"spiceloop verify {shlex.quote(str(out))}"
        reporter.say(f"spiceloop: {out} is trained and stays; next: {again}")
        raise
    return _Verified(out, trained, result, (*reporter.stages, *verifying.stages))


def _reported(
    verified: _Verified,
    written: ChipWriting | None,
    writing: tuple[tuple[str, float], ...],
    reporter: Reporter,
) -> Answer:
    reporting = Reporter(reporter.console)
    with reporting.stage("writing the report"):
        page = report_run(verified.run)
    total = sum(wall for _, wall in (*verified.stages, *writing, *reporting.stages))
    summary = {
        "run": str(verified.run),
        "report": str(page),
        "wall_s": total,
        "train": verified.trained,
        "verify": dataclasses.asdict(verified.result),
        "write": None if written is None else dataclasses.asdict(written),
    }
    lines = [
        *verification_lines(verified.result),
        *(() if written is None else writing_lines(written)),
        f"report     {page}",
        f"time       {total:.0f} s",
    ]
    failed = verified.result.failed + unanswered(verified.result.fresh)
    failed += 0 if written is None else without_answer(written)
    return summary, lines, 1 if failed else 0


def _which_chip(result: Verification) -> str:
    """Which chip of the study the accuracies are of."""
    known = ", whose offsets and gains training knew" if result.trained else ""
    return (
        f"chip       sample {result.sample} of the study{known}; accuracies are of this chip,"
        f" on these {result.images} {result.noun}s"
    )


def _floating(result: Verification) -> str:
    """Floating-point accuracy; two where the drivers clip what the network would see."""
    text = f"{result.accuracy_float:.4f}"
    if result.accuracy_float_unclipped is None:
        return text
    return (
        f"{text} with inputs clipped as the chip's, {result.accuracy_float_unclipped:.4f} without"
    )


def verification_lines(result: Verification) -> list[str]:
    """A verification in words."""

    def lsb(value: float | None) -> str:
        return "none" if value is None else f"{value:.3f}"

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    control = (
        f"control    ideal model: agreement {share(result.control_agreement)}, logit error"
        f" {lsb(result.control_logit_rmse_lsb)} LSB rms"
    )
    return [
        f"{result.noun + 's':<11}{result.images} of {result.held_out} held out, {result.failed}"
        f" failed, engine {result.engine}",
        *failure_lines(result.failures),
        _which_chip(result),
        f"accuracy   ideal {share(result.accuracy_ideal)}"
        f"   surrogate {share(result.accuracy_surrogate)}"
        f"   exact {share(result.accuracy_exact)}   spice {share(result.accuracy_spice)}"
        f"   (floating point {_floating(result)})",
        f"surrogate  agreement with spice {result.agreement:.4f}, logit error"
        f" {lsb(result.logit_rmse_lsb)} LSB rms, {lsb(result.logit_max_lsb)} LSB largest",
        f"absent     {result.note}" if result.note else control,
        *(
            ()
            if result.fresh is None
            else fresh_lines(result.fresh, result.images, result.noun, result.held_out)
        ),
    ]
