"""The chip that training knew beside chips of the same weights that it never saw."""

from __future__ import annotations

from benchmarks._study import studied
from workflows.config import Config, DataSpec, StudySpec
from workflows.fresh_chips import FreshRequest

TITLE = "The trained chip and fresh ones"
TEXT = """
Defaults, 64-32-10 on the digits and 30-32-2 on breast_cancer, all held-out images. `trained` is
the chip that the surrogate was calibrated on: training knew its offsets and gains. `fresh` are 30
further samples of the study with the same weights, cells and periphery drawn anew, read by `exact`,
the first in ngspice too; `classes` is the share of its images of one class in both. 95 %
is the accuracy that a good chip has here; of all chips so many reach it, with 95 % confidence: on
these images, so over other chips alone, and on all such images, over other chips and other images.
The standard deviation is that from chip to chip, without the images' share. By hand:
`spiceloop train study.toml -o run`, then
`spiceloop verify run --images all --chips 30 --spice-chips 1 --accuracy-min 0.95`.
"""

_CASES = (("digits", 0), ("digits", 1), ("digits", 2), ("breast_cancer", 0))


def rows() -> tuple[list[str], list[list[str]]]:
    """Trains and verifies one chip a row."""
    header = [
        "data", "seed", "images", "floating point", "trained", "fresh, mean", "minimum",
        "standard deviation", "reach 95 %", "of all chips, these images",
        "of all chips, all such images", "classes",
    ]  # fmt: skip
    return header, [_case(*case) for case in _CASES]


def _case(data: str, seed: int) -> list[str]:
    config = Config(study=StudySpec(seed=seed), data=DataSpec.model_validate({"name": data}))
    request = FreshRequest(30, 1, 0.95)
    with studied(config, "fresh_chips", images="all", fresh=request) as study:
        v = study.verified
    fresh = v.fresh
    assert fresh is not None
    assert fresh.judge is not None
    assert fresh.standard_deviation is not None
    return [
        data, str(seed), str(v.images), f"{v.accuracy_float:.1%}", f"{v.accuracy_spice:.1%}",
        f"{fresh.mean:.1%}", f"{fresh.minimum:.1%}", f"{fresh.standard_deviation:.2%}",
        f"{fresh.good} of 30",
        f"{fresh.share_low_these_images:.0%} to {fresh.share_high_these_images:.0%}",
        f"{fresh.share_low_other_images:.0%} to {fresh.share_high_other_images:.0%}",
        f"{fresh.judge.agreement:.1%}",
    ]  # fmt: skip
