"""Writing arrays: what pulses on the lines do to the states of all cells."""
