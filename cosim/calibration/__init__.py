"""Calibration: what ngspice says about blocks and wires, and the surrogate fitted to it."""
