"""An array of memristors through a write pulse: our deck against a deck written by hand."""

from __future__ import annotations

import statistics

import numpy as np

from compact_models.devices.vteam import MODEL
from cosim.devices.form import require_compiler
from cosim.devices.osdi import compile_osdi
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import OPTIONS, run_spice
from cosim.ngspice import Deck, SimulationResult, find_ngspice, run_deck
from netlists.wires import Wires

TITLE = "A 32 x 32 array of VTEAM cells through a 150 ns pulse"
TEXT = """
Wires of 2.5 ohm a segment, every cell with an initial state of its own, parameter set `sine`. The
bare deck is Verilog-A and a netlist written by hand: the state moves without any bound, nothing is
emitted, nothing is checked, only currents and states are saved. It runs in the same process with
the same options and the same longest step, and once more with ngspice's own tolerances, which
count relative to how far a state has moved yet.
`difference` is the largest difference of a final state to the bare deck, of the range. Wall times
of the ngspice process, medians of 9 runs that take turns; `ratio` is the median of the ratios
within a turn.
"""

_N = 32
_OHM = 2.5
_REPEATS = 9
_TIME_S = np.array([0.0, 5e-9, 145e-9, 150e-9])

# The state is kept as in the paper, in units of the range; positive voltage switches off.
_MODULE = """
`include "disciplines.vams"
module bare(p, n);
    inout p, n;
    electrical p, n, s;
    (* type="instance" *) parameter real x0 = 0.5;
    real v, x, speed;
    analog begin
        v = V(p, n);
        x = V(s) + x0;
        speed = 0.0;
        if (v > 0.02) speed = 5e-4/3e-9*(v/0.02 - 1.0);
        if (v < -0.2) speed = -10.0/3e-9*pow(v/(-0.2) - 1.0, 3.0);
        I(p, n) <+ v/(50.0 + 950.0*x);
        I(s) <+ ddt(V(s)) - speed + 1e-15*V(s);
    end
endmodule
"""
_OWN_OPTIONS = ".option klu method=gear"


def rows() -> tuple[list[str], list[list[str]]]:
    """Runs all decks in turn."""
    ngspice = find_ngspice()
    compiler = require_compiler(ngspice)
    rng = np.random.default_rng(0)
    shape = np.array([0.0, 1.0, 1.0, 0.0])
    word_v = rng.uniform(0.1, 0.3, (_N, 1)) * shape
    bit_v = rng.uniform(-0.05, 0.0, (_N, 1)) * shape
    start = rng.uniform(0.1, 0.5, (_N, _N))
    array = PulsedArray(
        MODEL,
        MODEL.parameter_set("sine"),
        (_N, _N),
        Wires(r_wordline_ohm=_OHM, r_bitline_ohm=_OHM),
        _TIME_S,
        word_v,
        bit_v,
        initial={"w": 3e-9 * start},
    )
    library = compile_osdi(_MODULE, compiler)
    bare = _bare_deck(word_v, bit_v, start, library, OPTIONS)
    own = _bare_deck(word_v, bit_v, start, library, _OWN_OPTIONS)

    def run(deck: Deck) -> SimulationResult:
        result = run_deck(deck, ngspice, timeout_s=120)
        return result.require_ok()

    turns = []
    for _ in range(_REPEATS):
        by_hand, with_own = run(bare), run(own)
        ours = run_spice(array, ngspice, compiled=True)
        ours.simulation.require_ok()
        turns.append((by_hand.wall_s, with_own.wall_s, ours.simulation.wall_s))
    sources = run_spice(array, ngspice, compiled=False)
    sources.simulation.require_ok()
    want = start + _final_changes(by_hand)
    assert want.max() < 1, "the bare device has no bounds: it must not reach them"

    def line(name: str, place: int, result: SimulationResult, found: np.ndarray) -> list[str]:
        wall_s = [turn[place] for turn in turns]
        ratio = statistics.median(turn[place] / turn[0] for turn in turns)
        return [
            name,
            str(result.plot.points),
            f"{1e3 * statistics.median(wall_s):.0f}",
            f"{ratio:.2f}",
            f"{np.abs(found - want).max():.1e}",
        ]

    return ["deck", "points", "ms", "ratio", "difference"], [
        line("bare, compiled", 0, by_hand, want),
        line("bare, ngspice's own tolerances", 1, with_own, start + _final_changes(with_own)),
        line("ours, compiled", 2, ours.simulation, ours.states["w"] / 3e-9),
        [
            "ours, behavioural sources (1 run)",
            str(sources.simulation.plot.points),
            f"{1e3 * sources.simulation.wall_s:.0f}",
            f"{sources.simulation.wall_s / statistics.median(turn[0] for turn in turns):.1f}",
            f"{np.abs(sources.states['w'] / 3e-9 - want).max():.1e}",
        ],
    ]


def _final_changes(result: SimulationResult) -> np.ndarray:
    names = [f"v(n{row}_{col}#s)" for row in range(_N) for col in range(_N)]
    return result.plot.matrix(names)[-1].reshape(_N, _N)


def _bare_deck(
    word_v: np.ndarray, bit_v: np.ndarray, start: np.ndarray, library: bytes, options: str
) -> Deck:
    lines = ["* bare array", ".model cell bare", ".control", "set num_threads=1"]
    lines += ["pre_osdi model.osdi", ".endc"]
    for row in range(_N):
        for col in range(_N):
            left = f"l{row}" if col == 0 else f"a{row}_{col - 1}"
            below = f"b{row + 1}_{col}" if row < _N - 1 else f"m{col}"
            lines.append(f"rw{row}_{col} {left} a{row}_{col} {_OHM}")
            lines.append(f"rb{row}_{col} b{row}_{col} {below} {_OHM}")
            lines.append(
                f"n{row}_{col} a{row}_{col} b{row}_{col} cell x0={float(start[row, col])!r}"
            )
    for name, voltages in (("l", word_v), ("m", bit_v)):
        for k, voltage in enumerate(voltages.tolist()):
            pairs = " ".join(f"{t!r} {v!r}" for t, v in zip(_TIME_S.tolist(), voltage, strict=True))
            lines.append(f"v{name}{k} {name}{k} 0 pwl({pairs})")
    lines.append(options)
    lines += [f".save v(n{row}_{col}#s)" for row in range(_N) for col in range(_N)]
    lines += [f".save i(vl{k}) i(vm{k})" for k in range(_N)]
    lines += [".tran 1.5n 150n 0 1.5n uic", ".end"]
    return Deck("\n".join(lines) + "\n", name="bare", files={"model.osdi": library})
