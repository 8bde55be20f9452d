"""VTEAM by four routes: torch, B sources, a compiled model, and scipy written from the paper."""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.devices.vteam import MODEL
from compact_models.model import ParameterSet
from cosim.devices.run_ngspice import can_compile
from cosim.ngspice import find_ngspice
from tests.devices import agreement

SETS = pytest.mark.parametrize("one", MODEL.parameter_sets, ids=lambda one: str(one.name))


@SETS
def test_torch_agrees_with_the_paper(one: ParameterSet) -> None:
    stimulus = agreement.triangle(one)
    found = agreement.difference(
        agreement.torch_run(MODEL, one, *stimulus), agreement.reference_run(MODEL, one, *stimulus)
    )
    assert found.points > 400
    assert found.current <= 1e-3
    assert found.switchings >= (1 if one.name == "pt_hf_ti" else 0)
    assert found.switching_v <= 2e-3


@pytest.mark.ngspice
@SETS
def test_torch_agrees_with_ngspice(one: ParameterSet) -> None:
    stimulus = agreement.triangle(one)
    found = agreement.difference(
        agreement.torch_run(MODEL, one, *stimulus),
        agreement.spice_run(MODEL, one, *stimulus, find_ngspice(), compiled=False),
    )
    assert found.current <= 1e-3
    assert found.switching_v <= 2e-3


@pytest.mark.ngspice
@SETS
def test_the_two_forms_in_ngspice_agree(one: ParameterSet) -> None:
    ngspice = find_ngspice()
    if not can_compile(ngspice):
        pytest.skip("no OSDI here")
    stimulus = agreement.triangle(one)
    sources, compiled = (
        agreement.spice_run(MODEL, one, *stimulus, ngspice, compiled=form) for form in (False, True)
    )
    # 8e-5 and 2.5e-4, the larger beside the SET of a device that is through in picoseconds.
    assert agreement.difference(compiled, sources).current <= 3e-4


def test_a_wrong_answer_is_told_from_a_right_one() -> None:
    one = MODEL.parameter_sets[0]
    stimulus = agreement.triangle(one)
    truth = agreement.reference_run(MODEL, one, *stimulus)
    slower = ParameterSet(
        **{**vars(one), "values": {**one.values, "k_off": one.values["k_off"] * 1.01}}
    )
    wrong = agreement.torch_run(MODEL, slower, *stimulus)
    assert agreement.difference(wrong, truth).current > 1e-3
    assert np.ptp(truth.current_a) > 0
