"""One array as a torch layer: voltages in, currents out, wire resistance between them."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, Self

import torch
from torch import nn

from compact_models.errors import InputError
from cosim.array.fingerprint import Described
from cosim.array.reads.anchored_tile import AnchoredTile, anchored_tile
from cosim.array.surroundings import Ends, TileWires
from cosim.nodal.lines import Ohm

_TYPES = (torch.float32, torch.float64)


class CrossbarArray(Described):
    """Bit-line currents of an array for voltages at its word lines, within a stated tolerance.

    The wires are the closed form, anchored on the exact transfer of a recent state; where the
    estimated error passes the tolerance the array is solved exactly again. A change of the levels
    costs one evaluation of the closed form, a batch one product beside it; without gradients the
    transfer is kept as long as the levels stay what they are.

    Parameters are the cells' levels, `level` [row, col]: 0 is `g_off_s`, 1 is `g_on_s`. After an
    optimiser's step `clip_levels` brings them back into this range; beyond it they are refused.

    Tolerance and estimate are those of the transfer, and so of the currents. Gradients are the
    closed form's with the anchor's factors, which are not exact where the transfer is: over a batch
    of inputs they were measured to be off by 4 % of their norm at 64 x 20 cells of 1 to 100 uS and
    8 ohm a segment, and by 33 % at 20 ohm. `solve_transfer` has exact ones.

    Args:
        level: to start from, [row, col], in [0, 1]; its type is that of the layer. In single
            precision the closed form is that exact; anchors are solved in double precision.
        g_off_s: conductance at level 0 [S].
        g_on_s: conductance at level 1 [S].
        r_wordline_ohm: of a word-line segment, finite, one value or [row, col].
        r_bitline_ohm: of a bit-line segment, finite, one value or [row, col].
        r_driver_ohm: in series at each driver, finite, one value or [row].
        r_sense_ohm: in series at each sense node, finite, one value or [col].
        tolerance: largest estimated error of the transfer, relative, in the Frobenius norm.

    Raises:
        InputError: levels that are no array of numbers in [0, 1], a range that is none, or
            resistances that `wire_model` refuses.
    """

    def __init__(
        self,
        level: torch.Tensor,
        *,
        g_off_s: float,
        g_on_s: float,
        r_wordline_ohm: Ohm,
        r_bitline_ohm: Ohm,
        r_driver_ohm: Ohm = 0.0,
        r_sense_ohm: Ohm = 0.0,
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__()
        if not isinstance(level, torch.Tensor):
            raise InputError(
                "levels must be a tensor",
                where="level",
                value=type(level).__name__,
                allowed="[row, col] of torch.float32 or torch.float64",
            )
        if level.ndim != 2 or 0 in level.shape or level.dtype not in _TYPES:
            raise InputError(
                "levels must be an array of numbers",
                where="level",
                value=f"{tuple(level.shape)} of {level.dtype}",
                allowed="[row, col] of torch.float32 or torch.float64",
            )
        _check_levels(level)
        ends: tuple[tuple[str, object], ...] = (("g_off_s", g_off_s), ("g_on_s", g_on_s))
        for name, value in ends:
            if not isinstance(value, Real):
                raise InputError("not a conductance", where=name, value=value, allowed="a number")
        if not 0 <= g_off_s < g_on_s < float("inf"):
            raise InputError(
                "no range of conductances",
                where="g_off_s, g_on_s",
                value=(g_off_s, g_on_s),
                allowed="0 <= g_off_s < g_on_s",
            )
        self.g_off_s, self.g_on_s, self.tolerance = float(g_off_s), float(g_on_s), tolerance
        with torch.inference_mode(False):  # wherever it is made, it can be trained
            self.level = nn.Parameter(level.detach().clone())
            self._wires = TileWires(
                _fixed("r_wordline_ohm", r_wordline_ohm), _fixed("r_bitline_ohm", r_bitline_ohm)
            )
            self._ends = Ends(
                _fixed("r_driver_ohm", r_driver_ohm), _fixed("r_sense_ohm", r_sense_ohm)
            )
            self._anchored = self._closed_form()
        self._before = 0
        self._kept: tuple[torch.Tensor, torch.Tensor] | None = None

    def get_extra_state(self) -> dict[str, Any]:
        """Of `nn.Module`: what the levels in the state belong to."""
        ohms = {
            name: value.tolist() if isinstance(value, torch.Tensor) else float(value)
            for name, value in (vars(self._wires) | vars(self._ends)).items()
            if value is not None
        }
        rows, cols = self.level.shape
        return {"rows": rows, "cols": cols, "g_off_s": self.g_off_s, "g_on_s": self.g_on_s, **ohms}

    def _closed_form(self) -> AnchoredTile:
        return anchored_tile(self.level, self._wires, self._ends, tolerance=self.tolerance)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Of `nn.Module`: double(), float() and to(), after which the closed form is another."""
        before = self.level.data
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch
        after = self.level.dtype
        if after not in _TYPES:
            self.level.data = before
            raise InputError(
                "a crossbar has no such precision",
                where="level",
                value=str(after),
                allowed="torch.float32 or torch.float64",
            )
        if (after, self.level.device) != (before.dtype, before.device):
            self._before += self._anchored.anchors
            with torch.inference_mode(False):
                self._anchored = self._closed_form()
            self._kept = None
        return self

    @property
    def error_estimate(self) -> float:
        """Of the transfer last used, not of gradients: relative, in the Frobenius norm.

        0 where the transfer is exact.
        """
        return self._anchored.estimate

    @property
    def anchors(self) -> int:
        """How often the array was solved exactly."""
        return self._before + self._anchored.anchors

    def conductance_s(self) -> torch.Tensor:
        """Of the cells, [row, col] in siemens; differentiable."""
        return self.g_off_s + (self.g_on_s - self.g_off_s) * self.level

    def transfer_s(self) -> torch.Tensor:
        """Currents for voltages, [row, col] in siemens; differentiable.

        Raises:
            InputError: a level is out of its range.
        """
        if torch.is_grad_enabled() and self.level.requires_grad:
            _check_levels(self.level)
            return self._anchored.transfer(self.conductance_s()).transfer_s
        # By content: what is done to `level.data` is not in its version, nor is another range.
        with torch.inference_mode(False), torch.no_grad():
            conductance = self.conductance_s()
            if self._kept is None or not torch.equal(self._kept[0], conductance):
                _check_levels(self.level)
                self._kept = conductance, self._anchored.transfer(conductance).transfer_s
        return self._kept[1]

    def forward(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines, [..., col] in amperes, for voltages [..., row].

        Raises:
            InputError: the voltages do not fit the array, or a level is out of its range.
        """
        rows, dtype = len(self.level), self.level.dtype
        if drive_v.ndim == 0 or drive_v.shape[-1] != rows or drive_v.dtype != dtype:
            raise InputError(
                "as many voltages as word lines, of the layer's type",
                where="drive_v",
                value=f"{tuple(drive_v.shape)} of {drive_v.dtype}",
                allowed=f"[..., {rows}] of {dtype}",
            )
        return drive_v @ self.transfer_s()

    def clip_levels(self) -> None:
        """Brings levels that have left their range back to its edge; after an optimiser's step."""
        with torch.no_grad():
            self.level.clamp_(0.0, 1.0)


def _fixed(name: str, ohm: Ohm) -> Ohm:
    """A resistance that nobody else writes to."""
    if not isinstance(ohm, torch.Tensor):
        return ohm
    if ohm.requires_grad:
        raise InputError(
            "the layer trains levels, not resistances",
            where=name,
            value="a tensor that requires gradients",
            allowed="one without: .detach() it",
            hint="solve_transfer has gradients by resistances, and so has the closed form",
        )
    return ohm.detach().clone()


def _check_levels(level: torch.Tensor) -> None:
    low, high = (float(x) for x in torch.aminmax(level.detach()))
    if not (low >= 0 and high <= 1):  # False for NaN
        raise InputError(
            "a level out of range",
            where="level",
            value=high if high > 1 else low,
            allowed="0 to 1",
            hint="clip_levels after each step of an optimiser",
        )
