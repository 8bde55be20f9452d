"""Neurons: one activation a file, found by scanning this folder."""
