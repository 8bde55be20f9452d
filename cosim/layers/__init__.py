"""Torch modules that compute what a chip computes."""
