"""Networks with devices in their cells: the surrogate and its control against ngspice."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._study import studied
from compact_models.library import find_model
from compact_models.set_file import save_set
from cosim.array.device_spec import DeviceSpec
from cosim.network.held_chip import cells_of
from cosim.network.models import exact_codes
from cosim.training.backprop_spec import BackpropSpec
from workflows import runfolder
from workflows.config import Config, VerifySpec
from workflows.data import load_split

TITLE = "Cells that are devices"
TEXT = """
Digits, 64-32-10, trained through the surrogate with the device in every cell, 12 epochs. ngspice
has the model in every cell, in the state that has the weight's conductance at the read voltage.
`bent` is by how much a cell conducts more at the read voltage than near 0 V. The control is the
same chip read exactly, wires, drivers and amplifiers included, with an ohmic cell of that
conductance: how every read of a network was before. Errors are in LSB of the output converters,
against ngspice.
"""

_EPOCHS = 12
_BENT_V = 0.26  # the voltage scale of sky130's cell that makes it a tenth nonlinear at 0.2 V


def rows() -> tuple[list[str], list[list[str]]]:
    """Trains and verifies with sky130's cell, and with one that is bent three times as much."""
    header = [
        "cells", "bent", "images", "floating point", "surrogate", "spice", "agreement", "rms LSB",
        "max LSB", "exact max LSB", "ohmic rms LSB", "ohmic / surrogate", "failed", "train s",
        "spice s",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="spiceloop-bench-") as folder:
        return header, [
            _case("stanford sky130", DeviceSpec(name="stanford", parameters="sky130")),
            _case(
                f"the same with v_0 = {_BENT_V:g} V",
                DeviceSpec(name="stanford", parameters=str(_more_bent(Path(folder)))),
            ),
        ]


def _more_bent(folder: Path) -> Path:
    """A parameter set with a smaller voltage scale and the same conductance at 0 V."""
    model = find_model("stanford")
    sky130 = model.parameter_set("sky130")
    values = {**sky130.values, "v_0": _BENT_V}
    values["i_0"] *= _BENT_V / sky130.values["v_0"]
    place = folder / "stanford.bent.toml"
    save_set(
        model,
        replace(sky130, name="bent", values=values, source="sky130, another v_0", confirmed=False),
        place,
    )
    return place


def _case(label: str, device: DeviceSpec) -> list[str]:
    config = Config(
        device=device, train=BackpropSpec(epochs=_EPOCHS), verify=VerifySpec(images=200)
    )
    with studied(config, "device_network") as study:
        run, v = study.folder, study.verified
        chip = runfolder.read_chip(run, runfolder.read_config(run))
        told: NDArray[np.float64] = np.load(run / "verify.npz")["codes_spice"]
    cells = cells_of(chip.hardware)
    ohmic = replace(chip, hardware=chip.hardware.model_copy(update={"device": None}), states=())
    x = load_split(config.data, seed=config.study.seed).test_x[: v.images]
    off = exact_codes(ohmic, x) - told
    control = float(np.sqrt(np.nanmean(off**2)))
    rms = v.logit_rmse_lsb or float("nan")
    return [
        label,
        "none" if cells is None else f"{100 * cells.nonlinearity():.1f} %",
        str(v.images),
        *(
            f"{100 * a:.1f} %"
            for a in (v.accuracy_float, v.accuracy_surrogate, v.accuracy_spice, v.agreement)
        ),
        f"{rms:.3g}",
        f"{v.logit_max_lsb:.3g}",
        f"{v.exact_logit_max_lsb:.3g}",
        f"{control:.3g}",
        f"{control / rms:.3g}" if rms else "exact",
        str(v.failed),
        f"{study.train_s:.0f}",
        f"{study.spice_s:.0f}",
    ]
