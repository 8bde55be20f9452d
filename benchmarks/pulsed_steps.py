"""A whole training step by pulses beside the same step in floating point, in one run."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy, interpolate, pad

from benchmarks._timing import in_turns_s, paired_s
from benchmarks._users_road import TOLERANCE, Road, Wired
from compact_models.library import find_model
from compact_models.variation import Stream
from cosim.budget.memory import keep_freed_memory
from cosim.pulses.cells import PulseCells, pulse_cells
from cosim.pulses.trains import UpdateRule
from cosim.pulses.update import Updated, pulsed_update

PAGE = "performance.md"
TITLE = "A training step by pulses"
TEXT = """
An MLP 784-256-128-10 with sigmoids and biases, batches of 10 digits (scikit-learn's, every pixel
three times as wide and high, in a frame of two: 28 x 28, 38 % of the pixels lit), single precision.
By pulses: forward and backward by `torch.mm` on ideal wires, then each layer's weights, soft_bounds
with one moving cell a weight, by stochastic trains with both kinds of management, lr 0.05 and
steps of 0.001 that vary by 30 % from cell to cell and from pulse to pulse. Beside it
`torch.nn.Linear` with `torch.optim.SGD` of the same lr. Medians of 41 stretches of 20 steps; the
two take turns, in one process for each number of threads. `coincidences` are those per cell and
sample, of each layer, in the mean.

Below that the same network as a user has it: `convert` and `PulsedSGD` in place of two lines of an
ordinary loop, with converters, the energy of every step and counts, on one thread. Wires of 1 ohm a
segment, tiles of 128 x 128, are read by the surrogate, held at 0.2 % of the exact transfer: behind
straight amplifiers, errors driven as shares of the largest, or behind circuits with rails and
offsets as drawn, forward and backward. `off exact` is the largest error of a tile's transfer on 20
random steps. Last 64-32-10 with a tanh on 8 x 8 digits, batch 8, lr 0.05, double precision,
circuits as drawn, tiles of 64.
"""

_SIZES, _BATCH, _LR, _DW, _STEPS = (784, 256, 128, 10), 10, 0.05, 0.001, 20
_BAR = 2.0
_OF_IDEAL, _SMALL_MS = 2.0, 1.0
Step = Callable[[torch.Tensor, torch.Tensor], object]
Digits = tuple[torch.Tensor, torch.Tensor]


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per number of threads and kind of training."""
    found: list[list[str]] = []
    kernels = (partial(_ours, threads) for threads in (1, 2))
    for part in (*kernels, partial(_peer, 1), _users, _small):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            found += process.submit(_lines, part).result()
    header = ["training", "ms a step", "nn.Linear", "ratio", "wanted", "coincidences", "off exact"]
    return header, found


def _lines(part: Callable[[], Iterator[list[str]]]) -> list[list[str]]:
    keep_freed_memory()
    return list(part())


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Batches of images [step, batch, pixel] and their labels [step, batch]."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16
    images = pad(interpolate(images, scale_factor=3), (2, 2, 2, 2)).flatten(1)
    chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(images)))
    chosen = chosen[: _STEPS * _BATCH].reshape(_STEPS, _BATCH)
    return images[chosen], torch.from_numpy(digits.target)[chosen]


def _network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for first, second in pairwise(_SIZES):
        layers += [torch.nn.Linear(first, second), torch.nn.Sigmoid()]
    return torch.nn.Sequential(*layers[:-1])


