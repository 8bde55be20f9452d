"""The arithmetic of a verification, on codes made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.network.whole_chip import ChipRead, SimulationRecord
from workflows.demo import verification_lines
from workflows.verify import Verification, summarise

NAN = np.nan
LABELS = np.array([0, 1, 2, 0, 1])
SPICE = np.array([[9, 1, 0], [0, 5, 2], [7, 1, 3], [NAN, NAN, NAN], [2, 8, 1]], dtype=float)


def _summary(**others: np.ndarray) -> Verification:
    codes = {"ideal": SPICE, "surrogate": SPICE, "exact": SPICE, "spice": SPICE}
    codes |= {name: np.asarray(value, float) for name, value in others.items()}
    read = ChipRead(SPICE, (), 1e-12, "ngspice-46 KLU", ())
    return summarise(codes, LABELS, read, accuracy_float=0.8, wall_s=1.0, arrays_sha256="00")


def test_failed_images_stay_in_every_denominator() -> None:
    """Right: images 0, 1 and 4 of 5; image 2 is wrong, image 3 has no answer."""
    found = _summary(surrogate=np.nan_to_num(SPICE, nan=4.0))
    assert found.images == 5
    assert found.failed == 1
    assert found.accuracy_spice == pytest.approx(3 / 5)
    assert found.accuracy_surrogate == pytest.approx(4 / 5)  # ties go to class 0, which it is
    assert found.agreement == pytest.approx(4 / 5)
    assert found.logit_rmse_lsb == 0
    assert found.logit_max_lsb == 0


def test_errors_and_agreements_belong_to_their_own_model() -> None:
    near, far = np.nan_to_num(SPICE).copy(), np.nan_to_num(SPICE).copy()
    near[0, 0] += 3  # one code of the 12 known ones, no class changes
    far[1] = [6, 5, 2]  # another class, 6 LSB
    far[3] = [1000, 0, 0]  # a failed image: in no error
    found = _summary(surrogate=near, ideal=far)
    assert found.agreement == pytest.approx(4 / 5)
    assert found.control_agreement == pytest.approx(3 / 5)
    assert found.logit_rmse_lsb == pytest.approx(np.sqrt(9 / 12))
    assert found.logit_max_lsb == 3
    assert found.control_logit_rmse_lsb == pytest.approx(np.sqrt(36 / 12))
    assert found.exact_logit_max_lsb == 0
    assert found.accuracy_ideal == pytest.approx(3 / 5)  # 0, 4 and, by its own codes, 3


@pytest.mark.parametrize(
    ("images", "turned", "off_lsb", "says"),
    [(20, 2, 0, "2 of 20 images"), (20, 1, 0, ""), (10, 1, 0, ""), (30, 0, 6, "6 LSB rms"),
     (30, 0, 4, "")],
)  # fmt: skip
def test_a_surrogate_that_does_not_stand_for_the_circuit_is_said(
    images: int, turned: int, off_lsb: float, says: str
) -> None:
    spice = np.tile([20.0, 19.0, 0.0], (images, 1))
    surrogate = spice + off_lsb
    surrogate[:turned, 1] += 2
    found = summarise(
        {"surrogate": surrogate, "spice": spice},
        np.zeros(images, dtype=np.int64),
        ChipRead(spice, (), 0.0, "ngspice-46 KLU", ()),
        accuracy_float=1.0, wall_s=1.0, arrays_sha256="00",
    )  # fmt: skip
    assert bool(found.poor_surrogate) is bool(says)
    assert says in found.poor_surrogate


def test_when_all_fails_there_are_no_errors_to_report() -> None:
    everything = np.full_like(SPICE, NAN)
    codes = dict.fromkeys(("ideal", "surrogate", "exact"), np.nan_to_num(SPICE))
    found = summarise(
        {**codes, "spice": everything},
        LABELS,
        ChipRead(everything, (), 0.0, "ngspice-46 KLU", ()),
        accuracy_float=1.0,
        wall_s=1.0,
        arrays_sha256="00",
    )
    assert found.failed == 5
    assert found.accuracy_spice == 0
    assert found.agreement == 0
    assert found.logit_rmse_lsb is None
    assert found.control_logit_rmse_lsb is None


def test_failed_images_are_counted_by_reason() -> None:
    """A deck that was cut in two is not: of its images only those that failed alone are."""
    law = "Kirchhoff's current law is broken in layer_1.tile_0: {} of the largest current"
    other = law.replace("tile_0", "tile_1")

    def record(outcome: str, reason: str, points: int = 1) -> SimulationRecord:
        return SimulationRecord("images", outcome, reason, 1.0, points)

    simulations = (
        record("invalid", law.format("9.0e-05"), 40),
        record("timeout", "stopped after 60 s", 3),
        record("ok", "", 20),
        *(record("invalid", law.format(f"{k}.5e-05")) for k in range(1, 18)),
        record("invalid", other.format("2.0e-03")),
        record("no_convergence", "doAnalyses: iteration limit reached"),
        record("crashed", "killed by signal 9, SIGKILL"),
    )
    read = ChipRead(SPICE, (), 0.0, "ngspice-46 KLU", simulations)
    found = summarise(
        dict.fromkeys(("surrogate", "spice"), SPICE), LABELS, read,
        accuracy_float=1.0, wall_s=1.0, arrays_sha256="00",
    )  # fmt: skip
    assert [(one.images, one.outcome) for one in found.failures[:2]] == [
        (17, "invalid"), (3, "timeout"),
    ]  # fmt: skip
    assert sum(one.images for one in found.failures) == 23
    lines = verification_lines(found)
    assert lines[1].strip() == f"17 failed: invalid ({law.format('1.5e-05')})"
    assert lines[2].strip() == "3 failed: timeout (stopped after 60 s)"
    assert "tile_1" in lines[3]
    assert lines[5].strip() == "1 failed for another reason: see verify.json"
    assert not any("failed:" in line for line in verification_lines(_summary()))
