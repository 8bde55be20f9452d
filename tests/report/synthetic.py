"""A made-up run, realistic enough to look at: two layers on three tiles, 200 images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.calibration.evidence import HeldOutError, MeasuredCurve
from cosim.network.whole_chip import SimulationRecord
from cosim.training.endurance import LayerCells, LayerEndurance, LearntLayer
from workflows.fresh_record import FreshJudge, FreshRecord
from workflows.report import (
    ReportData,
    TileData,
    WritingData,
)

CONFIG = """\
[study]
seed = 7

[network]
dataset = "digits"
layers = [64, 32, 10]

[wires]
r_wordline_ohm = 1.0
r_bitline_ohm = 1.0
r_driver_ohm = 50.0

[adc]
bits = 9
v_full_scale_v = 0.9
"""
HOSTILE = "<script>alert('x')</script>&\"$x^2$"


def tile(name: str, layer: int, rows: int, cols: int, drop: float = 0.25) -> TileData:
    """A tile with differential columns, a bias row and a drop that grows away from the corner."""
    rng = np.random.default_rng([layer, rows, cols])
    weight = rng.normal(0, 0.35, (rows, (cols + 1) // 2))
    pairs = np.stack([np.clip(weight, 0, 1), np.clip(-weight, 0, 1)], axis=-1)
    conductance = 2e-6 + 98e-6 * pairs.reshape(rows, -1)[:, :cols]
    along, down = np.meshgrid(np.arange(cols), np.arange(rows)[::-1])
    far = (along + 1) / cols * 0.6 + (down + 1) / rows * 0.4
    ir_drop = drop * far * (0.75 + 0.25 * rng.random((rows, 1)))
    if rows > 4:
        ir_drop[3] = np.nan
    heads = [f"x{i}" for i in range(rows - 1)] + ["bias"]
    feet = [f"o{j // 2}{'+-'[j % 2]}" for j in range(cols)]
    return TileData(name, layer, conductance, ir_drop, tuple(heads), tuple(feet))


def curves() -> tuple[MeasuredCurve, ...]:
    """An amplifier with a soft rail, a rectifier and a 9-bit converter."""
    i_ua = np.linspace(-120, 120, 49)
    v_out = 0.9 * np.tanh(i_ua * 9e-3 / 0.9)
    v_in = np.linspace(-0.8, 0.8, 65)
    soft = 0.03 * np.log1p(np.exp(v_in / 0.03))
    fine = np.linspace(-0.05, 0.05, 161)
    step = 1.8 / 512
    return (
        MeasuredCurve(
            "column amplifier", "tia", i_ua, "input current (µA)", v_out,
            v_out + 4e-4 * np.sin(i_ua / 20), "output voltage (V)", "rail at 0.9 V",
        ),
        MeasuredCurve(
            "rectifying neuron", "neuron", v_in, "input voltage (V)",
            np.where(np.arange(65) == 40, np.nan, soft), soft + 1.1e-3 * np.exp(-(v_in**2) / 0.01),
            "output voltage (V)",
        ),
        MeasuredCurve(
            "9-bit converter", "adc", fine, "input voltage (V)", np.floor(fine / step + 0.5),
            np.floor(fine / step + 0.5 + 0.04), "code (LSB)", "shown around zero only",
        ),
    )  # fmt: skip


def writing(cells: int = 4820) -> WritingData:
    """A network of which three cells were given up."""
    rng = np.random.default_rng(5)
    target = 1e-6 + 99e-6 * rng.beta(0.5, 2.5, cells)
    error = rng.uniform(-1.5e-6, 1.5e-6, cells)
    error[[17, 400, 4000]] = (9e-6, -4e-6, 2.1e-6)
    return WritingData(
        device="stanford sky130", levels=32, tolerance_s=1.6e-6, target_s=target,
        achieved_s=target + error, pulses=rng.poisson(2.1, cells).astype(float),
        engine="ngspice-46", n_images=200, accuracy_target=0.965, accuracy_written=0.955,
        places=tuple((f"xtile_{k // 2112}", k % 2112 // 64, k % 64) for k in range(cells)),
        reasons=tuple(
            "its pulses go past the target from both sides" if abs(one) > 1.6e-6 else ""
            for one in error.tolist()
        ),
        facts=(("Pulses", "9,473, at most 40 on a cell"), ("Heat in the cells", "1,080 nJ")),
    )  # fmt: skip


def fresh(chips: int = 30, n_images: int = 200) -> FreshRecord:
    """Chips that training never saw, the first of them unreadable, two of them in SPICE too."""
    rng = np.random.default_rng(8)
    right = rng.binomial(n_images, 0.95, chips)
    right[0] = 0
    accuracy = tuple((right / n_images).tolist())
    good = int((right >= 0.95 * n_images).sum())
    return FreshRecord(
        engine="exact", samples=tuple(range(1, chips + 1)), accuracy=accuracy,
        without_answer=(n_images, *(0,) * (chips - 1)), mean=float(np.mean(accuracy)),
        minimum=0.0, standard_deviation=0.01,
        standard_deviation_seen=float(np.std(accuracy, ddof=1)),
        mean_low=0.89, mean_high=0.94, images_low=0.9, images_high=0.955, accuracy_min=0.95,
        good=good, share=good / chips, share_low_these_images=0.47,
        share_high_these_images=0.83, share_low_other_images=0.3, share_high_other_images=0.9,
        judge=FreshJudge("ngspice-46 KLU", (1, 2), accuracy[:2], (n_images, 0), 0.5),
    )  # fmt: skip


def learnt(layer: str, rows: int, outs: int) -> LearntLayer:
    """A layer trained in its cells: soft use, bounds that differ, cells that were never asked."""
    rng = np.random.default_rng([rows, outs])
    shape = (1, rows, outs)
    steps = np.round(rng.exponential(900, shape)) * (rng.random(shape) > 0.1)
    low_s, high_s = 5e-6 * rng.uniform(0.7, 1.3, shape), 5e-5 * rng.uniform(0.7, 1.3, shape)
    middle = 2.75e-5 + 9e-6 * rng.standard_normal(shape)
    cells = LayerCells(steps, np.clip(middle, low_s, high_s), low_s, high_s)
    at = (cells.conductance_s == low_s) | (cells.conductance_s == high_s)
    says = LayerEndurance(
        layer, steps.size, 0.1, 0.001, 31, 0.7, int(steps.max()), float(np.median(steps)),
        float((steps == 0).mean()), float(at.mean()),
    )  # fmt: skip
    return LearntLayer(says, cells)


def report_data(n_images: int = 200, n_failed: int = 3, seed: int = 1) -> ReportData:
    """The run; `n_failed` images have no SPICE result."""
    rng = np.random.default_rng(seed)
    n_classes = 10
    labels = rng.integers(0, n_classes, n_images)
    logits = rng.normal(-70, 45, (n_images, n_classes))
    logits[np.arange(n_images), labels] += rng.normal(140, 55, n_images)
    spice = np.clip(np.round(logits), -256, 255)
    exact = np.clip(np.round(logits + rng.normal(0, 0.12, logits.shape)), -256, 255)
    surrogate = np.clip(np.round(logits + rng.normal(0, 0.6, logits.shape)), -256, 255)
    ideal = np.clip(np.round(logits * 1.14 + rng.normal(3, 8, logits.shape)), -256, 255)
    broken = rng.choice(n_images, n_failed, replace=False)
    spice[broken] = np.nan
    ok = np.isfinite(spice).all(axis=1)

    def right(codes: np.ndarray) -> float:
        finite = np.isfinite(codes).all(axis=1)
        guess = np.where(finite, np.nan_to_num(codes, nan=-1e9).argmax(axis=1), -1)
        return float((guess == labels).mean())

    def same(codes: np.ndarray) -> float:
        return float((ok & (codes.argmax(1) == np.nan_to_num(spice).argmax(1))).mean())

    def rmse(codes: np.ndarray) -> float | None:
        return float(np.sqrt(np.mean((codes - spice)[ok] ** 2))) if ok.any() else None

    epoch = np.arange(1, 16)
    return ReportData(
        title="Digits on three memristor tiles",
        created_utc="2026-11-22T13:25:01+00:00",
        command="spiceloop demo --out runs/digits --seed 7",
        repeat_commands=(
            "spiceloop train runs/digits/config.toml --out again",
            "spiceloop verify again --images 200",
            "spiceloop report again",
        ),
        config_toml=CONFIG,
        config_hash="9f2c51d07be84a3e",
        versions={
            "spiceloop": "0.1.0",
            "ngspice": "46 with KLU",
            "Python": "3.11.7",
            "torch": "2.13.0",
            "numpy": "2.4.1",
        },
        seeds={"study": 7, "training": 190233, "device variation": 55120},
        stages=(("train", 12.4), ("map to tiles", 0.081), ("calibrate", 8.2), ("verify", 215.0)),
        hardware=(
            ("word-line segment", "1 Ω"), ("bit-line segment", "1 Ω"), ("driver", "50 Ω"),
            ("conductance range", "2 to 100 µS"), ("read voltage", "0.2 V"),
            ("amplifier feedback", "9 kΩ, A0 = 1e4"), ("converter", "9 bits, ±0.9 V"),
            ("largest tile", "33 by 64"),
        ),
        n_images=n_images,
        accuracy_float=0.985,
        accuracy={
            "ideal": right(ideal),
            "surrogate": right(surrogate),
            "exact": right(exact),
            "spice": right(spice),
        },
        agreement=same(surrogate),
        logit_rmse_lsb=rmse(surrogate),
        logit_max_lsb=float(np.abs(surrogate - spice)[ok].max()) if ok.any() else None,
        control_agreement=same(ideal),
        control_logit_rmse_lsb=rmse(ideal),
        failed=n_failed,
        labels=labels,
        codes={"ideal": ideal, "surrogate": surrogate, "exact": exact, "spice": spice},
        class_names=tuple(str(k) for k in range(n_classes)),
        tiles=(
            tile("xtile_0", 0, 33, 64),
            tile("xtile_1", 0, 32, 64, drop=0.2),
            tile("xtile_2", 1, 33, 20, drop=0.09),
        ),
        curves=curves(),
        calibration=(
            HeldOutError("bit-line current", "vectors", 12800, 0.041, 0.18, 0.43, "%"),
            HeldOutError("bit-line current", "arrays", 6400, 0.062, 0.27, 0.71, "%"),
            HeldOutError("amplifier output", "vectors", 2000, 0.12, 0.38, 0.41, "mV"),
            HeldOutError("output code", "images", 2000, 0.0, 1.0, 3.0, "LSB"),
        ),
        training={
            "epoch": epoch.astype(float),
            "loss": 2.2 * np.exp(-epoch / 3.5) + 0.06,
            "train_accuracy": 1 - 0.75 * np.exp(-epoch / 2.6),
            "test_accuracy": 0.97 - 0.72 * np.exp(-epoch / 2.6),
            "surrogate_error": 0.004 + 0.0001 * epoch,
            "closed_form_error": 0.03 + 0.001 * epoch,
            "spice_error": np.where(epoch == 4, np.nan, 0.0045 + 0.0001 * epoch),
            "spice_inputs": np.full(15, 20.0),
            "pulses": np.round(9e4 * (1 + 3 / epoch)),
            "coincidences": np.round(6e5 * (1 + 2 / epoch)),
            "energy_j": 3e-7 * (1 + 3 / epoch),
            "clipped": 0.02 / epoch**2,
        },
        max_surrogate_error=0.006,
        learnt=(learnt("layer_0", 65, 32), learnt("layer_1", 33, 10)),
        simulations=(
            *(
                SimulationRecord(f"layer0_batch{k}", "ok", "", 4.1 + 0.3 * (k % 5), 25)
                for k in range(16)
            ),
            *(
                SimulationRecord(f"layer1_batch{k}", "ok", "", 1.3 + 0.1 * (k % 3), 25)
                for k in range(7)
            ),
            SimulationRecord("layer1_batch7", "no_convergence",
                       "gmin and source stepping failed at point 14 of 25", 31.5, 25),
            SimulationRecord("layer0_tile0_retry", "timeout", "killed after 60 s", 60.0, 3),
        ),
        writing=writing(),
        held_out=449,
        trained=True,
        fresh=fresh(n_images=n_images),
        notes=("The converter's noise is not modelled in this run.",),
    )  # fmt: skip


def hostile(data: ReportData) -> ReportData:
    """The same run with markup in every name that a user chooses."""
    names = tuple(f"{HOSTILE}{k}" for k in range(len(data.class_names)))
    return replace(
        data,
        title=HOSTILE, created_utc=HOSTILE, command=HOSTILE, repeat_commands=(HOSTILE,),
        config_toml=f'name = "{HOSTILE}"\x00</pre>', config_hash=HOSTILE,
        versions={HOSTILE: HOSTILE}, seeds={HOSTILE: 1}, stages=((HOSTILE, 1.0),),
        hardware=((HOSTILE, HOSTILE),), class_names=names, notes=(HOSTILE,),
        tiles=tuple(
            replace(t, name=HOSTILE + t.name, row_labels=(HOSTILE,) * len(t.row_labels),
                    col_labels=("\x07</svg>",) * len(t.col_labels))
            for t in data.tiles
        ),
        curves=tuple(
            replace(c, name=HOSTILE + c.name, note=HOSTILE, x_label=HOSTILE, y_label=HOSTILE)
            for c in data.curves
        ),
        calibration=tuple(replace(r, quantity=HOSTILE, unit=HOSTILE) for r in data.calibration),
        writing=replace(writing(), device=HOSTILE, engine=HOSTILE, facts=((HOSTILE, HOSTILE),)),
        simulations=(SimulationRecord(HOSTILE, HOSTILE, HOSTILE, 1.0, 1), *data.simulations),
    )  # fmt: skip
