"""The command line: arguments in, one command's function called, its result printed.

Exit codes: 0 done, 1 it ran and did not end well, 2 bad input, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast

import typer

from workflows.array_commands import add_array_commands
from workflows.device.commands import app as device
from workflows.options import Json, Out
from workflows.outcome import STOPPED, run_command

if TYPE_CHECKING:
    from workflows.console import Reporter

app = typer.Typer(
    name="spiceloop",
    help="SPICE in the training loop: PyTorch networks as memristor crossbar circuits.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(device)

Data = Annotated[Path | None, typer.Option("--data", help="your samples: .csv or .npz")]
Label = Annotated[str, typer.Option("--label", help="column of labels: its name, or -1, the last")]
Scale = Annotated[
    str, typer.Option("--scale", help="none, minmax, standard or range: docs/own_network.md")
]
Images = Annotated[
    str | None,
    typer.Option("--images", help="how many held-out ones, or all \\[default: as configured]"),
]


def main() -> None:
    """Entry point: bad input is one sentence and exit code 2, never a traceback."""
    # A queue that stops a job sends SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    arguments = sys.argv[1:]
    try:
        sys.exit(app(arguments or ["--help"], standalone_mode=False))
    except SystemExit as done:
        if done.code == STOPPED:
            _leave()
        raise
    except KeyboardInterrupt:  # before a command has begun
        sys.stderr.write("spiceloop: stopped\n")
        _leave()
    except Exception as error:
        # Wrong usage; typer has no public class for it, but all of its kinds have this method.
        if not hasattr(error, "format_message"):
            raise
        said = str(error.format_message()).rstrip(".")
        command = getattr(getattr(error, "ctx", None), "command_path", "spiceloop")
        _refuse("--json" in arguments, f"{said}; see '{command} --help'")
        sys.exit(2)


def _leave() -> NoReturn:
    """Ends with the exit code of Ctrl-C.

    Python itself would not always: an interrupt that hit code run from text (dataclasses make
    some while they are imported) counts as unhandled however it was handled, and the process
    then kills itself.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STOPPED)


def _refuse(as_json: bool, sentence: str) -> None:
    """Says what is wrong on stderr, and as the JSON object that was asked for."""
    from workflows.console import Reporter, print_json, printable

    Reporter().say(f"spiceloop: {sentence}")
    if as_json:
        print_json({"error": printable(sentence)})


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@app.command()
def check(json: Json = False) -> None:
    """Look at Python, torch, ngspice and the Verilog-A compiler, and run two resistors."""

    def work(_reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.check import check_machine

        found = check_machine()
        return found.to_dict(), found.lines(), 0 if found.usable else 1

    run_command(json, work)


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="run folder \\[default: runs/demo-TIME]")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="fewer epochs and images, no writing: a smoke test")
    ] = False,
    json: Json = False,
) -> None:
    """Train on the digits, verify and write the network in ngspice, and make the report."""

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.demo import demo_config, full_run, quick_run

        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        place = out or Path("runs") / f"demo-{stamp}"
        run = quick_run if quick else full_run
        return run(demo_config(quick=quick), place, reporter, command=_command())

    run_command(json, work)


@app.command()
def train(
    config: Annotated[Path | None, typer.Argument(help="configuration, TOML")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="the run folder, a new one")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="RUN whose training was stopped: it goes on, to the same"),
    ] = None,
    json: Json = False,
) -> None:
    """Train a network on a chip; RUN gets the weights, the chip and its calibration.

    A training that was stopped, by Ctrl-C, a queue or a power cut, goes on with --resume RUN alone.
    """

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        if resume is not None:
            _refuse_beside_resume(config, out)

            from cosim.ngspice import find_ngspice
            from workflows.train import resume_run

            summary = resume_run(resume, find_ngspice(), reporter)
        elif config is None or out is None:
            raise _nothing_to_train("CONFIG.toml" if config is None else "-o RUN")
        else:
            from workflows.config import load_config

            loaded = load_config(config)  # a slip is told before what trains is loaded

            from cosim.ngspice import find_ngspice
            from workflows.train import train_run

            summary = train_run(loaded, out, find_ngspice(), reporter, command=_command())
        # Cells that have learnt are not programmed afterwards.
        when = "" if summary["cells"] else ", before programming,"
        lines = [
            f"floating point {summary['accuracy_float']:.4f},"
            f" chip through the surrogate{when} {summary['accuracy_surrogate']:.4f}"
            f" on {summary['test_images']} held-out {summary['noun']}s",
            *(
                str(said)
                for key in ("begun_from", "still_falling", "clipped_pulses")
                if (said := summary[key])
            ),
            f"next: spiceloop verify {shlex.quote(str(summary['run']))}",
        ]
        return summary, lines, 0

    run_command(json, work)


