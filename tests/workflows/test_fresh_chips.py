"""Chips of the same weights that training never saw: drawn, read, counted and said."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compact_models.variation import Stream
from cosim.network.models import exact_codes
from netlists.chip import Chip, another_chip
from tests.workflows.command import names_all, refused, spiceloop
from workflows.fresh_chips import FreshChips, FreshReads, fresh_chips
from workflows.fresh_record import fresh_csv, fresh_lines, fresh_record
from workflows.runfolder import read_chip, read_config

LABELS = np.array([0, 1, 2, 1, 0])


def answers(*predicted: list[int]) -> FreshChips:
    return FreshChips(np.arange(4, 4 + len(predicted)), np.array(predicted), LABELS)


CHIPS = answers([0, 1, 2, 1, 0], [0, 1, 2, 1, 1], [0, 0, 2, -1, 0], [-1] * 5)


def test_the_statistics_of_four_chips_one_of_them_failed() -> None:
    """5, 4, 3 and 0 images right of 5, two chips are good; so few leave nearly all open."""
    found = fresh_record(FreshReads("exact", CHIPS, None, "", ()), 0.8, Stream(0))
    assert found.samples == (4, 5, 6, 7)
    assert found.accuracy == pytest.approx((1.0, 0.8, 0.6, 0.0))
    assert found.without_answer == (0, 0, 1, 5)
    assert found.mean == pytest.approx(0.6)
    assert found.minimum == 0
    assert found.standard_deviation_seen == pytest.approx(0.432049, abs=1e-6)  # sqrt(0.56 / 3)
    # By the analysis of variance of the table: 0.56 / 3 less a fifth of 1.7 / 12.
    assert found.standard_deviation == pytest.approx(0.397911, abs=1e-6)
    assert (found.good, found.share) == (2, 0.5)
    # On these images: of 4 chips 2 or more are good with 0.025 at the lower end, where
    # 6 p^2 - 8 p^3 + 3 p^4 = 0.025, and by symmetry 2 or less at the upper one.
    ends = found.share_low_these_images, found.share_high_these_images
    assert ends == pytest.approx((0.067586, 0.932414), abs=1e-6)
    assert found.share_low_other_images is not None
    assert found.share_high_other_images is not None
    assert 0 <= found.share_low_other_images < 0.15
    assert 0.7 < found.share_high_other_images <= 1
    assert fresh_record(FreshReads("exact", CHIPS, None, "", ()), 0.8, Stream(0)) == found
    text = " ".join(fresh_lines(found, 5, held_out=70))
    names_all(text, "4 chips", "never saw", "samples 4 to 7", "5 images", "mean 0.6000")
    names_all(text, "minimum 0.0000", "2 of 4", "6 images of 2 chips without", "0.3979", "0.4320")
    names_all(text, "2 of 4 chips reach 0.8 on these 5 images")
    names_all(text, "on these very images: a share of 0.068 to 0.932", "over other chips alone")
    names_all(text, "on all such images: a share of", "over other chips and other images")
    near = fresh_record(FreshReads("exact", CHIPS, None, "", ()), 0.65, Stream(0))
    text = " ".join(fresh_lines(near, 5, held_out=70))
    names_all(text, "5 images are too few", "0.650 lies within", "would tell", "70 are held out")


def test_images_that_suffice_are_not_called_too_few() -> None:
    """Mean 0.5; what the images leave open, 0.35 to 0.65 or so, does not hold 0.9."""
    labels = np.zeros(60, dtype=np.int64)
    predicted = np.tile(np.arange(60) % 2, (20, 1))
    chips = FreshChips(np.arange(20), predicted, labels)
    found = fresh_record(FreshReads("exact", chips, None, "", ()), 0.9, Stream(0))
    assert "too few" not in " ".join(fresh_lines(found, 60))
    found = fresh_record(FreshReads("exact", chips, None, "", ()), 0.55, Stream(0))
    # Jeffreys' interval of 30 in 60 is 0.376 to 0.624: (0.124 / 0.05)^2 as many images.
    assert "60 images are too few" in " ".join(fresh_lines(found, 60))
    (about,) = re.findall(r"about ([\d,]+) would tell", " ".join(fresh_lines(found, 60)))
    assert 330 <= int(about) <= 410
    # Of an interval that reaches further up than down, on the side that is asked about.
    uneven = replace(found, mean=0.921, images_low=0.9, images_high=0.955, accuracy_min=0.95)
    (about,) = re.findall(r"about ([\d,]+) would tell", " ".join(fresh_lines(uneven, 200)))
    assert int(about) == 280  # 200 (34 / 29)^2, not 200 (27.5 / 29)^2, of which there are enough


def test_chips_that_got_weights_learnt_in_other_cells_are_not_called_what_learning_is_worth() -> (
    None
):
    reads = FreshReads("exact", CHIPS, None, "", ())
    moved, plain = (
        " ".join(fresh_lines(fresh_record(reads, None, Stream(0), learnt_in_cells=one), 5))
        for one in (True, False)
    )
    names_all(moved, "without learning themselves", "would be trained itself", "costs")
    assert "training never saw" not in moved
    assert "learn" not in plain


def test_one_chip_has_no_deviation_and_nothing_asked_has_no_share() -> None:
    found = fresh_record(
        FreshReads("exact", answers([0, 1, 2, 1, 1]), None, "", ()), None, Stream(0)
    )
    shares = found.share, found.share_low_these_images, found.share_low_other_images
    assert (found.standard_deviation, found.good, *shares) == (None,) * 5
    assert "deviation" not in " ".join(fresh_lines(found, 5))


def test_the_judge_agrees_only_where_it_answers() -> None:
    """Of ten images nine: the failed image of the second chip has no class to agree on."""
    spice = answers([0, 1, 2, 1, 0], [0, 1, 2, 1, -1])
    judge = fresh_record(
        FreshReads("exact", CHIPS, spice, "ngspice-46 KLU", ()), None, Stream(0)
    ).judge
    assert judge is not None
    assert judge.samples == (4, 5)
    assert judge.accuracy == pytest.approx((1.0, 0.8))
    assert judge.without_answer == (0, 1)
    assert judge.agreement == pytest.approx(0.9)


def test_chips_that_ngspice_alone_can_read_stand_in_its_columns() -> None:
    found = fresh_record(FreshReads("ngspice-46 KLU", CHIPS, None, "", ()), None, Stream(0))
    text = fresh_csv(found, images=5, sample=3, reader=None, spice=0.4, failed=1)
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["sample"] for row in rows] == ["3", "4", "5", "6", "7"]
    assert [row["accuracy_exact"] for row in rows] == [""] * 5
    assert [float(row["accuracy_spice"]) for row in rows] == [0.4, 1.0, 0.8, 0.6, 0.0]
    assert [row["without_answer_spice"] for row in rows] == ["1", "0", "0", "1", "5"]


@pytest.fixture(scope="module")
def chip(_trained: Path) -> Chip:
    return read_chip(_trained, read_config(_trained))


@pytest.mark.ngspice
def test_a_fresh_chip_has_the_weights_and_nothing_else_of_the_trained_one(chip: Chip) -> None:
    again, fresh = (another_chip(chip, seed=0, sample=sample) for sample in (0, 1))
    for k in range(len(chip.plans)):
        assert again.conductance_s[k][0] == pytest.approx(chip.conductance_s[k][0], rel=1e-12)
        ours, theirs = chip.periphery[k], fresh.periphery[k]
        assert np.array_equal(again.periphery[k].neuron_offset_v, ours.neuron_offset_v)
        off = np.log(fresh.conductance_s[k][0] / chip.conductance_s[k][0])
        assert 0.2 < off.std() / (np.sqrt(2) * chip.hardware.cell.sigma_program) < 3
        for one, other in (
            (ours.neuron_offset_v, theirs.neuron_offset_v),
            (ours.adc_offset_v, theirs.adc_offset_v),
            (ours.adc_gain, theirs.adc_gain),
            (ours.tiles[0].r_feedback_ohm, theirs.tiles[0].r_feedback_ohm),
            (ours.tiles[0].v_offset_v, theirs.tiles[0].v_offset_v),
        ):
            assert (one != other).all()
        assert np.array_equal(chip.weights[k], fresh.weights[k])


@pytest.mark.ngspice
def test_a_chip_that_gives_no_answer_is_wrong_and_counted(chip: Chip) -> None:
    x = np.linspace(0.1, 0.9, 20).reshape(5, 4)
    told: list[tuple[int, int]] = []

    def read(some: Sequence[Chip], images: np.ndarray) -> np.ndarray:
        codes = np.stack([exact_codes(one, images) for one in some])
        return codes * (np.nan if len(told) == 1 else 1)

    found = fresh_chips(
        chip, x, exact_codes(chip, x).argmax(1), seed=0, samples=[0, 5, 9], read=read,
        on_progress=lambda done, of: told.append((done, of)),
    )  # fmt: skip
    assert found.samples.tolist() == [0, 5, 9]
    assert found.accuracy[0] == 1  # its own answers are the labels
    assert (found.accuracy[1], found.without_answer.tolist()) == (0, [0, 5, 0])
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.ngspice
def test_fresh_chips_of_a_run_are_said_stored_and_reported(trained: Path) -> None:
    options = ("--chips", "4", "--spice-chips", "2", "--accuracy-min", "0.3")
    ran = spiceloop("verify", trained, "--images", "30", *options)
    assert ran.code == 0, ran.err
    names_all(ran.out, "30 of 38 held out", "sample 0 of the study", "training knew")
    names_all(ran.out, "4 chips of the same weights", "samples 1 to 4", "reach 0.3")
    assert "--chips 30" not in ran.out
    found = json.loads((trained / "verify.json").read_text())
    facts = [found[key] for key in ("images", "held_out", "sample", "trained")]
    assert facts == [30, 38, 0, True]
    fresh = found["fresh"]
    assert fresh["samples"] == [1, 2, 3, 4]
    assert fresh["engine"] == "exact"
    # Two independent routes to the same chips: the netlist's equations and ngspice.
    assert fresh["judge"]["samples"] == [1, 2]
    assert fresh["judge"]["agreement"] == 1
    assert fresh["judge"]["accuracy"] == fresh["accuracy"][:2]
    assert {s["deck"].partition(".")[0] for s in found["simulations"]} > {
        "fresh_chip_1", "fresh_chip_2",
    }  # fmt: skip
    with np.load(trained / "verify.npz") as stored:
        assert stored["fresh_accuracy"].tolist() == fresh["accuracy"]
        assert stored["fresh_samples"].tolist() == [1, 2, 3, 4]
    rows = list(csv.DictReader((trained / "fresh_chips.csv").read_text().splitlines()))
    assert [row["fresh"] for row in rows] == ["0", "1", "1", "1", "1"]
    assert float(rows[0]["accuracy_spice"]) == found["accuracy_spice"]
    assert [float(row["accuracy_exact"]) for row in rows[1:]] == fresh["accuracy"]
    assert [row["accuracy_spice"] == "" for row in rows] == [False, False, False, True, True]
    assert spiceloop("report", trained).code == 0
    page = (trained / "report" / "index.html").read_text()
    names_all(page, "4 fresh chips", "whose offsets and gains training knew", "of 38 held-out")
    names_all(page, "--chips 4 --spice-chips 2 --accuracy-min 0.3")
    again = spiceloop("verify", trained, "--images", "1")
    names_all(again.err, "fresh_chips.csv", "removed", "--chips")
    names_all(again.out, "--chips 30")
    assert json.loads((trained / "verify.json").read_text())["fresh"] is None
    assert not (trained / "fresh_chips.csv").exists()


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--chips", "0"], ["--chips", "got 0", "1 to"]),
        (["--chips", "3", "--spice-chips", "4"], ["--spice-chips", "got 4", "0 to 3"]),
        (["--chips", "3", "--accuracy-min", "95"], ["--accuracy-min", "95", "0 to 1"]),
        (["--chips", "3", "--accuracy-min", "nan"], ["--accuracy-min", "nan", "0 to 1"]),
        (["--accuracy-min", "0.9"], ["--accuracy-min", "--chips N"]),
        (["--spice-chips", "1"], ["--spice-chips", "--chips N"]),
    ],
)
def test_options_that_ask_for_nothing_are_refused(
    options: list[str], words: list[str], trained: Path, tmp_path: Path
) -> None:
    names_all(refused(tmp_path, "verify", trained, *options), *words)
