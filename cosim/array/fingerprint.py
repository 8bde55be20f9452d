"""What a layer's state belongs to: its hardware, kept in the state and compared when it is loaded.

Weights mean something only with the wires, cells and scales that they were trained for; torch
compares names and shapes, which are the same for every one of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from netlists.hardware import Hardware

_KEY = "_extra_state"
"""What torch calls the state that a module adds to its parameters."""


_AS_SAVED = "make the layer as it was saved, or copy the parameters by hand"


def refuse_another(
    state: object, own: Mapping[str, Any], where: str, *, hint: str = _AS_SAVED
) -> None:
    """Refuses a state that was made by a layer of another description.

    Args:
        state: what came with the state, or anything else that was found in its place.
        own: the layer's own description, of plain values.
        where: the key in the state dict.
        hint: what to do instead.

    Raises:
        InputError: says where the descriptions differ first.
    """
    if not isinstance(state, Mapping):
        raise InputError(
            "this is no state of such a layer",
            where=where,
            value=type(state).__name__,
            allowed="what its own state_dict gave",
        )
    here, there = _flat(plain(own)), _flat(plain(state))
    for key in (*here, *(key for key in there if key not in here)):
        if key not in here or key not in there or here[key] != there[key]:
            raise InputError(
                "this state is of another layer",
                where=f"{where}: {key}",
                value=there.get(key, "none"),
                allowed=f"{here.get(key, 'none')}, as in this layer",
                hint=hint,
            )


class Described(nn.Module):
    """A module whose state tells what it belongs to: what its `get_extra_state` says.

    The state of another one is refused before anything is overwritten.
    """

    def get_extra_state(self) -> dict[str, Any]:
        """Of `nn.Module`: the description, of plain values."""
        raise NotImplementedError

    def set_extra_state(self, state: object) -> None:
        """Of `nn.Module`.

        Raises:
            InputError: it is of another layer, network or chip.
        """
        refuse_another(state, self.get_extra_state(), _KEY)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *more: Any, **named: Any
    ) -> None:
        if prefix + _KEY in state_dict:
            refuse_another(state_dict[prefix + _KEY], self.get_extra_state(), prefix + _KEY)
        super()._load_from_state_dict(state_dict, prefix, *more, **named)


def hardware_told(hardware: Hardware) -> dict[str, Any]:
    """The sections of a chip's description."""
    parts = {name: getattr(hardware, name) for name in type(hardware).model_fields}
    return {
        name: part.model_dump() if isinstance(part, BaseModel) else part
        for name, part in parts.items()
    }


def cells_told(cells: object) -> dict[str, Any]:
    """What the cells of an array are: equations, numbers, and what was drawn for each."""
    from compact_models.model import CompactModel, ParameterSet  # sympy is theirs

    def told(value: object) -> object:
        if isinstance(value, CompactModel):
            return {"name": value.name, "content": value.content}
        if isinstance(value, ParameterSet):
            return {"name": value.name, "values": value.values, "initial": value.initial}
        if isinstance(value, torch.Tensor):
            return hashlib.sha256(value.detach().contiguous().numpy().tobytes()).hexdigest()
        if isinstance(value, Mapping):
            return {name: told(one) for name, one in value.items()}
        if isinstance(value, tuple):  # cells of several arrays
            return [cells_told(one) if is_dataclass(one) else told(one) for one in value]
        return value

    described: Any = cells  # whichever kind of cells: a dataclass each
    parts = fields(described) if is_dataclass(described) else ()
    names = [one.name for one in parts if one.metadata.get("told", True)]
    return {name: told(getattr(cells, name)) for name in names}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON has them, to the last digit: lists for tuples."""
    found: dict[str, Any] = json.loads(json.dumps(values, default=_told))
    return found


def _told(value: object) -> Any:
    """What JSON has no word for: arrays by all their numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, CellDevice):
        return {"name": value.label, "content": value.content}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return dict(value) if isinstance(value, Mapping) else str(value)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Leaves by their path, such as `plans[0].r_feedback_ohm`."""
    if isinstance(value, dict):
        parts = {f"{name}.{key}" if name else key: one for key, one in value.items()}
    elif isinstance(value, list):
        parts = {f"{name}[{k}]": one for k, one in enumerate(value)}
    else:
        return {name: value}
    return {key: leaf for path, one in parts.items() for key, leaf in _flat(one, path).items()}
