"""`spiceloop device run`: one device under a stimulus, from a file to a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compact_models.errors import InputError, closest
from compact_models.files import check_place
from compact_models.library import find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.run_ngspice import can_compile, run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import find_ngspice
from workflows.device.stimulus import Array, read_stimulus, write_trace

ENGINES = ("torch", "ngspice")
FORMS = ("auto", "b", "osdi")


@dataclass(frozen=True)
class DeviceRun:
    """What a run came to; the trace is in the file, and there is none if it did not end well."""

    model: str
    parameter_set: str
    source: str
    engine: str
    outcome: str
    reason: str
    points: int
    wall_s: float


def run_device(
    name: str, set_name: str | None, stimulus: Path, engine: str, form: str, out: Path
) -> DeviceRun:
    """Runs a device along the stimulus in a CSV file and writes current and states beside it.

    Args:
        name: a model's name or the path of its file.
        set_name: a parameter set's name or path; None is the model's first.
        stimulus: CSV with t_s and v_v.
        engine: `torch` or `ngspice`.
        form: for ngspice `b` (behavioural sources), `osdi` (compiled) or `auto` (compiled where
            that is possible).
        out: CSV to write.

    Raises:
        InputError: a name, a number or a file cannot be used.
    """
    _one_of("--engine", engine, ENGINES)
    _one_of("--form", form, FORMS)
    model = find_model(name)
    numbers = find_set(model, set_name)
    time_s, voltage_v = read_stimulus(stimulus)
    if out.resolve() == stimulus.resolve():
        raise InputError("the result would replace the stimulus", where="--out", value=str(out))
    check_place(out, "--out")
    started = time.perf_counter()
    run = _in_torch if engine == "torch" else _in_ngspice
    columns, used, outcome, reason = run(model, numbers, time_s, voltage_v, form)
    if outcome == "ok":
        write_trace(out, {"t_s": time_s, "v_v": voltage_v, **columns})
    return DeviceRun(
        model=model.name,
        parameter_set=numbers.name,
        source=numbers.credit,
        engine=used,
        outcome=outcome,
        reason=reason,
        points=len(time_s),
        wall_s=time.perf_counter() - started,
    )


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(
            "no such choice",
            where=option,
            value=value,
            allowed=", ".join(allowed),
            hint=closest(value, allowed),
        )


def _in_torch(
    model: CompactModel, numbers: ParameterSet, time_s: Array, voltage_v: Array, _form: str
) -> tuple[dict[str, Array], str, str, str]:
    with torch.no_grad():
        trace = run_torch(
            model,
            numbers.values,
            numbers.initial,
            torch.from_numpy(time_s),
            torch.from_numpy(voltage_v),
        )
    columns = {"i_a": trace.current_a.numpy()} | {k: x.numpy() for k, x in trace.states.items()}
    lost = ~np.isfinite(np.stack(list(columns.values()))).all(0)
    if not bool(trace.alive) or lost.any():
        first = float(time_s[int(np.argmax(lost))])
        return {}, "torch", "no_convergence", f"the device could not be solved at {first:g} s"
    return columns, "torch", "ok", ""


def _in_ngspice(
    model: CompactModel, numbers: ParameterSet, time_s: Array, voltage_v: Array, form: str
) -> tuple[dict[str, Array], str, str, str]:
    ngspice = find_ngspice()
    if form == "osdi" and not can_compile(ngspice):
        raise InputError(
            "compiled models cannot be used here",
            where="--form",
            value=form,
            hint='install "spiceloop[osdi]" and ngspice 42 or later, or use --form b',
        )
    compiled = None if form == "auto" else form == "osdi"
    trace = run_ngspice(model, numbers, time_s, voltage_v, ngspice, compiled=compiled)
    used = f"{trace.result.engine}, {'compiled (OSDI)' if trace.compiled else 'B sources'}"
    columns = {"i_a": trace.current_a, **trace.states}
    return columns, used, str(trace.result.outcome), trace.result.reason
