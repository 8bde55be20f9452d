"""Random expressions mean the same in sympy, torch, an ngspice B source and Verilog-A."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sympy
import torch

from compact_models.emit.derivatives import slope_of
from compact_models.emit.ngspice import BSourcePrinter
from compact_models.emit.torch_code import compile_function
from compact_models.emit.verilog_a import LIMITED_EXP, VerilogPrinter
from compact_models.symbols import Constant, Parameter, V
from cosim.devices.form import can_compile
from cosim.devices.osdi import compile_osdi, find_openvaf
from cosim.ngspice import Deck, find_ngspice, run_deck

SYMBOLS = [sympy.Symbol(name, real=True) for name in ("qa", "qb", "qc")]
NUMBERS = {"qa": 0.7, "qb": -1.3, "qc": 2.4}
VALUES = {symbol: NUMBERS[symbol.name] for symbol in SYMBOLS}
COUNT = 50


def expression(rng: np.random.Generator, depth: int) -> sympy.Expr:
    if depth == 0:
        if rng.random() < 0.3:
            return sympy.Float(round(float(rng.uniform(-3, 3)), 2))
        return SYMBOLS[int(rng.integers(3))]

    def part() -> sympy.Expr:
        return expression(rng, depth - 1 - int(rng.integers(2)) if depth > 1 else 0)

    a, b = part(), part()
    away = sympy.Abs(b) + sympy.Rational(1, 3)
    kinds = [
        a + b, a - b, a * b, -a, a / away, 1 / away, a - (b - 1), a / (away * (2 + away)),
        a**2, (-a) ** 3, a**5, away**-2, away**-3, -(a**2), away ** SYMBOLS[2],
        sympy.sqrt(away), 1 / sympy.sqrt(away), sympy.exp(sympy.tanh(a)), sympy.log(away),
        sympy.sinh(sympy.tanh(a)), sympy.cosh(sympy.tanh(b)), sympy.atan(a),
        sympy.asin(sympy.tanh(a) / 2), sympy.Max(a, b), sympy.Min(a, b, 1), sympy.sign(a) * b,
        sympy.Piecewise((a, a > b), (b - a, b > 0), (a * b, True)),
        sympy.Piecewise((a, (a > b) & (b > 0)), (b, (a < b) | (a > 1)), (a + b, True)),
    ]  # fmt: skip
    return kinds[int(rng.integers(len(kinds)))]


def condition(rng: np.random.Generator, depth: int) -> sympy.Basic:
    """A random condition of comparisons, nested `depth` deep."""
    if depth == 0:
        one, other = rng.permutation(3)[:2]
        shift = sympy.Float(round(float(rng.uniform(-2, 2)), 2))
        kind = (sympy.Gt, sympy.Lt, sympy.Ge, sympy.Le)[int(rng.integers(4))]
        return kind(SYMBOLS[one], SYMBOLS[other] + shift)
    parts = [condition(rng, depth - 1) for _ in range(2 + int(rng.integers(2)))]
    kind = (sympy.And, sympy.Or)[int(rng.integers(2))]
    whole = kind(*parts)
    return sympy.Not(whole) if rng.random() < 0.4 else whole


def _by_outputs(count: int) -> list[range]:
    """The outputs of modules with at most 12 each: ngspice 44 takes no more than 18 nodes."""
    return [range(k, min(k + 12, count)) for k in range(0, count, 12)]


@cache
def conditions() -> list[sympy.Expr]:
    """Choices whose conditions have every kind of nesting; the value tells what was chosen."""
    a, b, c = SYMBOLS
    fixed = [
        sympy.And(sympy.Or(a > 1, b < -1), c < 1),
        sympy.Or(sympy.And(a > 1, c < 1), b < -1),
        sympy.Not(sympy.And(a > 1, b < -1)),
        sympy.Not(sympy.Or(a > 1, sympy.And(b < -1, c < 1))),
        sympy.And(sympy.Or(a > 1, sympy.Not(sympy.Or(b < -1, c < 1))), sympy.Or(b > 0, c > 0)),
    ]
    rng = np.random.default_rng(17)
    random = [condition(rng, 1 + int(rng.integers(3))) for _ in range(15)]
    chosen = [one for one in [*fixed, *random] if one not in (sympy.true, sympy.false)]
    return [sympy.Piecewise((2 + k + a, one), (-1, True)) for k, one in enumerate(chosen)]


def points() -> np.ndarray:
    """Where the conditions are tried, [point, symbol]."""
    return np.random.default_rng(3).uniform(-3, 3, (16, 3))


def truth(one: sympy.Basic, at: dict[sympy.Symbol, float]) -> bool:
    """A condition in plain Python, without sympy's own printers and logic."""
    if isinstance(one, sympy.And):
        return all(truth(part, at) for part in one.args)
    if isinstance(one, sympy.Or):
        return any(truth(part, at) for part in one.args)
    if isinstance(one, sympy.Not):
        return not truth(one.args[0], at)
    left, right = (float(side.xreplace(at)) for side in one.args)
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[
        one.rel_op
    ]


