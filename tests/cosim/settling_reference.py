"""A second route to waveforms of an array with capacitances: its elements one by one, dense.

Elements are named by hand after the convention of the netlists; the same list makes the deck of a
simulator and the matrices of which all modes are computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.nodal.lines import Lines
from cosim.settling.capacitances import Capacitances
from cosim.settling.settling import Settling, solve_settling

Array = NDArray[np.float64]
ROWS, COLS = 5, 7


def problem(rows: int = ROWS, cols: int = COLS, seed: int = 0) -> dict[str, Array]:
    """Its own value everywhere; ohm, farad and siemens."""
    rng = np.random.default_rng(seed)
    return {
        "g": rng.uniform(1e-6, 3e-4, (rows, cols)),
        "word": rng.uniform(1, 9, (rows, cols)),
        "bit": rng.uniform(10, 40, (rows, cols)),
        "driver": rng.uniform(50, 900, rows),
        "sense": rng.uniform(10, 300, cols),
        "c_word": rng.uniform(0.5e-15, 2e-15, (rows, cols)),
        "c_bit": rng.uniform(1e-15, 4e-15, (rows, cols)),
        "c_cell": rng.uniform(0.1e-15, 0.5e-15, (rows, cols)),
        "c_driver": rng.uniform(1e-15, 9e-15, rows),
        "c_sense": rng.uniform(1e-15, 9e-15, cols),
    }


def drives(rows: int = ROWS, batch: int = 3) -> Array:
    return np.random.default_rng(99).uniform(-0.3, 0.3, (batch, rows))


def solved(given: dict[str, Array], volts: Array, **options: Any) -> Settling:
    t = {k: torch.as_tensor(np.asarray(x)) for k, x in given.items()}
    lines = Lines(t["word"], t["bit"], t["driver"], t["sense"], t.get("right"), t.get("top"))
    capacitances = Capacitances(t["c_word"], t["c_bit"], t["c_cell"], t["c_driver"], t["c_sense"])
    return solve_settling(t["g"], lines, capacitances, torch.as_tensor(volts), **options)


@dataclass
class Elements:
    """Two-terminal elements: first node, second node, value; `0` is ground, `d<row>` and `s<col>`
    are the drivers and the sense nodes."""

    siemens: list[tuple[str, str, float]] = field(default_factory=list)
    farad: list[tuple[str, str, float]] = field(default_factory=list)
    shorts: dict[str, str] = field(default_factory=dict)

    def name(self, node: str) -> str:
        while node in self.shorts:
            node = self.shorts[node]
        return node

    def ohm(self, a: str, b: str, ohm: float) -> None:
        if ohm == 0:
            first, second = sorted((self.name(a), self.name(b)), key=lambda x: x[0] in "ds")
            if first != second:
                self.shorts[first] = second
        elif np.isfinite(ohm):
            self.siemens.append((a, b, 1 / ohm))

    def named(self, elements: list[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
        renamed = [(self.name(a), self.name(b), x) for a, b, x in elements]
        return [(a, b, x) for a, b, x in renamed if a != b and x > 0]


def elements(
    g: Array,
    *,
    word: Array,
    bit: Array,
    driver: Array,
    sense: Array,
    c_word: Array,
    c_bit: Array,
    c_cell: Array,
    c_driver: Array,
    c_sense: Array,
    right: Array | None = None,
    top: Array | None = None,
) -> Elements:
    """All in ohm and farad, per segment, node, row or column."""
    rows, cols = g.shape
    made = Elements()
    for i in range(rows):
        made.ohm(f"d{i}", f"l{i}", driver[i])
        made.farad.append((f"l{i}", "0", c_driver[i]))
        if right is not None:
            made.ohm(f"w{i}_{cols - 1}", f"d{i}", right[i])
        for j in range(cols):
            made.ohm(f"w{i}_{j - 1}" if j else f"l{i}", f"w{i}_{j}", word[i, j])
            made.ohm(f"b{i}_{j}", f"b{i + 1}_{j}" if i < rows - 1 else f"e{j}", bit[i, j])
            made.siemens.append((f"w{i}_{j}", f"b{i}_{j}", g[i, j]))
            made.farad.append((f"w{i}_{j}", f"b{i}_{j}", c_cell[i, j]))
            made.farad.append((f"w{i}_{j}", "0", c_word[i, j]))
            made.farad.append((f"b{i}_{j}", "0", c_bit[i, j]))
    for j in range(cols):
        made.ohm(f"e{j}", f"s{j}", sense[j])
        made.farad.append((f"e{j}", "0", c_sense[j]))
        if top is not None:
            made.ohm(f"b0_{j}", f"s{j}", top[j])
    return made


def dense_waveform(made: Elements, drive_v: Array, cols: int, times_s: Array) -> Array:
    """Currents into the sense nodes after a step from rest to `drive_v` [row], [col, time]."""
    resistors, capacitors = made.named(made.siemens), made.named(made.farad)
    held = {f"d{i}": float(v) for i, v in enumerate(drive_v)}
    held |= {f"s{j}": 0.0 for j in range(cols)} | {"0": 0.0}
    free = sorted({x for a, b, _ in resistors + capacitors for x in (a, b)} - set(held))
    place = {node: k for k, node in enumerate([*free, *held])}
    n, total = len(free), len(free) + len(held)
    u = np.array(list(held.values()))
    y, c = np.zeros((total, total)), np.zeros((total, total))
    for matrix, parts in ((y, resistors), (c, capacitors)):
        for a, b, x in parts:
            matrix[place[a], place[a]] += x
            matrix[place[b], place[b]] += x
            matrix[place[a], place[b]] -= x
            matrix[place[b], place[a]] -= x
    slow = c[np.arange(n), np.arange(n)] > 0
    f, s = np.flatnonzero(~slow), np.flatnonzero(slow)
    k = np.arange(n, total)
    # Nodes without capacitance follow at once: v_f = follow v_s + straight u.
    inverse = np.linalg.pinv(y[np.ix_(f, f)]) if len(f) else np.zeros((0, 0))
    follow, straight = -inverse @ y[np.ix_(f, s)], -inverse @ y[np.ix_(f, k)]
    # With C = L L' the nodes obey z' = -K z + push for z = L' v, K symmetric: no digits are lost
    # where rates lie far apart, as they are in the exponential of the matrix as it stands.
    lower = np.linalg.inv(np.linalg.cholesky(c[np.ix_(s, s)]))
    rate, way = np.linalg.eigh(lower @ (y[np.ix_(s, s)] + y[np.ix_(s, f)] @ follow) @ lower.T)
    push = -way.T @ lower @ ((y[np.ix_(s, k)] + y[np.ix_(s, f)] @ straight) @ u)
    at_once = -way.T @ lower @ (c[np.ix_(s, k)] @ u)
    out = np.array([place[f"s{j}"] for j in range(cols)])
    found = np.empty((cols, len(times_s)))
    for m, t in enumerate(times_s):
        decay = np.exp(-rate * t)
        grown = np.where(np.abs(rate * t) > 1e-12, -np.expm1(-rate * t) / rate, t)
        state = decay * at_once + grown * push
        v = np.empty(total)
        v[s] = lower.T @ (way @ state)
        v[f], v[k] = follow @ v[s] + straight @ u, u
        slope = lower.T @ (way @ (push - rate * state))
        found[:, m] = -(y[out] @ v) - c[np.ix_(out, s)] @ slope
    return found
