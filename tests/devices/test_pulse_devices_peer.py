"""Pulse devices against aihwkit, pulse by pulse, where it is installed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from compact_models.devices.constant_step import MODEL as CONSTANT
from compact_models.devices.exp_step import MODEL as EXP
from compact_models.devices.linear_step import MODEL as LINEAR
from compact_models.devices.piecewise_step import MODEL as PIECEWISE
from compact_models.devices.pow_step import MODEL as POW
from compact_models.devices.soft_bounds import MODEL as SOFT
from compact_models.model import CompactModel, ParameterSet
from cosim.pulses.device_steps import apply_pulses

ALL_SETS = [
    pytest.param(model, one, id=f"{model.name}-{one.name}")
    for model in (CONSTANT, LINEAR, SOFT, EXP, POW, PIECEWISE)
    for one in model.parameter_sets
]
_STILL = {
    "dw_min_std": 0.0,
    "dw_min_dtod": 0.0,
    "up_down_dtod": 0.0,
    "w_max_dtod": 0.0,
    "w_min_dtod": 0.0,
}
_STILL_WRITES = {**_STILL, "write_noise_std": 0.0}
_STILL_LINEAR = {**_STILL_WRITES, "gamma_up_dtod": 0.0, "gamma_down_dtod": 0.0}
_STILL_SOFT = {**_STILL_WRITES, "reference_std": 0.0}
_RANGE = ("dw_min", "up_down", "w_min", "w_max")
_PRESETS = {
    "gokmen_vlasov_scaled": ("GokmenVlasovPresetDevice", _STILL),
    "idealized": ("IdealizedPresetDevice", _STILL),
    "ecram": ("EcRamPresetDevice", _STILL_LINEAR),
    "ecram_mo": ("EcRamMOPresetDevice", _STILL_LINEAR),
    "reram_array_hfo2": ("ReRamArrayHfO2PresetDevice", _STILL_SOFT),
    "reram_array_om": ("ReRamArrayOMPresetDevice", _STILL_SOFT),
    "reram_sb": ("ReRamSBPresetDevice", _STILL_SOFT),
    "reram_es": ("ReRamESPresetDevice", _STILL_WRITES),
    "pcm": ("PCMPresetDevice", {**_STILL, "reset_dtod": 0.0}),
}


def peer_device(model: CompactModel, one: ParameterSet) -> object:
    """The same device in aihwkit: its preset, or its class with our numbers."""
    from aihwkit.simulator.configs import devices
    from aihwkit.simulator.presets import devices as presets

    shared = {name: one.values[name] for name in _RANGE}
    if one.name in _PRESETS:
        name, still = _PRESETS[one.name]
        return getattr(presets, name)(**still)
    if model is CONSTANT:
        return devices.ConstantStepDevice(**{**_STILL, **shared})
    if model is POW:
        # One exponent for both directions there, weakened in one of them by this.
        ratio = one.values["gamma_up"] / one.values["gamma_down"]
        return devices.PowStepDevice(
            **{**_STILL_WRITES, **shared},
            pow_gamma=one.values["gamma_down"],
            pow_gamma_dtod=0.0,
            pow_up_down=ratio - 1,
            pow_up_down_dtod=0.0,
        )
    return devices.PiecewiseStepDevice(
        **{**_STILL_WRITES, **shared},
        piecewise_up=[one.values[f"up_{k}"] for k in range(10)],
        piecewise_down=[one.values[f"down_{k}"] for k in range(10)],
    )


@pytest.mark.parametrize(("model", "one"), ALL_SETS)
def test_every_pulse_is_that_of_aihwkit(model: CompactModel, one: ParameterSet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another project's imports
        pytest.importorskip("aihwkit", exc_type=ImportError)
        from aihwkit.simulator.configs import SingleRPUConfig, UpdateParameters
        from aihwkit.simulator.parameters.enums import PulseType

        update = UpdateParameters(
            desired_bl=1,
            fixed_bl=True,
            update_bl_management=False,
            update_management=False,
            pulse_type=PulseType.STOCHASTIC,
        )
        config = SingleRPUConfig(device=peer_device(model, one), update=update)
        tile = config.tile_class(1, 1, config, bias=False)
    tile.set_learning_rate(1.0)
    tile.tile.set_weights(torch.full((1, 1), one.initial["w"]))
    directions = [1] * 400 + [-1] * 700 + [1, 1, -1, 1] * 50
    theirs = []
    for direction in directions:
        tile.update(torch.ones(1, 1), torch.full((1, 1), -float(direction)))
        theirs.append(float(tile.tile.get_weights()))
    start = torch.tensor(one.initial["w"], dtype=torch.float64)
    ours = apply_pulses(model, one.values, start, torch.tensor(directions)).numpy()
    assert len(np.unique(np.round(ours, 9))) > 20, "the train moves the weight"
    assert np.abs(ours - np.array(theirs)).max() < 2e-5 * (
        one.values["w_max"] - one.values["w_min"]
    )
