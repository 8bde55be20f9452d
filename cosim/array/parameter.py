"""A weight that lives in cells, in torch's own dress: a parameter whose state an array holds.

`data` is the logical weight, refreshed whenever the array has changed. `loss.backward()` queues
pairs of activations and errors instead of a gradient; the optimiser that knows about them turns
them into pulses. What would change the numbers and not the cells is refused in words.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compact_models.errors import InputError

if TYPE_CHECKING:
    from cosim.array.combined import WeightArray


@dataclass(eq=False)
class Pairs:
    """What one backward pass after another has left for an array: rank-one updates, not summed.

    Attributes:
        x: activations on the word lines, each [chip, batch, row].
        d: gradients of the loss at the outputs, each [chip, batch, out].
        max_numbers: that are kept; the oldest batches beyond them are dropped.
        awaited: somebody is there to take them, an optimiser that knows of pairs.
        passes: how many backward passes have left any.
        dropped: batches that were too many, since pairs were taken or forgotten.
    """

    x: list[torch.Tensor] = field(default_factory=list)
    d: list[torch.Tensor] = field(default_factory=list)
    max_numbers: int = 1 << 25
    awaited: bool = False
    passes: int = 0
    dropped: int = 0
    _numbers: int = 0

    def put(self, x: torch.Tensor, d: torch.Tensor) -> None:
        """Adds a batch."""
        self.x.append(x)
        self.d.append(d)
        self.passes += 1
        self._numbers += x.numel() + d.numel()
        while self._numbers > self.max_numbers and len(self.x) > 1:
            self._numbers -= self.x.pop(0).numel() + self.d.pop(0).numel()
            self.dropped += 1

    def take(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """All batches, one after the other, [chip, batch, line] each; None where there are none.

        Raises:
            InputError: there were more than are kept.
        """
        if not self.x:
            return None
        if self.dropped:
            raise InputError(
                "backward has left more for the cells than is kept, and the oldest is gone",
                where="step",
                value=f"{self.dropped + len(self.x)} batches since the last step",
                allowed=f"{self.max_numbers} activations and errors of a layer",
                hint="step more often, or zero_grad() what is not to be learnt",
            )
        taken = _one_after_the_other(self.x), _one_after_the_other(self.d)
        self.clear()
        return taken

    def clear(self) -> None:
        """Forgets them."""
        self.x.clear()
        self.d.clear()
        self._numbers = self.dropped = 0

    def forget(self, rows: tuple[int, int]) -> None:
        """Forgets what they mean for some word lines; a batch that means nothing more is gone."""
        if not self.x:
            return
        first, stop = rows
        kept = []
        for x, d in zip(self.x, self.d, strict=True):
            left = x.clone()
            left[..., first:stop] = 0.0
            if bool(left.any()):
                kept.append((left, d))
        if not kept:
            self.clear()
        self.x, self.d = [x for x, _ in kept], [d for _, d in kept]
        self._numbers = sum(x.numel() + d.numel() for x, d in kept)


def _one_after_the_other(batches: list[torch.Tensor]) -> torch.Tensor:
    return batches[0] if len(batches) == 1 else torch.cat(batches, 1)


class AnalogParameter(nn.Parameter):
    """A part of an array's matrix as a parameter.

    Attributes:
        array: holds the state.
        pairs: what backward passes have left, shared by all parameters of the array.
        rows: the word lines of the array that this parameter is, first and behind the last.
        scale: what a weight of 1 in the array stands for.
        is_bias: the data are one word line, [out].
        path: its name in the network before `convert`, for messages.
    """

    array: WeightArray
    pairs: Pairs
    rows: tuple[int, int]
    scale: float
    is_bias: bool
    path: str
    _seen: int

    @staticmethod
    def of(
        array: WeightArray,
        pairs: Pairs,
        rows: tuple[int, int],
        *,
        path: str,
        bias: bool,
        scale: float = 1.0,
    ) -> AnalogParameter:
        """A parameter of an array, [out, in] or [out]; with many chips [chip, out, in]."""
        shown = _shown(array, rows, bias=bias)
        # The state itself where that is the logical weight: nothing has to be copied to show it.
        shared = shown.detach() if scale == 1.0 else shown.detach() * scale
        made = torch.Tensor._make_subclass(AnalogParameter, shared, True)
        made.array, made.pairs, made.rows, made.scale = array, pairs, rows, scale
        made.is_bias, made.path = bias, path
        made.show()
        return made

    def follow(self) -> None:
        """Shows the array's state where that is now: in another precision, other memory."""
        shown = _shown(self.array, self.rows, bias=self.is_bias).detach()
        self.data = shown if self.scale == 1.0 else shown * self.scale
        self.show()

    def __new__(cls, *_args: object, **_named: object) -> AnalogParameter:
        """Refuses: such a parameter is made by a layer."""
        raise InputError("a weight in cells is made by its layer", where="AnalogParameter")

    @property
    def changed(self) -> bool:
        """Somebody has written into its data, and the cells do not know."""
        return self._version != self._seen

    @property
    def used_directly(self) -> bool:
        """A loss has been differentiated that uses the parameter without its layer."""
        hidden: Any = torch.Tensor.grad  # torch's own property, behind the one of this class
        return hidden.__get__(self) is not None

    def show(self) -> None:
        """Takes what the cells hold now."""
        if self._is_state():
            self._seen = self._version
            return
        shown = _shown(self.array, self.rows, bias=self.is_bias)
        if self.data_ptr() != shown.data_ptr() or self.scale != 1.0 or self.dtype != shown.dtype:
            with torch.no_grad():
                self.copy_(shown if self.scale == 1.0 else shown * self.scale)
        self._seen = self._version

    def _is_state(self) -> bool:
        """The data are the memory of the cells' own state: what moves there is shown."""
        if self.scale != 1.0 or not self.array.is_weight:
            return False
        w, (first, _) = self.array.w, self.rows
        return (
            self.dtype == w.dtype
            and self.data_ptr() == w.data_ptr() + first * w.shape[-1] * w.element_size()
        )

    def check(self) -> None:
        """Refuses data that somebody has written.

        Raises:
            InputError: somebody has.
        """
        if self._version != self._seen:
            raise InputError(
                "something was written into a weight that cells hold; they do not know of it",
                where=self.path,
                hint="load_state_dict and layer.program(weight) write into the cells",
            )

    def forget(self) -> None:
        """Forgets what backward passes have left for it: what `grad = None` is elsewhere."""
        self.pairs.forget(self.rows)
        hidden: Any = torch.Tensor.grad
        hidden.__set__(self, None)

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        """Of `pickle` and `torch.save`: a parameter of the array that is stored with it."""
        return _again, (self.array, self.pairs, *self._told)

    @property
    def _told(self) -> tuple[tuple[int, int], str, bool, float, bool]:
        return self.rows, self.path, self.is_bias, self.scale, self.requires_grad

    def __deepcopy__(self, memo: dict[int, Any]) -> AnalogParameter:
        """Of `copy.deepcopy`: a parameter of the copied array."""
        if id(self) in memo:
            kept: AnalogParameter = memo[id(self)]
            return kept
        array, pairs = copy.deepcopy(self.array, memo), copy.deepcopy(self.pairs, memo)
        made = _again(array, pairs, *self._told)
        memo[id(self)] = made
        return made

    @property
    def grad(self) -> torch.Tensor | None:
        """None: an array is updated by pairs. Clipping what is not there is refused.

        torch's `zero_grad`, of modules and of optimisers, sets only gradients to None that it
        finds: there is none to be found, so that its asking is what clears the pairs.
        """
        asking = sys._getframe(1)
        if asking.f_code.co_name == "zero_grad":
            self.forget()
        elif asking.f_globals.get("__name__") == "torch.nn.utils.clip_grad":
            raise InputError(
                "a weight in cells has no gradient that could be clipped: backward queues pairs",
                where="torch.nn.utils.clip_grad",
                hint="limit the update by max_pulses, or clip the other parameters alone",
            )
        return None

    @grad.setter
    def grad(self, value: torch.Tensor | None) -> None:
        if value is not None:
            raise InputError(
                "a weight in cells has no gradient", where=f"{self.path}.grad", allowed="None"
            )
        self.forget()


def _again(
    array: WeightArray,
    pairs: Pairs,
    rows: tuple[int, int],
    path: str,
    is_bias: bool,
    scale: float,
    requires_grad: bool,
) -> AnalogParameter:
    """A parameter of an array as another one was."""
    made = AnalogParameter.of(array, pairs, rows, path=path, bias=is_bias, scale=scale)
    made.requires_grad_(requires_grad)
    return made


def _shown(array: WeightArray, rows: tuple[int, int], *, bias: bool) -> torch.Tensor:
    """Some word lines of an array as a layer's weight [out, in] or bias [out], before its scale."""
    logical = array.weight_of(*rows)
    shown = logical[:, 0] if bias else logical.mT
    return shown[0] if array.chips == 1 else shown
