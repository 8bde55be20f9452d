"""Run folders: what a training leaves on disk, made whole or not at all, read without running it.

Arrays are .npz without pickled objects, weights a state dict for `torch.load(weights_only=True)`,
everything else TOML or JSON that is checked when read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from compact_models.errors import InputError
from compact_models.files import unwritable, write_bytes_atomic, write_text_atomic
from compact_models.scratch import HeldError, claim, clear_abandoned, take_lock
from cosim.network.held_chip import held_chip
from cosim.training.endurance import LayerEndurance
from cosim.training.torch_bytes import torch_bytes
from netlists.chip import Chip, LayerPeriphery, TilePeriphery
from netlists.crossbar import check_conductances
from netlists.neurons.spec import all_neurons
from netlists.tiles import LayerPlan, cut
from workflows.config import Config, parse_config
from workflows.npz import npz_bytes, read_npz
from workflows.watched import Watched

Array = NDArray[np.float64]
T = TypeVar("T")

SCHEMA_VERSION = 5


class RunRecord(BaseModel):
    """What `run.json` says of a run that is finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    status: Literal["finished"] = "finished"
    title: str
    created_utc: str
    command: str
    made_by: Literal["train", "map"]
    module: str
    module_sha256: str
    config_hash: str
    data_hash: str
    versions: dict[str, str]
    seeds: dict[str, int]
    stages: list[tuple[str, float]]
    accuracy_float: float
    accuracy_trained: float
    surrogate: Watched | None = None
    class_names: list[str]
    notes: list[str]  # what a reader of its results must know
    resumed: int = 0  # how often its training was taken up again
    cells: list[LayerEndurance] = []  # of each layer that was trained in its cells


class _Version(BaseModel):
    schema_version: int
    status: str = "finished"


@contextmanager
def new_folder(
    path: Path, say: Callable[[str], None] | None = None, *, allow_empty: bool = False
) -> Iterator[Path]:
    """A folder that appears under its name when it is complete, and not at all otherwise.

    Args:
        path: its name.
        say: is told what was removed.
        allow_empty: whether an empty folder may stand there already.

    Raises:
        InputError: something of that name exists or is being made, or the place cannot be written.
    """
    with claimed_folder(path, say, allow_empty=allow_empty) as part:
        yield part
        refuse_existing(path, allow_empty=allow_empty)
        part.rename(path)


@contextmanager
def claimed_folder(
    path: Path, say: Callable[[str], None] | None = None, *, allow_empty: bool = False
) -> Iterator[Path]:
    """A folder beside the one that it may be renamed to; it goes if it is not.

    It is claimed at once: a second command that wants the same name is refused before it works.
    What a killed command left of it is removed. See `new_folder`.
    """
    refuse_existing(path, allow_empty=allow_empty)
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    part = path.with_name(f".{path.name}.part")
    try:
        if path.parent.exists() and not path.parent.is_dir():  # mkdir would say "File exists"
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        with claim(part) as abandoned:
            if abandoned and say is not None:
                say(f"spiceloop: {part}, left by a command that was killed, is removed")
            yield part
    except HeldError as error:
        raise InputError(
            "another command is making this now",
            where=str(path),
            hint=f"choose another name with -o; if none is, remove {shlex.quote(str(part))}",
        ) from error
    except OSError as error:
        raise unwritable(path, error) from error
    except InputError as error:
        if str(part) not in error.where:
            raise
        # The user knows the folder by the name that it will have.
        raise error.at(error.where.replace(str(part), str(path))) from error
    finally:
        with contextlib.suppress(OSError):  # the first that holds something ends it
            for folder in missing:
                folder.rmdir()


def clear_unfinished(run: Path, say: Callable[[str], None]) -> None:
    """Removes what killed commands left unfinished inside a run folder, and says so."""
    for path in clear_abandoned(run, ".", (".part", ".old")):
        say(f"spiceloop: {path}, left by a command that was killed, is removed")


