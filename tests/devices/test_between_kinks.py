"""The functions of a model between its voltage thresholds are those of the whole model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp

from compact_models.emit.torch_model import between_kinks, torch_model
from compact_models.library import all_models
from compact_models.model import CompactModel
from compact_models.symbols import Parameter, V
from cosim.devices.internal import solve_internal
from cosim.devices.run_torch import run_torch
from tests.devices.small_models import FOLLOWER, x

WITH_KINKS = [name for name, one in all_models().items() if torch_model(one).form.kinks]


@pytest.mark.parametrize("name", WITH_KINKS)
def test_they_are_the_same_in_every_region(name: str) -> None:
    model = all_models()[name]
    whole = torch_model(model)
    one = model.parameter_sets[0]
    p = whole.parameters(dict(one.values))
    generator = torch.Generator().manual_seed(5)
    v = (2 * torch.rand(300, dtype=torch.float64, generator=generator) - 1) * 1.3 * one.amplitude_v
    s = [torch.rand(300, dtype=torch.float64, generator=generator) for _ in model.states]
    codes = torch.stack([torch.as_tensor(k).sign().expand_as(v) for k in whole.kinks(v, p)], 1)
    regions = torch.unique(codes, dim=0)
    assert len(regions) > 1
    for region in regions.tolist():
        inside = between_kinks(model, tuple(int(sign) for sign in region))
        here = (codes == torch.tensor(region, dtype=torch.float64)).all(1)
        states, volts = [x[here] for x in s], v[here]
        y = solve_internal(whole, p, volts, states, None)
        # Beside the solution: on it the residual is nothing but rounding.
        unknowns = states if y is None else [*states, 0.9 * y]
        for kind in ("equations", "equations_slopes", "residual"):
            function, part = getattr(whole, kind), getattr(inside, kind)
            if function is None:
                assert part is None
                continue
            for a, b in zip(function(volts, *unknowns, p), part(volts, *unknowns, p), strict=True):
                known = torch.as_tensor(a).expand_as(volts).numpy()
                found = torch.as_tensor(b).expand_as(volts).numpy()
                scale = max(float(np.abs(known).max()), 1e-300)
                assert found == pytest.approx(known, rel=1e-9, abs=1e-12 * scale), kind


def test_the_choice_is_gone() -> None:
    model = all_models()["jart_v1b"]
    for signs in ((1,), (-1,)):
        steps = dict(between_kinks(model, signs).form.steps)
        assert steps  # the form stays that of the whole model; the functions are shorter
    whole = torch_model(model).equations.body.__code__.co_code
    parts = [between_kinks(model, (sign,)).equations.body.__code__.co_code for sign in (1, -1)]
    assert all(len(part) < 0.9 * len(whole) for part in parts)


a, b, c = (Parameter(f"v_{name}", "V", "a threshold", above=0) for name in "abc")
q = Parameter("q", "1/(V*s)", "speed", above=0)
# Maxima and minima of three and more; the last ones choose by the state, which has no kink.
MANY = [
    sympy.Max(V - a, V - b, -V - c),
    sympy.Max(V, b * x, a - b * x),
    sympy.Max(V, a * (2 * x - 1), b * (x - 1)),
    sympy.Min(V + a, x * b, c),
    sympy.Max(V, c / 10, -V, x * a) - sympy.Min(c, V, a * x, -V),
]


def choosing(law: sympy.Expr) -> CompactModel:
    """A state that moves by a maximum or minimum of several voltages."""
    found = [one for one in (a, b, c) if law.has(one)]
    values = {"q": 3e6, "g": 1e-5} | {
        one.name: {"v_a": 0.5, "v_b": 0.9, "v_c": 0.6}[one.name] for one in found
    }
    return dataclasses.replace(
        FOLLOWER,
        name="choosing",
        rates={x: q * law},
        parameter_sets=(
            dataclasses.replace(FOLLOWER.parameter_sets[0], values=values, initial={"x": 0.2}),
        ),
    )


@pytest.mark.parametrize("law", MANY)
@pytest.mark.parametrize("cells", [1, 100])
def test_a_maximum_of_many_is_the_same_for_one_cell_and_for_a_hundred(
    law: sympy.Expr, cells: int
) -> None:
    model = choosing(law)
    one = model.parameter_sets[0]
    times = np.linspace(0, 2e-7, 5)
    volts = np.array([-0.25, -0.65, 0.62, 0.32, -0.58])
    plain = sympy.lambdify(
        [V, x, *model.parameters], model.rates[x], [{"Max": max, "Min": min}, "math"]
    )
    numbers = [one.values[p.name] for p in model.parameters]
    s, known = 0.2, [0.2]
    for k in range(4):  # from corner to corner, in steps shorter than what lies between two kinks
        end = solve_ivp(
            lambda t, s: [plain(np.interp(t, times, volts), s[0], *numbers)],
            times[k : k + 2],
            [s],
            rtol=1e-9,
            atol=1e-12,
            max_step=5e-10,
        )
        s = float(end.y[0, -1])
        known.append(s)
    assert 0.01 < min(known) < max(known) < 0.99  # the edge has no part in this
    stimulus = torch.from_numpy(volts).expand(cells, -1) if cells > 1 else torch.from_numpy(volts)
    trace = run_torch(model, one.values, one.initial, times.tolist(), stimulus)
    found = trace.states["x"].reshape(cells, -1).numpy()
    assert found == pytest.approx(np.tile(known, (cells, 1)), abs=2e-5)


@pytest.mark.parametrize("law", MANY)
def test_the_slopes_of_a_maximum_of_many_are_those_of_differences(law: sympy.Expr) -> None:
    model = choosing(law)
    functions = torch_model(model)
    p = functions.parameters(dict(model.parameter_sets[0].values))
    generator = torch.Generator().manual_seed(2)
    v = 2 * torch.rand(200, dtype=torch.float64, generator=generator) - 1
    s = 0.1 + 0.8 * torch.rand(200, dtype=torch.float64, generator=generator)
    kinks = [torch.as_tensor(kink).sign().expand_as(v) for kink in functions.kinks(v, p)]
    codes = torch.stack(kinks, 1) if kinks else v.new_empty(200, 0)
    for region in torch.unique(codes, dim=0).tolist() if kinks else [[]]:
        here = (codes == torch.tensor(region, dtype=torch.float64)).all(1)
        inside = between_kinks(model, tuple(int(sign) for sign in region))
        volts, states = v[here], s[here]
        rate, by_s, by_v = inside.equations_slopes(volts, states, p)
        assert torch.as_tensor(rate).numpy() == pytest.approx(
            torch.as_tensor(functions.equations(volts, states, p)[0]).numpy(), rel=1e-12
        )
        step = 1e-7
        for slope, dv, ds in ((by_s, 0.0, step), (by_v, step, 0.0)):
            ends = [
                torch.as_tensor(functions.equations(volts + k * dv, states + k * ds, p)[0])
                for k in (-1, 1)
            ]
            want = ((ends[1] - ends[0]) / (2 * step)).numpy()
            got = torch.as_tensor(slope).expand_as(volts).numpy()
            close = np.isclose(got, want, rtol=1e-4, atol=1e-4 * 3e6)
            assert close.mean() > 0.98  # a few differences reach across a corner


def test_every_two_arguments_of_a_maximum_make_a_kink() -> None:
    kinks = torch_model(choosing(MANY[0])).form.kinks
    places = [sympy.solve(kink, V)[0] for kink in kinks]
    numbers = {a: 0.5, b: 0.9, c: 0.6}
    # V - a and V - b never meet.
    assert sorted(float(place.subs(numbers)) for place in places) == pytest.approx([-0.05, 0.15])
