"""Running a single device, or millions of separate ones, in torch and in ngspice."""
