"""What the lines of an array carry while some of its cells are written: one scheme a file."""

from netlists.write_schemes.scheme import Levels, WriteScheme, find_scheme, write_schemes

__all__ = ["Levels", "WriteScheme", "find_scheme", "write_schemes"]
