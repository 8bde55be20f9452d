"""`spiceloop demo`: the main job from end to end on the handwritten digits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from cosim.ngspice import find_ngspice
from cosim.training.backprop import BackpropSpec
from workflows.config import Config, VerifySpec
from workflows.console import Reporter
from workflows.report_run import report_run
from workflows.runfolder import refuse_existing
from workflows.train import train_run
from workflows.verify import Verification, verify_run
from workflows.write_chip import write_chip, writing_lines


def demo_config(*, quick: bool) -> Config:
    """The defaults: digits, 64-32-10, 1 ohm per segment; `quick` only shows that it runs."""
    if not quick:
        return Config()
    return Config(train=BackpropSpec(epochs=8), verify=VerifySpec(images=40))


def full_run(
    config: Config, out: Path, reporter: Reporter, *, command: str, writes: bool
) -> tuple[dict[str, Any], list[str], int]:
    """Trains, verifies, writes and reports; returns (JSON object, lines of text, exit code).

    Args:
        config: the study.
        out: the run folder, a new one.
        reporter: where progress goes.
        command: the command line, for the report.
        writes: write the trained network into dynamic cells too, which takes longest.
    """
    refuse_existing(out)
    ngspice = find_ngspice()
    reporter.say(f"spiceloop: {config.data.name} on a chip, ngspice-{ngspice.version}, into {out}")
    trained = train_run(config, out, ngspice, reporter, command=command)
    verifying = Reporter(reporter.console)
    try:
        result = verify_run(out, None, ngspice, verifying)
    except KeyboardInterrupt:
        reporter.say(f"spiceloop: {out} is trained and stays; next: spiceloop verify {out}")
        raise
    written = None
    if writes:
        writing = Reporter(reporter.console)
        try:
            written = write_chip(out, ngspice, writing)
        except KeyboardInterrupt:
            reporter.say(
                f"spiceloop: {out} is trained and verified and stays;"
                f" next: spiceloop write-network {out}; spiceloop report {out}"
            )
            raise
        verifying.stages.extend(writing.stages)
    with verifying.stage("writing the report"):
        page = report_run(out)
    total = sum(wall for _, wall in (*reporter.stages, *verifying.stages))
    summary = {
        "run": str(out),
        "report": str(page),
        "wall_s": total,
        "train": trained,
        "verify": dataclasses.asdict(result),
        "write": None if written is None else dataclasses.asdict(written),
    }
    lines = [
        *verification_lines(result),
        *(() if written is None else writing_lines(written)),
        f"report     {page}",
        f"time       {total:.0f} s",
    ]
    return summary, lines, 1 if result.failed else 0


def verification_lines(result: Verification) -> list[str]:
    """A verification in words."""

    def lsb(value: float | None) -> str:
        return "none" if value is None else f"{value:.3f}"

    return [
        f"images     {result.images} held out, {result.failed} failed, engine {result.engine}",
        f"accuracy   ideal {result.accuracy_ideal:.4f}   surrogate {result.accuracy_surrogate:.4f}"
        f"   exact {result.accuracy_exact:.4f}   spice {result.accuracy_spice:.4f}"
        f"   (floating point {result.accuracy_float:.4f})",
        f"surrogate  agreement with spice {result.agreement:.4f}, logit error"
        f" {lsb(result.logit_rmse_lsb)} LSB rms, {lsb(result.logit_max_lsb)} LSB largest",
        f"control    ideal model: agreement {result.control_agreement:.4f}, logit error"
        f" {lsb(result.control_logit_rmse_lsb)} LSB rms",
    ]
