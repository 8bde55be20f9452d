"""The read form of every model: its current with the states held, in ngspice as in torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.cell_device import CellDevice
from compact_models.emit.torch_model import torch_model
from compact_models.library import find_model, find_set, package_models
from compact_models.model import CompactModel, ParameterSet
from compact_models.read_form import is_linear, read_form
from cosim.devices.form import held_form
from cosim.devices.operating_point import operating_point
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from netlists.cells import held
from netlists.circuit import Circuit, Element, Instance, VoltageSource
from netlists.names import number

pytestmark = pytest.mark.ngspice

PLACES = (0.15, 0.6, 0.95)  # of the range of every state
VOLTS = np.array([-0.31, -0.2, -0.05, -1e-3, 1e-3, 0.07, 0.2, 0.33])

Case = tuple[CompactModel, ParameterSet, dict[str, float]]


def cases(models: tuple[CompactModel, ...]) -> list[Case]:
    """Every model with its first set, in three states each."""
    found = []
    for model in models:
        numbers = model.parameter_sets[0]
        functions = torch_model(model)
        p = functions.parameters(dict(numbers.values))
        for place in PLACES:
            fractions = [torch.tensor(place, dtype=torch.float64) for _ in model.states]
            states = functions.states(fractions, p)
            bounded = {
                one.name: float(numbers.initial[one.name] if one.lower is None else value)
                for one, value in zip(model.states, states, strict=True)
            }
            found.append((model, numbers, bounded))
    return found


def in_torch(one: Case) -> np.ndarray:
    model, numbers, states = one
    point = operating_point(model, dict(numbers.values), dict(states), torch.from_numpy(VOLTS))
    return point.current_a.numpy()


def own_states(one: Case) -> dict[str, float]:
    return {state.name: one[2][state.name] for state in read_form(one[0]).states}


def test_every_model_draws_in_ngspice_what_it_draws_in_torch(ngspice: Ngspice) -> None:
    """One `.dc` sweep for all: in the dynamic form the states would run away in it."""
    every = cases(tuple(package_models().values()))
    blocks = {m.name: held.behavioural(CellDevice(m, numbers)) for m, numbers, _ in every}
    items: list[Element] = []
    for k, one in enumerate(every):
        items.append(VoltageSource(f"vmeter_{k}", "in", f"wl_{k}", 0.0))
        block = blocks[one[0].name]
        items.append(Instance(f"xcell_{k}", block.name, (f"wl_{k}", "0"), own_states(one)))
    circuit = Circuit("read forms", tuple(blocks.values()), tuple(items))
    signals = tuple(f"i(vmeter_{k})" for k in range(len(every)))
    deck = sweep_deck(circuit, ["in"], VOLTS[:, None], name="reads", expected_signals=signals)
    result = run_deck(deck, ngspice, timeout_s=60)
    assert result.ok, result.reason
    for one, signal in zip(every, signals, strict=True):
        wanted, found = in_torch(one), result.plot.signal(signal)
        off = np.abs(found - wanted) / np.abs(wanted).max()
        assert off.max() <= 1e-8, (one[0].name, one[2], off)


@pytest.mark.parametrize("name", ["stanford", "jart_v1b", "yakopcic"])
def test_compiled_it_is_the_same(name: str, ngspice: Ngspice) -> None:
    model = find_model(name)
    every = cases((model,))
    device = CellDevice(model, every[0][1])
    form = held_form(device, ngspice)
    if form.library is None:
        pytest.skip(form.why_not)
    card, _ = held.compiled(device)
    items: list[Element] = [card]
    items += [VoltageSource(f"vmeter_{k}", "in", f"wl_{k}", 0.0) for k in range(len(every))]
    circuit = Circuit("compiled read forms", (), tuple(items))
    signals = tuple(f"i(vmeter_{k})" for k in range(len(every)))
    deck = sweep_deck(
        circuit, ["in"], VOLTS[:, None], name="reads", expected_signals=signals,
        library=form.library,
    )  # fmt: skip
    cells = "".join(
        f"ncell_{k} wl_{k} 0 {card.name} "
        + " ".join(f"{name}={number(x)}" for name, x in own_states(one).items())
        + "\n"
        for k, one in enumerate(every)
    )
    deck = replace(deck, text=deck.text.replace(".option", cells + ".option", 1))
    result = run_deck(deck, ngspice, timeout_s=60)
    assert result.ok, result.reason
    for one, signal in zip(every, signals, strict=True):
        wanted, found = in_torch(one), result.plot.signal(signal)
        assert (np.abs(found - wanted) / np.abs(wanted).max()).max() <= 1e-8, (one[2], found)


def test_what_is_a_resistor_is_one_and_what_bends_is_none() -> None:
    """By the published equations; and only what the current needs is asked for."""
    linear = {name for name, model in package_models().items() if is_linear(model)}
    assert {"vteam", "vteam_exp", "team", "soft_bounds", "pcm"} <= linear
    assert not {"stanford", "jart_v1b", "yakopcic"} & linear
    stanford = read_form(find_model("stanford"))
    assert [one.name for one in stanford.states] == ["gap"]  # the temperature only moves the gap
    assert {one.name for one in stanford.parameters} == {"i_0", "g_0", "v_0"}
    # Proportional to V on either side, but not with one conductance for both.
    assert read_form(find_model("yakopcic")).conductance is None


def test_a_resistor_costs_no_source_and_keeps_every_digit(ngspice: Ngspice) -> None:
    model = find_model("vteam")
    device = CellDevice(model, find_set(model, "sine"))
    text = held.behavioural(device).text
    assert "gcell wl bl wl bl" in text
    assert "bcell" not in text
    assert held_form(device, ngspice).library is None
    assert held_form(device, ngspice).why_not == ""
