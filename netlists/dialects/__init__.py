"""Dialects: one file each, a function `render(circuit) -> str`."""
