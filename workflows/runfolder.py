"""Run folders: what a training leaves on disk, made whole or not at all, read without running it.

Arrays are .npz without pickled objects, weights a state dict for `torch.load(weights_only=True)`,
everything else TOML or JSON that is checked when read.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from compact_models.errors import InputError
from compact_models.files import unwritable, write_bytes_atomic, write_text_atomic
from netlists.chip import Chip, LayerPeriphery, TilePeriphery
from netlists.mapping import LayerPlan
from workflows.config import Config, parse_config
from workflows.data import read_npz

Array = NDArray[np.float64]
T = TypeVar("T")

SCHEMA_VERSION = 1


class RunRecord(BaseModel):
    """What `run.json` says of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    title: str
    created_utc: str
    command: str
    config_hash: str
    versions: dict[str, str]
    seeds: dict[str, int]
    stages: list[tuple[str, float]]
    accuracy_float: float
    accuracy_trained: float
    class_names: list[str]


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name when it is complete, and not at all otherwise.

    Args:
        path: its name.

    Raises:
        InputError: something of that name exists, or the place cannot be written.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield part
        part.chmod(0o755)
        refuse_existing(path)
        part.rename(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_existing(path: Path) -> None:
    """Nothing that exists is written over.

    Raises:
        InputError: something of that name exists.
    """
    if path.exists() or path.is_symlink():
        raise InputError(
            "this exists already and is not written over",
            where=str(path),
            hint="choose another name with -o",
        )


def write_json(path: Path, value: Any) -> None:
    """Writes a value that pydantic or dataclasses can turn into JSON."""
    write_text_atomic(path, TypeAdapter(Any).dump_json(value, indent=1).decode() + "\n")


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes `allow_pickle` from **
    write_bytes_atomic(path, buffer.getvalue())


def write_weights(path: Path, module: torch.nn.Module) -> None:
    """Writes the state dict of a module."""
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    write_bytes_atomic(path, buffer.getvalue())


def read_json(path: Path, kind: type[T] | Any) -> T:
    """Reads and checks a JSON file.

    Raises:
        InputError: it is missing or is not what it should be.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())  # type: ignore[no-any-return]
    except OSError as error:
        raise _not_a_run(path, error.strerror or str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _not_a_run(path, f"{place}: {first['msg']}") from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Reads a state dict; nothing in it is executed.

    Raises:
        InputError: it is missing or holds anything but tensors.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise _not_a_run(path, error.strerror or str(error)) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise _not_a_run(path, str(error).splitlines()[0]) from error
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise _not_a_run(path, "it holds something else than named tensors")
    return state


def read_config(run: Path) -> Config:
    """The resolved configuration of a run."""
    path = run / "config.toml"
    try:
        return parse_config(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise _not_a_run(path, str(error)) from error


def read_record(run: Path) -> RunRecord:
    """`run.json` of a run.

    Raises:
        InputError: this is no run folder, or one of another version.
    """
    if not run.is_dir():
        raise InputError("there is no such run folder", where=str(run))
    record: RunRecord = read_json(run / "run.json", RunRecord)
    if record.schema_version != SCHEMA_VERSION:
        raise InputError(
            "this run was written by another version of spiceloop",
            where=str(run / "run.json"),
            value=record.schema_version,
            allowed=str(SCHEMA_VERSION),
            hint="train again with this version",
        )
    return record


def _not_a_run(path: Path, reason: str) -> InputError:
    return InputError(
        f"this file of a run cannot be used ({reason})",
        where=str(path),
        hint="give a folder that `spiceloop train` has written",
    )


def write_chip(folder: Path, chip: Chip) -> None:
    """Writes plans, programmed conductances, periphery and weights of a chip."""
    write_json(folder / "plans.json", [dataclasses.asdict(plan) for plan in chip.plans])
    arrays: dict[str, Array] = {}
    for k, (layer, periphery) in enumerate(zip(chip.conductance_s, chip.periphery, strict=True)):
        arrays[f"layer_{k}.weights"] = chip.weights[k]
        arrays[f"layer_{k}.neuron_offset_v"] = periphery.neuron_offset_v
        arrays[f"layer_{k}.adc_offset_v"] = periphery.adc_offset_v
        arrays[f"layer_{k}.adc_gain"] = periphery.adc_gain
        for t, (conductance, tile) in enumerate(zip(layer, periphery.tiles, strict=True)):
            arrays[f"layer_{k}.tile_{t}.conductance_s"] = conductance
            arrays[f"layer_{k}.tile_{t}.r_feedback_ohm"] = tile.r_feedback_ohm
            arrays[f"layer_{k}.tile_{t}.v_offset_v"] = tile.v_offset_v
    write_npz(folder / "chip.npz", arrays)


def read_chip(run: Path, config: Config) -> Chip:
    """The programmed chip of a run."""
    plans: Sequence[LayerPlan] = read_json(run / "plans.json", tuple[LayerPlan, ...])
    stored = Stored(run / "chip.npz")
    layers = [
        (
            LayerPeriphery(
                tuple(
                    TilePeriphery(
                        stored[f"layer_{k}.tile_{t}.r_feedback_ohm", (tile.cols,)],
                        stored[f"layer_{k}.tile_{t}.v_offset_v", (tile.cols,)],
                    )
                    for t, tile in enumerate(plan.tiles)
                ),
                stored[f"layer_{k}.neuron_offset_v", (plan.outputs,)],
                stored[f"layer_{k}.adc_offset_v", (plan.outputs,)],
                stored[f"layer_{k}.adc_gain", (plan.outputs,)],
            ),
            tuple(
                stored[f"layer_{k}.tile_{t}.conductance_s", (tile.rows, tile.cols)]
                for t, tile in enumerate(plan.tiles)
            ),
            stored[f"layer_{k}.weights", (plan.rows, plan.outputs)],
        )
        for k, plan in enumerate(plans)
    ]
    return Chip(
        config.hardware,
        tuple(plans),
        tuple(layer[0] for layer in layers),
        tuple(layer[1] for layer in layers),
        tuple(layer[2] for layer in layers),
    )


class Stored:
    """The arrays of a run's .npz file, by name and shape."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrays = read_npz(path)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, wanted: tuple[str, tuple[int, ...]]) -> Array:
        """The array `name` if it has the shape `shape` (-1 fits any length) and is finite.

        Raises:
            InputError: it is missing or is not what it should be.
        """
        name, shape = wanted
        if name not in self._arrays:
            raise _not_a_run(self._path, f"it has no array {name!r}")
        array = self._arrays[name]
        fits = len(array.shape) == len(shape) and all(
            want in (-1, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits or not np.issubdtype(array.dtype, np.floating):
            raise _not_a_run(self._path, f"{name} is {array.dtype} {array.shape}, not {shape}")
        if not np.isfinite(array).all():
            raise _not_a_run(self._path, f"{name} holds a value that is not finite")
        return array.astype(np.float64)


class VerifiedArrays:
    """`verify.npz`: labels, codes and voltage losses; NaN has a meaning in the last two."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrays = read_npz(path)

    def labels(self, images: int, classes: int) -> NDArray[np.int64]:
        """True classes, [image]."""
        labels = self._take("labels", (images,), np.integer).astype(np.int64)
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
            raise _not_a_run(self._path, "a label is no class")
        return labels

    def codes(self, fidelity: str, images: int, classes: int) -> Array:
        """Output codes, [image, class]; NaN where the simulation failed."""
        return self._take(f"codes_{fidelity}", (images, classes), np.floating).astype(np.float64)

    def ir_drop(self, layer: int, tile: int, shape: tuple[int, int]) -> Array:
        """Share of the drive that cells lose, [row, col]; NaN where they were never driven."""
        name = f"layer_{layer}.tile_{tile}.ir_drop"
        return self._take(name, shape, np.floating).astype(np.float64)

    def _take(
        self, name: str, shape: tuple[int, ...], kind: Any
    ) -> NDArray[np.generic]:
        array = self._arrays.get(name)
        if array is None or array.shape != shape or not np.issubdtype(array.dtype, kind):
            raise _not_a_run(self._path, f"it has no array {name!r} of shape {shape}")
        return array