@cache
def known() -> np.ndarray:
    """The values of the choices, [point, choice]."""
    rows = [dict(zip(SYMBOLS, map(sympy.Float, row), strict=True)) for row in points().tolist()]
    taken = np.array([[truth(one.args[0][1], at) for one in conditions()] for at in rows])
    value = np.arange(len(conditions())) + 2 + points()[:, :1]
    return np.where(taken, value, -1.0)


@pytest.fixture(scope="module")
def cases() -> tuple[list[sympy.Expr], np.ndarray]:
    rng = np.random.default_rng(11)
    kept, values = [], []
    while len(kept) < COUNT:
        one = sympy.sympify(expression(rng, 3))
        if one.has(sympy.ITE):  # a choice inside a condition: models are refused for it
            continue
        value = complex(one.subs(VALUES).evalf())
        if one.free_symbols and abs(value.imag) == 0 and 1e-3 < abs(value.real) < 1e4:
            kept.append(one)
            values.append(value.real)
    return kept, np.array(values)


def test_there_is_variety(cases: tuple[list[sympy.Expr], np.ndarray]) -> None:
    kinds = {type(part).__name__ for one in cases[0] for part in sympy.preorder_traversal(one)}
    assert kinds >= {"Add", "Mul", "Pow", "Max", "Min", "Piecewise", "exp", "tanh", "Abs", "sign"}
    assert len({round(v, 9) for v in cases[1]}) > COUNT / 2


@pytest.mark.parametrize("cells", [1, 3])
def test_torch(cases: tuple[list[sympy.Expr], np.ndarray], cells: int) -> None:
    outputs = [sympy.Symbol(f"out{k}", real=True) for k in range(COUNT)]
    steps = list(zip(outputs, cases[0], strict=True))
    function, _ = compile_function("many", SYMBOLS, [], steps, outputs)
    arguments = [torch.full((cells,), NUMBERS[s.name], dtype=torch.float64) for s in SYMBOLS]
    found = [torch.as_tensor(one).expand(cells) for one in function(*arguments, {})]
    for one, value in zip(found, cases[1], strict=True):
        assert one.numpy() == pytest.approx(np.full(cells, value), rel=1e-12)


def test_derivatives_are_those_of_small_differences(
    cases: tuple[list[sympy.Expr], np.ndarray],
) -> None:
    checked = 0
    for one in cases[0]:
        for symbol in SYMBOLS:
            step = 1e-6
            ends = [
                float(one.subs({**VALUES, symbol: VALUES[symbol] + sign * step}).evalf())
                for sign in (-1, 1)
            ]
            slope = slope_of(one, symbol).subs(VALUES).evalf()
            assert float(slope) == pytest.approx(
                (ends[1] - ends[0]) / (2 * step), rel=2e-5, abs=1e-6
            )
            checked += slope != 0
    assert checked > COUNT


@pytest.mark.ngspice
def test_b_sources(cases: tuple[list[sympy.Expr], np.ndarray]) -> None:
    # One symbol is a voltage, the others are parameters, as in a subcircuit.
    parameters = {s: Parameter(s.name, "1", "") for s in (SYMBOLS[0], SYMBOLS[2])}
    names = {one: f"({{{one.name}}})" for one in parameters.values()} | {SYMBOLS[1]: "v(b)"}
    printer = BSourcePrinter(names)
    lines = [
        f"b{k} o{k} 0 v={printer.text(one.xreplace(parameters))}" for k, one in enumerate(cases[0])
    ]
    assert len(printer.parameters()) > COUNT / 4
    lines += printer.parameters()
    text = (
        "expressions\n"
        + f".param qa={NUMBERS['qa']} qc={NUMBERS['qc']}\nvb b 0 {NUMBERS['qb']}\n"
        + "\n".join(lines)
        + "\n.option klu reltol=1e-9 vntol=1e-12\n.op\n.end\n"
    )
    result = run_deck(Deck(text), find_ngspice(), timeout_s=60)
    assert result.ok, result.reason
    found = np.array([result.plot.signal(f"v(o{k})")[0] for k in range(COUNT)])
    assert found == pytest.approx(cases[1], rel=1e-9)