@app.command("map")
def map_network(
    module: Annotated[str, typer.Argument(help="MODULE.py:FACTORY, a trained torch module")],
    out: Out,
    data: Data = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", help="held-out samples \\[default: a quarter of the data]"),
    ] = None,
    label: Label = "",
    scale: Scale = "",
    config: Annotated[
        Path | None, typer.Option("--config", help="the chip, and data that are not named here")
    ] = None,
    images: Images = None,
    json: Json = False,
) -> None:
    """Put a trained network of yours on a chip and verify it; RUN is like that of train."""

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.config import Config, load_config

        chip = Config() if config is None else load_config(config)

        from cosim.ngspice import find_ngspice
        from workflows.demo import verification_lines
        from workflows.map import map_run
        from workflows.own_data import OwnData, needs_data, with_data

        study = needs_data(with_data(chip, OwnData(data, test, label, scale)))
        mapped = map_run(
            module, study, out, find_ngspice(), reporter, command=_command(), images=_count(images)
        )
        found = mapped.summary
        lines = [
            f"held out   floating point {found['right_float']} of {found['test_images']} right,"
            f" chip through the surrogate, before programming, {found['right_surrogate']}",
            *verification_lines(mapped.result),
            f"next: spiceloop verify {shlex.quote(str(out))} --chips 30 for other chips,"
            f" or spiceloop report {shlex.quote(str(out))}",
        ]
        return mapped.summary, lines, 1 if mapped.result.failed else 0

    run_command(json, work)


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="run folder")],
    images: Images = None,
    chips: Annotated[
        int | None,
        typer.Option("--chips", help="fresh chips too: the same weights, all else drawn anew"),
    ] = None,
    spice_chips: Annotated[
        int | None,
        typer.Option("--spice-chips", help="of them, read in ngspice as well \\[default: 2]"),
    ] = None,
    accuracy_min: Annotated[
        float | None,
        typer.Option("--accuracy-min", help="what a good chip reaches, 0 to 1: how many do?"),
    ] = None,
    json: Json = False,
) -> None:
    """Send held-out images, or rows of a table, through the whole programmed chip in ngspice.

    Training knew the offsets and gains of this chip; with --chips N it is set beside N chips of the
    same weights that training never saw, read by the netlist's equations.
    """

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from cosim.ngspice import find_ngspice
        from workflows.demo import verification_lines
        from workflows.fresh_chips import fresh_request
        from workflows.fresh_record import unanswered
        from workflows.verify import verify_run

        fresh = fresh_request(chips, spice_chips, accuracy_min)
        result = verify_run(run, _count(images), find_ngspice(), reporter, fresh)
        place = shlex.quote(str(run))
        # Fresh chips of a surrogate that does not stand for the circuit say nothing of it.
        done = fresh or result.poor_surrogate
        lines = [
            *verification_lines(result),
            *([] if done else [f"next: spiceloop verify {place} --chips 30, chips drawn anew"]),
            f"next: spiceloop report {place}",
        ]
        failed = result.failed or unanswered(result.fresh)
        return dataclasses.asdict(result), lines, 1 if failed else 0

    run_command(json, work)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="run folder, verified")], json: Json = False
) -> None:
    """Write the report of a verified run: RUN/report/index.html."""

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.report_run import report_run

        with reporter.stage("writing the report"):
            page = report_run(run)
        return {"report": str(page)}, [str(page)], 0

    run_command(json, work)


add_array_commands(app)


@app.command()
def netlist(
    target: Annotated[str, typer.Argument(help="CONFIG.toml, a run folder or MODULE.py:FACTORY")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="where a deck goes")] = None,
    pyspice: Annotated[
        Path | None, typer.Option("--pyspice", help="where a PySpice script goes, FILE.py")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="the chip for MODULE.py:FACTORY, and its data")
    ] = None,
    data: Data = None,
    label: Label = "",
    scale: Scale = "",
    phase: Annotated[
        str,
        typer.Option("--phase", help="what the chip does: forward, backward, or update"),
    ] = "forward",
    json: Json = False,
) -> None:
    """Write a deck that a designer can read and run with `ngspice -b network.cir`.

    Or a PySpice script that builds the same circuit, runs it in ngspice and prints the codes.

    The ranges of MODULE.py:FACTORY come from the training share of the data that are named.
    """

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.netlist import netlist_target
        from workflows.own_data import OwnData

        own = OwnData(data, None, label, scale)
        summary = netlist_target(
            target,
            out,
            reporter,
            script=pyspice,
            config_file=config,
            own_data=own,
            phase=phase,
        )
        made = [("python", pyspice)] if pyspice else []
        if out is not None:
            made.insert(0, ("ngspice -b", out / cast("list[str]", summary["files"])[0]))
        note = [str(summary["note"])] if summary["note"] else []
        lines = [f"{path}: {summary['elements']} elements" for _, path in made]
        nexts = [f"next: {command} {shlex.quote(str(path))}" for command, path in made]
        return summary, [*lines, *note, *nexts], 0

    run_command(json, work)


def _nothing_to_train(missing: str) -> Exception:
    from compact_models.errors import InputError

    return InputError(
        f"{missing} is missing",
        where="spiceloop train",
        allowed="CONFIG.toml -o RUN, or --resume RUN for a training that was stopped",
        hint="see 'spiceloop train --help'",
    )


def _refuse_beside_resume(config: Path | None, out: Path | None) -> None:
    """A run goes on with what it was begun with.

    Raises:
        InputError: a configuration or another folder is named.
    """
    from compact_models.errors import InputError

    for value, word in ((config, "other configuration"), (out, "-o")):
        if value is not None:
            raise InputError(
                f"--resume RUN goes on with the configuration in RUN, and takes no {word}",
                where="--resume",
                value=str(value),
                hint="leave it out; another configuration trains anew, into a folder of its own",
            )


def _count(images: str | None) -> int | Literal["all"] | None:
    """Of `--images`.

    Raises:
        InputError: neither a number nor all.
    """
    from compact_models.errors import InputError

    if images is None or images == "all":
        return images  # type: ignore[return-value]  # mypy does not narrow str to the literal
    try:
        return int(images)
    except ValueError:
        raise InputError(
            "neither a number nor all",
            where="--images",
            value=images,
            allowed="a number, or all",
        ) from None


def _command() -> str:
    return shlex.join(["spiceloop", *sys.argv[1:]])


if __name__ == "__main__":
    main()
