"""`spiceloop device fit`: a user's measured data in, a parameter set with a name out."""

from __future__ import annotations

import math
import re
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compact_models.errors import InputError
from compact_models.files import check_place
from compact_models.library import (
    check_device_folder,
    device_folder,
    find_model,
    find_set,
    save_set,
)
from compact_models.model import SET_NAME, CompactModel, ParameterSet, check_name
from cosim.budget.budget import Budget
from cosim.fitting.compliance import without_compliance
from cosim.fitting.data import PulseTrain, Sweep
from cosim.fitting.fit import FitOptions, fit_device
from cosim.fitting.noise import noise_floor
from cosim.fitting.quality import scaled_noise
from cosim.fitting.result import STOPPED, Fit, FittedValue
from workflows.device.fit_plot import write_fit_plot
from workflows.device.fit_rows import shown_values
from workflows.device.fit_watch import watching
from workflows.device.initial import starting_from
from workflows.device.measured import check_voltage_changes, read_measured
from workflows.device.picture import check_picture
from workflows.device.table import aligned
from workflows.outcome import ended

if TYPE_CHECKING:
    from workflows.console import Reporter

_NEXT = {
    "not_converged": "next: fewer parameters with --free, another start with --params, more"
    " --timeout or --starts",
    "poor_fit": "next: look at both with --plot; check units and signs, then another --model,"
    " another start with --params, or more --starts",
    "no_fit": "next: look at both with --plot, then another --model, another start with --params,"
    " or with --free only what such data can tell",
    "out_of_order": "next: if the device was measured the other way round, turn it with"
    " --unit v=-V --unit i=-A (pulses: change their signs); if one of the two was left as it was,"
    " fit both with --free, or start from another set with --params",
}
_UNFINISHED = "not_converged"  # folder of the device folder, where no command looks for sets
_CELLS = 100  # of a run, about


@dataclass(frozen=True)
class FitRequest:
    """What the command line asks for; its attributes are the options of `device fit`."""

    measured: Path
    model: str
    params: str | None = None
    free: str | None = None
    fix_initial: bool = False
    save_as: str | None = None
    force: bool = False
    plot: Path | None = None
    points: int = 1000
    starts: int = 8
    noise_floor: float | None = None
    timeout_s: float = 600.0
    seed: int = 0
    initial: tuple[str, ...] = ()
    columns: str | None = None
    units: tuple[str, ...] = ()

    def origin(self, start: ParameterSet) -> str:
        """What the fit starts from, in words."""
        given = ", ".join(one.replace(" ", "") for one in self.initial)
        return f"{start.name} with --initial {given}" if given else start.name