@pytest.mark.ngspice
def test_the_smallest_constants_do_not_spoil_values_or_slopes_of_b_sources() -> None:
    # ngspice adds about 1e-35 to divisors and differentiates a quotient over the divisor's square.
    h, q, eps = (
        Constant(name, "1", "", value=value)
        for name, value in (("h_planck", 6.626e-34), ("q_e", 1.602e-19), ("eps_0", 8.854e-12))
    )
    t = Parameter("t_ambient", "1", "")
    k = Constant("k_b", "1", "", value=1.3807e-23)
    numbers = {one: one.value for one in (h, q, eps, k)} | {t: 300.0, V: 0.3}
    cases = [
        q**3 * V / (8 * eps**3 * 1e-22),
        sympy.exp(q * V / (k * t) - 11) * sympy.sqrt((V + 1) / h * 1e-34),
        (q * (V + 1) / (k * t * (V + 2)) - sympy.tanh(V)) / (V + 3),
        ((V + 1) / eps**2 * 1e-23) ** sympy.Rational(1, 4) / (h * 1e34),
    ]
    printer = BSourcePrinter({V: "v(b)", t: "({t_ambient})"})
    lines = [f"b{n} o{n} 0 v={printer.text(one)}" for n, one in enumerate(cases)]
    # A small-signal analysis has the slopes that ngspice itself uses.
    text = "\n".join(
        [
            "slopes",
            ".param t_ambient=300",
            *printer.parameters(),
            "vb b 0 0.3 ac 1",
            *lines,
            ".option klu reltol=1e-9 vntol=1e-12",
        ]
    )
    ngspice = find_ngspice()
    value = run_deck(Deck(f"{text}\n.op\n.end\n"), ngspice, timeout_s=60)
    slope = run_deck(Deck(f"{text}\n.ac lin 1 1 1\n.end\n"), ngspice, timeout_s=60)
    assert value.ok, value.reason
    assert slope.ok, slope.reason
    for n, one in enumerate(cases):
        found = value.plot.signal(f"v(o{n})")[0]
        assert found == pytest.approx(float(one.subs(numbers)), rel=1e-9)
        found = slope.plot.signal(f"v(o{n})")[0].real
        assert found == pytest.approx(float(sympy.diff(one, V).subs(numbers)), rel=1e-9)


@pytest.mark.ngspice
def test_verilog_a(cases: tuple[list[sympy.Expr], np.ndarray]) -> None:
    compiler = find_openvaf()
    if compiler is None or not can_compile(find_ngspice()):
        pytest.skip("no OSDI here")
    printer = VerilogPrinter({})
    modules, instances = [], []
    for number, outputs in enumerate(_by_outputs(COUNT)):
        ports = [f"o{k}" for k in outputs]
        modules += [
            f"module many{number}(b, {', '.join(ports)});",
            f"    inout b, {', '.join(ports)};",
            f"    electrical b, {', '.join(ports)};",
            f"    parameter real qa = {NUMBERS['qa']};",
            f"    parameter real qc = {NUMBERS['qc']};",
            "    real qb;",
            *LIMITED_EXP,
            "    analog begin",
            "        qb = V(b);",
            *(f"        I(o{k}) <+ V(o{k}) - ({printer.doprint(cases[0][k])});" for k in outputs),
            "    end",
            "endmodule",
        ]
        instances += [
            f".model card{number} many{number}",
            f"n{number} b {' '.join(ports)} card{number}",
        ]
    text = "\n".join(['`include "disciplines.vams"', *modules])
    deck = Deck(
        "compiled\n.control\nset num_threads=1\npre_osdi many.osdi\n.endc\n"
        f"vb b 0 {NUMBERS['qb']}\n" + "\n".join(instances) + "\n"
        ".option klu reltol=1e-9 vntol=1e-12\n.op\n.end\n",
        files={"many.osdi": compile_osdi(text, compiler)},
    )
    result = run_deck(deck, find_ngspice(), timeout_s=60)
    assert result.ok, result.reason
    found = np.array([result.plot.signal(f"v(o{k})")[0] for k in range(COUNT)])
    assert found == pytest.approx(cases[1], rel=1e-9)


def test_conditions_are_of_both_kinds() -> None:
    taken = known() != -1
    assert len(conditions()) > 15
    assert 0.2 < taken.mean() < 0.8
    inner = [one.args[0][1] for one in conditions()]
    for outer, part in ((sympy.And, sympy.Or), (sympy.Or, sympy.And), (sympy.Not, sympy.And)):
        assert any(isinstance(one, outer) and one.atoms(part) for one in inner)


