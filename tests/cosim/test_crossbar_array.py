"""An array as a torch layer, beside the exact solver."""

from __future__ import annotations

import io

import pytest
import torch

from compact_models.errors import InputError
from cosim.array.layer import CrossbarArray
from cosim.nodal.transfer import solve_transfer

OHMS = {"r_wordline_ohm": 12.0, "r_bitline_ohm": 9.0, "r_driver_ohm": 60.0}
RANGE = {"g_off_s": 1e-6, "g_on_s": 1e-4}


def levels(rows: int, cols: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows * cols)
    return torch.rand(rows, cols, dtype=torch.float64, generator=generator).to(dtype)


def exact(layer: CrossbarArray, sense_ohm: torch.Tensor) -> torch.Tensor:
    g = layer.conductance_s().detach().to(torch.float64)
    return solve_transfer(g, **OHMS, r_sense_ohm=sense_ohm).transfer_s


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_training_stays_within_the_tolerance_of_the_exact_array(dtype: torch.dtype) -> None:
    sense = torch.linspace(5, 40, 14, dtype=torch.float64)
    layer = CrossbarArray(levels(30, 14, dtype), **RANGE, **OHMS, r_sense_ohm=sense, tolerance=1e-3)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(1)
    volts = 0.2 * torch.rand(50, 30, dtype=torch.float64, generator=generator).to(dtype)
    wanted = layer(volts).detach().flip(-1)
    errors, losses = [], []
    for _ in range(60):
        loss = (layer(volts) - wanted).square().mean() * 1e10
        truth = exact(layer, sense)
        errors.append(float((layer.transfer_s().detach() - truth).norm() / truth.norm()))
        assert layer.error_estimate <= 1e-3
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        layer.clip_levels()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
    assert max(errors) <= 1e-3
    assert 1 < layer.anchors < 60
    assert layer(volts).dtype == dtype
    assert float(layer.level.detach().min()) >= 0
    assert float(layer.level.detach().max()) <= 1


def test_without_gradients_the_transfer_is_kept_until_the_levels_change() -> None:
    layer = CrossbarArray(levels(6, 9), **RANGE, **OHMS)
    with torch.no_grad():
        first = layer.transfer_s()
        assert layer.transfer_s() is first
        layer.level[2, 3] = 0.25
        second = layer.transfer_s()
    assert second is not first
    torch.testing.assert_close(second, exact(layer, torch.zeros(9)), rtol=3e-3, atol=0)
    row = torch.nn.functional.one_hot(torch.tensor(2), 6).to(torch.float64)
    torch.testing.assert_close(layer(row).detach(), second[2], rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": torch.full((2, 3), 1.5)}, r"level.*1\.5.*0 to 1"),
        ({"level": torch.tensor([[0.5, float("nan")]])}, "level.*nan"),
        ({"level": torch.ones(3)}, r"\[row, col\]"),
        ({"level": torch.ones(2, 3, dtype=torch.int64)}, "int64"),
        ({"g_on_s": 1e-7}, "g_off_s < g_on_s"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": None}, "tolerance"),
        ({"level": [[0.5]]}, "level.*list"),
        ({"level": torch.ones(2, 3).half()}, "float16"),
        ({"g_off_s": None}, "g_off_s"),
        ({"r_wordline_ohm": torch.inf}, "r_wordline_ohm: not a resistance; got inf"),
        ({"r_wordline_ohm": torch.ones(3, 2)}, r"r_wordline_ohm.*segment.*\(3, 2\).*\[2, 3\]"),
        (
            {"r_sense_ohm": torch.ones(3, requires_grad=True)},
            "r_sense_ohm.*not resistances.*solve_transfer",
        ),
        ({"r_bitline_ohm": None}, "r_bitline_ohm"),
        ({"r_driver_ohm": "5"}, "r_driver_ohm.*'5'"),
        ({"r_sense_ohm": torch.inf}, "r_sense_ohm.*inf"),
        ({"r_sense_ohm": torch.tensor([1.0, torch.nan, 2.0])}, "r_sense_ohm.*nan"),
        ({"r_sense_ohm": torch.ones(2)}, r"r_sense_ohm.*\(2,\).*\[3\]"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], words: str) -> None:
    given = {"level": levels(2, 3), **RANGE, **OHMS, **change}
    with pytest.raises(InputError, match=words):
        CrossbarArray(given.pop("level"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.5, 2.0, torch.nan])
@pytest.mark.parametrize("training", [True, False])
def test_levels_that_leave_their_range_are_refused(value: float, training: bool) -> None:
    layer = CrossbarArray(levels(6, 9), **RANGE, **OHMS, tolerance=1.0)
    layer.transfer_s()
    with torch.no_grad():
        layer.level[2, 3] = value
    with torch.set_grad_enabled(training), pytest.raises(InputError, match=r"level.*0 to 1"):
        layer.transfer_s()


def test_a_change_behind_the_parameters_back_is_seen() -> None:
    layer = CrossbarArray(levels(6, 9), **RANGE, **OHMS)
    with torch.no_grad():
        layer.transfer_s()
        layer.level.data.mul_(0.5)
        found = layer.transfer_s()
    truth = exact(layer, torch.zeros(9))
    assert float((found - truth).norm() / truth.norm()) <= 1e-3


def test_it_trains_after_an_evaluation_in_inference_mode() -> None:
    with torch.inference_mode():
        layer = CrossbarArray(levels(6, 9), **RANGE, **OHMS)
        layer(torch.ones(2, 6, dtype=torch.float64))
    layer(torch.ones(2, 6, dtype=torch.float64)).sum().backward()
    assert layer.level.grad is not None


def test_it_changes_its_precision_and_is_stored() -> None:
    layer = CrossbarArray(levels(6, 9, torch.float32), **RANGE, **OHMS)
    single = layer(torch.ones(2, 6))
    layer.double()
    double = layer(torch.ones(2, 6, dtype=torch.float64))
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=0)
    assert layer.anchors == 2
    with pytest.raises(InputError, match="float16"):
        layer.half()
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    torch.testing.assert_close(again(torch.ones(2, 6, dtype=torch.float64)), double)
    with pytest.raises(InputError, match=r"drive_v.*\[\.\.\., 6\] of torch.float64"):
        layer(torch.ones(2, 6))