def fit_file(request: FitRequest, reporter: Reporter) -> tuple[dict[str, Any], list[str], int]:
    """Fits, saves the set if the fit converged, and draws.

    Args:
        request: the options.
        reporter: shows how far it is.

    Returns:
        The JSON object, the lines of text, and the exit code: 1 if the outcome is not `ok`, and
        then nothing is saved.

    Raises:
        InputError: a file, a name or a number cannot be used; nothing was written.
    """
    started = time.perf_counter()
    _check_numbers(request)
    check_device_folder(may_be_missing=True)  # a set that is saved makes it
    model = find_model(request.model)
    start = starting_from(model, find_set(model, request.params), request.initial)
    name, place = _new_set(model, request)
    if request.plot is not None:
        check_picture(request.plot, "--plot")
    free = _names(request.free, model)
    measured, table = read_measured(request.measured, request.columns, request.units)
    if free is None:
        check_voltage_changes(measured, request.measured)
    compared, held = measured, None
    if isinstance(measured, Sweep):
        compared, held = without_compliance(measured)
    used = compared.thinned(request.points) if isinstance(compared, Sweep) else compared
    # Of all rows: between those of a thinned record lies more of the curve.
    floor = request.noise_floor or noise_floor(compared.values)
    options = FitOptions(
        starts=request.starts,
        timeout_s=request.timeout_s,
        seed=request.seed,
        floor=floor,
        noise=scaled_noise(compared.values, floor),
        with_initial=not request.fix_initial,
    )
    stage = watching(reporter, f"fitting {model.name} to {request.measured.name}")
    # A run has a hundred cells: a second thread costs as much again and gains nothing.
    with Budget.of_process().for_cells(_CELLS).in_use(), stage as on_progress:
        fit = fit_device(model, start, used, free, options, on_progress)
    done = fit.outcome == "ok"
    if done:
        place.parent.mkdir(parents=True, exist_ok=True)
        save_set(model, _fitted_set(fit, measured, start, name, request), place)
    kept = None if done else _keep_unfinished(fit, measured, model, start, name, request)
    drawn = request.plot is not None and bool(np.isfinite(fit.answer).all())
    if request.plot is not None and drawn:
        write_fit_plot(request.plot, used, fit, f"{model.name} fitted to {request.measured.name}")
    result = _document(fit, measured, used, model, start, request)
    result |= {
        "encoding": table.encoding,
        "read_as": table.read_as(),
        "columns": {
            one.quantity.key: {"column": one.name, "unit": one.unit.text} for one in table.columns
        },
        "compliance": None if held is None else asdict(held),
        "saved_set": name if done else None,
        "saved_path": str(place) if done else None,
        "unfinished_path": None if kept is None else str(kept),
        "plot": str(request.plot) if drawn else None,
        "wall_s": time.perf_counter() - started,
    }
    return result, _lines(fit, result, request.origin(start), table.read_as()), 0 if done else 1


def _check_numbers(request: FitRequest) -> None:
    for option, value, good, allowed in (
        ("--points", request.points, request.points >= 50, ">= 50"),
        ("--starts", request.starts, 1 <= request.starts <= 64, "1 to 64"),
        ("--seed", request.seed, request.seed >= 0, ">= 0"),
        ("--timeout", request.timeout_s, 0 < request.timeout_s < math.inf, "> 0 s"),
        (
            "--noise-floor",
            request.noise_floor,
            request.noise_floor is None or 0 < request.noise_floor < math.inf,
            "> 0",
        ),
    ):
        if not good:
            raise InputError("out of range", where=option, value=value, allowed=allowed)


def _names(free: str | None, model: CompactModel) -> list[str] | None:
    """The names in --free, each once; None where it was not given."""
    if free is None:
        return None
    names = [name.strip() for name in free.split(",")]
    if not all(names):
        raise InputError(
            "a name is missing",
            where="--free",
            value=free if free.strip(" ,") else None,
            allowed=", ".join(one.name for one in (*model.parameters, *model.states)),
            hint="one comma between names, or leave --free out to fit what the data tell",
        )
    return list(dict.fromkeys(names))


def _new_set(model: CompactModel, request: FitRequest) -> tuple[str, Path]:
    """Name and file of the new set; asked before the fit, which takes a while."""
    if request.save_as is None:
        name = re.sub(r"[^a-z0-9]+", "_", request.measured.stem.lower()).strip("_")
        name = name if name[:1].isalpha() else f"fit_{name}".rstrip("_")
    else:
        name = request.save_as
        if not name.strip():
            raise InputError("the name is missing", where="--save-as", allowed=SET_NAME)
        check_name(name, "a parameter set", "--save-as", hyphens=True)
    place = device_folder() / f"{model.name}.{name}.toml"
    if name in {one.name for one in model.parameter_sets}:
        raise InputError(
            "the model has a set of this name", where="--save-as", value=name,
            hint="give another with --save-as",
        )  # fmt: skip
    if place.exists() and not request.force:
        raise InputError(
            "the set exists already", where=str(place), value=name,
            hint="give another name with --save-as, or --force to write over it",
        )  # fmt: skip
    exists = next(folder for folder in place.parents if folder.exists())
    check_place(exists / place.name, "SPICELOOP_DEVICES")
    return name, place


