"""Whole arrays of dynamic cells through stimuli in time: torch, ngspice, tables."""
