"""Parameter sets made in Python: what they refuse is said in our words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from compact_models.errors import InputError
from compact_models.ohmic import OhmicCell
from compact_models.variation.distributions import Normal
from netlists.adcs.quantiser import AdcSpec
from netlists.drivers.level import DriverSpec
from netlists.hardware import Hardware, TileSpec
from netlists.wires import Wires


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AdcSpec(bits=99), r"AdcSpec\.bits: .*got 99; allowed: an integer >= 2 and <= 16"),
        (lambda: AdcSpec(bit=9), r"AdcSpec\.bit: unknown value; .*did you mean 'bits'"),
        (lambda: AdcSpec(9), r"AdcSpec: its values go by name; got 9; allowed: bits=\.\.\."),
        (lambda: DriverSpec(r_driver_ohm=np.ones(3)), r"DriverSpec\.r_driver_ohm: .*1e-06 to"),
        (lambda: OhmicCell(g_on_s=float("nan")), r"OhmicCell\.g_on_s: .*nan"),
        (lambda: OhmicCell(g_off_s=1e-3, g_on_s=1e-4), "OhmicCell"),
        (lambda: Normal(), r"Normal\.sigma: "),
        (lambda: Hardware(wires=5.0), r"Hardware\.wires: .*r_wordline_ohm"),
        (lambda: Hardware(tile={"max_rows": 0}), r"Hardware\.tile\.max_rows: .*got 0"),
        (lambda: Wires(np.ones(3)), "r_wordline_ohm: not resistances"),
    ],
)
def test_a_value_that_is_none_is_refused_in_our_words(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text
    assert "pydantic" not in text
    assert "input_value" not in text


def test_files_are_still_told_every_slip() -> None:
    """What reads a file makes its own words of all that is wrong, of the section it is in."""
    with pytest.raises(ValidationError) as caught:
        Hardware.model_validate({"tile": {"max_rows": 0, "max_cols": "x"}, "colour": 1})
    assert caught.value.error_count() == 3
    assert Hardware.model_validate({"tile": {"max_rows": 3}}).tile == TileSpec(max_rows=3)
