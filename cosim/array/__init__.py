"""The analog array: weights held by cells, read at any fidelity."""
