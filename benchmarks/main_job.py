"""The main job over wire resistances, seeds and networks."""

from __future__ import annotations

from benchmarks._study import studied
from workflows.config import Config, DataSpec, NetworkSpec, StudySpec, VerifySpec, WiresSpec

TITLE = "The main job: trained on crossbars, judged by ngspice"
TEXT = """
Each line is one chip, trained from its initial weights through the calibrated surrogate,
programmed with 2 % error, and read in ngspice with all layers and their periphery. Errors are in
LSB of the 9-bit output converters, against ngspice; the control is the ideal model. Floating
point is the same network on the same images. `exact` is the largest difference between the exact
solver and ngspice.
"""

_DIGITS = {"hidden": (32,)}
_CASES: tuple[tuple[float, int, str, dict[str, object]], ...] = (
    (1.0, 0, "digits", _DIGITS),
    (1.0, 1, "digits", _DIGITS),
    (1.0, 2, "digits", _DIGITS),
    (5.0, 0, "digits", _DIGITS),
    (5.0, 1, "digits", _DIGITS),
    (5.0, 2, "digits", _DIGITS),
    (1.0, 0, "digits", {"hidden": (48, 32), "activation": "tanh"}),
    (1.0, 0, "digits", {"hidden": (100,), "activation": "sigmoid"}),
    (2.0, 0, "breast_cancer", {"hidden": (16,)}),
    (2.0, 0, "wine", {"hidden": (8,), "bias": False}),
)


def rows() -> tuple[list[str], list[list[str]]]:
    """Trains and verifies every case."""
    header = [
        "data", "network", "ohm", "seed", "images", "floating point", "ideal", "surrogate", "spice",
        "agreement", "rms LSB", "max LSB", "control rms LSB", "exact max LSB", "failed", "spice s",
    ]  # fmt: skip
    return header, [_case(*case) for case in _CASES]


def _case(r_ohm: float, seed: int, data: str, network: dict[str, object]) -> list[str]:
    config = Config(
        study=StudySpec(seed=seed),
        data=DataSpec.model_validate({"name": data}),
        network=NetworkSpec.model_validate(network),
        wires=WiresSpec(r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm),
        verify=VerifySpec(images=200),
    )
    with studied(config, "main_job") as study:
        v = study.verified
    hidden = "-".join(str(n) for n in config.network.hidden)
    return [
        data,
        f"{hidden} {config.network.activation}{'' if config.network.bias else ', no bias'}",
        f"{r_ohm:g}",
        str(seed),
        str(v.images),
        *(
            f"{100 * a:.1f} %"
            for a in (v.accuracy_float, v.accuracy_ideal, v.accuracy_surrogate, v.accuracy_spice)
        ),
        f"{100 * v.agreement:.1f} %",
        _number(v.logit_rmse_lsb),
        _number(v.logit_max_lsb),
        _number(v.control_logit_rmse_lsb),
        _number(v.exact_logit_max_lsb),
        str(v.failed),
        f"{study.spice_s:.1f}",
    ]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
