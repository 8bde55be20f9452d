"""How many pulses a word has, in loops."""

from __future__ import annotations

import numpy as np

from cosim.pulses.jit import part
from cosim.pulses.random_numbers import U


@part
def set_bits(word: np.uint32) -> np.uint32:
    """How many bits are set: sums of 2, 4, 8 and 32 bits."""
    word = U(word - U(U(word >> U(1)) & U(0x55555555)))
    word = U(U(word & U(0x33333333)) + U(U(word >> U(2)) & U(0x33333333)))
    word = U(U(word + U(word >> U(4))) & U(0x0F0F0F0F))
    return U(U(word * U(0x01010101)) >> U(24))
