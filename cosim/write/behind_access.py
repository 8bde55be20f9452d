"""Amplitudes of whole cells: what stands before a memristor takes a part of the voltage.

A rule says what should be across the memristor. What stands before it carries the same current, and
the drop that belongs to that current comes on top. The current is the mean over the pulse: a
memristor that becomes more conducting on its way takes more, which a write-verify loop makes good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.nodal.cells import ekv_channel, sinh_selector
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import History, Predicted
from netlists.access import Access, Selector, Transistor

Array = NDArray[np.float64]

_BISECTIONS = 50
_CREEP, _MOST_DOUBLINGS = 1e-3, 30  # of an amplitude: the second pulse, each further one doubles it


@dataclass(frozen=True, eq=False)
class BehindAccess:
    """A rule for bare memristors, made one for whole cells.

    Attributes:
        bare: the rule for the memristor alone.
        access: what stands before every memristor.
        raising: the update surrogate for pulses that raise the state: it knows the currents.
        lowering: the same for those that lower it.
        gates_v: gate voltages while a state is raised and while it is lowered; None with selectors.
        highest_v: the highest amplitude of a cell [V]: what cannot be reached gets this.
    """

    bare: Predicted
    access: Access
    raising: UpdateSurrogate
    lowering: UpdateSurrogate
    gates_v: tuple[float, float] | None
    highest_v: float

    def __call__(self, now: Array, goal: Array, history: History) -> Array:
        """The amplitudes; see `AmplitudeRule`."""
        # What a cell has shown to get is a matter of its access device too: it is tried from below.
        nothing = History(history.streak, np.ones(now.shape))
        device_v = self.bare(now, goal, nothing)
        extra = _CREEP * (2.0 ** np.minimum(history.streak, _MOST_DOUBLINGS) - 1)
        whole = np.zeros(now.shape)
        for k, surrogate in enumerate((self.raising, self.lowering)):
            chosen = (goal > now) == (k == 0)
            if not chosen.any():
                continue
            v = torch.from_numpy(device_v[chosen])
            x = torch.from_numpy(np.clip(now[chosen], 0, 1))
            current = surrogate.energy(x, v) / surrogate.pulse.square_s / v
            gate_v = 0.0 if self.gates_v is None else self.gates_v[k]
            # The highest alone is as high in company; then what the others get beside it.
            alone_v = self.cell_v(v, current, gate_v).abs() * (1 + torch.from_numpy(extra[chosen]))
            line_v = min(float(alone_v.max()), self.highest_v)
            whole[chosen] = self.cell_v(v, current, gate_v, line_v).numpy()
        return np.clip(whole * (1 + extra), -self.highest_v, self.highest_v)

    def cell_v(
        self,
        device_v: torch.Tensor,
        current_a: torch.Tensor,
        gate_v: float,
        line_v: float | None = None,
    ) -> torch.Tensor:
        """What a cell needs for its memristor to have a voltage and a current [V], [cell].

        Args:
            device_v: across the memristor.
            current_a: through it.
            gate_v: of the row, with transistors.
            line_v: the highest amplitude on the row, which lifts the bit lines of the other cells
                and with them a transistor's source; None for a cell that is written alone.
        """
        sign = torch.sign(device_v)
        through = _current(self.access, gate_v, line_v)
        most_v = self.highest_v if line_v is None else line_v
        near, far = device_v.abs(), torch.full_like(device_v, most_v)
        near = torch.minimum(near, far)
        least = near.clone()
        for _ in range(_BISECTIONS):
            middle = 0.5 * (near + far)
            enough = through(middle, least, sign) >= current_a.abs()
            far, near = torch.where(enough, middle, far), torch.where(enough, near, middle)
        return sign * far


def _current(
    access: Access, gate_v: float, line_v: float | None
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """From a cell's and its memristor's voltage, as sizes, and the sign, to the current's size."""
    if isinstance(access, Selector):
        selector = sinh_selector(access.i_0_a, access.v_0_v)
        return lambda cell_v, device_v, _sign: selector(cell_v - device_v)[0]
    transistor: Transistor = access

    def through(cell_v: torch.Tensor, device_v: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
        # No line is below 0 V. A positive cell has the memristor as the transistor's source, and
        # its bit line is as far above 0 V as its amplitude is below the row's highest; a negative
        # one has its word line there, which is the source.
        bit_v = 0.0 if line_v is None else line_v - cell_v
        source_v = torch.where(sign > 0, device_v + bit_v, torch.zeros_like(device_v))
        channel = ekv_channel(
            gate_v - transistor.slope * source_v,
            threshold_v=transistor.threshold_v,
            i_spec_a=transistor.i_spec_a,
            slope=transistor.slope,
        )
        return channel(cell_v - device_v)[0]

    return through