@pytest.mark.parametrize("cells", [1, 16])
def test_conditions_in_torch(cells: int) -> None:
    choices = conditions()
    outputs = [sympy.Symbol(f"out{k}", real=True) for k in range(len(choices))]
    steps = list(zip(outputs, choices, strict=True))
    function, _ = compile_function("many", SYMBOLS, [], steps, outputs)
    for start in range(0, 16, cells):
        arguments = list(torch.from_numpy(points()[start : start + cells].T.copy()))
        found = torch.stack([torch.as_tensor(x).expand(cells) for x in function(*arguments, {})], 1)
        assert found.numpy() == pytest.approx(known()[start : start + cells], rel=1e-12)


@pytest.mark.ngspice
def test_conditions_in_b_sources() -> None:
    choices, tried = conditions(), points()
    printer = BSourcePrinter(dict(zip(SYMBOLS, ("v(a)", "v(b)", "({qc})"), strict=True)))
    outputs = " ".join(f"o{n}" for n in range(len(choices)))
    lines = ["conditions", f".subckt many a b {outputs} qc=0"]
    lines += [f"b{n} o{n} 0 v={printer.text(one)}" for n, one in enumerate(choices)]
    lines.append(".ends many")
    for k, (a, b, c) in enumerate(tried.tolist()):
        nodes = " ".join(f"o{k}_{n}" for n in range(len(choices)))
        lines += [f"va{k} a{k} 0 {a!r}", f"vb{k} b{k} 0 {b!r}"]
        lines.append(f"x{k} a{k} b{k} {nodes} many qc={c!r}")
    text = "\n".join([*lines, ".option klu reltol=1e-9 vntol=1e-12", ".op", ".end", ""])
    result = run_deck(Deck(text), find_ngspice(), timeout_s=60)
    assert result.ok, result.reason
    found = [
        [result.plot.signal(f"v(o{k}_{n})")[0] for n in range(len(choices))]
        for k in range(len(tried))
    ]
    assert np.array(found) == pytest.approx(known(), rel=1e-9)


@pytest.mark.ngspice
def test_conditions_in_verilog_a() -> None:
    compiler = find_openvaf()
    if compiler is None or not can_compile(find_ngspice()):
        pytest.skip("no OSDI here")
    choices, tried = conditions(), points()
    printer = VerilogPrinter({})
    modules, lines = [], ["compiled"]
    for number, outputs in enumerate(_by_outputs(len(choices))):
        ports = [f"o{n}" for n in outputs]
        modules += [
            f"module many{number}(ia, ib, ic, {', '.join(ports)});",
            f"    inout ia, ib, ic, {', '.join(ports)};",
            f"    electrical ia, ib, ic, {', '.join(ports)};",
            "    real qa, qb, qc;",
            "    analog begin",
            *(f"        q{name} = V(i{name});" for name in "abc"),
            *(f"        I(o{n}) <+ V(o{n}) - ({printer.doprint(choices[n])});" for n in outputs),
            "    end",
            "endmodule",
        ]
        lines.append(f".model card{number} many{number}")
        for k in range(len(tried)):
            nodes = " ".join(f"o{k}_{n}" for n in outputs)
            lines.append(f"n{k}_{number} a{k} b{k} c{k} {nodes} card{number}")
    text = "\n".join(['`include "disciplines.vams"', *modules])
    lines += [
        ".control\nset num_threads=1\npre_osdi many.osdi\n.endc",
        ".option klu reltol=1e-9 vntol=1e-12\n.op",
    ]
    for k, row in enumerate(tried.tolist()):
        lines += [
            f"v{k}_{name} {name}{k} 0 {value!r}" for name, value in zip("abc", row, strict=True)
        ]
    deck = Deck("\n".join([*lines, ".end", ""]), files={"many.osdi": compile_osdi(text, compiler)})
    result = run_deck(deck, find_ngspice(), timeout_s=60)
    assert result.ok, result.reason
    found = [
        [result.plot.signal(f"v(o{k}_{n})")[0] for n in range(len(choices))]
        for k in range(len(tried))
    ]
    assert np.array(found) == pytest.approx(known(), rel=1e-9)


def test_constants_of_mathematics_are_numbers() -> None:
    numbers = [sympy.pi, sympy.exp(1), sympy.EulerGamma, sympy.GoldenRatio]
    for one in numbers:
        for printer in (BSourcePrinter({}), VerilogPrinter({})):
            assert float(printer.doprint(one)) == pytest.approx(float(one), rel=1e-15)
        out = sympy.Symbol("out", real=True)
        function, _ = compile_function("one", [V], [], [(out, one * V)], [out])
        assert function(2.0, {})[0] == pytest.approx(2 * float(one), rel=1e-15)
