"""Data of the user's own, as people have them: tables with names, labels in words, any units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from compact_models.errors import InputError
from tests.workflows.command import names_all, refused, spiceloop
from workflows.config import DataSpec, parse_config
from workflows.data import Split, load_split
from workflows.data_file import read_samples

IRIS = datasets.load_iris()
NAMES = ["setosa", "versicolor", "virginica"]
HEADING = "sepal l,sepal w,kind,petal l,petal w"


def iris_csv(path: Path, rows: slice = slice(None), order: tuple[int, ...] = (0, 1, 2, 3)) -> Path:
    """The 150 flowers in centimetres, their kind in words in the middle."""
    heading = ["sepal l", "sepal w", "petal l", "petal w"]
    lines = [",".join([heading[order[0]], heading[order[1]], "kind",
                       heading[order[2]], heading[order[3]]])]  # fmt: skip
    for x, y in zip(IRIS.data[rows], IRIS.target[rows], strict=True):
        cells = [repr(float(x[k])) for k in order]
        lines.append(",".join([*cells[:2], NAMES[y], *cells[2:]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def split_of(path: Path, *, seed: int = 0, **keys: Any) -> Split:
    return load_split(DataSpec(file=str(path), **keys), seed=seed)


def test_a_table_with_the_label_in_words_is_the_bundled_set(tmp_path: Path) -> None:
    own = split_of(iris_csv(tmp_path / "own.csv"), label="kind", scale="minmax")
    bundled = load_split(DataSpec(name="iris"), seed=0)
    assert own.class_names == ("setosa", "versicolor", "virginica")
    assert own.feature_names == ("sepal l", "sepal w", "petal l", "petal w")
    for name in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(own, name), getattr(bundled, name))


@pytest.mark.parametrize("label", ["kind", "2", "-3"])
def test_the_label_is_named_or_counted(label: str, tmp_path: Path) -> None:
    own = split_of(iris_csv(tmp_path / "own.csv"), label=label, scale="minmax")
    assert own.class_names == tuple(NAMES)
    key = label if label == "kind" else int(label)
    config = parse_config(f'[data]\nfile = "own.csv"\nlabel = {json.dumps(key)}\n', where="x")
    assert config.data.label == label
    assert config.data.name == "file"
    assert parse_config(config.to_toml(), where="again") == config


def test_a_table_in_the_code_page_of_an_office_is_read_and_said(tmp_path: Path) -> None:
    own, held_out = tmp_path / "own.csv", tmp_path / "held.csv"
    kinds = ["rot", "gr\u00fcn", "gr\u00fcn"] * 3
    text = "l\u00e4nge,art\n" + "".join(f"{k},{kind}\n" for k, kind in enumerate(kinds))
    own.write_bytes(text.encode("cp1252"))
    held_out.write_text(text, encoding="utf-8")
    split = split_of(own, label="art", scale="minmax", test_file=str(held_out))
    assert split.class_names == ("gr\u00fcn", "rot")
    assert split.feature_names == ("l\u00e4nge",)
    assert split.sentences()[0] == "own.csv: read as cp1252 (Latin-1), for it is no UTF-8"
    assert not any("held.csv" in line for line in split.sentences())
    assert split.facts()["encodings"] == {"own.csv": "cp1252", "held.csv": "UTF-8"}


def test_a_table_without_names_has_its_label_counted(tmp_path: Path) -> None:
    """As the set lies in the archive at Irvine: texts in the last column, no line of names."""
    path = tmp_path / "iris.data"
    path.write_text("5.1,3.5,a b\n4.9,3.0,c\n" * 4)
    own = split_of(path, label="-1", scale="range", test_share=0.5)
    assert own.class_names == ("a b", "c")
    assert own.feature_names == ()
    assert len(own.train_y) + len(own.test_y) == 8


HEADS: dict[str, tuple[str, str, list[list[float]], list[str]]] = {
    # First line and label; the features and the labels that are right.
    "a class called as its column's number": (
        "8,0.1,0.5,4\n4,0.2,0.6,8\n", "3", [[8, 0.1, 0.5], [4, 0.2, 0.6]], ["4", "8"]),
    "a number that stands elsewhere in the line": (
        "3,0.1,0.5,4\n4,0.2,0.6,8\n", "0", [[0.1, 0.5, 4], [0.2, 0.6, 8]], ["3", "4"]),
    "the label's number in the label's own cell": (
        "0,-0.79,2.5\n1,0.3,0.4\n", "0", [[-0.79, 2.5], [0.3, 0.4]], ["0", "1"]),
    "pixels, most of them 0": (
        "0,0,0,0,5\n0,3,0,0,2\n", "0", [[0, 0, 0, 5], [3, 0, 0, 2]], ["0", "0"]),
    "two cells of the label's number": (
        "1,7,1,0.5\n2,0,1,0.2\n", "1", [[1, 1, 0.5], [2, 1, 0.2]], ["7", "0"]),
    "a class in words": ("5.1,3.5,setosa\n4.9,3.1,setosa\n7.0,3.2,virginica\n", "2",
                         [[5.1, 3.5], [4.9, 3.1], [7.0, 3.2]], ["setosa", "setosa", "virginica"]),
    "each class in words once, as in a test file": (
        "5.1,3.5,setosa\n7.0,3.2,virginica\n", "-1", [[5.1, 3.5], [7.0, 3.2]],
        ["setosa", "virginica"]),
    "one line of names": ("a,b,kind\n1,2,0\n3,5,1\n", "-1", [[1, 2], [3, 5]], ["0", "1"]),
    "names that are numbers, the label's in words": (
        "400,410,kind\n1,2,u\n3,5,v\n", "kind", [[1, 2], [3, 5]], ["u", "v"]),
    "the same, the label counted": (
        "400,410,420,kind\n1,2,9,u\n3,5,7,v\n", "3", [[1, 2, 9], [3, 5, 7]], ["u", "v"]),
    "the same, over numbers": ("4,7,y\n1,2,0\n3,5,1\n", "2", [[1, 2], [3, 5]], ["0", "1"]),
    "a name that is the column's number": (
        "a,b,2\n1,2,0\n3,5,1\n", "2", [[1, 2], [3, 5]], ["0", "1"]),
    "of two meanings, counted from the end": (
        "a,0,b\n1,2,6\n3,5,7\n", "-3", [[2, 6], [5, 7]], ["1", "3"]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "label", "x", "labels"), HEADS.values(), ids=HEADS)
def test_a_sample_in_the_first_line_is_no_line_of_names(
    content: str, label: str, x: list[list[float]], labels: list[str], tmp_path: Path
) -> None:
    (tmp_path / "own.csv").write_text(content)
    samples = read_samples(tmp_path / "own.csv", label)
    assert samples.x.tolist() == x
    assert samples.labels == labels


LABELS: dict[str, tuple[Any, tuple[str, ...], list[int]]] = {
    "from 1 on": ([1, 2, 3, 2, 1, 3], ("1", "2", "3"), [0, 1, 2, 1, 0, 2]),
    "signs": ([-1, 1, -1, 1, 1, -1], ("-1", "1"), [0, 1, 0, 1, 1, 0]),
    "with gaps, in the order of numbers": ([10, 9, 100, 9, 10, 100], ("9", "10", "100"),
                                           [1, 0, 2, 0, 1, 2]),
    "whole doubles": ([2.0, 0.0, 2.0, 0.0], ("0", "2"), [1, 0, 1, 0]),
    "the largest": (np.array([2**64 - 1, 0] * 2, np.uint64), ("0", "18446744073709551615"),
                    [1, 0, 1, 0]),
    "texts": (["no", "yes", "no", "yes"], ("no", "yes"), [0, 1, 0, 1]),
    "bytes": (np.array([b"u", b"d", b"u", b"d"]), ("d", "u"), [1, 0, 1, 0]),
    "truths": ([True, False, True, False], ("False", "True"), [1, 0, 1, 0]),
    "one-hot": ([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]],
                ("0", "1", "2"), [2, 0, 1, 2, 1, 0]),
}  # fmt: skip


@pytest.mark.parametrize(("y", "names", "index"), LABELS.values(), ids=LABELS)
def test_labels_of_every_kind(
    y: Any, names: tuple[str, ...], index: list[int], tmp_path: Path
) -> None:
    x = np.arange(len(y))[:, None] / 16
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", x=x, kind=np.asarray(y))
    own = split_of(
        tmp_path / "train.npz", label="kind", test_file=str(tmp_path / "test.npz"), scale="none"
    )
    assert own.class_names == names
    np.testing.assert_array_equal(own.train_y, index)
    # The held-out samples stand in another order: their values say which is which.
    places = (own.test_x[:, 0] * 16).astype(int)
    assert sorted(places) == list(range(len(y)))
    np.testing.assert_array_equal(own.test_y, np.array(index)[places])


@pytest.mark.parametrize("test_file", [False, True])
def test_every_held_out_sample_knows_its_place_in_its_file(test_file: bool, tmp_path: Path) -> None:
    train = iris_csv(tmp_path / "own.csv", slice(0, None, 3) if test_file else slice(None))
    held_out = slice(1, None, 3) if test_file else slice(None)
    keys = {"test_file": str(iris_csv(tmp_path / "test.csv", held_out))} if test_file else {}
    own = split_of(train, label="kind", scale="standard", seed=3, **keys)
    assert len(set(own.test_rows.tolist())) == len(own.test_y) == (50 if test_file else 38)
    np.testing.assert_array_equal(own.raw_test_x, IRIS.data[held_out][own.test_rows])
    np.testing.assert_array_equal(own.test_y, IRIS.target[held_out][own.test_rows])


def test_standard_scale_is_scikit_learns_of_the_training_share_and_clips_are_counted(
    tmp_path: Path,
) -> None:
    train = iris_csv(tmp_path / "train.csv", slice(0, None, 2))
    test = tmp_path / "test.csv"
    iris_csv(test, slice(1, None, 2), order=(3, 1, 0, 2))  # columns in another order
    with test.open("a") as stream:
        stream.write("0.2,3.1,setosa,500,1.4\n")  # petal w, sepal w, kind, sepal l, petal l
    own = split_of(train, label="kind", test_file=str(test), scale="standard")
    wanted = StandardScaler().fit(IRIS.data[::2])
    z = wanted.transform(IRIS.data[::2])
    assert own.scaling.full_scale == pytest.approx(np.quantile(np.abs(z), 0.999))
    inside = np.abs(z) <= own.scaling.full_scale
    np.testing.assert_allclose(own.network_train_x[inside], z[inside], rtol=1e-12, atol=1e-12)
    assert own.clipped_train == int((~inside).sum())
    held_out = np.vstack([IRIS.data[1::2], [500, 3.1, 1.4, 0.2]])
    z_test = wanted.transform(held_out)
    assert own.clipped_test == int((np.abs(z_test) > own.scaling.full_scale).sum()) >= 1
    expected = z_test.clip(-own.scaling.full_scale, own.scaling.full_scale)
    assert sorted(map(tuple, own.network_test_x.round(9))) == sorted(map(tuple, expected.round(9)))
    np.testing.assert_allclose(own.unclipped_test_x, z_test[own.test_rows], rtol=1e-12)
    assert own.scaling.signed
    assert any("held-out values" in line and "clip" in line for line in own.sentences())


def test_what_a_run_keeps_of_its_scale_brings_a_sample_to_the_drivers(tmp_path: Path) -> None:
    own = split_of(iris_csv(tmp_path / "own.csv"), label="kind", scale="standard")
    kept = json.loads(json.dumps(own.facts()))
    share = (IRIS.data - kept["offset"]) / np.array(kept["factor"]) / kept["full_scale"]
    everything = np.vstack([own.train_x, own.test_x])
    wanted = share.clip(-1, 1)
    assert sorted(map(tuple, wanted.round(9))) == sorted(map(tuple, everything.round(9)))


def test_scale_range_leaves_what_the_network_sees(tmp_path: Path) -> None:
    own = split_of(iris_csv(tmp_path / "own.csv"), label="kind", scale="range")
    rows = np.vstack([own.network_train_x, own.network_test_x])
    assert own.scaling.full_scale == own.train_x.max() * own.scaling.full_scale
    assert sorted(map(tuple, rows.round(9))) == sorted(map(tuple, IRIS.data))
    assert not own.scaling.signed


def test_what_a_min_max_scaler_leaves_by_rounding_is_in_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    raw = rng.uniform(-7, 13, (40, 5)) * 0.1
    x = MinMaxScaler().fit_transform(raw)
    x[0, 0], x[1, 1], x[2, 2] = 1 + 2.3e-16, -1.2e-17, 1 + 1.2e-7  # the last in single precision
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(40) % 2)
    own = split_of(tmp_path / "own.npz")
    assert not own.scaling.signed
    assert own.clipped_train == own.clipped_test == 0
    for part in (own.train_x, own.test_x):
        assert part.min() >= 0
        assert part.max() <= 1


def test_both_signs_make_signed_drivers(tmp_path: Path) -> None:
    x = np.random.default_rng(4).uniform(-1, 1, (40, 3))
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(40) % 2)
    assert split_of(tmp_path / "own.npz").scaling.signed


CSV = "a,b,kind\n0.1,0.2,yes\n0.3,0.4,no\n"


def test_a_named_column_that_counts_the_samples_is_doubted(tmp_path: Path) -> None:
    rows = "".join(f"{k + 1},{k % 3},{k % 2}\n" for k in range(12))
    (tmp_path / "own.csv").write_text("id,size,kind\n" + rows)
    split = split_of(tmp_path / "own.csv", label="kind", scale="standard")
    (said,) = split.doubts
    names_all(said, "'id' counts the samples", "index")
    assert said in split.sentences()


WIDE = ",".join([f"a_feature_{k}" for k in range(40)] + ["target"])
BAD: dict[str, tuple[str | bytes, str, list[str]]] = {
    "no label said": (CSV, "", ["own.csv:1", "a, b, kind", "--label"]),
    "a label that is not there": (CSV, "kinds", ["own.csv:1", "'kinds'", "'kind'"]),
    "many columns": (f"{WIDE}\n", "kind", ["a_feature_0, a_feature_1", " more, target"]),
    "a column beyond": (CSV, "3", ["own.csv:1", "0 to 2"]),
    "a label twice": ("kind,b,kind\n1,2,3\n", "kind", ["own.csv:1", "2 times"]),
    "a number that is two columns": ("a,0,b\n1,2,3\n", "0", ["own.csv:1", "-2 for the one of this"
                                     " name, -3 for the one of this number"]),
    "a class for a column": ("1,yes\n2,no\n3,yes\n", "yes", ["own.csv:1", "is a sample", "0 to 1"]),
    "a value for a column": ("0.1,4.9,1\n2,3,0\n", "4.9", ["own.csv:1", "is a sample", "number"]),
    "columns counted": ("0,1,2\n0.5,0.1,7\n", "2", ["own.csv:1", "names in words", "a sample"]),
    "missing in the first line": ("NA,0.2,1\n0.3,0.4,0\n", "2", ["own.csv:1: column 1", "missing"]),
    "a blank": (CSV + "0.5,,yes\n", "kind", ["own.csv:4: column 'b'", "missing", "fill it in"]),
    "NA": (CSV + "NA,0.1,yes\n", "kind", ["own.csv:4: column 'a'", "missing", "'NA'"]),
    "nan": (CSV + "nan,0.1,yes\n", "kind", ["own.csv:4: column 'a'", "missing", "nan"]),
    "infinite": (CSV + "0.1,inf,yes\n", "kind", ["own.csv:4: column 'b'", "infinite"]),
    "a missing label": (CSV + "0.1,0.2,\n", "kind", ["own.csv:4: column 'kind'", "label is miss"]),
    "text": (CSV + "red,0.2,yes\n", "kind", ["own.csv:4: column 'a'", "text", "'red'", "code it"]),
    "another's number": (CSV + "1_0,0.2,no\n", "kind", ["own.csv:4: column 'a'", "'1_0'"]),
    "too short": (CSV + "0.5,yes\n", "kind", ["own.csv:4", "fewer fields", "allowed: 3 fields"]),
    "too long": (CSV + "0,5,0,yes\n", "kind", ["own.csv:4", "more fields", "decimal point"]),
    "semicolons": ("a;kind\n0,1;yes\n", "kind", ["own.csv:1", "semicolons"]),
    "an index, columns counted": (
        ",0,1,2,3\n0,0.5,0.1,0.2,7\n1,0.4,0.3,0.2,8\n",
        "-1",
        ["own.csv:1", "counts the columns", "counts the lines", "index=False"],
    ),
    "an index": (",a,kind\n0,0.5,yes\n1,0.4,no\n2,0.1,no\n", "kind", ["own.csv:1", "no feature"]),
    "only labels": ("kind\nyes\nno\n", "kind", ["nothing to learn"]),
    "only names": ("a,kind\n", "kind", ["nothing to learn"]),
    "empty": ("", "kind", ["own.csv", "empty"]),
    "no text": (b"\xff\x00a", "kind", ["own.csv:1", "UTF-8"]),
    "measured labels": ("a,y\n0.1,0.25\n0.2,3\n", "y", ["own.csv:2: column 'y'", "classes"]),
    "one class": ("a,y\n0.1,k\n0.2,k\n", "y", ["of one class", "label names"]),
    "one class in two spellings": (
        "a,y\n" + "0.1,zinc\n0.2,iron\n" * 4 + "0.3,ZINC\n", "y",
        ["too few", "(ZINC)", "'ZINC' and 'zinc' differ in case or blanks alone"]),
    "each its own": ("a,y\n0.1,k\n0.2,l\n0.3,m\n", "y", ["too few", "(k)", "another label"]),
    "raw units": ("a,y\n" + "0.1,k\n500,l\n" * 4, "y", ["own.csv:3: column 'a'", "500", '"range"']),
}  # fmt: skip


@pytest.mark.parametrize(("content", "label", "words"), BAD.values(), ids=BAD)
def test_a_bad_table_is_refused_with_file_line_and_column(
    content: str | bytes, label: str, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        split_of(path, label=label, scale="none", test_share=0.5)
    names_all(caught.value.sentence(), *words)


def test_a_table_that_is_not_there_has_its_like_beside_it(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(CSV)
    with pytest.raises(InputError) as caught:
        split_of(tmp_path / "trian.csv", label="kind", scale="none", test_share=0.5)
    names_all(caught.value.sentence(), "trian.csv", "there is no such", "did you mean 'train.csv'")


TEST: dict[str, tuple[str, list[str]]] = {
    "a class never seen": ("a,b,kind\n0.1,0.2,maybe\n", ["test.csv:2", "'maybe'", "no, yes"]),
    "a class spelt otherwise": ("a,b,kind\n0.1,0.2,Y es\n", ["test.csv:2", "'Y es' and 'yes'"]),
    "another column": ("a,c,kind\n0.1,0.2,yes\n", ["test.csv", "lacks b"]),
    "fewer columns": ("a,kind\n0.1,yes\n", ["test.csv", "other columns"]),
    "beyond what drivers give": ("a,b,kind\n0.1,2.5,yes\n", ["test.csv:2: column 'b'", "2.5"]),
}


@pytest.mark.parametrize(("content", "words"), TEST.values(), ids=TEST)
def test_a_held_out_file_must_fit(content: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(CSV)
    (tmp_path / "test.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        split_of(
            tmp_path / "own.csv", label="kind", test_file=str(tmp_path / "test.csv"), scale="none"
        )
    names_all(caught.value.sentence(), *words)


CONFIGS = {
    "two sets": ('name = "iris"\nfile = "own.csv"\n', ["[data]", '"iris"', "name one"]),
    "no file": ('name = "file"\n', ["[data]", "your.csv"]),
    "a label alone": ('label = "kind"\n', ["[data]", "label belongs"]),
    "a test file alone": ('test_file = "t.csv"\n', ["[data]", "test_file belongs"]),
    "truth for a column": ('file = "own.csv"\nlabel = true\n', ["[data] label", "string"]),
    "a scale of its own": ('file = "own.csv"\nscale = "log"\n', ["[data] scale", "minmax"]),
}


@pytest.mark.parametrize(("text", "words"), CONFIGS.values(), ids=CONFIGS)
def test_a_bad_section_is_refused(text: str, words: list[str], tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f"[data]\n{text}")
    names_all(refused(tmp_path, "netlist", config, "-o", tmp_path / "deck"), *words)


@pytest.mark.ngspice
@pytest.mark.usefixtures("ngspice")
def test_own_data_train_and_all_held_out_images_verify(tmp_path: Path) -> None:
    """A byte-order mark before the configuration, as some editors write it, is no part of it."""
    iris_csv(tmp_path / "own.csv")
    (tmp_path / "own.toml").write_text(
        '\ufeff[data]\nfile = "own.csv"\nlabel = "kind"\nscale = "standard"\n'
        "[network]\nhidden = [8]\n[train]\nlearning_rate = 0.02\n"
        "[calibration]\narrays = 1\nheld_out_arrays = 1\n"
    )
    run = tmp_path / "run"
    trained = spiceloop("train", tmp_path / "own.toml", "-o", run, "--json")
    assert trained.code == 0, trained.err
    kept = json.loads((run / "data.json").read_text())
    assert kept == json.loads(trained.out)["data"]
    assert kept["class_names"] == NAMES
    assert "own.csv: 112 samples to train with, 38 held out" in trained.err
    ran = spiceloop("verify", run, "--images", "all", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["images"] == 38
    assert found["accuracy_float"] == json.loads(trained.out)["accuracy_float"] > 0.8
    assert found["accuracy_spice"] > 0.8
    assert found["exact_logit_max_lsb"] == 0
