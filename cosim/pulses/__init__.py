"""Pulse trains on lines, and the steps that they make in pulse devices."""
