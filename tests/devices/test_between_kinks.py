"""The functions of a model between its voltage thresholds are those of the whole model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.emit.torch_model import between_kinks, torch_model
from compact_models.library import all_models
from cosim.devices.internal import solve_internal

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
