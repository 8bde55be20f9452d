"""The data of a study, cut in two: sets that come inside scikit-learn, or files of the user's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

from compact_models.errors import InputError
from compact_models.variation import component_rng
from workflows.config import DataSpec
from workflows.csv_file import FileText
from workflows.data_file import Samples, counts, read_samples
from workflows.scaling import Scaling, check_shares, fit_scaling

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """A data set, cut in two, as shares of the read voltage.

    Args:
        train_x: [sample, feature], in [0, 1] or [-1, 1].
        train_y: [sample].
        test_x: held-out samples, in a fixed random order.
        test_y: their labels.
        class_names: one name per class.
        feature_names: one per feature; empty where the data have none.
        scaling: how values became shares; fitted to the training share alone.
        clipped_train: values of the training share beyond what drivers give.
        clipped_test: values of the held-out share likewise.
        source: what the data are called in messages.
        raw_train_x: the training share in the user's units, [sample, feature].
        raw_test_x: the held-out share likewise.
        test_rows: which sample of the held-out file, or of the file that was cut, each held-out
            sample is, from 0, [sample].
        texts: the text files that they were read from, by name, and how.
        doubts: what may be no data, one sentence each.
    """

    train_x: Array
    train_y: Labels
    test_x: Array
    test_y: Labels
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    scaling: Scaling
    clipped_train: int
    clipped_test: int
    source: str
    raw_train_x: Array
    raw_test_x: Array
    test_rows: NDArray[np.int64]
    texts: Mapping[str, FileText]
    doubts: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the samples, of their labels, the cut and full drive."""
        full = np.array([self.scaling.full_scale])
        arrays = (self.train_x, self.train_y, self.test_x, self.test_y, full)
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        return hashlib.sha256(content).hexdigest()[:12]

    @property
    def network_train_x(self) -> Array:
        """The training share in the network's own numbers."""
        return self.train_x * self.scaling.full_scale

    @property
    def network_test_x(self) -> Array:
        """The held-out share in the network's own numbers, clipped as drivers clip."""
        return self.test_x * self.scaling.full_scale

    @property
    def unclipped_test_x(self) -> Array:
        """The held-out share as the network would see it without drivers."""
        return self.scaling.seen(self.raw_test_x)

    def facts(self) -> dict[str, object]:
        """What a run keeps of its data: enough to bring another sample to its drivers."""
        return {
            "source": self.source,
            "class_names": list(self.class_names),
            "feature_names": list(self.feature_names),
            "train_samples": len(self.train_y),
            "test_samples": len(self.test_y),
            "scale": self.scaling.kind,
            "offset": self.scaling.offset.tolist(),
            "factor": self.scaling.factor.tolist(),
            "full_scale": self.scaling.full_scale,
            "signed": self.scaling.signed,
            "clipped_train_values": self.clipped_train,
            "clipped_test_values": self.clipped_test,
            "encodings": {name: one.encoding for name, one in self.texts.items()},
            "hash": self.hash,
        }

    def sentences(self) -> list[str]:
        """The same for a reader: what they are, then what a reader of results must know."""
        classes = ", ".join(self.class_names[:10]) + (", ..." if len(self.class_names) > 10 else "")
        lines = [
            f"data {self.source}: {len(self.train_y)} samples to train with,"
            f" {len(self.test_y)} held out, {self.train_x.shape[1]} features,"
            f" {len(self.class_names)} classes ({classes})",
            f'scale "{self.scaling.kind}": full read voltage stands for'
            f" {self.scaling.full_scale:.4g} at the network's input, drivers"
            f" {'of both signs' if self.scaling.signed else 'from 0 up'}",
        ]
        read_as = [f"{name}: {one.read_as()}" for name, one in self.texts.items() if one.read_as()]
        twice = alike(self.class_names)
        return [*read_as, *lines, *([twice] if twice else []), *self.doubts, *self.clipped()]

    def clipped(self) -> list[str]:
        """How many values are beyond the drivers' range, by share; empty where none are."""
        lines = []
        for count, x, share in (
            (self.clipped_train, self.train_x, "training"),
            (self.clipped_test, self.test_x, "held-out"),
        ):
            if count:
                percent = 100 * count / x.size
                lines.append(
                    f"{count} of {x.size} {share} values ({percent:.2g} %) are beyond the drivers'"
                    " range and clip"
                )
        return lines


def load_split(spec: DataSpec, *, seed: int) -> Split:
    """Loads a data set, cuts it, classes in equal shares, and scales both shares alike.

    Args:
        spec: which one.
        seed: decides the cut, and the order of what is held out.

    Raises:
        InputError: a data file does not hold what it should.
    """
    if spec.name == "file":
        samples = read_samples(Path(spec.file), spec.label)
    else:
        samples = _bundled(spec.name)
    source = Path(spec.file).name or spec.name
    if spec.scale == "none":  # first of all, so that the first line of the file is named
        check_shares(samples.x, samples.place)
    y = _indices(samples, samples.class_names)
    if spec.test_file:
        train, test = _two_files(spec, samples, y, seed)
    else:
        train, test = _cut(spec, samples, y, source, seed)
    scaling = fit_scaling(spec.scale, train.x, train.place)
    if spec.scale == "none":
        check_shares(test.x, test.place)
    train_x, clipped_train = scaling.drive(train.x)
    test_x, clipped_test = scaling.drive(test.x)
    return Split(
        train_x, train.y, test_x, test.y, samples.class_names, samples.feature_names, scaling,
        clipped_train, clipped_test, source, train.x, test.x, test.rows.astype(np.int64),
        _texts(spec, train, test), _doubts(samples),
    )  # fmt: skip


