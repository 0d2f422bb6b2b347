"""Returns freed memory to the system, which allocators keep for later."""

import ctypes

import pyarrow as pa


def give_back() -> None:
    """Return what was freed but is kept, by Arrow's allocator and by the C library's (glibc's).

    To read a table of thousands of columns frees several times what the table takes, in pieces so
    small that the C library keeps them.
    """
    pa.default_memory_pool().release_unused()
    # Other C libraries do not keep it, and have no such function.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
