"""What stands before a memristor in its cell: nothing, a selector or a transistor.

It lies between the word line and the memristor; `m_<row>_<col>` is the node between the two. A
transistor's gate is a line of its own, `gl_<row>`, along the word line; its bulk is at 0 V, so in
an array of transistors the word lines are the source lines.
"""

from __future__ import annotations

from pydantic import Field

from compact_models.spec import Spec
from netlists.names import number

THERMAL_V = 1.380649e-23 * 300.0 / 1.602176634e-19
"""k T / q at 300 K [V]."""
# exp() of more than this would leave the range of numbers on a simulator's way to a solution; a
# channel is straight long before.
_MOST_EXPONENT = 300


class Selector(Spec):
    """A two-terminal selector, i = i_0 sinh(v / v_0): next to no current at half of the voltage."""

    i_0_a: float = Field(1e-9, gt=0, le=1, description="current scale [A]")
    v_0_v: float = Field(
        0.1, ge=1e-3, le=10, description="voltage that multiplies the current by e [V]"
    )

    @property
    def has_gate(self) -> bool:
        """A selector has none."""
        return False

    def expression(self, word: str, inner: str, gate: str) -> str:
        """The current from `word` to `inner`, for a behavioural source."""
        del gate
        return f"{number(self.i_0_a)}*sinh((V({word})-V({inner}))/{number(self.v_0_v)})"


class Transistor(Spec):
    """An n-type access transistor from off to saturation, without mobility reduction.

    Enz, Krummenacher, Vittoz, Analog Integr. Circuits Signal Process. 8 (1995) 83,
    doi 10.1007/BF01239381: i = i_spec (F(v_p - v_s) - F(v_p - v_d)) with F(x) = ln(1 + exp(x /
    2U))^2 and v_p = (gate - threshold) / slope, all voltages against the bulk at 0 V.
    """

    threshold_v: float = Field(0.5, ge=-5, le=5, description="threshold voltage [V]")
    i_spec_a: float = Field(2e-6, gt=0, le=1, description="specific current, 2 slope beta U^2 [A]")
    slope: float = Field(1.3, ge=1, le=3, description="slope factor")

    @property
    def has_gate(self) -> bool:
        """It has one."""
        return True

    def expression(self, word: str, inner: str, gate: str) -> str:
        """The current from `word` to `inner`, for a behavioural source."""

        def charge(end: str) -> str:
            pinch = f"(V({gate})-{number(self.threshold_v)})/{number(self.slope)}"
            place = f"min({_MOST_EXPONENT},({pinch}-V({end}))/{number(2 * THERMAL_V)})"
            return f"ln(1+exp({place}))"

        return f"{number(self.i_spec_a)}*({charge(inner)}**2-{charge(word)}**2)"


Access = Selector | Transistor