class _ByPulses:
    """The network with its weights in cells [row, out], the bias in the last row."""

    def __init__(self, network: torch.nn.Sequential, threads: int) -> None:
        linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
        self.w = [torch.cat([one.weight.T, one.bias[None]]).detach().contiguous() for one in linear]
        self.cells = [_cells(w, k) for k, w in enumerate(self.w)]
        self.rule, self.threads, self.steps = UpdateRule(_LR, _DW), threads, 0
        self.done: list[Updated] = []

    def step(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        """Forward, backward, pulses."""
        seen = []
        for k, w in enumerate(self.w):
            x = torch.cat([x, x.new_ones(len(x), 1)], 1)
            seen.append(x)
            x = torch.mm(x, w)
            if k < len(self.w) - 1:
                x = torch.sigmoid(x)
        errors = torch.softmax(x, 1)
        errors[torch.arange(len(x)), labels] -= 1
        pairs = []
        d = errors / len(x)
        for k in range(len(self.w) - 1, -1, -1):
            pairs.append((k, d))
            if k:
                y = seen[k][:, :-1]
                d = torch.mm(d, self.w[k][:-1].T) * y * (1 - y)
        self.done = [self._update(k, seen[k], d) for k, d in reversed(pairs)]
        self.steps += 1

    def _update(self, k: int, x: torch.Tensor, d: torch.Tensor) -> Updated:
        draw = Stream(0).at(f"layer_{k}", self.steps)
        return pulsed_update(self.cells[k], self.w[k], x, d, self.rule, draw, threads=self.threads)


def _cells(w: torch.Tensor, seed: int) -> PulseCells:
    """Bounds of 1 and steps of `_DW`, with their spread from cell to cell."""
    model = find_model("soft_bounds")
    given: dict[str, Any] = dict(model.parameter_sets[0].values)
    rng = np.random.default_rng(seed)
    given |= {"dw_min_std": 0.3, "up_down": 0.0, "w_min": -1.0, "w_max": 1.0}
    given["dw_min"] = torch.from_numpy(_DW * np.maximum(0.05, rng.normal(1, 0.3, tuple(w.shape))))
    return pulse_cells(model, given, w)


def _stretch(step: Step, digits: Digits | None = None) -> Callable[[], None]:
    images, labels = digits or _digits()

    def run() -> None:
        for x, y in zip(images, labels, strict=True):
            step(x, y)

    return run


def _plain(network: torch.nn.Module | None = None) -> Step:
    network = network or _network()
    optimiser = torch.optim.SGD(network.parameters(), lr=_LR)

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        optimiser.zero_grad()
        cross_entropy(network(x), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def _ours(threads: int) -> Iterator[list[str]]:
    torch.set_num_threads(threads)
    by_pulses = _ByPulses(_network(), threads)
    means: list[list[float]] = []

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        by_pulses.step(x, labels)
        means.append([one.mean_coincidences for one in by_pulses.done])

    ours_s, plain_s = paired_s(_stretch(step), _stretch(_plain()), turns=41)
    hits = ", ".join(f"{100 * statistics.mean(layer):.2g} %" for layer in zip(*means, strict=True))
    many = "2 threads" if threads == 2 else "1 thread"
    yield _line(f"soft_bounds, {many}", ours_s, plain_s, _BAR, hits)


def _users() -> Iterator[list[str]]:
    """By `convert` and `PulsedSGD`: ideal wires, wires with straight amplifiers and with drawn."""
    torch.set_num_threads(1)
    images, labels = _digits()
    kinds: tuple[Wired, ...] = ("ideal", "straight", "drawn")
    roads = [Road.of(_network(), kind, images.flatten(0, 1), lr=_LR) for kind in kinds]
    runs = [_stretch(road.step, (images, labels)) for road in roads]
    *ours_s, plain_s = in_turns_s(*runs, _stretch(_plain(), (images, labels)), turns=41)
    names = ("ideal wires", "wires, straight amplifiers", "wires, drawn circuits")
    for name, road, wall_s in zip(names, roads, ours_s, strict=True):
        line = _line(f"user's road, {name}", wall_s, plain_s, _BAR, "-")
        if road is not roads[0]:
            of_ideal = wall_s / ours_s[0]
            line[4] = f"{_OF_IDEAL:g} of ideal wires: {_said(of_ideal <= _OF_IDEAL, of_ideal)}"
            line[6] = _audit(road, images, labels)
        yield line


def _small() -> Iterator[list[str]]:
    """64-32-10 with drawn circuits."""
    torch.set_num_threads(1)
    digits = load_digits()
    images = torch.from_numpy(digits.data)[: _STEPS * 8].reshape(_STEPS, 8, 64) / 16
    labels = torch.from_numpy(digits.target)[: _STEPS * 8].reshape(_STEPS, 8)

    def network() -> torch.nn.Sequential:
        torch.manual_seed(0)
        first, last = torch.nn.Linear(64, 32), torch.nn.Linear(32, 10)
        return torch.nn.Sequential(first, torch.nn.Tanh(), last)

    road = Road.of(network(), "drawn", images.flatten(0, 1), lr=_LR, tile=64, dtype=torch.float64)
    runs = (
        _stretch(road.step, (images, labels)),
        _stretch(_plain(network().double()), (images, labels)),
    )
    ours_s, plain_s = paired_s(*runs, turns=41)
    line = _line("user's road, 64-32-10, drawn circuits", ours_s, plain_s, None, "-")
    milli = 1e3 * ours_s / _STEPS
    line[4] = f"{_SMALL_MS:g} ms: {_said(milli <= _SMALL_MS, milli)}"
    line[6] = _audit(road, images, labels)
    yield line


def _audit(road: Road, images: torch.Tensor, labels: torch.Tensor) -> str:
    off = road.audited(images, labels)
    within = "" if off <= TOLERANCE else " **no**"
    return f"{100 * off:.2g} %{within}"


def _said(met: bool, value: float) -> str:
    return f"yes, {value:.2f}" if met else f"**no**, {value:.2f}"


def _line(what: str, ours_s: float, plain_s: float, bar: float | None, hits: str) -> list[str]:
    ratio = ours_s / plain_s
    met = "" if bar is None else f"{bar:g}: {'yes' if ratio <= bar else '**no**'}"
    milli = [f"{1e3 * wall / _STEPS:.2f}" for wall in (ours_s, plain_s)]
    return [what, *milli, f"{ratio:.2f}", met or "-", hits, "-"]


def _peer(threads: int) -> Iterator[list[str]]:
    """Aihwkit's soft bounds with its defaults, in the same network."""
    work = "aihwkit, SoftBoundsDevice, 1 thread"
    try:
        from aihwkit.nn.conversion import convert_to_analog
        from aihwkit.optim import AnalogSGD
        from aihwkit.simulator.configs import SingleRPUConfig, SoftBoundsDevice
    except ImportError:
        yield [work, "not installed (1.2.0 elsewhere: 2.5 where nn.Linear took 0.7)", *("-" * 5)]
        return
    torch.set_num_threads(threads)
    config = SingleRPUConfig(device=SoftBoundsDevice(dw_min=_DW, w_min=-1.0, w_max=1.0))
    config.forward.is_perfect = config.backward.is_perfect = True
    network = convert_to_analog(_network(), config)
    optimiser = AnalogSGD(network.parameters(), lr=_LR)
    optimiser.regroup_param_groups(network)

    def step(x: torch.Tensor, labels: torch.Tensor) -> None:
        optimiser.zero_grad()
        cross_entropy(network(x), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    theirs_s, plain_s = paired_s(_stretch(step), _stretch(_plain()), turns=41)
    yield _line(work, theirs_s, plain_s, None, "-")
