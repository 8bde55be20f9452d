"""One array as a torch layer: voltages in, currents out, wire resistance between them."""

from __future__ import annotations

import torch
from torch import nn

from compact_models.errors import InputError
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.anchored import AnchoredTransfer
from cosim.surrogate.wires import wire_model


class CrossbarArray(nn.Module):
    """Bit-line currents of an array for voltages at its word lines, within a stated tolerance.

    The wires are the closed form, anchored on the exact transfer of a recent state; where the
    estimated error passes the tolerance the array is solved exactly again. A change of the levels
    costs one evaluation of the closed form, a batch one product beside it; without gradients the
    transfer is kept as long as the levels stay what they are.

    Parameters are the cells' levels, `level` [row, col]: 0 is `g_off_s`, 1 is `g_on_s`.

    Args:
        level: to start from, [row, col], in [0, 1]; its type is that of the layer. In single
            precision the closed form is that exact; anchors are solved in double precision.
        g_off_s: conductance at level 0 [S].
        g_on_s: conductance at level 1 [S].
        r_wordline_ohm: of a word-line segment.
        r_bitline_ohm: of a bit-line segment.
        r_driver_ohm: in series at each driver.
        r_sense_ohm: in series at each sense node, one value or [col].
        tolerance: largest estimated error of the transfer, relative, in the Frobenius norm.

    Raises:
        InputError: levels that are no array of numbers in [0, 1], a range that is none, or what
            `solve_transfer` refuses.
    """

    def __init__(
        self,
        level: torch.Tensor,
        *,
        g_off_s: float,
        g_on_s: float,
        r_wordline_ohm: float,
        r_bitline_ohm: float,
        r_driver_ohm: float = 0.0,
        r_sense_ohm: float | torch.Tensor = 0.0,
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__()
        if level.ndim != 2 or 0 in level.shape or not level.is_floating_point():
            raise InputError(
                "levels must be an array of numbers",
                where="level",
                value=f"{tuple(level.shape)} of {level.dtype}",
                allowed="[row, col] of torch.float32 or torch.float64",
            )
        if not bool(((level >= 0) & (level <= 1)).all()):
            wrong = level.detach()[~((level >= 0) & (level <= 1))]
            raise InputError(
                "a level out of range", where="level", value=float(wrong[0]), allowed="0 to 1"
            )
        if not 0 <= g_off_s < g_on_s < float("inf"):
            raise InputError(
                "no range of conductances",
                where="g_off_s, g_on_s",
                value=(g_off_s, g_on_s),
                allowed="0 <= g_off_s < g_on_s",
            )
        self.g_off_s, self.g_on_s = g_off_s, g_on_s
        self.level = nn.Parameter(level.detach().clone())
        rows, cols = level.shape

        def exact(conductance_s: torch.Tensor) -> torch.Tensor:
            precise = conductance_s.to(torch.float64)
            solved = solve_transfer(
                precise,
                r_wordline_ohm=r_wordline_ohm,
                r_bitline_ohm=r_bitline_ohm,
                r_driver_ohm=r_driver_ohm,
                r_sense_ohm=r_sense_ohm,
            )
            return solved.transfer_s.to(conductance_s.dtype)

        closed = wire_model(
            rows,
            cols,
            r_wordline_ohm=r_wordline_ohm,
            r_bitline_ohm=r_bitline_ohm,
            r_driver_ohm=r_driver_ohm,
            r_sense_ohm=r_sense_ohm,
            dtype=level.dtype,
            device=level.device,
        )
        self._anchored = AnchoredTransfer(closed, exact, tolerance=tolerance)
        self._kept: tuple[int, torch.Tensor] | None = None

    @property
    def error_estimate(self) -> float:
        """Of the transfer last used: relative, in the Frobenius norm; 0 where it is exact."""
        return self._anchored.estimate

    @property
    def anchors(self) -> int:
        """How often the array was solved exactly."""
        return self._anchored.anchors

    def conductance_s(self) -> torch.Tensor:
        """Of the cells, [row, col] in siemens; differentiable."""
        return self.g_off_s + (self.g_on_s - self.g_off_s) * self.level

    def transfer_s(self) -> torch.Tensor:
        """Currents for voltages, [row, col] in siemens; differentiable."""
        if torch.is_grad_enabled() and self.level.requires_grad:
            return self._anchored.transfer_s(self.conductance_s())
        version = self.level._version
        if self._kept is None or self._kept[0] != version:
            with torch.no_grad():
                self._kept = version, self._anchored.transfer_s(self.conductance_s())
        return self._kept[1]

    def forward(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines, [..., col] in amperes, for voltages [..., row]."""
        return drive_v @ self.transfer_s()

    def clip_levels(self) -> None:
        """Brings levels that have left their range back to its edge; after an optimiser's step."""
        with torch.no_grad():
            self.level.clamp_(0.0, 1.0)