def _fitted_set(
    fit: Fit, measured: Sweep | PulseTrain, start: ParameterSet, name: str, request: FitRequest
) -> ParameterSet:
    amplitude_v, period_s = start.amplitude_v, start.period_s
    if isinstance(measured, Sweep):
        amplitude_v = float(np.abs(measured.voltage_v).max())
        period_s = float(f"{measured.period_s:.12g}")  # the rest is a rounding of differences
    day = datetime.now(UTC).date().isoformat()
    source = f"fitted to {request.measured.name} on {day}, from {request.origin(start)}"
    source += f" (rms {fit.rms:.3g} {measured.unit}"
    source += f", {fit.rms_decades:.3g} decades)" if math.isfinite(fit.rms_decades) else ")"
    return fit.space.parameter_set(
        fit.u, name=name, source=source, amplitude_v=amplitude_v, period_s=period_s
    )


def _keep_unfinished(
    fit: Fit,
    measured: Sweep | PulseTrain,
    model: CompactModel,
    start: ParameterSet,
    name: str,
    request: FitRequest,
) -> Path | None:
    """Keeps the best point of a fit that was stopped, to go on from; no command lists it as a set.

    Returns:
        Its file, whose path `--params` takes; None where there is nothing but the start.
    """
    if fit.outcome != "not_converged" or not np.any(fit.u) or not math.isfinite(fit.rms):
        return None
    best = _fitted_set(fit, measured, start, name, request)
    place = device_folder() / _UNFINISHED / f"{model.name}.{name}.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    save_set(model, replace(best, source=f"NOT CONVERGED ({fit.reason}); {best.source}"), place)
    return place


def _document(
    fit: Fit,
    measured: Sweep | PulseTrain,
    used: Sweep | PulseTrain,
    model: CompactModel,
    start: ParameterSet,
    request: FitRequest,
) -> dict[str, Any]:
    unit = used.unit.lower()
    return {
        "outcome": fit.outcome,
        "reason": fit.reason,
        "model": model.name,
        "start": start.name,
        "start_initial": dict(start.initial),
        "data": str(request.measured),
        "parameters": {name: asdict(one) for name, one in fit.values.items()},
        "initial": {name: asdict(one) for name, one in fit.initial.items()},
        "fixed": fit.fixed,
        "looked": {name: list(pair) for name, pair in fit.looked.items()},
        "correlated": [list(pair) for pair in fit.correlated],
        f"rms_{unit}": fit.rms,
        "rms_decades": fit.rms_decades if math.isfinite(fit.rms_decades) else None,
        "noise_decades": fit.quality.noise,
        "unfinished": fit.unfinished,
        "residuals_follow_each_other": fit.follows_itself if fit.not_noise else None,
        f"max_error_{unit}": fit.max_error,
        f"noise_floor_{unit}": fit.floor,
        "n_points": len(measured.values),
        "n_points_used": len(used.values),
        "n_points_integrated": len(used.rows.time_s) if isinstance(used, Sweep) else None,
        "evaluations": fit.evaluations,
        "runs": fit.runs,
    }


