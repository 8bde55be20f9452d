"""Training where the closed form of the wires does not hold: watched, and left alone."""

from __future__ import annotations

import torch

from benchmarks._study import studied
from compact_models.ohmic import OhmicCell
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.wires import wire_model
from cosim.training.backprop_spec import BackpropSpec
from workflows.config import CalibrationSpec, Config, NetworkSpec, VerifySpec, WiresSpec

TITLE = "Training outside the region of the closed form"
TEXT = """
Digits, 64-32-10 without bias, cells of 50 to 100 uS: the first array has 64 x 64 of them. `all on`
is the error of the closed form, weights of theory, on 64 x 64 cells of 100 uS (Frobenius). The
closed form and the surrogate are compared with exact on inputs of every epoch: the array whose
currents are furthest off, at the worst end of an epoch. With `max_surrogate_error = 1` nothing is
anchored, as before arrays were watched. Accuracies are of the same 100 images.
"""

_OHM = (1.0, 20.0)
_TOLERANCES = (1.0, 0.01)


def rows() -> tuple[list[str], list[list[str]]]:
    """Trains and verifies at every resistance, without and with anchors."""
    header = [
        "ohm", "all on", "max_surrogate_error", "closed form off by", "surrogate off by",
        "arrays anchored", "exact solutions", "surrogate", "exact", "spice", "rms LSB", "train s",
    ]  # fmt: skip
    return header, [_case(ohm, tolerance) for ohm in _OHM for tolerance in _TOLERANCES]


def _case(r_ohm: float, tolerance: float) -> list[str]:
    config = Config(
        network=NetworkSpec(hidden=(32,), bias=False),
        cell=OhmicCell(g_off_s=5e-5, g_on_s=1e-4),
        wires=WiresSpec(r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm),
        calibration=CalibrationSpec(),
        train=BackpropSpec(epochs=10, max_surrogate_error=tolerance),
        verify=VerifySpec(images=100),
    )
    with studied(config, "watched_surrogate") as study:
        v, lines = study.verified, study.epochs
    return [
        f"{r_ohm:g}",
        f"{100 * _all_on(r_ohm):.2g} %",
        f"{tolerance:g}",
        f"{100 * max(line['closed_form_error'] for line in lines):.2g} %",
        f"{100 * max(line['surrogate_error'] for line in lines):.2g} %",
        f"{lines[-1]['anchored']} of 2",
        str(lines[-1]["anchors"]),
        *(f"{100 * a:.1f} %" for a in (v.accuracy_surrogate, v.accuracy_exact, v.accuracy_spice)),
        "none" if v.logit_rmse_lsb is None else f"{v.logit_rmse_lsb:.3g}",
        f"{study.train_s:.1f}",
    ]


def _all_on(r_ohm: float) -> float:
    g = torch.full((64, 64), 1e-4, dtype=torch.float64)
    ohms = {"r_wordline_ohm": r_ohm, "r_bitline_ohm": r_ohm}
    exact = solve_transfer(g, **ohms).transfer_s
    closed = wire_model(64, 64, **ohms).with_losses(g)[0]
    return float((closed - exact).norm() / exact.norm())
