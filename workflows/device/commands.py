"""The arguments of `spiceloop device ...`; the work is in the files beside this one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workflows.options import Json, Out
from workflows.outcome import ended, no_result, run_command

if TYPE_CHECKING:
    from workflows.console import Reporter

app = typer.Typer(
    name="device",
    help="Memristors and other devices: list, show, run, plot, characterise, fit, netlist.",
)

Name = Annotated[str, typer.Argument(help="a model's name, or the path of its .py file")]
Params = Annotated[
    str | None,
    typer.Option("--params", help="parameter set, or the path of its .toml \\[default: the first]"),
]
Initial = Annotated[
    list[str] | None,
    typer.Option(
        "--initial",
        metavar="STATE=VALUE",
        help="state at the start, in its unit; again for another \\[default: the set's]",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="KEY=NAME,...",
        help="columns by name, or by number from 1: t=Time,v=Vtop,i=3 \\[default: t_s, v_v, ...]",
    ),
]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="KEY=UNIT",
        help="unit of a column, i=uA or t=ms; v=-V turns it round; again for another"
        " \\[default: as the heading says, else SI]",
    ),
]
Answer = tuple[dict[str, Any], list[str], int]


@app.command("list")
def list_(json: Json = False) -> None:
    """Models, their states, and their parameter sets with the source of each.

    Files of the device folder that cannot be used are named on stderr; the exit code is then 2.
    """

    def work(reporter: Reporter) -> Answer:
        from workflows.device.listing import list_models

        found, lines = list_models()
        for problem in found["problems"]:
            reporter.say(f"spiceloop: {problem}")
        return found, lines, 2 if found["problems"] else 0

    run_command(json, work)


@app.command()
def show(name: Name, params: Params = None, json: Json = False) -> None:
    """Print a parameter set: its numbers with units and allowed ranges, its states, its source."""

    def work(_reporter: Reporter) -> Answer:
        from workflows.device.show import show_set

        return *show_set(name, params), 0

    run_command(json, work)


@app.command()
def run(
    name: Name,
    stimulus: Annotated[Path, typer.Option("--stimulus", help="table with t_s and v_v")],
    out: Out,
    params: Params = None,
    engine: Annotated[str, typer.Option("--engine", help="torch or ngspice")] = "torch",
    form: Annotated[
        str | None,
        typer.Option(
            "--form",
            help="in ngspice: auto (osdi if it can be), b (sources), osdi \\[default: auto]",
        ),
    ] = None,
    initial: Initial = None,
    columns: Columns = None,
    unit: Unit = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", help="longest time of ngspice, s \\[default: by size]"),
    ] = None,
    json: Json = False,
) -> None:
    """Run one device along a stimulus: t_s, v_v, i_a and its states, as CSV.

    If the run fails, exit code 1, there is no result: a file of that name from an earlier run is
    renamed to FILE.old (FILE.old2, ... where that exists), so that it is not taken for one.
    """

    def work(reporter: Reporter) -> Answer:
        from workflows.device.run import run_device

        result = run_device(
            name, params, stimulus, engine, form, out, initial or (),
            columns=columns, units=unit or (), timeout_s=timeout, tell=reporter.say,
        )  # fmt: skip
        done = result.outcome == "ok"
        lines = [
            *([f"{stimulus.name}: {result.read_as}"] if result.read_as else []),
            f"{result.model}, {result.parameter_set}: {result.source}",
            f"starts from {result.initial_text}",
            f"{result.engine}: {ended(result.outcome, result.reason)}, {result.points} points,"
            f" {result.wall_s:.2f} s",
        ]
        if not done:
            lines += no_result(out, result.set_aside)
        return dataclasses.asdict(result), lines, 0 if done else 1

    run_command(json, work)


@app.command()
def netlist(
    name: Name,
    out: Out,
    params: Params = None,
    form: Annotated[str, typer.Option("--form", help="b (ngspice sources) or verilog-a")] = "b",
    json: Json = False,
) -> None:
    """Write a device as a subcircuit for plain ngspice, or as a Verilog-A module."""

    def work(_reporter: Reporter) -> Answer:
        from workflows.device.listing import write_netlist

        result = write_netlist(name, params, form, out)
        return result, [f"{out}: {result['block']}", result["source"], *result["usage"]], 0

    run_command(json, work)


@app.command()
def fit(
    measured: Annotated[
        Path,
        typer.Argument(help="table with t_s, v_v, i_a, or with pulse, g_s; other columns stay"),
    ],
    model: Annotated[str, typer.Option("--model", help="a model's name, or its .py file")],
    params: Annotated[
        str | None, typer.Option("--params", help="set that the fit starts from \\[default: first]")
    ] = None,
    free: Annotated[
        str | None,
        typer.Option("--free", help="parameters, states to fit, a,b,c \\[default: what data tell]"),
    ] = None,
    fix_initial: Annotated[
        bool, typer.Option("--fix-initial", help="keep the initial state of the start")
    ] = False,
    initial: Initial = None,
    columns: Columns = None,
    unit: Unit = None,
    save_as: Annotated[
        str | None, typer.Option("--save-as", help="name of the new set \\[default: the file's]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="write over your own set")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="picture of the fit: .png, .svg or .pdf")
    ] = None,
    points: Annotated[int, typer.Option("--points", help="most rows of a sweep compared")] = 1000,
    starts: Annotated[int, typer.Option("--starts", help="starts followed side by side")] = 8,
    noise_floor: Annotated[
        float | None,
        typer.Option("--noise-floor", help="in A or S \\[default: read from the data]"),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="longest wall time, s")] = 600.0,
    seed: Annotated[int, typer.Option("--seed", help="of the starts")] = 0,
    json: Json = False,
) -> None:
    """Fit a model to your measured data; the new parameter set has a name everywhere.

    The table may have text before it, commas, semicolons, tabs or blanks between its columns, and
    decimal commas. A heading may say a unit: I (uA). Data that cannot be what they claim - |I| for
    I, a counter for a direction, an overflow code, uS stored as S - are refused at once.
    """

    def work(reporter: Reporter) -> Answer:
        from workflows.device.fit import FitRequest, fit_file

        request = FitRequest(
            measured, model, params, free, fix_initial, save_as, force, plot, points, starts,
            noise_floor, timeout, seed, tuple(initial or ()), columns, tuple(unit or ()),
        )  # fmt: skip
        return fit_file(request, reporter)

    run_command(json, work)


@app.command()
def plot(
    name: Name,
    params: Params = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help=".png, .svg or .pdf \\[default: <model>_<set>.png]"),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the page of a device: I-V loops, switching times, pulses, variability."""

    def work(reporter: Reporter) -> Answer:
        from compact_models.library import check_device_folder
        from workflows.device.plot import plot_device

        check_device_folder(may_be_missing=True)  # what is bundled needs none
        result = plot_device(name, params, out, reporter=reporter)
        lines = [
            f"{result.model}, {result.parameter_set}: {result.source}",
            f"{result.figure}: {len(result.panels) - len(result.absent)} of {len(result.panels)} "
            f"panels, {result.wall_s:.1f} s",
            *(f"no {key}: {reason}" for key, reason in result.absent.items()),
            *(f"note: {remark}" for remark in result.remarks),
        ]
        return dataclasses.asdict(result), lines, 0

    run_command(json, work)


@app.command()
def characterise(
    name: Name,
    params: Params = None,
    amplitude_v: Annotated[
        float | None,
        typer.Option(
            "--amplitude-v", help="level of the pulse up, with its sign \\[default: found]"
        ),
    ] = None,
    amplitude_down_v: Annotated[
        float | None,
        typer.Option("--amplitude-down-v", help="level of the pulse down \\[default: found]"),
    ] = None,
    width_s: Annotated[
        float | None,
        typer.Option("--width-s", help="how long the level lasts \\[default: found]"),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="torch or ngspice")] = "torch",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="figure: .png, .svg or .pdf")
    ] = None,
    json: Json = False,
) -> None:
    """Characterise a device as a synapse: range, step, asymmetry, symmetry point, states."""

    def work(reporter: Reporter) -> Answer:
        from workflows.device.characterise import Request, characterise_device

        request = Request(name, params, amplitude_v, amplitude_down_v, width_s, engine, out)
        return characterise_device(request, reporter)

    run_command(json, work)
