"""How this process takes memory from the operating system."""

import ctypes
import sys

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Let freed blocks be used again rather than given back to the operating system.

    glibc returns large blocks at once. The next step of a training takes blocks of the same sizes,
    and the kernel then clears every page of them anew: thousands of page faults per step of a
    convolutional network. Affects the whole process, on Linux with glibc; elsewhere nothing is
    done.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # As large a threshold as there is: nothing is trimmed; no block of its own for any size.
    mallopt(_TRIM_THRESHOLD, -1)
    mallopt(_MMAP_MAX, 0)