def _lines(fit: Fit, result: dict[str, Any], origin: str, read_as: str) -> list[str]:
    unit = "a" if "rms_a" in result else "s"
    points = f"{result['n_points_used']} of {result['n_points']} points"
    if result["n_points_integrated"] not in (None, result["n_points_used"]):
        points += f" compared, {result['n_points_integrated']} integrated"
    lines = [
        *([f"{Path(result['data']).name}: {read_as}"] if read_as else []),
        f"{result['model']}, from {origin}: {ended(fit.outcome, fit.reason)}",
        *_table(shown_values(fit)),
        f"rms {fit.rms:.3g} {unit.upper()}{_decades(fit)};"
        f" largest error {fit.max_error:.3g} {unit.upper()};"
        f" noise floor {fit.floor:.3g} {unit.upper()};"
        f" {points}",
        f"{fit.evaluations} candidates in {fit.runs} runs",
    ]
    if fit.unfinished:
        lines.append(
            f"{fit.unfinished}, but it is as near as the noise lets it be: along the last steps its"
            " values still moved, and hardly what it answers"
        )
    if result["compliance"]:
        lines.append(_compliance(**result["compliance"]))
    for why in dict.fromkeys(fit.fixed.values()):
        names = ", ".join(
            name + _looked(fit, name) for name, reason in fit.fixed.items() if reason == why
        )
        lines.append(f"left as in {origin}: {names} ({why})")
    if any(one.note == STOPPED for one in {**fit.values, **fit.initial}.values()):
        lines.append(STOPPED)
    for name, one in {**fit.values, **fit.initial}.items():
        if one.note and one.note != STOPPED:
            lines.append(f"not determined: {name} ({one.note})")
    everything = {**fit.values, **fit.initial}
    for bound in dict.fromkeys(one.by_bound for one in everything.values() if one.by_bound):
        names = ", ".join(name for name, one in everything.items() if one.by_bound == bound)
        lines.append(
            f"known only by {bound}: {names} (their errors hold only if the real device stops"
            " there)"
        )
    for given in dict.fromkeys(one.given for one in everything.values() if one.given):
        names = ", ".join(name for name, one in everything.items() if one.given == given)
        lines.append(
            f"no standard error: {names} (the one in brackets holds only if {', '.join(given)}"
            f" {'is' if len(given) == 1 else 'are'} right: others do the work of"
            f" {'it' if len(given) == 1 else 'them'})"
        )
    for a, b, rho in fit.correlated:
        lines.append(f"hardly told apart: {a} and {b}, correlation {rho:.4f}")
    if fit.not_noise:
        lines.append(
            f"the residuals follow each other (correlation {fit.follows_itself:.2f}, noise has 0):"
            " the model is off somewhere, and the errors are too small; see --plot, try another"
            " --params"
        )
    if "n_points_integrated" in result and result["n_points_integrated"] is None:
        lines.append("pulse data: most noise is that of the steps; the errors are too small")
    if result["saved_set"] is None:
        if result["unfinished_path"] is not None:
            lines.append(
                "saved as no set; the best point is kept, to go on from with"
                f" --params {result['unfinished_path']}"
            )
        else:
            lines.append("nothing was saved")
        lines += [_NEXT.get(fit.outcome, _NEXT["not_converged"])]
    else:
        lines.append(f"saved as {result['saved_set']}: {result['saved_path']}")
    return lines


def _compliance(rows: int, limits_a: tuple[float, ...]) -> str:
    limits = " and ".join(f"{limit:.3g} A" for limit in limits_a)
    return (
        f"not compared: {rows} rows where the current rests at {limits} while the voltage moves, as"
        " at a source's compliance; the device's own voltage is lower there, so that states it"
        " reached then may be off"
    )


def _decades(fit: Fit) -> str:
    """The error in decades; nothing where no point is above the noise."""
    return f", {fit.rms_decades:.3g} decades" if math.isfinite(fit.rms_decades) else ""


def _looked(fit: Fit, name: str) -> str:
    """How far was looked, where that is the reason."""
    if name not in fit.looked:
        return ""
    low, high = fit.looked[name]
    return f" ({low:.3g} to {high:.3g})"


def _table(rows: dict[str, FittedValue]) -> list[str]:
    """Where each began, where it is, and the range that was searched: at most what is allowed."""
    cells = [("", "start", "fitted", "std. error", "unit", "searched", "")]
    for name, one in rows.items():
        error = "-" if one.stderr is None else f"{one.stderr:.2g}"
        if one.stderr_given is not None:
            error = f"({one.stderr_given:.2g})"
        reach = f"{one.low:.3g} to {one.high:.3g}"
        flag = "at bound" if one.at_bound else "by a state's bound" if one.by_bound else ""
        cells.append((name, f"{one.start:.4g}", f"{one.value:.4g}", error, one.unit, reach, flag))
    return aligned(cells)
