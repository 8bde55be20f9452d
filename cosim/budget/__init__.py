"""Cores and memory that a computation may take."""
