"""A read that somebody needs and that did not end well in a simulator."""

from __future__ import annotations


class ReadFailedError(RuntimeError):
    """Says which tile and why."""
