"""What torch saves, in bytes that say the same for the same content.

`torch.save` pickles: a text that is one object in two places is written once, and two equal ones
twice, so that equal states had unequal bytes once one of them was loaded from a file. A tensor that
is a part of a larger storage takes all of it along. Nothing else in its archive changes from run to
run: it has no times, and names and order are those of the content.
"""

from __future__ import annotations

import io
import sys
from collections import OrderedDict
from typing import Any

import torch


def torch_bytes(value: Any) -> bytes:
    """A file for `torch.load(..., weights_only=True)`.

    Args:
        value: tensors, numbers and texts, in dicts, lists and tuples.
    """
    buffer = io.BytesIO()
    torch.save(_canonical(value), buffer)
    return buffer.getvalue()


def _canonical(value: Any) -> Any:
    """The same in containers of its own and with one object for every text."""
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, dict):
        pairs = [(_canonical(key), _canonical(one)) for key, one in value.items()]
        if not isinstance(value, OrderedDict):
            return dict(pairs)
        made = OrderedDict(pairs)
        if hasattr(value, "_metadata"):  # of a state_dict, which load_state_dict asks for
            made._metadata = _canonical(value._metadata)  # type: ignore[attr-defined]
        return made
    if isinstance(value, list | tuple):
        return type(value)(_canonical(one) for one in value)
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        whole = tensor.untyped_storage().nbytes() == tensor.nbytes
        return tensor if whole else tensor.clone()
    return value
