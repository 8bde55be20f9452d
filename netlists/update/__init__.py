"""The update phase of a chip: trains of pulses on word lines and bit lines move the cells."""
