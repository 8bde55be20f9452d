"""An array between pulses: devices, wires and the states in which the last phase left them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.operating_point import operating_point
from cosim.devices.switching_time import switching_state
from cosim.driven.pulsed_array import PulsedArray
from netlists.access import Access
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import Levels

Array = NDArray[np.float64]

_BISECTIONS = 60


@dataclass(frozen=True, eq=False)
class WritableArray:
    """Cells, wires and states.

    Attributes:
        model: the device; its terminal p is towards the word line.
        parameter_set: nominal parameters and initial states.
        wires: the segment resistances.
        states: every state of every cell in its unit, by name, each [row, col]; NaN where a cell
            is stuck.
        values: parameters that cells have for themselves, by name, each [row, col].
        stuck_s: conductance of stuck cells [S], NaN where a cell works, [row, col]; None if all do.
        r_word_driver_ohm: in series at the driven end of every word line.
        r_bit_driver_ohm: the same of every bit line.
        access: what stands before every memristor.
    """

    model: CompactModel
    parameter_set: ParameterSet
    wires: Wires
    states: Mapping[str, Array]
    values: Mapping[str, Array] = field(default_factory=dict)
    stuck_s: Array | None = None
    r_word_driver_ohm: float = 0.0
    r_bit_driver_ohm: float = 0.0
    access: Access | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        table = next(iter(self.states.values()))
        return table.shape[0], table.shape[1]

    @property
    def works(self) -> NDArray[np.bool_]:
        """Where a cell is not stuck, [row, col]."""
        if self.stuck_s is None:
            return np.ones(self.shape, dtype=np.bool_)
        return np.isnan(self.stuck_s)

    @property
    def memory(self) -> str:
        """The name of the state that is written."""
        return str(self.model.states[switching_state(self.model)].name)

    def under(self, levels: Levels, pulse: Pulse) -> PulsedArray:
        """The array with a pulse on its lines.

        Args:
            levels: what the lines carry while the pulse is at its top.
            pulse: its timing; its own amplitude is not used.
        """
        times = np.array(pulse.corner_times_s())
        shape = np.array([0.0, 1.0, 1.0, 0.0])
        gate_v = None
        if levels.gate_v is not None:  # gates are open before the pulse and after it
            gate_v = np.repeat(levels.gate_v[:, None], len(times), axis=1)
        return self._driven(
            times, levels.word_v[:, None] * shape, levels.bit_v[:, None] * shape, gate_v
        )

    def at_rest(self) -> PulsedArray:
        """The array with nothing on its lines.

        Raises:
            InputError: it has gate lines.
        """
        rows, cols = self.shape
        return self._driven(np.array([0.0, 1.0]), np.zeros((rows, 2)), np.zeros((cols, 2)), None)

    def _driven(
        self, time_s: Array, word_v: Array, bit_v: Array, gate_v: Array | None
    ) -> PulsedArray:
        return PulsedArray(
            model=self.model,
            parameter_set=self.parameter_set,
            shape=self.shape,
            wires=self.wires,
            time_s=time_s,
            word_v=word_v,
            bit_v=bit_v,
            values=self.values,
            initial={k: np.where(self.works, x, self._nominal(k)) for k, x in self.states.items()},
            stuck_s=self.stuck_s,
            r_word_driver_ohm=self.r_word_driver_ohm,
            r_bit_driver_ohm=self.r_bit_driver_ohm,
            access=self.access,
            gate_v=gate_v,
        )

    def after(self, states: Mapping[str, Array]) -> WritableArray:
        """The array in other states."""
        return replace(self, states=dict(states))

    def fractions(self) -> Array:
        """Where the written state lies between its bounds, 0 to 1, [row, col]; NaN where stuck."""
        functions = torch_model(self.model)
        order = [torch.from_numpy(np.asarray(self.states[x.name])) for x in self.model.states]
        found = functions.fractions(order, functions.parameters(self.parameters()))
        return np.asarray(found[switching_state(self.model)].numpy())

    def conductance_s(self, read_v: float) -> Array:
        """Current over voltage of every memristor by itself [S], [row, col].

        Args:
            read_v: across each [V].
        """
        return self.conductance_of(np.arange(self.works.size), read_v)

    def conductance_of(self, cells: NDArray[np.intp], read_v: float) -> Array:
        """The same of some cells, [row, col]; NaN elsewhere.

        Args:
            cells: which, as places in the flattened array, [cell].
            read_v: across each [V].
        """
        nominal = self.parameter_set.values
        values: dict[str, float | torch.Tensor] = {
            x.name: torch.from_numpy(self.values[x.name].ravel()[cells])
            if x.name in self.values
            else nominal[x.name]
            for x in self.model.parameters
        }
        states = {k: torch.from_numpy(np.asarray(x).ravel()[cells]) for k, x in self.states.items()}
        volts = torch.full((len(cells),), read_v, dtype=torch.float64)
        read = np.asarray(operating_point(self.model, values, states, volts).current_a) / read_v
        if self.stuck_s is not None:
            read = np.where(self.works.ravel()[cells], read, self.stuck_s.ravel()[cells])
        found = np.full(self.works.size, np.nan)
        found[cells] = read
        return found.reshape(self.shape)

    def at_fractions(self, fraction: Array) -> WritableArray:
        """The array with the written state at fractions of its range; other states at rest.

        Args:
            fraction: [row, col], of any shape.
        """
        shape = (fraction.shape[0], fraction.shape[1])
        like = replace(self, states={self.memory: fraction})
        functions = torch_model(self.model)
        p = functions.parameters(like.parameters())
        rest = [
            torch.full(shape, self._nominal(x.name), dtype=torch.float64) for x in self.model.states
        ]
        begun = list(functions.fractions(rest, p))
        begun[switching_state(self.model)] = torch.from_numpy(np.asarray(fraction, dtype=float))
        names = [x.name for x in self.model.states]
        found = zip(names, functions.states(begun, p), strict=True)
        return self.after({k: np.where(like.works, x.numpy(), np.nan) for k, x in found})

    def at_conductance(self, conductance_s: Array, read_v: float) -> WritableArray:
        """The array with every working memristor at a conductance; other states at rest.

        Args:
            conductance_s: [row, col].
            read_v: at which it is read [V].

        Raises:
            InputError: a cell cannot have its conductance.
        """

        def at(fraction: Array) -> Array:
            return replace(self, stuck_s=None).at_fractions(fraction).conductance_s(read_v)

        low, high = np.zeros(self.shape), np.ones(self.shape)
        at_low, at_high = at(low), at(high)
        least, most = np.minimum(at_low, at_high), np.maximum(at_low, at_high)
        slack = 1e-9 * most
        wrong = self.works & ~((conductance_s >= least - slack) & (conductance_s <= most + slack))
        if wrong.any():
            row, col = (int(k) for k in np.argwhere(wrong)[0])
            raise InputError(
                f"{int(wrong.sum())} of {wrong.size} cells cannot have this conductance",
                where=f"conductance_s[{row}, {col}]",
                value=float(conductance_s[row, col]),
                allowed=f"{least[row, col]:.6g} to {most[row, col]:.6g} S, what"
                f" {self.model.name!r} reaches at {read_v:g} V",
            )
        rises = at_high > at_low
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            above = (at(middle) >= conductance_s) == rises
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return self.at_fractions(high)

    def parameters(self) -> dict[str, torch.Tensor]:
        """Every parameter of every cell, [row, col]."""
        nominal = self.parameter_set.values
        return {
            x.name: torch.from_numpy(
                np.array(np.broadcast_to(self.values.get(x.name, nominal[x.name]), self.shape))
            )
            for x in self.model.parameters
        }

    def _nominal(self, state: str) -> float:
        return self.parameter_set.initial[state]
