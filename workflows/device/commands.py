"""The arguments of `spiceloop device ...`; the work is in the files beside this one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workflows.console import Reporter

app = typer.Typer(name="device", help="Memristors and other devices: list, run, netlist.")

Name = Annotated[str, typer.Argument(help="a model's name, or the path of its .py file")]
Params = Annotated[
    str | None,
    typer.Option("--params", help="parameter set, or the path of its .toml [default: the first]"),
]
Out = Annotated[Path, typer.Option("-o", "--out", help="where the result goes")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
Answer = tuple[dict[str, Any], list[str], int]


@app.command("list")
def list_(json: Json = False) -> None:
    """Models, their states, and their parameter sets with the source of each."""
    from workflows.cli import run_command

    def work(_reporter: Reporter) -> Answer:
        from workflows.device.listing import list_models

        return *list_models(), 0

    run_command(json, work)


@app.command()
def run(
    name: Name,
    stimulus: Annotated[Path, typer.Option("--stimulus", help="CSV with t_s and v_v")],
    out: Out,
    params: Params = None,
    engine: Annotated[str, typer.Option("--engine", help="torch or ngspice")] = "torch",
    form: Annotated[
        str, typer.Option("--form", help="in ngspice: b (sources), osdi (compiled) or auto")
    ] = "auto",
    json: Json = False,
) -> None:
    """Run one device along a stimulus: t_s, v_v, i_a and its states, as CSV."""
    from workflows.cli import run_command

    def work(_reporter: Reporter) -> Answer:
        from workflows.device.run import run_device

        result = run_device(name, params, stimulus, engine, form, out)
        done = result.outcome == "ok"
        lines = [
            f"{result.model}, {result.parameter_set}: {result.source}",
            f"{result.engine}: {result.outcome} {result.reason}".strip()
            + f", {result.points} points, {result.wall_s:.2f} s",
        ]
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
    from workflows.cli import run_command

    def work(_reporter: Reporter) -> Answer:
        from workflows.device.listing import write_netlist

        result = write_netlist(name, params, form, out)
        return result, [f"{out}: {result['block']}", result["source"]], 0

    run_command(json, work)
