"""Layers of many tiles, and many chips, at once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from cosim.budget.in_threads import with_threads
from cosim.calibration.calibrate import calibrate
from cosim.network.models import codes_of_chips, exact_model
from cosim.network.module import CrossbarNetwork
from cosim.ngspice import find_ngspice
from netlists.chip import Chip, another_chip, map_network
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware

TITLE = "Layers of many tiles, and many chips, at once"
TEXT = """
One thread; medians of five. A step is forward and backward, batch 10, of a linear layer of 512 x
512 weights in 144 tiles of 57 x 64 cells, 1 ohm a segment: through its surrogate, calibrated in
ngspice, and as `torch.nn.Linear` in double precision. Chips are fresh ones of 64-32-10 on default
hardware, no instance of which was simulated: cells and periphery drawn anew, 360 images each, all
chips in one call. `drawn` is the time for drawing them. `off` is the rms difference of their
surrogate's logits to exact.
"""

_CHIPS, _IMAGES = 100, 360


def rows() -> tuple[list[str], list[list[str]]]:
    """A row for each of the two."""
    with with_threads(1):
        return ["what", "ms", "beside it", "ms", "remark"], [_layer(), *_chips()]


def _layer() -> list[str]:
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (10, 512)))
    linear, chip = _mapped((512, 512), x.numpy())
    model = calibrate(chip, find_ngspice(), arrays=1, held_out=1, seed=0, jobs=2).model
    stages = linear_stages(network_graph(linear))
    network = CrossbarNetwork(chip.hardware, chip.plans, stages, model.as_watched())
    ours, theirs = (_median(lambda one=one: _step(one, x)) for one in (network, linear))
    tiles = len(chip.plans[0].tiles)
    return [f"a step, {tiles} tiles", f"{ours:.0f}", "Linear", f"{theirs:.2f}", ""]


def _chips() -> list[list[str]]:
    x = np.random.default_rng(0).uniform(0, 1, (_IMAGES, 64))
    _, chip = _mapped((64, 32, 10), x)
    found = calibrate(chip, find_ngspice(), arrays=2, held_out=2, seed=0, jobs=2)
    started = time.perf_counter()
    chips = [another_chip(chip, seed=0, sample=1 + k) for k in range(_CHIPS)]
    drawn_ms = 1e3 * (time.perf_counter() - started)
    drawn = [one.periphery for one in chips]
    codes = {}

    def read(name: str) -> None:
        if name == "exact":
            model = exact_model(chip.hardware, chip.plans, *drawn)
            codes[name] = codes_of_chips(chips, model, x)
        else:
            codes[name] = codes_of_chips(chips, found.model.of_chips(drawn), x)

    ours, exact = (_median(lambda name=name: read(name)) for name in ("surrogate", "exact"))
    off = np.sqrt(np.mean((codes["surrogate"] - codes["exact"]) ** 2))
    remark = f"drawn in {drawn_ms:.0f} ms; off {off:.2g} LSB"
    return [[f"{_CHIPS} chips, {_IMAGES} images", f"{ours:.0f}", "exact", f"{exact:.0f}", remark]]


def _mapped(sizes: tuple[int, ...], x: np.ndarray) -> tuple[nn.Sequential, Chip]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for into, out in itertools.pairwise(sizes):
            layers += [nn.Linear(into, out), nn.ReLU()]
    network = nn.Sequential(*layers[:-1]).double()
    stages = linear_stages(network_graph(network))
    return network, map_network(stages, Hardware(), x, seed=0, sample=0)


def _step(network: nn.Module, x: torch.Tensor) -> None:
    network.zero_grad()
    network(x).sum().backward()


def _median(run: Callable[[], None]) -> float:
    run()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times))
