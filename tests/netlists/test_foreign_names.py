"""Names in braces: what ngspice would know, and what nobody declares."""

from __future__ import annotations

import pytest

from netlists.foreign_names import declared, unknown

NAMES = declared([".subckt a in out RF = 10k vos=0", ".func half(q) {q/2}", ".param w={2*RF}"])


def test_what_cards_declare() -> None:
    assert {"rf", "vos", "w", "q"} == NAMES


@pytest.mark.parametrize(
    ("card", "names"),
    [
        ("R1 in out {rff}", ["rff"]),
        ("R1 in out {1/(RF+1e3) + 2.5k*half(w)}", []),
        ("B1 y 0 v={vos*V(a,b) + tanh(V(xin)/vt) + I(vsense) + 3MEG + temper}", []),
        ("B1 y 0 v={gain*V(a)+1e-9*V(gone)}", ["gain"]),
        ("B1 y 0 v={max(w, low) ? rf : high}", ["low", "high"]),
        ("R1 rff out rf", []),
        ("R1 in out {rf} $ not {rff}", []),
        (".func half(q) {q/2}", []),
    ],
)
def test_names_that_nobody_declares(card: str, names: list[str]) -> None:
    assert list(unknown(card, NAMES)) == names
