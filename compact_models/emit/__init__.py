"""Emitters: a model's equations as torch functions, an ngspice subcircuit and Verilog-A."""
