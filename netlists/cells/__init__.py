"""Cells: one file each, a subcircuit with ports (wl, bl) and parameter `g` in siemens."""