def refuse_existing(path: Path, *, allow_empty: bool = False) -> None:
    """Nothing that exists is written over, but an empty folder where that is allowed.

    Raises:
        InputError: something of that name exists.
    """
    if allow_empty and path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        another = "choose another name with -o"
        if is_unfinished(path):
            raise unfinished(path, another=another)
        if (path / "run.json").is_file() and not (path / "verify.json").exists():
            verify = f"spiceloop verify {shlex.quote(str(path))}"
            another = f"it is a run that is not verified yet: {verify}; or {another}"
        raise InputError(
            "this exists already and is not written over", where=str(path), hint=another
        )


def write_json(path: Path, value: Any) -> None:
    """Writes a value that pydantic or dataclasses can turn into JSON."""
    write_text_atomic(path, TypeAdapter(Any).dump_json(value, indent=1).decode() + "\n")


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Writes arrays, whole or not at all; returns the sha256 of the file."""
    content = npz_bytes(arrays)
    write_bytes_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def check_together(path: Path, sha256: str, command: str) -> None:
    """Holds an .npz against what the .json of its name says of it.

    Args:
        path: the .npz.
        sha256: of it, as the .json has it.
        command: that writes both into a run folder.

    Raises:
        InputError: it cannot be read, or is another one.
    """
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise not_a_run(path, error.strerror or str(error), command) from error
    if found != sha256:
        raise InputError(
            f"this file and {path.stem}.json were not written together",
            where=str(path),
            hint=f"run: spiceloop {command} {shlex.quote(str(path.parent))}",
        )


def write_weights(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a state dict."""
    write_bytes_atomic(path, torch_bytes(state))


