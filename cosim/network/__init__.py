"""Networks on a chip: how stages are read one after the other, and the whole chip in ngspice."""
