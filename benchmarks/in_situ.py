"""Digits learnt in the cells of a chip, beside the same loop in floating point."""

from __future__ import annotations

import statistics

from benchmarks._study import studied
from cosim.array.device_spec import DeviceSpec
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec
from workflows.config import Config, NetworkSpec, StudySpec, VerifySpec

TITLE = "Digits learnt in the cells"
TEXT = """
64-32-10 with tanh on scikit-learn's digits, 15 epochs in batches of 8, learning rate 0.1 of the
mean loss of a batch, three seeds. Every chip learns by stochastic pulses in its own cells, with the
spread from cell to cell that its parameter set states, wires of 1 ohm a segment, converters and
offsets of the default chip forward and backward; reads by the calibrated surrogate, which was
within `off` of exact at the worst end of an epoch. `floating point` is the same loop with plain
gradient descent. Verified on the same 200 held-out images of the chip in ngspice.
"""

_DEVICES = (
    ("constant_step", "gokmen_vlasov"),
    ("constant_step", "idealized"),
    ("linear_step", "ecram"),
    ("soft_bounds", "rpu"),
    ("soft_bounds", "reram_sb"),
)
_SEEDS = (0, 1, 2)


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per device."""
    header = [
        "device", "floating point", "in its cells", "mean", "off", "ngspice agrees", "rms LSB",
        "train s",
    ]  # fmt: skip
    return header, [_device(*one) for one in _DEVICES]


def _device(name: str, parameters: str) -> list[str]:
    runs = [_run(name, parameters, seed) for seed in _SEEDS]
    floating, learnt, off, agreement, rmse, train_s = zip(*runs, strict=True)
    return [
        f"{name} {parameters}",
        ", ".join(f"{100 * one:.1f}" for one in floating),
        ", ".join(f"{100 * one:.1f}" for one in learnt),
        f"{100 * statistics.mean(learnt):.1f} beside {100 * statistics.mean(floating):.1f} %",
        f"{100 * max(off):.2g} %",
        f"{100 * min(agreement):.1f} %",
        f"{max(rmse):.2f}",
        f"{statistics.median(train_s):.0f}",
    ]


def _run(name: str, parameters: str, seed: int) -> tuple[float, float, float, float, float, float]:
    config = Config(
        study=StudySpec(seed=seed),
        network=NetworkSpec(hidden=(32,), activation="tanh"),
        device=DeviceSpec(name=name, parameters=parameters),
        train=PulsedSgdSpec(),
        verify=VerifySpec(images=200),
    )
    with studied(config, "in_situ") as study:
        return (
            study.record["accuracy_float"],
            study.record["accuracy_trained"],
            max(epoch["surrogate_error"] for epoch in study.epochs),
            study.verified.agreement,
            study.verified.logit_rmse_lsb or 0.0,
            study.train_s,
        )