def read_json(path: Path, kind: type[T] | Any, *, command: str = "train") -> T:
    """Reads and checks a JSON file.

    Args:
        path: the file.
        kind: what it should be.
        command: that writes it, for the advice.

    Raises:
        InputError: it is missing or is not what it should be.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())  # type: ignore[no-any-return]
    except OSError as error:
        raise not_a_run(path, error.strerror or str(error), command) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise not_a_run(path, reason, command) from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Reads a state dict; nothing in it is executed.

    Raises:
        InputError: it is missing or holds anything but tensors.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise not_a_run(path, error.strerror or str(error)) from error
    except Exception as error:  # of a spoilt file: whatever zipfile, pickle or torch trip over
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise not_a_run(path, reason) from error
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and (isinstance(v, torch.Tensor) or k.endswith("_extra_state"))
        for k, v in state.items()
    ):
        raise not_a_run(path, "it holds something else than named tensors")
    return state


def read_config(run: Path) -> Config:
    """The resolved configuration of a run.

    Raises:
        InputError: it is missing, wrong, or not the one that the run was made with.
    """
    # The record first: another version has other configurations too.
    return config_of(run, read_record(run).config_hash)


def config_of(run: Path, was: str) -> Config:
    """The configuration in a folder.

    Args:
        run: the folder.
        was: the hash that it was recorded with.

    Raises:
        InputError: it is missing, wrong, or has another hash.
    """
    path = run / "config.toml"
    try:
        config = parse_config(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise not_a_run(path, str(error)) from error
    config = config.with_files(run, where=str(path))
    if config.hash != was:
        raise InputError(
            "this configuration was changed after the run: calibration and chip are of another",
            where=str(path),
            value=config.hash,
            allowed=f"{was}, as run.json says",
            hint="train again with the changed configuration, into another folder",
        )
    return config


def read_record(run: Path) -> RunRecord:
    """`run.json` of a run.

    Raises:
        InputError: this is no run folder, or one of another version.
    """
    if not run.is_dir():
        raise InputError("there is no such run folder", where=str(run))
    if check_version(run) != "finished":
        raise unfinished(run)
    record: RunRecord = read_json(run / "run.json", RunRecord)
    return record


def check_version(run: Path) -> str:
    """The status of a run of this version; before all else, for another one has other fields.

    Raises:
        InputError: this is no run folder, or one of another version.
    """
    version: _Version = read_json(run / "run.json", _Version)
    if version.schema_version != SCHEMA_VERSION:
        raise InputError(
            "this run was written by another version of spiceloop",
            where=str(run / "run.json"),
            value=version.schema_version,
            allowed=str(SCHEMA_VERSION),
            hint="train or map again with this version",
        )
    return version.status


def is_unfinished(run: Path) -> bool:
    """Whether a folder is a run whose training has begun and has not ended well."""
    try:
        found: _Version = read_json(run / "run.json", _Version)
    except InputError:
        return False
    return found.status != "finished"


def unfinished(run: Path, *, another: str = "") -> InputError:
    """The refusal of a run whose training has not ended.

    Args:
        run: its folder.
        another: what else may be done, in words.
    """
    resume = f"spiceloop train --resume {shlex.quote(str(run))}"
    what, hint = "this run is not finished: its training was stopped", f"go on with: {resume}"
    try:
        os.close(take_lock(run))
    except HeldError:
        what = "this run is not finished: another command is training it now"
        hint = f"wait for it; if it is killed, go on with: {resume}"
    except OSError:  # a file system without locks
        pass
    return InputError(what, where=str(run), hint=f"{hint}; or {another}" if another else hint)


def not_a_run(path: Path, reason: str, command: str = "train") -> InputError:
    """The refusal of a file of a run; `command` is the one that writes it."""
    hint = "give a folder that `spiceloop train` or `spiceloop map` has written"
    if command != "train":
        hint = f"run: spiceloop {command} {shlex.quote(str(path.parent))}"
    return InputError(f"this file of a run cannot be used ({reason})", where=str(path), hint=hint)


def write_chip(folder: Path, chip: Chip) -> None:
    """Writes plans, programmed conductances, periphery and weights of a chip."""
    write_json(folder / "plans.json", [dataclasses.asdict(plan) for plan in chip.plans])
    arrays: dict[str, Array] = {}
    for k, (layer, periphery) in enumerate(zip(chip.conductance_s, chip.periphery, strict=True)):
        arrays[f"layer_{k}.weights"] = chip.weights[k]
        arrays[f"layer_{k}.neuron_offset_v"] = periphery.neuron_offset_v
        arrays[f"layer_{k}.neuron_gain"] = periphery.neuron_gain
        arrays[f"layer_{k}.adc_offset_v"] = periphery.adc_offset_v
        arrays[f"layer_{k}.adc_gain"] = periphery.adc_gain
        for t, (conductance, tile) in enumerate(zip(layer, periphery.tiles, strict=True)):
            arrays[f"layer_{k}.tile_{t}.conductance_s"] = conductance
            for name, values in chip.held(k, t).items():
                arrays[f"layer_{k}.tile_{t}.state.{name}"] = values
            arrays[f"layer_{k}.tile_{t}.r_feedback_ohm"] = tile.r_feedback_ohm
            arrays[f"layer_{k}.tile_{t}.v_offset_v"] = tile.v_offset_v
            arrays[f"layer_{k}.tile_{t}.driver_gain"] = tile.driver_gain
            arrays[f"layer_{k}.tile_{t}.driver_offset_v"] = tile.driver_offset_v
    write_npz(folder / "chip.npz", arrays)


def read_chip(run: Path, config: Config) -> Chip:
    """The programmed chip of a run.

    Raises:
        InputError: a file is missing, is not what it should be, or describes no chip.
    """
    plans: Sequence[LayerPlan] = read_json(run / "plans.json", tuple[LayerPlan, ...])
    stored = Stored(run / "chip.npz")
    _check_plans(run / "plans.json", plans, stored, config)
    layers = [
        (
            LayerPeriphery(
                tuple(
                    TilePeriphery(
                        stored[f"layer_{k}.tile_{t}.r_feedback_ohm", (tile.cols,)],
                        stored[f"layer_{k}.tile_{t}.v_offset_v", (tile.cols,)],
                        stored[f"layer_{k}.tile_{t}.driver_gain", (tile.rows,)],
                        stored[f"layer_{k}.tile_{t}.driver_offset_v", (tile.rows,)],
                    )
                    for t, tile in enumerate(plan.tiles)
                ),
                stored[f"layer_{k}.neuron_offset_v", (plan.outputs,)],
                stored[f"layer_{k}.neuron_gain", (plan.outputs,)],
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
    for k, (periphery, conductances, _) in enumerate(layers):
        for t, conductance in enumerate(conductances):
            name = f"{run / 'chip.npz'}: layer_{k}.tile_{t}"
            check_conductances(conductance, f"{name}.conductance_s")
            if (periphery.tiles[t].r_feedback_ohm <= 0).any():
                raise not_a_run(run / "chip.npz", f"layer_{k}.tile_{t}.r_feedback_ohm is not > 0")
    chip = Chip(
        config.hardware,
        tuple(plans),
        tuple(layer[0] for layer in layers),
        tuple(layer[1] for layer in layers),
        tuple(layer[2] for layer in layers),
    )
    return chip if chip.hardware.device is None else _with_states(chip, stored)


def _with_states(chip: Chip, stored: Stored) -> Chip:
    """The chip with the states that are stored, which must be those of its conductances."""
    wanted = held_chip(chip)
    states = tuple(
        tuple(
            {
                name: stored[f"layer_{k}.tile_{t}.state.{name}", values.shape]
                for name, values in tile.items()
            }
            for t, tile in enumerate(layer)
        )
        for k, layer in enumerate(wanted.states)
    )
    for k, (layer, found) in enumerate(zip(wanted.states, states, strict=True)):
        for t, (tile, own) in enumerate(zip(layer, found, strict=True)):
            for name, values in tile.items():
                if not np.allclose(own[name], values, rtol=1e-6, atol=0):
                    raise stored.wrong(f"layer_{k}.tile_{t}: states of other conductances")
    return dataclasses.replace(chip, states=states)


def _check_plans(path: Path, plans: Sequence[LayerPlan], stored: Stored, config: Config) -> None:
    """Holds plans against the weights that are there and the tiles that were configured."""
    if not plans:
        raise not_a_run(path, "it has no layer")
    for k, plan in enumerate(plans):
        # First of all: an array that is there bounds the numbers of a plan.
        shape = stored[f"layer_{k}.weights", (-1, -1)].shape
        scales = (plan.weight_scale, plan.input_scale, plan.span, plan.r_feedback_ohm)
        entering = plan.inputs if k == 0 else plans[k - 1].outputs
        for holds, what in (
            (plan.name == f"layer_{k}", f"the name {plan.name!r}"),
            ((plan.rows, plan.outputs) == shape and plan.inputs == entering, "its size"),
            (plan.outputs > 0 and plan.inputs > 0, "its size"),
            (all(0 < scale < math.inf for scale in scales), "a scale"),
            (plan.factors and all(0 < one < math.inf for one in plan.factors), "a factor"),
            (plan.neuron in {neuron.name for neuron in all_neurons()}, f"neuron {plan.neuron!r}"),
        ):
            if not holds:
                raise not_a_run(path, f"layer {k} cannot be: {what}")
        if plan.tiles != cut(plan.rows, plan.outputs, config.tile, arrays=plan.arrays):
            raise not_a_run(path, f"layer {k} is cut otherwise than config.toml says")


class Stored:
    """The arrays of a run's .npz file, by name and shape."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrays = read_npz(path)

    def wrong(self, reason: str) -> InputError:
        """The error that names this file."""
        return not_a_run(self._path, reason)

    def __contains__(self, name: str) -> bool:
        """Whether there is such an array."""
        return name in self._arrays

    def __getitem__(self, wanted: tuple[str, tuple[int, ...]]) -> Array:
        """The array `name` if it has the shape `shape` (-1 fits any length) and is finite.

        Raises:
            InputError: it is missing or is not what it should be.
        """
        name, shape = wanted
        if name not in self._arrays:
            raise not_a_run(self._path, f"it has no array {name!r}")
        array = self._arrays[name]
        fits = len(array.shape) == len(shape) and all(
            want in (-1, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits or not np.issubdtype(array.dtype, np.floating):
            raise not_a_run(self._path, f"{name} is {array.dtype} {array.shape}, not {shape}")
        if not np.isfinite(array).all():
            raise not_a_run(self._path, f"{name} holds a value that is not finite")
        return array.astype(np.float64)
