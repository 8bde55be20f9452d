"""Analogue-to-digital converters: one file each."""
