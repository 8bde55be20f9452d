"""Moved: see cosim.write."""

from cosim.write.array_ngspice import *
from cosim.write.array_ngspice import pulse_array,pulse_deck
from cosim.write.pulsed_array import PulsedArray
