"""`verify.npz` of a run: what the fidelities said of the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflows.npz import read_npz
from workflows.runfolder import check_together, not_a_run

Array = NDArray[np.float64]


class VerifiedArrays:
    """`verify.npz`: labels, codes and voltage losses; NaN has a meaning in the last two."""

    def __init__(self, path: Path, sha256: str) -> None:
        self._path = path
        check_together(path, sha256, "verify")
        self._arrays = read_npz(path)

    def labels(self, images: int, classes: int) -> NDArray[np.int64]:
        """True classes, [image]."""
        labels = self._take("labels", (images,), np.integer).astype(np.int64)
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
            raise not_a_run(self._path, "a label is no class")
        return labels

    def codes(self, fidelity: str, images: int, classes: int) -> Array:
        """Output codes, [image, class]; NaN where the simulation failed."""
        return self._take(f"codes_{fidelity}", (images, classes), np.floating).astype(np.float64)

    def ir_drop(self, layer: int, tile: int, shape: tuple[int, int]) -> Array:
        """Share of the drive that cells lose, [row, col]; NaN where they were never driven."""
        name = f"layer_{layer}.tile_{tile}.ir_drop"
        return self._take(name, shape, np.floating).astype(np.float64)

    def _take(self, name: str, shape: tuple[int, ...], kind: Any) -> NDArray[np.generic]:
        array = self._arrays.get(name)
        if array is None or array.shape != shape or not np.issubdtype(array.dtype, kind):
            raise not_a_run(self._path, f"it has no array {name!r} of shape {shape}")
        return array
