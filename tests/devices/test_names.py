"""What a symbol may be called: every name that is let through works in torch and in netlists."""

from __future__ import annotations

import dataclasses
import keyword
import math

import numpy as np
import pytest
import sympy

from compact_models.emit.ngspice import subcircuit
from compact_models.emit.torch_code import compile_function
from compact_models.emit.torch_model import torch_model
from compact_models.emit.verilog_a import module
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Constant, Definition, Internal, Parameter, State, V
from cosim.devices.form import can_compile
from cosim.devices.osdi import compile_osdi, find_openvaf
from cosim.ngspice import Deck, Ngspice, run_deck

# Words that mean something in one of the languages, or nearly. Which of them cannot be names was
# measured; those that can are run below.
VERILOG = """
    above abstol access always analog branch buf cell config connect continuous ddt default design
    discipline domain edge event exclude flow generate ground hypot idt inf initial inout input
    instance join large library limexp localparam medium merged module nature nmos noise_table none
    not parameter pmos posedge potential primitive real reg release repeat resolveto signed slew
    small split string strong0 supply0 table task time timer tran transition tri units unsigned use
    wait wand weak1 white_noise wire wor xnor xor zi_nd absdelta electrical voltage magnetic thermal
    kinematic rotational logic charge flux power position velocity angle impulse acceleration
    vt temperature mfactor simparam abstime bound_step
"""
NGSPICE = """
    abs acosh agauss arctan atan2 aunif boltz c ceil ddx div defined dtemp e echarge exponential
    fmod gauss gmin gnd hertz idtmod int inv kelvin limit log10 mod nint no off params planck poly
    pow pwl pwr pwrs q scale sgauss sgn sqr stp sunif tc tc1 tc2 temper ternary_fcn tnom u u2
    uic unif uramp value var vec vol yes ac dc l w area res cap ind d k r h f o z meas let set
    save model subckt ends lib cur expr laplace mult level version card ic file end cond delay
    all alli allv vdd vss vsum none length mean fft avg rms interpolate deriv options step sweep
    nodes param probe plot noise four tf sens disto pz pulse sffm am pw per td tr width height seed
    reltol vntol itl1 method gear trap echo run stop alter reset shell write source node device
"""
PYTHON = (
    "async class del elif except global is lambda nonlocal pass raise try with yield match type"
)
# What the emitters call their own, for a model called `tiny` with a state x.
MADE = """
    s_x c_x r_x b_x d_x y_x g_x bd_x by_x cy_x bi free_x rate_x residual_x fixed_0 out_0 out_1 t_0
    e_x limited_exp ndut xdut vdut device_tiny tiny
"""
CANDIDATES = sorted({*f"{VERILOG} {NGSPICE} {PYTHON} {MADE}".split()})

START, VOLTS = 0.25, 0.8
g = Parameter("g_tiny", "S", "conductance", above=0)
k = Parameter("k_tiny", "1/s", "speed", above=0)
x = State("x", "1", "state", lower=0, upper=1)


def tiny(*names: str) -> CompactModel:
    """A device whose current has each of these parameters alone and within others in it."""
    named = [Parameter(name, "1", "a number", above=0) for name in names]
    alone = sympy.Add(*(x * one / (place + 2) for place, one in enumerate(named)))
    within = 1 / sympy.sqrt(1 + sympy.Add(*(one**2 * sympy.exp(-one) for one in named)))
    return CompactModel(
        name="tiny",
        title="holds names",
        kind="dynamic",
        source="made for tests",
        current=g * V * alone * within,
        rates={x: k * (named[-1] - x)},
        parameter_sets=(
            ParameterSet(
                name="one",
                source="made for tests",
                values={"g_tiny": 1e-3, "k_tiny": 1.0, **dict.fromkeys(names, 1.0)},
                initial={"x": START},
                amplitude_v=1.0,
                period_s=1.0,
            ),
        ),
    )


def current_a(values: list[float]) -> float:
    """The current of such a device at its start."""
    alone = sum(START * value / (place + 2) for place, value in enumerate(values))
    within = 1 / math.sqrt(1 + sum(value**2 * math.exp(-value) for value in values))
    return 1e-3 * VOLTS * alone * within


def is_let_through(name: str) -> bool:
    try:
        Parameter(name, "1", "a number")
    except InputError:
        return False
    return True


NAMES = [name for name in CANDIDATES if is_let_through(name)]
# Different for every name, so that none can stand in for another.
VALUES = dict(zip(NAMES, np.linspace(1.1, 2.9, len(NAMES)).tolist(), strict=True))


def test_there_is_much_to_run() -> None:
    assert len(NAMES) > 150
    assert len(CANDIDATES) - len(NAMES) > 100


@pytest.mark.ngspice
def test_b_sources_hold_every_name_that_is_let_through(ngspice: Ngspice) -> None:
    lines = ["names"]
    groups = [NAMES[start : start + 8] for start in range(0, len(NAMES), 8)]
    for place, group in enumerate(groups):
        model = tiny(*group)
        pairs = " ".join(f"{name}={VALUES[name]!r}" for name in group)
        lines += [
            subcircuit(model, model.parameter_sets[0], f"sub{place}"),
            f"v{place} p{place} 0 {VOLTS}",
            f"x{place} p{place} 0 sub{place} {pairs}",
        ]
    lines += [".option klu", ".tran 1n 2n uic", ".end", ""]
    result = run_deck(Deck("\n".join(lines)), ngspice, timeout_s=60)
    assert result.ok, result.reason
    for place, group in enumerate(groups):
        found = -result.plot.signal(f"i(v{place})")[-1]
        assert found == pytest.approx(current_a([VALUES[name] for name in group]), rel=1e-6), group


