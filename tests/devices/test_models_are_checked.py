"""A model that makes no sense is refused in one sentence that says where and why."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
import sympy

from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Constant, Definition, Internal, Parameter, State, V
from compact_models.units import UNITS, UnitError, parse_unit, unit_of, unit_text
from tests.devices.small_models import FOLLOWER, JUNCTION, g, k, v_one, x


def variant(**changes: object) -> CompactModel:
    return dataclasses.replace(FOLLOWER, **changes)


def with_values(**values: float) -> CompactModel:
    one = FOLLOWER.parameter_sets[0]
    return variant(parameter_sets=(dataclasses.replace(one, values={**one.values, **values}),))


def sentence(**changes: object) -> str:
    with pytest.raises(InputError) as refused:
        variant(**changes)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"current": g * x}, ["the current", "in S", "allowed: A"]),
        ({"current": g * V + V}, ["the current", "added to", "in V", "in A"]),
        ({"current": g * V * sympy.exp(V)}, ["exp of v in V", "pure number"]),
        ({"current": g * V * (V / v_one) ** v_one}, ["exponent", "v_one", "in V"]),
        ({"current": g * V * (V**x) / v_one}, ["raised to x", "divide the base"]),
        ({"current": sympy.Max(g * V, V)}, ["compared with"]),
        ({"current": sympy.Piecewise((g * V, x < V), (0, True))}, ["compared with"]),
        (
            {"current": sympy.Piecewise((g * V, sympy.ITE(x > 0.5, V > 0, V < 0)), (0, True))},
            ["condition", "not supported"],
        ),
        (
            {"current": sympy.Piecewise((g * V, sympy.Xor(x > 0.5, v_one < V)), (0, True))},
            ["condition", "not supported"],
        ),
        ({"current": sympy.Piecewise((g * V, ~((x > 0.5) & (x < V))), (0, True))}, ["x in 1"]),
        (
            {"current": g * V * sympy.gamma(x)},
            [
                "the current: the function gamma is not supported in an equation, as in ",
                "gamma(x)",
                "allowed: Abs, Max",
                "Piecewise; write gamma with these",
            ],
        ),
        (
            {"current": g * V * sympy.Heaviside(V - v_one)},
            [
                "the current",
                "step function",
                "Heaviside(-v_one + v)",
                "write Piecewise",
                "Max(0, V)",
            ],
        ),
        ({"rates": {x: k * sympy.Heaviside(x)}}, ["the rate of 'x'", "step function"]),
        ({"rates": {x: V / v_one}}, ["rate of 'x'", "in 1", "allowed: Hz"]),
        ({"rates": {x: k * sympy.Symbol("loose")}}, ["loose", "not declared"]),
        ({"rates": {x: "k * (1 - x)"}}, ["rate of 'x'", "not an equation", "sympy"]),
        ({"current": g * V + sympy.nan}, ["the current", "finite", "nan"]),
        ({"current": g * V * sympy.Piecewise((1, V > 0))}, ["no value", "end the Piecewise"]),
        ({"kind": "dynamik"}, ["no such kind", "dynamic, pulse, read", "did you mean"]),
    ],
)
def test_equations_must_fit_in_units(changes: dict[str, object], words: list[str]) -> None:
    said = sentence(**changes)
    assert "follower" in said
    for word in words:
        assert word in said


@pytest.mark.parametrize("exponent", [Parameter("q_p", "1", "power"), sympy.Rational(3, 2)])
def test_a_power_of_what_may_be_negative_is_refused(exponent: sympy.Expr) -> None:
    # A B source would take the power of the absolute value, torch would say NaN.
    near_miss = V / v_one + sympy.sqrt((V / v_one) ** 2 + x)
    for base in (V / v_one, 1 - x, x, near_miss):
        said = sentence(rates={x: k * base**exponent})
        assert "the rate of 'x'" in said
        assert "Max(0, base)" in said
    values = {**FOLLOWER.parameter_sets[0].values, "q_p": 1.5}
    if exponent.is_Number:
        del values["q_p"]
    sets = (dataclasses.replace(FOLLOWER.parameter_sets[0], values=values),)
    rounded = V / v_one + sympy.sqrt((V / v_one) ** 2 + x**2)
    for base in (sympy.Abs(V) / v_one, sympy.Max(0, 1 - x), x**2 + 1, rounded, 3 * rounded):
        variant(rates={x: k * base**exponent + k * V / v_one}, parameter_sets=sets)


def test_a_number_is_an_equation() -> None:
    assert variant(current=0.0, rates={x: k * V / v_one}, parameter_sets=_without("g")).current == 0


def _without(name: str) -> tuple[ParameterSet, ...]:
    one = FOLLOWER.parameter_sets[0]
    values = {key: value for key, value in one.values.items() if key != name}
    return (dataclasses.replace(one, values=values),)


def test_a_definition_has_the_unit_that_it_says() -> None:
    heat = Definition("power", "W", "heat", g * V)
    assert "definition 'power'" in sentence(current=g * V * heat / heat + heat / V)


def test_units_that_fit_are_let_through() -> None:
    q = Constant("q_e", "C", "elementary charge", value=1.602176634e-19)
    k_b = Constant("k_b", "J/K", "Boltzmann's constant", value=1.380649e-23)
    t = Parameter("temperature", "K", "temperature", above=0)
    units = {V: UNITS["V"], **{one: parse_unit(one.unit) for one in (q, k_b, t, g, v_one)}}
    assert unit_of(g * V * sympy.exp(q * V / (k_b * t)), units) == UNITS["A"]
    assert unit_of(sympy.sqrt(g * V**2 / (g * v_one**2)), units) == 1
    assert unit_of(sympy.Max(0, V) - v_one, units) == UNITS["V"]
    with pytest.raises(UnitError, match=r"k_b\*q_e in .* is added to v in V"):
        unit_of(V + q * k_b, units)


@pytest.mark.parametrize(
    ("text", "name"), [("m^2/(V*s)", "m^2/(V*s)"), ("V*A", "W"), ("1/s", "Hz"), ("J/C", "V")]
)
def test_units_have_one_meaning(text: str, name: str) -> None:
    assert parse_unit(text) == parse_unit(name)
    assert parse_unit(unit_text(parse_unit("V"))) == parse_unit("kg*m^2/(s^3*A)")


@pytest.mark.parametrize("text", ["eV", "nm", "2*m", "m;s", "", "__import__('os')", "m**", "ohms"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="unit"):
        parse_unit(text)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"k": -1.0}, ["'k'", "-1.0", "> 0"]),
        ({"k": 0.0}, ["'k'", "> 0"]),
        ({"k": float("nan")}, ["'k'", "nan"]),
        ({"kk": 1.0}, ["kk", "no such parameter", "did you mean 'k'"]),
    ],
)
def test_numbers_must_be_within_bounds(values: dict[str, float], words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        with_values(**values)
    for word in ["follower", "'one'", *words]:
        assert word in str(refused.value)


def test_every_parameter_needs_a_number() -> None:
    one = FOLLOWER.parameter_sets[0]
    fewer = {name: value for name, value in one.values.items() if name != "v_one"}
    assert "v_one" in sentence(parameter_sets=(dataclasses.replace(one, values=fewer),))


@pytest.mark.parametrize("initial", [{"x": 1.5}, {"y": 0.1}, {}, {"x": 0.1, "z": 1.0}])
def test_the_initial_state_must_be_one(initial: dict[str, float]) -> None:
    one = dataclasses.replace(FOLLOWER.parameter_sets[0], initial=initial)
    assert "one" in sentence(parameter_sets=(one,))


def test_bounds_that_depend_on_parameters_are_checked_with_the_set() -> None:
    one = VTEAM.parameter_sets[0]
    upside_down = dataclasses.replace(one, values={**one.values, "w_on": 4e-9})
    with pytest.raises(InputError, match="bounds of state 'w' are not in order"):
        dataclasses.replace(VTEAM, parameter_sets=(upside_down,))


@pytest.mark.parametrize("name", ["v", "V_on", "2w", "r-on", "time", "a__b", "", "module"])
def test_names_that_a_netlist_cannot_hold(name: str) -> None:
    with pytest.raises(InputError, match="cannot have this name"):
        Parameter(name, "V", "something")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("v", "this program"),
        ("hertz", "ngspice"),
        ("module", "Verilog-A"),
        ("time", "ngspice and Verilog-A"),
        ("lambda", "Python"),
    ],
)
def test_a_reserved_name_is_refused_with_who_has_it(name: str, language: str) -> None:
    with pytest.raises(InputError, match=f"'{name}'.* else in {language};.*take {name}_1"):
        Parameter(name, "V", "something")
    assert Parameter(f"{name}_1", "V", "something").name == f"{name}_1"


def test_one_name_cannot_mean_two_things() -> None:
    other = Parameter("g", "S", "another conductance", above=0)
    assert "'g'" in sentence(current=g * x * V + other * V)
    stray = State("z", "1", "a state without a rate", lower=0, upper=1)
    assert "no rate" in sentence(current=g * stray * V)


def test_parameters_of_two_models_do_not_become_one() -> None:
    # sympy keeps expressions by equality: these differ in their bounds only.
    narrow, wide = (Parameter("same", "S", "g", low=0, high=high) for high in (1.0, 2.0))
    assert narrow != wide
    assert {(2 * narrow).free_symbols.pop().high, (2 * wide).free_symbols.pop().high} == {1.0, 2.0}


def test_one_internal_quantity_is_all_that_can_be_solved_for() -> None:
    second = Internal("i_b", "A", "another", low=0, high=1, scale=1.0)
    with pytest.raises(InputError, match=r"junction.*one internal quantity.*i_in, i_b"):
        dataclasses.replace(JUNCTION, implicit={**JUNCTION.implicit, second: second})


def test_a_model_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(VTEAM))  # noqa: S301  # our own bytes, made in this line
    assert [one.name for one in again.parameters] == [one.name for one in VTEAM.parameters]
    assert again.parameters[0].allowed_text() == VTEAM.parameters[0].allowed_text()
    assert again.current == VTEAM.current


def test_a_state_has_both_bounds_or_none() -> None:
    with pytest.raises(InputError, match="both bounds or neither"):
        State("h", "1", "half bounded", lower=0)
    with pytest.raises(InputError, match="both bounds or neither"):
        State("h", "1", "logarithmic", log=True)


def test_an_unknown_set_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"sinus.*sine, pt_hf_ti.*did you mean 'sine'"):
        VTEAM.parameter_set("sinus")


def test_a_set_says_where_it_comes_from() -> None:
    nameless = ParameterSet("x", "", {"k": 1.0, "v_one": 1.0, "g": 1.0}, {"x": 0.5}, 1.0, 1.0)
    assert "source" in sentence(parameter_sets=(nameless,))
