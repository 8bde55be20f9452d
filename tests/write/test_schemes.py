"""Write schemes: what cells see, by hand; and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.errors import InputError
from netlists.write_schemes import find_scheme, write_schemes

SHAPE = (3, 4)


def selected(sign: float, *cells: tuple[int, int, float]) -> np.ndarray:
    table = np.zeros(SHAPE)
    for row, col, size in cells:
        table[row, col] = sign * size
    return table


def test_every_file_is_a_scheme() -> None:
    assert set(write_schemes()) >= {"v2", "v3", "1t1r", "1s1r"}
    with pytest.raises(InputError, match=r"v4.*v2.*v3"):
        find_scheme("v4")


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_half_of_the_voltage(sign: float) -> None:
    levels = find_scheme("v2").levels(selected(sign, (1, 2, 1.0)))
    np.testing.assert_allclose(levels.word_v, [0, sign * 0.5, 0])
    np.testing.assert_allclose(levels.bit_v, [0, 0, -sign * 0.5, 0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_third_of_the_voltage_in_the_other_polarity_on_all_the_rest(sign: float) -> None:
    across = sign * find_scheme("v3").levels(selected(sign, (1, 2, 1.2))).across_v
    want = np.full(SHAPE, -0.4)
    want[1], want[:, 2], want[1, 2] = 0.4, 0.4, 1.2
    np.testing.assert_allclose(across, want)


@pytest.mark.parametrize("name", ["v2", "v3"])
def test_what_others_see_is_known_beforehand(name: str) -> None:
    scheme, meant = find_scheme(name), selected(1.0, (1, 0, 0.9), (1, 2, 0.9))
    others = np.abs(scheme.levels(meant).across_v[meant == 0])
    assert scheme.half_selected == pytest.approx(others.max() / 0.9)


@pytest.mark.parametrize("name", ["v2", "v3"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cells_of_one_line_have_amplitudes_of_their_own(name: str, sign: float) -> None:
    along_row = selected(sign, (1, 0, 0.7), (1, 3, 1.0))
    along_col = selected(sign, (0, 2, 1.0), (2, 2, 0.6))
    for table in (along_row, along_col):
        levels = find_scheme(name).levels(table)
        meant = table != 0
        np.testing.assert_allclose(levels.across_v[meant], table[meant])
        assert np.abs(levels.across_v[~meant]).max() <= 0.5 + 1e-12


def test_gates_are_open_in_one_row_and_no_line_is_below_ground() -> None:
    scheme = find_scheme("1t1r")
    up = scheme.levels(selected(1.0, (1, 0, 0.7), (1, 3, 1.0)), gate_v=2.5)
    np.testing.assert_allclose(up.gate_v, [0, 2.5, 0])
    np.testing.assert_allclose(up.word_v, [0, 1.0, 0])
    np.testing.assert_allclose(up.bit_v, [0.3, 1.0, 1.0, 0.0], atol=1e-15)
    down = scheme.levels(selected(-1.0, (2, 0, 0.7), (2, 3, 1.0)), gate_v=1.8)
    np.testing.assert_allclose(down.word_v, [0, 0, 0])
    np.testing.assert_allclose(down.bit_v, [0.7, 0.0, 0.0, 1.0])


def test_what_cannot_be_written() -> None:
    v2, gated = find_scheme("v2"), find_scheme("1t1r")
    with pytest.raises(InputError, match="selects no cell"):
        v2.levels(np.zeros(SHAPE))
    with pytest.raises(InputError, match=r"no common line.*rows 0, 1.*columns 0, 1"):
        v2.levels(selected(1.0, (0, 0, 1.0), (1, 1, 1.0)))
    with pytest.raises(InputError, match="both polarities"):
        v2.levels(selected(1.0, (0, 0, 1.0), (0, 1, -1.0)))
    with pytest.raises(InputError, match="no common row"):
        gated.levels(selected(1.0, (0, 0, 1.0), (1, 0, 1.0)), gate_v=2.0)
    with pytest.raises(InputError, match="gate_v"):
        gated.levels(selected(1.0, (0, 0, 1.0)))
    with pytest.raises(InputError, match="gate_v"):
        v2.levels(selected(1.0, (0, 0, 1.0)), gate_v=2.0)
