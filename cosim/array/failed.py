"""What somebody needs of an array and did not get: a read, or an update of its cells."""

from __future__ import annotations


class ReadFailedError(RuntimeError):
    """Says which tile and why."""


class UpdateFailedError(RuntimeError):
    """Says which update of which cells did not end well, why, and what to do."""
