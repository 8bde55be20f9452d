"""Measured pulses on disk: an update surrogate is calibrated once for a device and a pulse.

A file holds what was measured (`MeasuredUpdate`, half a megabyte), not the table, which is made of
it in a moment. Its name is a hash of everything that the measurement hangs on: the model's
equations and numbers, the pulse, the levels, how fine, who measures, and the code itself. So
nothing stale is ever found; what cannot be read is measured again, and said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import time
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.files import cache_folder, trim_folder, write_bytes_atomic
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import DeviceForm
from cosim.ngspice import Ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_rows import Row
from cosim.tables.kept_points import KeptPoints, measurement
from cosim.tables.layout import Effort
from cosim.tables.update import (
    MeasuredUpdate,
    Report,
    check_levels,
    effort_of,
    measure_update,
    update_form,
)
from netlists.pulse import Pulse

Array = NDArray[np.float64]

FORMAT = 1
"""Of the files; another one is another key."""
MAX_BYTES = 64 << 20
"""Of all files together: some hundred. The ones that were not used for longest go first."""
_POINTS = ("x", "voltage_v", "after", "energy_j")


@dataclass(frozen=True, eq=False)
class CalibratedUpdate:
    """An update surrogate, and where it came from.

    Attributes:
        surrogate: what one pulse does.
        from_cache: it was measured by an earlier call.
        calibrated_utc: when it was measured.
        calibrated_s: how long that took [s].
        key: of what was measured.
        note: all this in words, and what is wrong with the cache, if anything is.
    """

    surrogate: UpdateSurrogate
    from_cache: bool
    calibrated_utc: str
    calibrated_s: float
    key: str
    note: str


def updates_folder() -> Path:
    """Where measured pulses are kept for all commands of a user."""
    return cache_folder() / "updates"


def cached_update(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    range_v: tuple[float, float],
    *,
    folder: Path,
    ngspice: Ngspice | None = None,
    compiled: bool | None = None,
    effort: Effort | None = None,
    report: Report | None = None,
) -> CalibratedUpdate:
    """The update surrogate of a device for pulses of one timing; measured if it never was.

    Args:
        model: see `measure_update`.
        parameter_set: likewise.
        pulse: likewise; its level is not used.
        range_v: likewise.
        folder: where files are kept; made if it is missing. One that cannot be written costs a
            measurement each time.
        ngspice: likewise.
        compiled: see `update_form`.
        effort: likewise.
        report: likewise.

    Raises:
        InputError: as `measure_update` and `update_form`.
    """
    check_levels(model, parameter_set, range_v)
    form = update_form(model, parameter_set, ngspice, compiled)
    wanted = effort_of(ngspice, form, effort)
    key = _key(model, parameter_set, pulse, range_v, wanted, ngspice, form)
    path = folder / f"{key}.npz"
    trouble = ""
    if path.exists():
        try:
            measured, when, took_s = _read(path, pulse)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            trouble = f"the cached one could not be read ({_words(error)}): "
        else:
            with contextlib.suppress(OSError):
                os.utime(path)  # used now
            note = f"from the cache, calibrated at {when} in {took_s:.0f} s"
            return CalibratedUpdate(measured.surrogate(), True, when, took_s, key, note)
    started, kept = time.perf_counter(), KeptPoints(folder / "points")
    measured = measure_update(
        model, parameter_set, pulse, range_v,
        ngspice=ngspice, form=form, effort=wanted, report=report, kept=kept,
    )  # fmt: skip
    took_s, when = time.perf_counter() - started, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    note = f"{trouble}calibrated in {took_s:.0f} s"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, _packed(measured, when, took_s))
        trim_folder(folder, MAX_BYTES, newest=path)
    except (OSError, InputError) as error:
        note += f"; not kept in {folder} ({_words(error)})"
    else:
        kept.clear()
    return CalibratedUpdate(measured.surrogate(), False, when, took_s, key, note)


def _key(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    range_v: tuple[float, float],
    effort: Effort,
    ngspice: Ngspice | None,
    form: DeviceForm,
) -> str:
    engine = f"torch {torch.__version__}"
    if ngspice is not None:
        engine += f", ngspice {ngspice.version}, {form.label}"
    parts = {
        **measurement(model, parameter_set, pulse, engine),
        "format": FORMAT,
        "range_v": [float(v) for v in range_v],
        "effort": dataclasses.asdict(effort),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def _packed(measured: MeasuredUpdate, when: str, took_s: float) -> bytes:
    rows = measured.rows
    text = {
        "model": measured.model,
        "parameter_set": measured.parameter_set,
        "state": measured.state,
        "source": measured.source,
        "reason": measured.reason,
        "calibrated_utc": when,
        "calibrated_s": took_s,
    }
    stored = io.BytesIO()
    np.savez(
        stored,
        text=np.array(json.dumps(text)),
        level_v=np.array([row.voltage_v for row in rows]),
        points=np.array([len(row.x) for row in rows]),
        row_x=np.concatenate([row.x for row in rows]),
        row_after=np.concatenate([row.after for row in rows]),
        row_energy_j=np.concatenate([row.energy_j for row in rows]),
        **{name: getattr(measured, name) for name in _POINTS},
    )
    return stored.getvalue()


def _read(path: Path, pulse: Pulse) -> tuple[MeasuredUpdate, str, float]:
    """What a file holds, when that was measured, and how long it took [s]; zip checks its sums.

    Raises:
        OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile: it is not what was written.
    """
    # From memory: numpy leaves a file open whose archive is spoilt.
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
        text = json.loads(str(stored["text"]))
        ends = np.cumsum(stored["points"])[:-1]
        columns = (np.split(stored[f"row_{name}"], ends) for name in ("x", "after", "energy_j"))
        levels = stored["level_v"].tolist()
        rows = tuple(Row(v, *row) for v, *row in zip(levels, *columns, strict=True))
        measured = MeasuredUpdate(
            model=str(text["model"]),
            parameter_set=str(text["parameter_set"]),
            state=str(text["state"]),
            pulse=pulse,
            rows=rows,
            x=stored["x"],
            voltage_v=stored["voltage_v"],
            after=stored["after"],
            energy_j=stored["energy_j"],
            source=str(text["source"]),
            reason=str(text["reason"]),
        )
    return measured, str(text["calibrated_utc"]), float(text["calibrated_s"])


def _words(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
