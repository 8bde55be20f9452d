"""Keeping freed memory: what a training loop on the CPU allocates again in every step.

glibc gives the top of its heap back to the system when a few megabytes are free there, and takes
fresh pages, zeroed one by one, a moment later. A step that allocates tens of megabytes spends up to
half of its time on that. Nothing here is done by itself: it is a matter of the whole process.
"""

from __future__ import annotations

import ctypes

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGEST = 32 << 20  # larger pieces have pages of their own: glibc's own limit


def keep_freed_memory(most_bytes: int = 1 << 28) -> bool:
    """Lets the process keep up to `most_bytes` of freed memory for its next allocations.

    Returns:
        True if the C library took it; False where it is another one than glibc.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is None:
        return False
    return bool(adjust(_TRIM, most_bytes)) and bool(adjust(_MMAP, _LARGEST))