def _doubts(samples: Samples) -> tuple[str, ...]:
    """Features that are the numbers of the lines: an index that was saved with its table."""
    return tuple(
        f"the column {name!r} counts the samples: it is a feature now, leave it out if it is the"
        " table's index"
        for k, name in enumerate(samples.feature_names)
        if counts(samples.x[:, k])
    )


def _texts(spec: DataSpec, train: _Share, test: _Share) -> dict[str, FileText]:
    named = ((spec.file, train.of.read), (spec.test_file, test.of.read))
    return {Path(file).name: read for file, read in named if file and read is not None}


@dataclass(frozen=True, eq=False)
class _Share:
    """One side of a cut; `rows` are its places in `of`."""

    of: Samples
    rows: NDArray[np.intp]
    y: Labels

    @property
    def x(self) -> Array:
        return self.of.x[self.rows]

    def place(self, row: int, col: int) -> str:
        return self.of.place(int(self.rows[row]), col)


def _cut(
    spec: DataSpec, samples: Samples, y: Labels, source: str, seed: int
) -> tuple[_Share, _Share]:
    classes = len(samples.class_names)
    counts = np.bincount(y, minlength=classes)
    test = round(len(y) * spec.test_share)
    if classes < 2:
        raise _one_class(source, samples.class_names)
    if counts.min() < 2 or test < classes or len(y) - test < classes:
        rarest = samples.class_names[int(counts.argmin())]
        raise InputError(
            "too few samples to cut into training and test",
            where=f"data {source!r}",
            value=f"{len(y)} samples, {counts.min()} in the smallest class ({rarest}) of {classes},"
            f" {test} for testing",
            allowed="at least 2 of each class, and as many on each side as there are classes",
            hint=alike(samples.class_names)
            or ("if these are no classes, name another label" if classes > len(y) / 2 else ""),
        )
    train_rows, test_rows = train_test_split(
        np.arange(len(y)), test_size=test, random_state=seed % 2**32, stratify=y
    )
    return (
        _Share(samples, train_rows, y[train_rows]),
        _Share(samples, test_rows, y[test_rows]),
    )


def _two_files(spec: DataSpec, samples: Samples, y: Labels, seed: int) -> tuple[_Share, _Share]:
    """All of one file to train with, all of the other held out, in a random order."""
    if len(samples.class_names) < 2:
        raise _one_class(Path(spec.file).name, samples.class_names)
    held_out = _same_columns(samples, read_samples(Path(spec.test_file), spec.label), spec)
    test_y = _indices(held_out, samples.class_names)
    order = component_rng(seed, 0, "data/test_order").permutation(len(test_y))
    return _Share(samples, np.arange(len(y)), y), _Share(held_out, order, test_y[order])


def _same_columns(samples: Samples, held_out: Samples, spec: DataSpec) -> Samples:
    """The held-out samples with their columns in the order of the training file."""
    ours, theirs = samples.feature_names, held_out.feature_names
    if held_out.x.shape[1] != samples.x.shape[1] or (
        ours and theirs and sorted(ours) != sorted(theirs)
    ):
        missing = [name for name in ours if theirs and name not in theirs]
        raise InputError(
            "the held-out file has other columns than the training file",
            where=spec.test_file,
            value=", ".join(theirs) or f"{held_out.x.shape[1]} features",
            allowed=", ".join(ours) or f"{samples.x.shape[1]} features",
            hint=f"it lacks {', '.join(missing)}" if missing else "",
        )
    if ours == theirs or not (ours and theirs):
        return held_out
    if len(set(ours)) < len(ours):
        raise InputError(
            "columns of one name stand in another order than in the training file",
            where=spec.test_file,
            hint="give each column a name of its own",
        )
    order = [theirs.index(name) for name in ours]
    return Samples(
        held_out.x[:, order], held_out.labels, held_out.class_names, ours,
        lambda row, col: held_out.place(row, order[col]), held_out.label_place, held_out.read,
    )  # fmt: skip


def _indices(samples: Samples, names: tuple[str, ...]) -> Labels:
    known = {name: k for k, name in enumerate(names)}
    for row, label in enumerate(samples.labels):
        if label not in known:
            raise InputError(
                "this class is not among those of the training file",
                where=samples.label_place(row),
                value=label,
                allowed=", ".join(names),
                hint=alike((label, *names)),
            )
    return np.array([known[label] for label in samples.labels], dtype=np.int64)


def alike(names: tuple[str, ...]) -> str:
    """Two classes that are one but for a slip of the pen; empty if there are none."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault("".join(name.casefold().split()), name)
        if other != name:
            return f"{other!r} and {name!r} differ in case or blanks alone: write them alike"
    return ""


def _one_class(source: str, names: tuple[str, ...]) -> InputError:
    return InputError(
        "all samples are of one class", where=source, value=names[0] if names else None,
        allowed="two classes or more", hint="see whether label names the column of the classes",
    )  # fmt: skip


def _bundled(name: str) -> Samples:
    bunch = getattr(datasets, f"load_{name}")()
    names = tuple(str(n) for n in bunch.target_names)
    return Samples(
        np.asarray(bunch.data, dtype=np.float64),
        [names[k] for k in bunch.target],
        names,
        tuple(str(n) for n in bunch.feature_names),
        lambda row, col: f"data {name!r}: x[{row}, {col}]",
        lambda row: f"data {name!r}: y[{row}]",
    )
