"""The commands about cells: one array read or written, and a network written into its cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workflows.options import Json, Out
from workflows.outcome import ended, no_result, run_command

if TYPE_CHECKING:
    from workflows.console import Reporter


def add_array_commands(app: typer.Typer) -> None:
    """Registers them."""
    app.command()(solve)
    app.command()(write)
    app.command("write-network")(write_network)


def solve(
    array: Annotated[Path, typer.Argument(help="the array, .npz")],
    out: Out,
    fidelity: Annotated[
        str, typer.Option("--fidelity", help="ideal, surrogate, exact or spice")
    ] = "exact",
    json: Json = False,
) -> None:
    r"""Bit-line currents of one array for a batch of input voltages.

    The file has conductance_s \[row, col], input_v \[batch, row], r_wordline_ohm and r_bitline_ohm
    (one number, one a line, or one a segment: \[row, col]) and, if you like, r_driver_ohm and
    r_sense_ohm (one number or one a line). The result, current_a \[batch, col] in A, is .npz or
    .csv. If the solve fails, exit code 1, there is none: one of an earlier solve is renamed to
    FILE.old (FILE.old2, ... where that exists).
    """

    def work(_reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.solve import solve_file

        solved = solve_file(array, out, fidelity)
        result = solved.currents
        summary = {
            "fidelity": result.fidelity,
            "outcome": str(result.outcome),
            "wall_s": result.wall_s,
            "engine": result.engine,
            "reason": result.reason,
            "note": result.note,
            "shape": list(result.current_a.shape),
            "set_aside": solved.set_aside,
            "doubt": solved.doubt,
        }
        end = ended(str(result.outcome), result.reason)
        done = str(result.outcome) == "ok"
        lines = [
            f"{result.fidelity} ({result.engine}): {end}, {result.wall_s:.3f} s",
            *([result.note] if result.note else []),
            *([solved.doubt] if solved.doubt else []),
            *([] if done else no_result(out, solved.set_aside)),
        ]
        return summary, lines, 0 if done else 1

    run_command(json, work)


def write(
    array: Annotated[Path, typer.Argument(help="the array, .npz: docs/writing.md lists its keys")],
    target: Annotated[Path, typer.Argument(help="conductance_s \\[row, col], .npz; NaN: as it is")],
    out: Out,
    scheme: Annotated[
        str,
        typer.Option("--scheme", help="one pulse a cell: v2, v3, 1t1r, 1s1r; or verify, a loop"),
    ] = "verify",
    bias: Annotated[
        str | None, typer.Option("--bias", help="of the loop: v2 (default), v3, 1t1r, 1s1r")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="torch, ngspice or surrogate (the fastest)")
    ] = "torch",
    levels: Annotated[
        int,
        typer.Option(
            "--levels", help="to tell apart from least to greatest target: half a step is met"
        ),
    ] = 32,
    tolerance_s: Annotated[
        float | None,
        typer.Option("--tolerance-s", help="in place of --levels: what a cell may be off, S"),
    ] = None,
    most_pulses: Annotated[
        int, typer.Option("--max-pulses", help="of the loop, for one cell in one round")
    ] = 50,
    order: Annotated[str, typer.Option("--order", help="row, column or cell")] = "row",
    read_v: Annotated[float, typer.Option("--read-v", help="cells are read at this, V")] = 0.1,
    amplitude_v: Annotated[
        float | None, typer.Option("--amplitude-v", help="raises conductance, V \\[default: found]")
    ] = None,
    amplitude_down_v: Annotated[
        float | None, typer.Option("--amplitude-down-v", help="lowers it, V \\[default: found]")
    ] = None,
    width_s: Annotated[
        float | None, typer.Option("--width-s", help="of a pulse, s \\[default: found]")
    ] = None,
    gate_v: Annotated[
        float | None, typer.Option("--gate-v", help="open gates of 1t1r, V \\[default: 3]")
    ] = None,
    json: Json = False,
) -> None:
    """Write conductances into an array with wires, pulse by pulse.

    Each cell gets one pulse whose height the device's update surrogate says; with verify it is read
    and pulsed again until it is met. Exit code 1: the run failed, or verify has not met some cell.
    A failed run leaves no result: one of an earlier run is renamed to FILE.old (FILE.old2, ...).
    """

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.write import WriteRequest, write_file

        request = WriteRequest(
            array, target, scheme, bias, engine, out, levels, most_pulses, order, read_v,
            amplitude_v, amplitude_down_v, width_s, gate_v, tolerance_s,
        )  # fmt: skip
        return write_file(request, reporter)

    run_command(json, work)


def write_network(
    run: Annotated[Path, typer.Argument(help="run folder")],
    json: Json = False,
) -> None:
    """Write a trained network into dynamic cells, pulse by pulse; the run gets what they reach.

    The section write of the run's configuration says into which device. Exit code 1: some cell is
    not met.
    """

    def work(reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
        from workflows.write_chip import write_chip_run

        return write_chip_run(run, reporter)

    run_command(json, work)
