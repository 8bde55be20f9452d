"""Fitting device models to measurements."""
