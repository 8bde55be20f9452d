"""Random numbers as functions of a key and a counter: the same in any order, on any threads.

Hashes of 32 bits after Wellons' search ("lowbias32") and of 64 bits as in SplitMix64 (Steele, Lea,
Flood, OOPSLA 2014, doi 10.1145/2660193.2660195). Normal numbers by Box and Muller (Ann. Math. Stat.
29 (1958) 610): logarithm, sine and cosine are polynomials, so that a loop can take many cells at
once and every machine has the same digits. The radius has 24 bits or more: no number is beyond
5.9 standard deviations.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.jit import loop, part

F = np.float32
U = np.uint32
L = np.uint64

_ONE, _TWO, _HALF = F(1), F(2), F(0.5)
_GOLDEN = L(0x9E3779B97F4A7C15)
# Chebyshev fits: sin(pi t) / t and cos(pi t) in t^2 up to 1/4, within 5e-8; -2 log(1 + f) / f for f
# of -1/3 to 1/3, within 4e-7.
_S0, _S1, _S2 = F(3.141592741), F(-5.16771030), F(2.55007744)
_S3, _S4 = F(-0.598291278), F(0.0776576623)
_C0, _C1, _C2 = F(0.99999994), F(-4.934793), F(4.05841112)
_C3, _C4 = F(-1.33187652), F(0.219689608)
_L0, _L1, _L2, _L3 = F(-1.99999964), F(0.999998629), F(-0.666759789), F(0.500160515)
_L4, _L5, _L6, _L7 = F(-0.395900607), F(0.328255981), F(-0.342224538), F(0.30806312)
_LOG_2 = F(-2 * math.log(2))
_THIRD = U(0x3F2AAAAB)  # the bits of 2/3 in single precision


@part
def mixed(word: np.uint32) -> np.uint32:
    """A hash of 32 bits, one to one."""
    word = U(word ^ (word >> U(16)))
    word = U(word * U(0x7FEB352D))
    word = U(word ^ (word >> U(15)))
    word = U(word * U(0x846CA68B))
    return U(word ^ (word >> U(16)))


@part
def hashed(key: np.uint64, counter: np.uint64) -> np.uint64:
    """64 random bits of a key, another lot for every counter."""
    word = L(key + counter * _GOLDEN)
    word = L((word ^ (word >> L(30))) * L(0xBF58476D1CE4E5B9))
    word = L((word ^ (word >> L(27))) * L(0x94D049BB133111EB))
    return L(word ^ (word >> L(31)))


@part
def squared_radius(share: np.float32) -> np.float32:
    """-2 log(share), for shares above 0 up to 1."""
    bits = F(share).view(np.uint32)  # numba wants to see the type at a view
    exponent = np.int32(np.int32(U(bits - _THIRD)) >> np.int32(23))
    f = F(U(bits - U(U(exponent) << U(23))).view(np.float32) - _ONE)  # -1/3 to 1/3
    f2 = F(f * f)
    low = F(F(_L0 + _L1 * f) + F(_L2 + _L3 * f) * f2)
    high = F(F(_L4 + _L5 * f) + F(_L6 + _L7 * f) * f2)
    return F(f * F(low + high * F(f2 * f2)) + F(exponent) * _LOG_2)


@part
def share_of(word: np.uint32) -> np.float32:
    """A number above 0 and up to 1."""
    return F((F(np.int32(word >> U(8))) + _HALF) * F(2.0**-24))


@part
def half_sine(word: np.uint32) -> np.float32:
    """The sine of half a random angle, whose cosine is `half_cosine` of the same word."""
    t = F(F(np.int32(np.int32(word) >> np.int32(8))) * F(2.0**-24))  # -1/2 to 1/2
    y = F(t * t)
    return F(t * F(F(_S0 + _S1 * y) + F(F(_S2 + _S3 * y) + _S4 * F(y * y)) * F(y * y)))


@part
def half_cosine(word: np.uint32) -> np.float32:
    """See `half_sine`."""
    t = F(F(np.int32(np.int32(word) >> np.int32(8))) * F(2.0**-24))
    y = F(t * t)
    return F(F(_C0 + _C1 * y) + F(F(_C2 + _C3 * y) + _C4 * F(y * y)) * F(y * y))


@part
def normal(bits: np.uint64) -> np.float32:
    """A standard normal number of 64 random bits."""
    share = F((F(L(bits >> L(33))) + _HALF) * F(2.0**-31))
    sine = half_sine(U(bits & L(0xFFFFFFFF)))
    return F(F(math.sqrt(squared_radius(share))) * F(_ONE - _TWO * sine * sine))


@loop
def hashes(key: np.uint64, count: int) -> NDArray[np.uint32]:
    """Words of 32 random bits [count]."""
    words = np.empty(count, np.uint32)
    for k in range(count):
        words[k] = U(hashed(key, L(k)) >> L(32))
    return words
