"""Numbers, names and comments keep their promises for any input."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compact_models.errors import InputError
from netlists.names import check_identifier, comment, identifier, number

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite)
def test_a_number_reads_back_as_the_same_double(value: float) -> None:
    text = number(value)
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert float(text) == value


@given(finite | st.integers(-(10**300), 10**300))
def test_a_number_is_a_plain_exponent_without_a_scale_letter(value: float) -> None:
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", number(value))


@pytest.mark.parametrize("value", [np.float64(1e6), np.float32(0.5), np.int64(3), True, 7])
def test_numbers_of_other_types_come_out_plain(value: float) -> None:
    assert float(number(value)) == value
    assert "np" not in number(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="finite"):
        number(value)


@given(st.text())
@example("0" * 61 + ":0")  # cut right behind an underscore
def test_an_identifier_is_a_name_that_every_dialect_takes(text: str) -> None:
    name = identifier(text)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert len(name) <= 64
    assert identifier(name) == name
    assert check_identifier(name, "here") == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Layer.1", "layer_1"),
        ("3rd", "n_3rd"),
        ("é", "unnamed"),
        ("", "unnamed"),
        ("__x__", "x"),
        ("a b", "a_b"),
    ],
)
def test_identifiers_of_usual_names(text: str, name: str) -> None:
    assert identifier(text) == name


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "a b", "a.b", "a\n", "a{b}", "é", "_a", "a;b", ".a"]
)
def test_a_name_that_would_change_the_deck_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="subcircuit 3: not a netlist name"):
        check_identifier(name, "subcircuit 3")


@given(st.text())
def test_a_comment_stays_on_one_line_of_printable_ascii(text: str) -> None:
    line = comment(text)
    assert line.isascii()
    assert line.isprintable()
    assert len(f"* {line}".splitlines()) == 1


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_plain_comment_is_kept_as_it_is(text: str) -> None:
    assert comment(text) == text