@pytest.mark.ngspice
def test_a_compiled_model_holds_every_name_that_is_let_through(ngspice: Ngspice) -> None:
    compiler = find_openvaf()
    if compiler is None or not can_compile(ngspice):
        pytest.skip("no compiled models here")
    model = tiny(*NAMES)
    text = module(model, model.parameter_sets[0], "device_tiny")
    pairs = "\n".join(f"+ {name}={value!r}" for name, value in VALUES.items())
    deck = Deck(
        "names\n.model card device_tiny\n.control\npre_osdi a.osdi\n.endc\n"
        f"v0 p 0 {VOLTS}\nndut p 0 card\n{pairs}\n.option klu\n.tran 1n 2n uic\n.end\n",
        files={"a.osdi": compile_osdi(text, compiler)},
    )
    result = run_deck(deck, ngspice, timeout_s=60)
    assert result.ok, result.reason
    found = -result.plot.signal("i(v0)")[-1]
    assert found == pytest.approx(current_a(list(VALUES.values())), rel=1e-6)


def test_torch_holds_every_name_that_is_let_through() -> None:
    model = tiny(*NAMES)
    current = sympy.Symbol("current", real=True)
    steps = [(current, model.current)]
    function, _ = compile_function("many", [V, x], model.parameters, steps, [current])
    (found,) = function(VOLTS, START, {"g_tiny": 1e-3, **VALUES})
    assert found == pytest.approx(current_a(list(VALUES.values())), rel=1e-12)


@pytest.mark.parametrize("name", [*keyword.kwlist, "flow", "small", "limit", "vec", "gnd", "hertz"])
def test_a_word_of_one_of_the_languages_is_refused(name: str) -> None:
    if not name.islower():
        return
    with pytest.raises(InputError, match=r"means something else in (Python|Verilog-A|ngspice)"):
        Parameter(name, "V", "something")


def with_name(name: str) -> CompactModel:
    """A device with a state x, an internal quantity `inner` and a parameter of that name."""
    one = Parameter(name, "1", "a number")
    inner = Internal("inner", "A", "current", low=0, high=g * V, scale=1e-6)
    return CompactModel(
        name="named",
        title="holds a name",
        kind="dynamic",
        source="made for tests",
        current=inner,
        rates={x: k * (one - x)},
        implicit={inner: inner - g * x * V},
        parameter_sets=(
            ParameterSet(
                name="one",
                source="made for tests",
                values={"g_tiny": 1e-3, "k_tiny": 1.0, name: 1.0},
                initial={"x": START},
                amplitude_v=1.0,
                period_s=1.0,
            ),
        ),
    )


@pytest.mark.parametrize("name", ["x_0", "n_s_x", "n_y_inner"])
def test_the_names_that_netlists_make_up_are_refused(name: str) -> None:
    assert with_name("x_1").parameters[-1].name == "x_1"
    with pytest.raises(InputError, match=f"netlists give to.*got '{name}'.*take {name}_ref"):
        with_name(name)


@pytest.mark.parametrize("pair", [("temp", "temperature"), ("dt", "dtemp")])
def test_two_names_that_ngspice_takes_for_one_are_refused(pair: tuple[str, str]) -> None:
    for name in pair:
        assert tiny(name, "other").parameters
    with pytest.raises(InputError, match=f"takes these two.*got '{' and '.join(pair)}'"):
        tiny(*pair)


def test_no_other_kind_of_symbol_may_have_such_a_name() -> None:
    for other in (
        State("x_0", "1", "state", lower=0, upper=1),
        Definition("x_0", "1", "a number", g / g + x),
        Constant("x_0", "1", "a number", value=1.0),
    ):
        rates = {x: k * (other - x), **({other: k * x} if isinstance(other, State) else {})}
        with pytest.raises(InputError, match="netlists give to the initial value of 'x'"):
            dataclasses.replace(with_name("x_1"), rates=rates)


def test_bounds_may_have_the_names_of_results() -> None:
    low, high = (Parameter(f"out_{place}", "1", "a bound") for place in (0, 1))
    states = [State(f"y_{side}", "1", "state", lower=low, upper=high) for side in ("a", "b")]
    model = dataclasses.replace(
        tiny("x_1"),
        current=g * states[0] * V,
        rates={y: 0 * k * y for y in states},
        parameter_sets=(
            ParameterSet(
                name="one",
                source="made for tests",
                values={"g_tiny": 1e-3, "out_0": -1.0, "out_1": 3.0},
                initial={"y_a": 0.5, "y_b": 1.0},
                amplitude_v=1.0,
                period_s=1.0,
            ),
        ),
    )
    functions = torch_model(model)
    p = functions.parameters(dict(model.parameter_sets[0].values))
    assert functions.to_fractions(0.5, 1.0, p) == pytest.approx([0.375, 0.5])
    assert functions.to_states(0.375, 0.5, p) == pytest.approx([0.5, 1.0])
