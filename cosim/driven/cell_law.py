"""What the lines of an array see of cells whose states stand still for a moment.

A cell is a memristor by itself, or with a selector or a transistor between it and the word line.
Then only a part of the cell's voltage moves the memristor's state, and which part is found anew
for every voltage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from cosim.devices.cells import Cells
from cosim.devices.operating_point import OperatingPoint, operating_point
from cosim.nodal.cells import ekv_channel, sinh_selector, split_voltage
from netlists.access import Access, Selector

# From the voltages across the cells and those of their word-line ends, [..., row, col], to the
# currents through them and their slopes.
Cell = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(eq=False)
class CellLaw:
    """The cells of an array at one or several sets of states.

    Attributes:
        functions: the device.
        p: its parameters, floats or [working cell].
        works: where a cell is no resistor, [row, col].
        stuck_s: conductance where it is [S], [row, col].
        access: what stands before every memristor.
        gate_v: gate voltages [V], [set, row, 1]; None without gates.
        states: the states, in their units, [set, working cell].
        internal: a start for the internal quantity, likewise; None without one.
        begun_v: the voltages across the memristors to which it belongs, likewise; None if unknown.
        device_v: the voltages across the memristors at the last call, [set, row, col].
    """

    functions: TorchModel
    p: Mapping[str, Value]
    works: torch.Tensor
    stuck_s: torch.Tensor
    access: Access | None
    gate_v: torch.Tensor | None
    states: Mapping[str, Value]
    internal: torch.Tensor | None
    begun_v: torch.Tensor | None
    device_v: torch.Tensor | None = None
    _begun: OperatingPoint | None = None

    def __call__(self, u: torch.Tensor, word_v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents and slopes at voltages `u` across the cells, [set, row, col].

        The slope is that with the word line's end held: what a transistor's current owes to its
        distance from the bulk is left out, which costs a Newton step and no exactness.
        """
        if self.access is None:
            self.device_v = u
            return self.device(u)

        def before(drop: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.before(drop, word_v)

        v = split_voltage(self.device, before, u, guess_v=self.device_v)
        self.device_v = v
        (i1, s1), (i2, s2) = self.device(v), before(u - v)
        total = s1 + s2
        part = torch.where(total > 0, s1 / total, 0.5)
        return i1 + part * (i2 - i1), part * s2

    def device(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents and slopes of the memristors, stuck ones included."""
        values = {one.name: self.p[one.name] for one in self.functions.model.parameters}
        volts = v[..., self.works]
        guess = self.internal
        if guess is not None and self.begun_v is not None:
            # On the branch on which it was, however far the wires' solution tries the voltage.
            if self._begun is None:
                self._begun = operating_point(
                    self.functions.model, values, self.states, self.begun_v, guess=guess
                )
            guess = self._begun.ahead(volts - self.begun_v)
        point = operating_point(self.functions.model, values, self.states, volts, guess=guess)
        current, slope = self.stuck_s * v, self.stuck_s.expand_as(v).clone()
        current[..., self.works] = point.current_a
        slope[..., self.works] = point.conductance_s
        return current, slope

    def before(
        self, drop_v: torch.Tensor, word_v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents and slopes of what stands before the memristors."""
        one = self.access
        if one is None:
            raise AssertionError("nothing stands before these memristors")
        if isinstance(one, Selector):
            return sinh_selector(one.i_0_a, one.v_0_v)(drop_v)
        if self.gate_v is None:
            raise AssertionError("a transistor without a gate line")
        # Its equation for a source at 0 V, the word line's end in the source's place: the other end
        # is `drop_v` below, and the bulk is as far below as the word line is above it.
        gate_v = self.gate_v - one.slope * word_v
        current, slope = ekv_channel(
            gate_v, threshold_v=one.threshold_v, i_spec_a=one.i_spec_a, slope=one.slope
        )(-drop_v)
        return -current, slope


def cell_law(
    functions: TorchModel,
    p: Mapping[str, Value],
    cells: Sequence[Cells],
    *,
    works: torch.Tensor,
    stuck_s: torch.Tensor,
    access: Access | None,
    gate_v: torch.Tensor | None,
    device_v: torch.Tensor | None,
) -> CellLaw:
    """The law of cells at one or several sets of states; see `CellLaw` for the rest.

    Args:
        functions: the device.
        p: its parameters.
        cells: the working cells, one for every set.
        works: where a cell works, [row, col].
        stuck_s: conductances of the others [S], [row, col].
        access: what stands before every memristor.
        gate_v: [set, row, 1], or None.
        device_v: the voltages across the memristors at which the cells are [V], [set, row, col];
            None if these are unknown.
    """
    columns = zip(*(one.fractions for one in cells), strict=True)
    physical = functions.states([torch.stack(column) for column in columns], p)
    names = [state.name for state in functions.model.states]
    internals = [one.internal for one in cells if one.internal is not None]
    return CellLaw(
        functions,
        p,
        works,
        stuck_s,
        access,
        gate_v,
        dict(zip(names, physical, strict=True)),
        torch.stack(internals) if internals else None,
        None if device_v is None else device_v[..., works],
        device_v,
    )
