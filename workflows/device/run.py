"""`spiceloop device run`: one device under a stimulus, from a file to a file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compact_models.errors import InputError, closest
from compact_models.files import check_place, set_aside
from compact_models.library import check_device_folder, find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Outcome, find_ngspice
from workflows.device.initial import starting_from
from workflows.device.stimulus import Array, read_stimulus, write_trace

ENGINES = ("torch", "ngspice")
FORMS = ("auto", "b", "osdi")


@dataclass(frozen=True)
class DeviceRun:
    """What a run came to.

    Attributes:
        model: its name.
        parameter_set: of its numbers.
        source: of those.
        initial: the states that it started from, each in its unit, by name.
        state_units: those units, by name.
        engine: that ran.
        outcome: `ok`, or how it failed.
        reason: why it failed.
        points: of the stimulus.
        encoding: by which the stimulus was read.
        read_as: what it was taken for, in words; empty where nothing had to be assumed.
        wall_s: time taken.
        trace: the file with the result; None where the run failed.
        set_aside: where a file of that name, from an earlier run, is now; None if there was none.
    """

    model: str
    parameter_set: str
    source: str
    initial: dict[str, float]
    state_units: dict[str, str]
    engine: str
    outcome: str
    reason: str
    points: int
    encoding: str
    read_as: str
    wall_s: float
    trace: str | None
    set_aside: str | None

    @property
    def initial_text(self) -> str:
        """The states that it started from, in words, to four digits."""
        units = {name: "" if unit == "1" else f" {unit}" for name, unit in self.state_units.items()}
        states = [f"{name} = {value:.4g}{units[name]}" for name, value in self.initial.items()]
        return ", ".join(states) or "no state, the model has none"


def run_device(
    name: str,
    set_name: str | None,
    stimulus: Path,
    engine: str,
    form: str | None,
    out: Path,
    initial: Sequence[str] = (),
    *,
    columns: str | None = None,
    units: Sequence[str] = (),
    timeout_s: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> DeviceRun:
    """Runs a device along the stimulus in a CSV file and writes current and states beside it.

    If the run fails there is no file `out` afterwards: one of an earlier run, which would read like
    the result of this one, gets another name.

    Args:
        name: a model's name or the path of its file.
        set_name: a parameter set's name or path; None is the model's first.
        stimulus: text with a table of times and voltages (`read_stimulus`).
        engine: `torch` or `ngspice`.
        form: for ngspice `b` (behavioural sources), `osdi` (compiled) or `auto` (compiled where
            that is possible, as is None); for torch None.
        out: CSV to write.
        initial: `STATE=VALUE` of states that start elsewhere than in the set (`starting_from`).
        columns: which column of the stimulus is what; None for t_s and v_v.
        units: of its columns, as in `v=mV`.
        timeout_s: for ngspice, longest time [s]; None gives it what its points should need.
        tell: called with a line when ngspice is tried again.

    Raises:
        InputError: a name, a number or a file cannot be used.
    """
    _one_of("--engine", engine, ENGINES)
    if form is not None:
        _one_of("--form", form, FORMS)
        if engine == "torch":
            raise InputError(
                "torch has no forms of a device, only ngspice has",
                where="--form",
                value=form,
                hint="add --engine ngspice, or leave --form out",
            )
    if timeout_s is not None:
        if engine == "torch":
            raise InputError(
                "torch runs to its end, only ngspice can be given a time",
                where="--timeout",
                value=timeout_s,
                hint="add --engine ngspice, or leave --timeout out",
            )
        if not 0 < timeout_s < math.inf:
            raise InputError("no time to run in", where="--timeout", value=timeout_s,
                             allowed="> 0 s")  # fmt: skip
    check_device_folder(may_be_missing=True)  # what is bundled needs none
    model = find_model(name)
    numbers = starting_from(model, find_set(model, set_name), initial)
    time_s, voltage_v, table = read_stimulus(stimulus, columns, units)
    if out.resolve() == stimulus.resolve():
        raise InputError("the result would replace the stimulus", where="--out", value=str(out))
    check_place(out, "--out")
    started = time.perf_counter()
    if engine == "torch":
        traces, used, outcome, reason = _in_torch(model, numbers, time_s, voltage_v)
    else:
        traces, used, outcome, reason = _in_ngspice(
            model, numbers, time_s, voltage_v, form or "auto", timeout_s, tell
        )
    done = outcome == "ok"
    if done:
        write_trace(out, {"t_s": time_s, "v_v": voltage_v, **traces})
    aside = None if done else set_aside(out, "--out")
    return DeviceRun(
        model=model.name,
        parameter_set=numbers.name,
        source=numbers.credit,
        initial={state.name: numbers.initial[state.name] for state in model.states},
        state_units={state.name: state.unit for state in model.states},
        engine=used,
        outcome=outcome,
        reason=reason,
        points=len(time_s),
        encoding=table.encoding,
        read_as=table.read_as(),
        wall_s=time.perf_counter() - started,
        trace=str(out) if done else None,
        set_aside=aside,
    )


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if not value.strip():
        raise InputError("the value is missing", where=option, allowed=", ".join(allowed))
    if value not in allowed:
        raise InputError(
            "no such choice",
            where=option,
            value=value,
            allowed=", ".join(allowed),
            hint=closest(value, allowed),
        )


def _in_torch(
    model: CompactModel, numbers: ParameterSet, time_s: Array, voltage_v: Array
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
    model: CompactModel, numbers: ParameterSet, time_s: Array, voltage_v: Array, form: str,
    timeout_s: float | None, tell: Callable[[str], None] | None,
) -> tuple[dict[str, Array], str, str, str]:  # fmt: skip
    ngspice = find_ngspice()
    compiled = None if form == "auto" else form == "osdi"
    try:
        trace = run_ngspice(model, numbers, time_s, voltage_v, ngspice, compiled=compiled,
                            timeout_s=timeout_s, tell=tell)  # fmt: skip
    except InputError as error:
        raise (error.within("--form osdi") if form == "osdi" else error) from error
    used = f"{trace.result.engine}, {trace.form.label}"
    columns = {"i_a": trace.current_a, **trace.states}
    reason = trace.result.reason
    if trace.result.outcome is Outcome.NO_CONVERGENCE and not trace.form.compiled:
        reason += "; --form osdi or --engine torch may get through where B sources do not"
    return columns, used, str(trace.result.outcome), reason
