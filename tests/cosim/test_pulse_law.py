"""What a pulse of any level does to a pulse device, beside its equations integrated by scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.pulses.pulse_law import PulseLaw
from netlists.pulse import Pulse


@pytest.mark.parametrize(
    ("device", "parameters"),
    [("soft_bounds", "reram_array_hfo2"), ("exp_step", "pcm"), ("constant_step", "gokmen_vlasov")],
)
def test_a_pulse_of_any_level(device: str, parameters: str) -> None:
    model, numbers = find_model(device), find_set(find_model(device), parameters)
    v = numbers.values
    high = v["threshold_v"]
    pulse = Pulse(1.0, 0.8 * v["width_s"], 0.3 * v["width_s"], 0.5 * v["width_s"])
    levels = torch.tensor([-2.0, -1.1, -0.9, 0.9, 1.1, 2.0], dtype=torch.float64) * high
    begun = torch.tensor([0.7, 0.5, 0.5, 0.4, 0.2, 0.95], dtype=torch.float64)
    own = {"dw_min": v["dw_min"] * torch.linspace(0.5, 1.5, 6, dtype=torch.float64)}
    after, heat_j = PulseLaw(model, pulse).pulse_on(begun, levels, {**v, **own})
    functions = torch_model(model)
    for k, level in enumerate(levels.tolist()):
        p = functions.parameters({**v, "dw_min": float(own["dw_min"][k])})

        def slope(s: float, x: np.ndarray, level: float = level, p: dict = p) -> list[float]:  # type: ignore[type-arg]
            at = np.interp(s, pulse.corner_times_s(), np.array(pulse.corner_voltages_v()) * level)
            place, volts = (torch.tensor(one, dtype=torch.float64) for one in (x[0], at))
            (current,) = functions.current(volts, place, p)
            moving = float(functions.rates(volts, place, p)[0]) if 0 <= x[0] <= 1 else 0.0
            return [moving, at * float(current)]

        known = solve_ivp(
            slope, (0, pulse.duration_s), [float(begun[k]), 0.0], max_step=pulse.duration_s / 800
        ).y[:, -1]
        size = abs(known[0] - float(begun[k]))
        assert (size > 0) == (abs(level) > high)
        assert float(after[k]) == pytest.approx(min(known[0], 1.0), abs=3e-3 * size + 1e-15)
        assert float(heat_j[k]) == pytest.approx(known[1], rel=0.05)


def test_an_equation_of_another_kind_has_no_law() -> None:
    with pytest.raises(InputError, match=r"not a pulse device.*vteam"):
        PulseLaw(find_model("vteam"), Pulse(1.0, 1e-9, 1e-10, 1e-10))
